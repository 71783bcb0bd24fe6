from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from connector.simulator.google import Calendar
from tests.office import Office, open_office
from tests.scenarios.steps import Clock


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


@pytest.fixture
def google_clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """google-auth signs with the time of the simulators: for service accounts."""
    monkeypatch.setattr("google.auth._helpers.utcnow", lambda: clock().replace(tzinfo=None))


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """What is logged meanwhile, as the values that were logged."""
    with capture_logs() as entries:
        yield entries  # type: ignore[misc]
