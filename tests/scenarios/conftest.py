from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connector.simulator.google import Calendar
from tests.office import Office, open_office

pytest.register_assert_rewrite("tests.scenarios.steps")

from tests.scenarios.steps import Clock  # noqa: E402


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def office(tmp_path: Path, clock: Clock) -> AsyncIterator[Office]:
    """Both simulators, nobody hired yet, at a time that the test sets."""
    async with open_office(tmp_path, clock=clock) as opened:
        yield opened


@pytest.fixture
def pam(office: Office) -> Calendar:
    return office.hire("pam")
