"""What counts as an edit for the pace of reading: what people do, not what the connector comes across."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.app.opening import state_place
from connector.app.parts import Parts, assemble
from connector.settings.files import load_settings
from connector.store import open_database
from connector.sync.cycle import Report
from tests.office import Office, open_office
from tests.scenarios.steps import Clock

SATURDAY_NIGHT = datetime(2026, 10, 25, 3, 30, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock(SATURDAY_NIGHT)


@pytest.fixture
async def office(tmp_path: Path, clock: Clock) -> AsyncIterator[Office]:
    async with open_office(tmp_path, clock) as opened:
        opened.hire("pam")
        yield opened


@pytest.fixture
async def parts(office: Office, clock: Clock) -> AsyncIterator[Parts]:
    settings = load_settings(office.config)
    async with assemble(settings, open_database(state_place(settings)), clock) as made:
        yield made


async def read(parts: Parts) -> Report:
    (calendar,) = parts.calendars
    return await parts.cycle.run(calendar.seller)


async def test_only_what_people_do_hastens_the_next_readings(
    office: Office, parts: Parts, clock: Clock
) -> None:
    pam = office.sellers["pam"]
    daily = pam.create_series("Daily", SATURDAY_NIGHT, rule="FREQ=DAILY")
    first = await read(parts)
    assert (first.changed, first.touched) == (True, False)
    assert (await read(parts)).touched is False
    pam.set_visibility(daily, "private")
    edited = await read(parts)
    assert edited.touched
    clock.advance(days=1)
    new_day = await read(parts)
    assert (new_day.changed, new_day.touched) == (True, False)
    pam.add_guest(daily, "jim@example.com")
    nothing_to_send = await read(parts)
    assert (nothing_to_send.changed, nothing_to_send.touched) == (False, True)
    clock.advance(days=7)
    weekly = await read(parts)
    assert (weekly.full, weekly.touched) == (True, False)
    assert timedelta(days=7) < clock() - SATURDAY_NIGHT
