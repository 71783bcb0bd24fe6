"""What all tests share: aioresponses made to work with aiohttp ≥ 3.14."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import aiohttp
import aioresponses.core
import pytest

from connector.observe.log import configure_logging


class _Response(aiohttp.ClientResponse):
    """aioresponses 0.7.9 does not know `stream_writer`, which aiohttp 3.14 demands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"stream_writer": Mock(output_size=0), **kwargs})


aioresponses.core.ClientResponse = _Response  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _quiet_logs() -> None:
    """Logs of the code under test go to stderr, as in the program; only what is wrong is kept."""
    configure_logging("text")
