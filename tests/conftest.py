"""What all tests share: aioresponses made to work with aiohttp ≥ 3.14."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import aiohttp
import aioresponses.core
import pytest

from connector.observe.log import configure_logging

pytest.register_assert_rewrite("tests.scenarios.steps")  # before anything imports it


class _Response(aiohttp.ClientResponse):
    """aioresponses 0.7.9 does not know `stream_writer`, which aiohttp 3.14 demands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"stream_writer": Mock(output_size=0), **kwargs})


aioresponses.core.ClientResponse = _Response  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _quiet_logs() -> None:
    """Logs of the code under test go to stderr, as in the program; only what is wrong is kept."""
    configure_logging("text")


HEAVY = (
    "behaviour/test_daemon.py",
    "behaviour/test_crash_points.py",
    "behaviour/test_three_sellers.py",
    "behaviour/test_hostile.py",
    "behaviour/test_on_postgres.py",
    "behaviour/test_nodes.py",
    "behaviour/test_reload.py",
    "behaviour/test_bulk.py",
    "cli/test_run.py",
    "cli/test_demo.py",
    "machine/",
    "google/test_strangers.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest first: two workers begin with a half each, and the last test is then a short one."""
    heavy = [item for item in items if any(name in item.path.as_posix() for name in HEAVY)]
    # Tests that last nearly a minute each would otherwise meet in one worker.
    heavy.sort(key=lambda item: next(i for i, n in enumerate(HEAVY) if n in item.path.as_posix()))
    light = [item for item in items if item not in set(heavy)]
    middle = (
        len(light) // 2 + 8
    )  # a few past the half, or the first heavy one would be the other worker's last
    items[:] = [*heavy[0::2], *light[:middle], *heavy[1::2], *light[middle:]]
