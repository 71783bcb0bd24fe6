"""Each calendar is verified once a night, at a moment of its own, and what differs is put in line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connector.app.parts import Parts, assemble
from connector.domain.model import UserGuid, UserName
from connector.settings.files import load_settings
from connector.store import CalendarState, open_database
from connector.store.verifications import last
from connector.sync.nightly import AGAIN_AFTER, NightlyUser, NightlyVerifier
from connector.sync.reconcile import LastInLine, verification_is_due
from tests.behaviour.test_verify import drop, filled
from tests.office import Office, open_office

ZONE = ZoneInfo("America/New_York")


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


def calendar(guid: str, last_full: datetime | None) -> CalendarState:
    return CalendarState(
        1, UserGuid(guid), UserName("pam"), time_zone="America/New_York", last_full=last_full
    )


def first_due(guid: str, since: datetime) -> datetime:
    at = since
    while not verification_is_due(calendar(guid, since), at, None):
        at += timedelta(minutes=1)
    return at


def test_once_a_night_in_the_calendars_zone_and_staggered() -> None:
    since = datetime(2026, 3, 3, 17, 0, tzinfo=UTC)
    moments = [first_due(f"guid{n}", since) for n in range(40)]
    for moment in moments:
        local = moment.astimezone(ZONE)
        assert local.date().isoformat() == "2026-03-04"
        assert 1 <= local.hour < 5
    assert len({moment.replace(second=0) for moment in moments}) > 25
    verified = moments[0]
    row = calendar("guid0", since)
    assert not verification_is_due(row, verified + timedelta(hours=20), verified)
    assert verification_is_due(row, verified + timedelta(hours=24, minutes=1), verified)
    assert verification_is_due(row, verified + timedelta(hours=34), verified), "made up for"


def test_never_before_the_first_full_sync() -> None:
    assert not verification_is_due(calendar("guid", None), datetime(2026, 3, 4, tzinfo=UTC), None)


def verifier(
    office: Office, parts: Parts, now: list[datetime]
) -> tuple[NightlyVerifier, list[NightlyUser]]:
    (client,) = parts.clients.values()
    users = [NightlyUser(one.seller, repair=True) for one in parts.calendars]
    return NightlyVerifier(parts.state, lambda _: LastInLine(client), lambda: now[0]), users


async def test_the_night_finds_and_mends(office: Office) -> None:
    events = await filled(office)
    drop(office, events["pitch"])
    now = [office.clock() + timedelta(hours=25)]
    async with assemble(load_settings(office.config), open_database(office.place)) as parts:
        nightly, users = verifier(office, parts, now)
        assert await nightly.run_due(users) == [1]
        lists = office.salesloft.count("events.list")
        assert await nightly.run_due(users) == []
        assert office.salesloft.count("events.list") == lists, "once a night"
        result = await parts.state.run(lambda c: last(c, 1))
    assert result is not None
    assert (result.missing, result.repaired, result.clean) == (1, 1, False)
    await office.once()
    assert office.differences() == []


async def test_what_fails_is_tried_an_hour_later(office: Office) -> None:
    await filled(office)
    now = [office.clock() + timedelta(hours=25)]
    async with assemble(load_settings(office.config), open_database(office.place)) as parts:
        nightly, users = verifier(office, parts, now)
        office.google.revoke("pam@example.com")
        assert await nightly.run_due(users) == []
        asked = len(office.google.log)
        assert await nightly.run_due(users) == []
        assert len(office.google.log) == asked
        now[0] += AGAIN_AFTER + timedelta(seconds=1)
        await nightly.run_due(users)
        assert len(office.google.log) > asked
        assert await parts.state.run(lambda c: last(c, 1)) is None


async def test_what_entered_the_window_since_the_last_reading_is_not_missing(
    office: Office,
) -> None:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    pam.create_series("Daily", now + timedelta(hours=1), rule="FREQ=DAILY")
    await office.once(full=True)
    ahead = [office.clock() + timedelta(days=3)]
    async with assemble(load_settings(office.config), open_database(office.place)) as parts:
        nightly, users = verifier(office, parts, ahead)
        assert await nightly.run_due(users) == []
        result = await parts.state.run(lambda c: last(c, 1))
    assert result is not None
    assert (result.missing, result.waiting) == (0, 3)
