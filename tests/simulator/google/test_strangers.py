"""The simulator judged by strangers: `gcal_sync` (Home Assistant's client) over HTTP, and calendars worked out by hand.

`gcal_sync` reads `singleEvents=false` feeds and expands series by itself (with `ical`), so that what it shows comes
from what the simulator tells, and from nothing that the simulator computes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from gcal_sync.api import GoogleCalendarService
from gcal_sync.auth import AbstractAuth
from gcal_sync.model import Event
from gcal_sync.store import InMemoryCalendarStore
from gcal_sync.sync import CalendarEventSyncManager

from connector.simulator.google import Calendar
from connector.simulator.google.truth import Occurrence
from tests.people import fill, random_edit
from tests.simulator.google.conftest import PAM, START, Clock, Sim, at

Shown = tuple[str, datetime, datetime, str]
"""Id, start, end and title of one occurrence."""
ROUNDS = 15
_HALF = re.compile(r"_R\d{8}(T\d{6})?(?=_)")


class Stranger:
    """One `gcal_sync` client with a store of its own."""

    def __init__(self, sim: Sim) -> None:
        self._calendar = sim.calendar
        self._store = InMemoryCalendarStore()
        auth = _Auth(sim)
        self._manager = CalendarEventSyncManager(
            GoogleCalendarService(auth), calendar_id=PAM, store=self._store
        )

    async def sync(self) -> None:
        await self._manager.run()

    async def shows(self, low: datetime, high: datetime) -> Counter[Shown]:
        """What it has between two moments."""
        timeline = await self._manager.store_service.async_get_timeline(self._calendar.zone)
        found = (_of_stranger(one, self._calendar) for one in timeline.overlapping(low, high))
        return Counter(one for one in found if one[2] > low and one[1] < high)

    async def forget(self, stale: set[str]) -> None:
        """Drop items from the store."""
        data: Any = await self._store.async_load()
        items = data["event_sync"][PAM]["items"]
        for event_id in stale & items.keys():
            del items[event_id]

    async def stored(self) -> Mapping[str, Any]:
        data: Any = await self._store.async_load()
        items: Mapping[str, Any] = data["event_sync"][PAM]["items"]
        return items


class _Auth(AbstractAuth):
    def __init__(self, sim: Sim) -> None:
        super().__init__(sim.http, f"{sim.url}/calendar/v3")
        self._token = sim.world.accounts.access_token

    async def async_get_access_token(self) -> str:
        return self._token(PAM)


def _of_stranger(event: Event, calendar: Calendar) -> Shown:
    # gcal_sync makes ids of the occurrences of a split series from the new half's id (`<base>_R…_<time>`), which Google
    # does not have: they begin with the base alone (google-calendar.md 2.11).
    event_id = _HALF.sub("", event.id or "")
    start, end = _instant(event.start.value, calendar), _instant(event.end.value, calendar)
    return event_id, start, end, event.summary


def _of_truth(seen: Occurrence, calendar: Calendar) -> Shown:
    start, end = _instant(seen.start, calendar), _instant(seen.end, calendar)
    return seen.id, start, end, seen.summary or ""


def _instant(when: datetime | date, calendar: Calendar) -> datetime:
    if isinstance(when, datetime):
        return when.astimezone(UTC)
    return datetime(when.year, when.month, when.day, tzinfo=calendar.zone).astimezone(UTC)


def window() -> tuple[datetime, datetime]:
    return START - timedelta(days=30), START + timedelta(days=90)


def truth(calendar: Calendar) -> Counter[Shown]:
    return Counter(_of_truth(seen, calendar) for seen in calendar.truth(*window()))


async def stale_exceptions(stranger: Stranger, calendar: Calendar) -> set[str]:
    """Exceptions that `gcal_sync` keeps although they are no more.

    Google does not tell them one by one: the tombstone of a series stands for its exceptions too, and an exception at
    which a series is split becomes the first occurrence of the new half. `gcal_sync` neither cascades nor asks again;
    its answer to that is a full sync.
    """
    return {
        event_id
        for event_id, item in (await stranger.stored()).items()
        if item["recurring_event_id"] is not None
        and item["status"] != "cancelled"
        and ((row := calendar.rows.get(event_id)) is None or row.buried)
    }


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_a_stranger_sees_the_truth_after_every_edit(sim: Sim, seed: int) -> None:
    rng = Random(seed)
    fill(sim.calendar, rng, START, singles=30, series=12)
    follower = Stranger(sim)
    await follower.sync()
    assert await follower.shows(*window()) == truth(sim.calendar)
    for number in range(ROUNDS):
        edits = [random_edit(sim.calendar, rng, START, window()) for _ in range(rng.randint(1, 4))]
        await follower.sync()
        await follower.forget(await stale_exceptions(follower, sim.calendar))
        newcomer = Stranger(sim)
        await newcomer.sync()
        expected = truth(sim.calendar)
        assert await newcomer.shows(*window()) == expected, f"round {number}, in full: {edits}"
        assert await follower.shows(*window()) == expected, f"round {number}: {edits}"


async def test_a_stranger_pages_through_a_large_calendar(sim: Sim) -> None:
    """More than one of its pages of a thousand."""
    fill(sim.calendar, Random(5), START, singles=1_200, series=5)
    stranger = Stranger(sim)
    await stranger.sync()
    assert await stranger.shows(*window()) == truth(sim.calendar)
    assert len(sim.world.requests("events.list")) == 2


async def test_a_stranger_starts_over_when_its_token_is_gone(sim: Sim) -> None:
    fill(sim.calendar, Random(6), START, singles=20, series=5)
    stranger = Stranger(sim)
    await stranger.sync()
    for row in [row for row in sim.calendar.rows.values() if row.is_series][:3]:
        sim.calendar.cancel_all(row.id)
    sim.world.expire_tokens()
    await stranger.sync()
    assert await stranger.shows(*window()) == truth(sim.calendar)


async def test_a_stranger_reads_days_nights_and_zones(sim: Sim) -> None:
    calendar = sim.calendar
    calendar.create_all_day("Day", date(2026, 11, 10), days=3)
    calendar.create_series("Days", date(2026, 11, 2), rule="FREQ=WEEKLY;BYDAY=MO,TH")
    for zone in ("Asia/Kolkata", "Australia/Lord_Howe", "Europe/Berlin", "America/Sao_Paulo"):
        calendar.create_series(zone, at("2026-10-20T09:30", zone), rule="FREQ=DAILY;COUNT=40")
    calendar.create_series(
        "Dates",
        at("2026-11-03T12:00"),
        rule="FREQ=WEEKLY;UNTIL=20261222T170000Z",
        lines=["EXDATE;TZID=America/New_York:20261117T120000", "RDATE:20261119T150000Z"],
    )
    calendar.create_series("Lasts", at("2026-11-01T10:00"), rule="FREQ=MONTHLY;BYDAY=-1FR")
    calendar.create_series(
        "Payday", at("2026-11-30T10:00"), rule="FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"
    )
    calendar.invite_to_occurrence("host@buyer.example.net", at("2026-11-12T09:00"))
    stranger = Stranger(sim)
    await stranger.sync()
    assert await stranger.shows(*window()) == truth(calendar)


# -- worked out by hand --------------------------------------------------------------------------

BY_HAND: dict[str, tuple[str, list[str], list[str]]] = {
    "weekly over the end of summer time": (
        "2026-10-26T09:00",
        ["RRULE:FREQ=WEEKLY;COUNT=3"],
        ["2026-10-26T13:00", "2026-11-02T14:00", "2026-11-09T14:00"],
    ),
    "daily over the beginning of summer time": (
        "2027-03-13T09:00",
        ["RRULE:FREQ=DAILY;COUNT=3"],
        ["2027-03-13T14:00", "2027-03-14T13:00", "2027-03-15T13:00"],
    ),
    "in the hour that does not exist": (
        "2027-03-13T02:30",
        ["RRULE:FREQ=DAILY;COUNT=3"],
        ["2027-03-13T07:30", "2027-03-14T07:30", "2027-03-15T06:30"],
    ),
    "the last Friday of the month": (
        "2026-10-30T12:00",
        ["RRULE:FREQ=MONTHLY;BYDAY=-1FR;COUNT=4"],
        ["2026-10-30T16:00", "2026-11-27T17:00", "2026-12-25T17:00", "2027-01-29T17:00"],
    ),
    "the second Tuesday of the month": (
        "2026-11-10T12:00",
        ["RRULE:FREQ=MONTHLY;BYDAY=2TU;COUNT=3"],
        ["2026-11-10T17:00", "2026-12-08T17:00", "2027-01-12T17:00"],
    ),
    "the last working day of the month": (
        "2026-10-30T12:00",
        ["RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=4"],
        ["2026-10-30T16:00", "2026-11-30T17:00", "2026-12-31T17:00", "2027-01-29T17:00"],
    ),
    "the first and the last Monday": (
        "2026-11-02T12:00",
        ["RRULE:FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1,-1;COUNT=4"],
        ["2026-11-02T17:00", "2026-11-30T17:00", "2026-12-07T17:00", "2026-12-28T17:00"],
    ),
    "a day that not every month has": (
        "2026-10-31T12:00",
        ["RRULE:FREQ=MONTHLY;COUNT=4"],
        ["2026-10-31T16:00", "2026-12-31T17:00", "2027-01-31T17:00", "2027-03-31T16:00"],
    ),
    "every other week on two days": (
        "2026-11-02T12:00",
        ["RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;COUNT=4"],
        ["2026-11-02T17:00", "2026-11-06T17:00", "2026-11-16T17:00", "2026-11-20T17:00"],
    ),
    "a week that begins on Sunday": (
        "2026-11-01T12:00",
        ["RRULE:FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=SU,MO;COUNT=4"],
        ["2026-11-01T17:00", "2026-11-02T17:00", "2026-11-15T17:00", "2026-11-16T17:00"],
    ),
    "until, which is an instant and included": (
        "2026-11-02T12:00",
        ["RRULE:FREQ=DAILY;UNTIL=20261104T170000Z"],
        ["2026-11-02T17:00", "2026-11-03T17:00", "2026-11-04T17:00"],
    ),
    "until a second before": (
        "2026-11-02T12:00",
        ["RRULE:FREQ=DAILY;UNTIL=20261104T165959Z"],
        ["2026-11-02T17:00", "2026-11-03T17:00"],
    ),
    "until a date": (
        "2026-11-02T12:00",
        ["RRULE:FREQ=DAILY;UNTIL=20261103"],
        ["2026-11-02T17:00", "2026-11-03T17:00"],
    ),
    "EXDATE in its zone": (
        "2026-11-02T12:00",
        ["RRULE:FREQ=DAILY;COUNT=3", "EXDATE;TZID=America/New_York:20261103T120000"],
        ["2026-11-02T17:00", "2026-11-04T17:00"],
    ),
    "EXDATE in UTC, two of them": (
        "2026-11-02T12:00",
        ["RRULE:FREQ=DAILY;COUNT=4", "EXDATE:20261103T170000Z,20261105T170000Z"],
        ["2026-11-02T17:00", "2026-11-04T17:00"],
    ),
    "EXDATE at another time excludes nothing": (
        "2026-11-02T12:00",
        ["RRULE:FREQ=DAILY;COUNT=2", "EXDATE;TZID=America/New_York:20261103T130000"],
        ["2026-11-02T17:00", "2026-11-03T17:00"],
    ),
    "RDATE beside a rule, in another zone": (
        "2026-11-02T12:00",
        ["RRULE:FREQ=WEEKLY;COUNT=2", "RDATE;TZID=Europe/Berlin:20261104T200000"],
        ["2026-11-02T17:00", "2026-11-04T19:00", "2026-11-09T17:00"],
    ),
    "RDATE that is an occurrence already": (
        "2026-11-02T12:00",
        ["RRULE:FREQ=WEEKLY;COUNT=2", "RDATE:20261109T170000Z"],
        ["2026-11-02T17:00", "2026-11-09T17:00"],
    ),
    "RDATE alone": (
        "2026-11-02T12:00",
        ["RDATE:20261104T170000Z,20261106T170000Z"],
        ["2026-11-02T17:00", "2026-11-04T17:00", "2026-11-06T17:00"],
    ),
    "COUNT counts what EXDATE takes away": (
        "2026-11-02T12:00",
        ["RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20261102T170000Z"],
        ["2026-11-03T17:00", "2026-11-04T17:00"],
    ),
    "two rules": (
        "2026-11-02T12:00",
        ["RRULE:FREQ=WEEKLY;COUNT=2", "RRULE:FREQ=DAILY;COUNT=2"],
        ["2026-11-02T17:00", "2026-11-03T17:00", "2026-11-09T17:00"],
    ),
    "the 29th of February": (
        "2024-02-29T12:00",
        ["RRULE:FREQ=YEARLY;COUNT=2"],
        ["2024-02-29T17:00", "2028-02-29T17:00"],
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
async def test_an_expansion_worked_out_by_hand(sim: Sim, clock: Clock, name: str) -> None:
    """In UTC; what `events.instances` answers and what a person sees are the same."""
    first, lines, expected = BY_HAND[name]
    series = sim.calendar.create("Series", at(first), recurrence=lines)
    seen = sim.calendar.truth(at(first) - timedelta(days=1), at(first) + timedelta(days=1600))
    starts = [_instant(one.start, sim.calendar) for one in seen]
    assert [f"{start:%Y-%m-%dT%H:%M}" for start in starts] == expected
    answer = await sim.get(f"calendars/primary/events/{series}/instances")
    told = [datetime.fromisoformat(item["start"]["dateTime"]) for item in answer.body["items"]]
    assert told == starts
    assert clock.at == START


async def test_all_day_series_worked_out_by_hand(sim: Sim) -> None:
    series = sim.calendar.create_series(
        "Days",
        date(2026, 10, 30),
        rule="FREQ=DAILY;UNTIL=20261103",
        lines=["EXDATE;VALUE=DATE:20261101", "RDATE;VALUE=DATE:20261110"],
    )
    answer = await sim.get(f"calendars/primary/events/{series}/instances")
    days = [(item["start"]["date"], item["end"]["date"]) for item in answer.body["items"]]
    assert days == [
        ("2026-10-30", "2026-10-31"),
        ("2026-10-31", "2026-11-01"),
        ("2026-11-02", "2026-11-03"),
        ("2026-11-03", "2026-11-04"),
        ("2026-11-10", "2026-11-11"),
    ]
