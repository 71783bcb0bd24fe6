"""Issue part 2: zones, summer time, all-day, midnight, zero length, and series older or later than any window."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from connector.simulator.google import Calendar
from tests.office import Office
from tests.scenarios.steps import (
    CHANGES,
    PROSPECT,
    RESYNC,
    SERIES,
    SPRING,
    Clock,
    at,
    begin,
    occurrences,
    settle,
)


def starts(office: Office) -> list[str]:
    """When what Salesloft holds begins, in UTC."""
    return sorted(f"{e.start:%m-%d %H:%M}" for e in office.alive("pam").values())


@pytest.fixture
def spring(clock: Clock) -> None:
    clock.at = SPRING


# Zone, first start, and the starts of a daily series around a change of the clocks, in UTC, worked out by hand.
CLOCKS: dict[str, tuple[datetime, str, str, list[str]]] = {
    "autumn in New York": (
        datetime(2026, 10, 20, 14, tzinfo=UTC),
        "America/New_York",
        "2026-10-31T09:00",
        ["10-31 13:00", "11-01 14:00", "11-02 14:00"],
    ),
    "autumn in Berlin": (
        datetime(2026, 10, 20, 14, tzinfo=UTC),
        "Europe/Berlin",
        "2026-10-24T09:00",
        ["10-24 07:00", "10-25 08:00", "10-26 08:00"],
    ),
    "spring in New York": (
        SPRING,
        "America/New_York",
        "2026-03-07T09:00",
        ["03-07 14:00", "03-08 13:00", "03-09 13:00"],
    ),
    "the hour that spring takes away": (
        SPRING,
        "America/New_York",
        "2026-03-07T02:30",
        ["03-07 07:30", "03-08 07:30", "03-09 06:30"],
    ),
    "the hour that autumn gives twice": (
        datetime(2026, 10, 20, 14, tzinfo=UTC),
        "America/New_York",
        "2026-10-31T01:30",
        ["10-31 05:30", "11-01 05:30", "11-02 06:30"],
    ),
    "half an hour in Lord Howe": (
        SPRING,
        "Australia/Lord_Howe",
        "2026-04-04T09:00",
        ["04-03 22:00", "04-04 22:30", "04-05 22:30"],
    ),
    "half hours in Kolkata": (
        SPRING,
        "Asia/Kolkata",
        "2026-03-07T09:00",
        ["03-07 03:30", "03-08 03:30", "03-09 03:30"],
    ),
    "quarters in Kathmandu": (
        SPRING,
        "Asia/Kathmandu",
        "2026-03-07T09:00",
        ["03-07 03:15", "03-08 03:15", "03-09 03:15"],
    ),
    "south of the equator": (
        SPRING,
        "Australia/Sydney",
        "2026-04-04T09:00",
        ["04-03 22:00", "04-04 23:00", "04-05 23:00"],
    ),
}


@pytest.mark.parametrize("name", CLOCKS)
async def test_the_wall_clock_of_a_series_stays(
    office: Office, pam: Calendar, clock: Clock, name: str
) -> None:
    clock.at, zone, first, expected = CLOCKS[name]
    await begin(office)
    series = pam.create_series(
        "Daily", at(first, zone), rule="FREQ=DAILY;COUNT=3", time_zone=zone, attendees=[PROSPECT]
    )
    await settle(office, sent=3, asked=SERIES)
    assert starts(office) == expected
    seen = occurrences(office, series)
    pam.edit_one(seen[1].id, summary="On the day itself")
    await settle(office, sent=1)
    pam.cancel_one(seen[1].id)
    pam.edit_all(series, summary="Renamed")
    await settle(office, sent=3)
    assert starts(office) == [expected[0], expected[2]]


# Years-old series, whose zone had other rules when they began: only today's rules count for today.
HISTORY = {
    "Europe/Moscow": ("2009-01-05T10:00", "02-09 07:00"),
    "Europe/Istanbul": ("2012-01-02T10:00", "02-09 07:00"),
    "America/Sao_Paulo": ("2015-01-05T10:00", "02-09 13:00"),
    "Asia/Pyongyang": ("2016-01-04T10:00", "02-09 01:00"),
    "Pacific/Apia": ("2010-01-04T10:00", "02-08 21:00"),
    "America/Caracas": ("2010-01-04T10:00", "02-09 14:00"),
}


@pytest.mark.parametrize("zone", HISTORY)
async def test_zones_with_a_history(office: Office, pam: Calendar, spring: None, zone: str) -> None:
    first, expected = HISTORY[zone]
    pam.create_series("Old", at(first, zone), rule="FREQ=WEEKLY", time_zone=zone)
    await begin(office)
    # SPRING is the Tuesday after Monday the 9th.
    assert expected in starts(office)
    pam.edit_all(next(iter(pam.rows)), start=at(first, zone) + timedelta(minutes=30))
    await settle(office, asked=SERIES)


async def test_an_offset_that_is_not_the_zones(office: Office, pam: Calendar) -> None:
    """Google writes `dateTime` in the calendar's zone, `timeZone` stays the event's."""
    await begin(office)
    pam.create("Abroad", at("2026-10-22T09:00", "Asia/Tokyo"), time_zone="Asia/Tokyo")
    pam.create("No zone", at("2026-10-23T09:00"), show_zone=False)
    await settle(office, sent=2, asked=CHANGES)
    assert starts(office) == ["10-22 00:00", "10-23 13:00"]


async def test_all_day_is_a_day_of_the_calendar(office: Office, pam: Calendar) -> None:
    await begin(office)
    pam.create_all_day("Day off", date(2026, 11, 1))  # 25 hours long
    done = await settle(office, sent=1, asked=CHANGES)
    (body,) = done.sent
    assert (body["start_time"], body["end_time"], body["all_day"]) == (
        "2026-11-01T00:00:00-04:00",
        "2026-11-02T00:00:00-05:00",
        True,
    )


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata"])
async def test_all_day_in_zones_far_away(office: Office, zone: str) -> None:
    pam = office.hire("pam", zone)
    await begin(office)
    pam.create_all_day("Day", date(2026, 10, 22))
    pam.create_series("Days", date(2026, 10, 23), rule="FREQ=WEEKLY;COUNT=3")
    start, end = office.window("pam")
    pam.create_all_day("First day of the window", start.astimezone(pam.zone).date())
    pam.create_all_day("Day before", start.astimezone(pam.zone).date() - timedelta(days=1))
    pam.create_all_day("Day after", end.astimezone(pam.zone).date())
    pam.create_all_day("Last", end.astimezone(pam.zone).date() - timedelta(days=1))
    await settle(office, sent=6)


async def test_several_days_and_over_midnight(office: Office, pam: Calendar) -> None:
    await begin(office)
    pam.create_all_day("Fair", date(2026, 10, 30), days=4)
    pam.create("Night shift", at("2026-10-31T22:00"), at("2026-11-01T06:00"))
    pam.create("Flight", at("2026-10-25T20:00"), at("2026-10-26T10:00", "Asia/Tokyo"))
    pam.create_series("Nights", at("2026-10-30T23:00"), rule="FREQ=DAILY;COUNT=4", minutes=180)
    await settle(office, sent=7)


async def test_longer_than_the_window(office: Office, pam: Calendar) -> None:
    pam.create_all_day("Leave", date(2026, 1, 1), days=700)
    await begin(office)
    assert len(office.alive("pam")) == 1
    pam.create_all_day("Parental leave", date(2026, 2, 1), days=600)
    await settle(office, sent=1)


async def test_no_length_at_all(office: Office, pam: Calendar) -> None:
    start, end = office.window("pam")
    moment = at("2026-10-22T09:00")
    pam.create("Reminder", moment, moment, attendees=[PROSPECT])
    pam.create("Second of the window", start + timedelta(seconds=1), start + timedelta(seconds=1))
    pam.create("At its beginning", start, start)
    pam.create("Last second", end - timedelta(seconds=1), end - timedelta(seconds=1))
    pam.create("At its end", end, end)
    await begin(office)
    assert len(office.alive("pam")) == 3
    pam.create_series("Reminders", moment, moment, rule="FREQ=DAILY;COUNT=3")
    pam.create_series("At the edge", start, start, rule="FREQ=DAILY;COUNT=2")
    await settle(office, sent=4)


async def test_an_end_before_its_start_is_set_aside_and_nothing_else(
    office: Office, pam: Calendar
) -> None:
    await begin(office)
    broken = pam.create("Broken", at("2026-10-22T09:00"))
    pam.tamper(broken, "end_before_start")
    pam.create("Neighbour", at("2026-10-22T09:00"))
    summary = await office.once()
    assert (summary.exit_status, summary.users[0].set_aside) == (1, 1)
    assert [e.title for e in office.alive("pam").values()] == [None]
    assert len(office.alive("pam")) == 1
    assert sql_set_aside(office) == [(broken, "end before start")]
    pam.tamper(broken)
    await settle(office, sent=1)
    assert sql_set_aside(office) == []


def sql_set_aside(office: Office) -> list[tuple[object, ...]]:
    from tests.scenarios.steps import sql

    return sql(office, "SELECT event_id, reason FROM set_aside")


async def test_a_series_of_years_ago_still_runs(office: Office, pam: Calendar) -> None:
    series = pam.create_series(
        "Since 2004", at("2004-03-01T09:00"), rule="FREQ=DAILY", attendees=[PROSPECT]
    )
    await begin(office)
    seen = occurrences(office, series)
    assert len(seen) == 30 + 1 + 90
    pam.edit_one(seen[50].id, start=seen[50].start + timedelta(hours=1))
    await settle(office, sent=1, asked=SERIES)
    pam.cancel_following(seen[100].id)
    await settle(office, sent=len(seen) - 100, asked=SERIES)


async def test_a_series_that_begins_far_in_the_future(office: Office, pam: Calendar) -> None:
    await begin(office)
    series = pam.create_series("Next year", at("2027-06-07T09:00"), rule="FREQ=WEEKLY")
    await settle(office, sent=0, asked=SERIES)
    pam.edit_all(series, summary="Still next year")
    await settle(office, sent=0, asked=SERIES)
    pam.edit_all(series, start=at("2027-01-11T09:00"))
    await settle(office, sent=2, asked=SERIES)


async def test_a_series_that_ended_long_ago(office: Office, pam: Calendar) -> None:
    series = pam.create_series("Once", at("2020-06-01T09:00"), rule="FREQ=WEEKLY;COUNT=5")
    await begin(office)
    pam.edit_all(series, summary="Renamed")
    await settle(office, sent=0, asked=SERIES)
    pam.edit_all(series, recurrence=["RRULE:FREQ=WEEKLY"])
    await settle(office, sent=len(occurrences(office, series)))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Pacific/Auckland", "Asia/Kolkata"])
async def test_the_calendar_gets_another_zone(office: Office, pam: Calendar, zone: str) -> None:
    """Days begin elsewhere now: all-day events move, timed ones stay where they were, and so does the window's edge."""
    pam.create("Timed", at("2026-10-22T09:00"), attendees=[PROSPECT])
    pam.create_all_day("Day", date(2026, 10, 22))
    pam.create_series("Days", date(2026, 10, 21), rule="FREQ=WEEKLY;COUNT=3")
    start, end = office.window("pam")
    for hours in (-20, -1, 1, 20):
        pam.create("Near the start", start + timedelta(hours=hours))
        pam.create("Near the end", end + timedelta(hours=hours))
    await begin(office)
    pam.set_time_zone(zone)
    done = await settle(office, asked=RESYNC)
    assert sum(body["all_day"] for body in done.alive) == 4
    assert done.cancelled == []
    pam.set_time_zone("America/New_York")
    done = await settle(office, asked=RESYNC)
    assert sum(body["all_day"] for body in done.alive) == 4


async def test_a_zone_that_nobody_knows(office: Office, pam: Calendar) -> None:
    """A calendar in a zone that this machine does not have is read in UTC; times carry their offsets."""
    from connector.sync.reading import zone_named

    assert zone_named("Mars/Olympus_Mons").key == "UTC"
    assert zone_named("").key == "UTC"
    await begin(office)
    pam.create("Timed", at("2026-10-22T09:00"))
    await settle(office, sent=1)
