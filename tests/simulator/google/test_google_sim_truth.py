"""Expansion and truth, against expectations written by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from connector.simulator.google import Calendar, GoogleWorld
from connector.simulator.google.recurrence import starts_of

from .conftest import PAM, Clock, at


@pytest.fixture
def calendar(clock: Clock) -> Calendar:
    return GoogleWorld(now=clock.now).add_calendar(PAM)


def shown(calendar: Calendar, start: str, end: str) -> list[str]:
    low, high = (datetime.fromisoformat(t).replace(tzinfo=UTC) for t in (start, end))
    return [
        one.start.astimezone(UTC).strftime("%m-%dT%H:%MZ")
        if isinstance(one.start, datetime)
        else one.start.isoformat()
        for one in calendar.truth(low, high)
    ]


def test_a_weekly_series_keeps_its_wall_clock_over_autumn_dst(calendar: Calendar) -> None:
    calendar.create_series("standup", at("2026-10-26T09:00"), rule="FREQ=WEEKLY")
    assert shown(calendar, "2026-10-20", "2026-11-10") == [
        "10-26T13:00Z",
        "11-02T14:00Z",
        "11-09T14:00Z",
    ]
    ids = [one.id for one in calendar.truth(at("2026-10-20T00:00"), at("2026-11-10T00:00"))]
    assert [each.rsplit("_", 1)[1] for each in ids] == [
        "20261026T130000Z",
        "20261102T140000Z",
        "20261109T140000Z",
    ]


def test_a_time_skipped_in_spring_is_an_hour_later_on_the_wall(calendar: Calendar) -> None:
    calendar.create_series("early", at("2027-03-13T02:30"), rule="FREQ=DAILY;COUNT=3")
    seen = calendar.truth(at("2027-03-13T00:00"), at("2027-03-17T00:00"))
    walls = [one.start.strftime("%d %H:%M") for one in seen]
    assert walls == ["13 02:30", "14 03:30", "15 02:30"]


def test_a_series_recurs_in_its_own_zone_not_the_calendars(calendar: Calendar) -> None:
    # Europe leaves summer time on 25 October 2026, New York a week later.
    calendar.create_series("call", at("2026-10-19T15:00", "Europe/Berlin"), rule="FREQ=WEEKLY")
    assert shown(calendar, "2026-10-18", "2026-11-05") == [
        "10-19T13:00Z",
        "10-26T14:00Z",
        "11-02T14:00Z",
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["RRULE:FREQ=DAILY;COUNT=3"], ["02T14:00", "03T14:00", "04T14:00"]),
        (["RRULE:FREQ=DAILY;UNTIL=20261104T140000Z"], ["02T14:00", "03T14:00", "04T14:00"]),
        (["RRULE:FREQ=DAILY;UNTIL=20261104T135959Z"], ["02T14:00", "03T14:00"]),
        (["RRULE:FREQ=DAILY;UNTIL=20261103"], ["02T14:00", "03T14:00"]),
        (
            ["RRULE:FREQ=DAILY;COUNT=3", "EXDATE;TZID=America/New_York:20261103T090000"],
            ["02T14:00", "04T14:00"],
        ),
        (["RRULE:FREQ=DAILY;COUNT=2", "EXDATE:20261102T140000Z"], ["03T14:00"]),
        (
            ["RRULE:FREQ=DAILY;COUNT=1", "RDATE:20261106T200000Z,20261105T200000Z"],
            ["02T14:00", "05T20:00", "06T20:00"],
        ),
        (["RDATE;TZID=Europe/Berlin:20261103T100000"], ["02T14:00", "03T09:00"]),
        (["RRULE:DATE;nonsense", "RRULE:FREQ=DAILY;COUNT=1"], ["02T14:00"]),
    ],
)
def test_rules_dates_and_exceptions(lines: list[str], expected: list[str]) -> None:
    found = starts_of(at("2026-11-02T09:00"), tuple(lines)).first(5)
    assert [f"{one.astimezone(UTC):%dT%H:%M}" for one in found if isinstance(one, datetime)] == (
        expected
    )


def test_an_all_day_series_ends_with_the_day_of_until() -> None:
    found = starts_of(date(2026, 11, 2), ("RRULE:FREQ=DAILY;UNTIL=20261104",)).first(9)
    assert found == [date(2026, 11, 2), date(2026, 11, 3), date(2026, 11, 4)]


def test_the_window_excludes_what_only_touches_it(calendar: Calendar) -> None:
    calendar.create("before", at("2026-11-02T08:30"), at("2026-11-02T09:00"))
    calendar.create("inside", at("2026-11-02T09:00"), at("2026-11-02T09:30"))
    calendar.create("after", at("2026-11-02T10:00"), at("2026-11-02T10:30"))
    calendar.create("across", at("2026-11-02T08:00"), at("2026-11-02T11:00"))
    seen = calendar.truth(at("2026-11-02T09:00"), at("2026-11-02T10:00"))
    assert [one.summary for one in seen] == ["across", "inside"]


def test_an_all_day_event_is_a_day_of_the_calendars_zone(calendar: Calendar) -> None:
    calendar.create_all_day("holiday", date(2026, 11, 3))
    assert shown(calendar, "2026-11-03T04:00", "2026-11-03T05:00") == []
    assert shown(calendar, "2026-11-04T04:00", "2026-11-04T05:00") == ["2026-11-03"]
    calendar.set_time_zone("UTC")
    assert shown(calendar, "2026-11-03T00:00", "2026-11-03T01:00") == ["2026-11-03"]


def test_a_moved_occurrence_is_seen_where_it_went(calendar: Calendar) -> None:
    series = calendar.create_series("1:1", at("2026-11-02T09:00"), rule="FREQ=DAILY;COUNT=3")
    calendar.edit_one(
        f"{series}_20261103T140000Z", start=at("2026-12-24T12:00"), summary="1:1 moved"
    )
    calendar.cancel_one(f"{series}_20261104T140000Z")
    assert shown(calendar, "2026-11-01", "2026-11-30") == ["11-02T14:00Z"]
    moved = calendar.truth(at("2026-12-24T00:00"), at("2026-12-25T00:00"))
    assert [(one.summary, one.id) for one in moved] == [("1:1 moved", f"{series}_20261103T140000Z")]
    calendar.restore_one(f"{series}_20261104T140000Z")
    assert shown(calendar, "2026-11-01", "2026-11-30") == ["11-02T14:00Z", "11-04T14:00Z"]


def test_truth_tells_every_field(calendar: Calendar) -> None:
    calendar.invite(
        "buyer@example.org",
        "Demo",
        start=at("2026-11-02T09:00"),
        description="<b>agenda</b>",
        location="Room 1",
        attendees=["buyer@example.org", "room-1@resource.calendar.google.com"],
        visibility="private",
        transparency="transparent",
        status="tentative",
        conference=True,
    )
    (one,) = calendar.truth(at("2026-11-02T00:00"), at("2026-11-03T00:00"))
    assert (one.organizer, one.creator) == ("buyer@example.org", "buyer@example.org")
    assert (one.summary, one.description, one.location) == ("Demo", "<b>agenda</b>", "Room 1")
    assert (one.visibility, one.transparency, one.status) == ("private", "transparent", "tentative")
    assert (one.event_type, one.recurring, one.all_day) == ("default", False, False)
    assert one.hangout_link == one.video_link == "https://meet.google.com/abc-defg-hij"
    guests = {guest.email: guest for guest in one.attendees}
    assert guests["buyer@example.org"].organizer
    assert guests["room-1@resource.calendar.google.com"].resource
    assert guests[PAM].is_self
    assert guests[PAM].response_status == "needsAction"


def one_at(calendar: Calendar, day: int) -> list[Any]:
    return calendar.truth(at(f"2026-11-{day:02}T00:00"), at(f"2026-11-{day + 1:02}T00:00"))


def test_only_this_and_later_occurrences_follow_a_change(calendar: Calendar) -> None:
    series = calendar.create_series("a", at("2026-11-02T09:00"), rule="FREQ=DAILY;COUNT=6")
    half = calendar.edit_following(f"{series}_20261104T140000Z", summary="b")
    last = calendar.edit_following(f"{series}_20261106T140000Z", start=at("2026-11-06T11:00"))
    seen = calendar.truth(at("2026-11-01T00:00"), at("2026-12-01T00:00"))
    assert [(one.summary, one.start.strftime("%d %H")) for one in seen] == [
        ("a", "02 09"),
        ("a", "03 09"),
        ("b", "04 09"),
        ("b", "05 09"),
        ("b", "06 11"),
        ("b", "07 11"),
    ]
    assert [one.recurring_event_id for one in seen] == [series, series, half, half, last, last]


def test_a_series_changes_rule_zone_and_kind(calendar: Calendar) -> None:
    series = calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY")
    calendar.edit_all(series, recurrence=["RRULE:FREQ=DAILY;COUNT=2"])
    assert shown(calendar, "2026-11-01", "2026-12-01") == ["11-02T14:00Z", "11-03T14:00Z"]
    calendar.edit_all(series, time_zone="Europe/Berlin")
    assert shown(calendar, "2026-11-01", "2026-12-01") == ["11-02T08:00Z", "11-03T08:00Z"]
    calendar.edit_all(series, start=date(2026, 11, 5))
    assert shown(calendar, "2026-11-01", "2026-12-01") == ["2026-11-05", "2026-11-06"]


def test_exceptions_vanish_when_their_occurrence_does(calendar: Calendar) -> None:
    series = calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY;COUNT=4")
    calendar.edit_one(f"{series}_20261103T140000Z", summary="changed")
    calendar.edit_all(series, start=at("2026-11-02T10:00"))
    assert [one.summary for one in one_at(calendar, 3)] == ["s"]


def test_two_halves_never_share_an_id(calendar: Calendar) -> None:
    series = calendar.create_series("a", at("2026-11-02T09:00"), rule="FREQ=DAILY;COUNT=6")
    half = calendar.edit_following(f"{series}_20261104T140000Z", summary="b")
    moved = calendar.edit_all(half, start=at("2026-11-03T09:00"))
    assert moved != half
    ids = [one.id for one in calendar.truth(at("2026-11-01T00:00"), at("2026-12-01T00:00"))]
    assert len(ids) == len(set(ids)) == 6
