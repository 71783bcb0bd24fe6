"""The window in every zone, and what of it was never listed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.domain.model import AllDay, Instant
from connector.domain.window import Window, midnight, never_listed, span, window_at

ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/Havana",
    "Asia/Beirut",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Atlantic/Azores",
]
zones = st.sampled_from(ZONES).map(ZoneInfo)
moments = st.timedeltas(timedelta(0), timedelta(days=10_500)).map(
    lambda since: datetime(2008, 1, 1, tzinfo=UTC) + since
)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(first: int, last: int) -> Window:
    return Window(EPOCH + timedelta(hours=first), EPOCH + timedelta(hours=last))


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("America/New_York", "2026-03-08", "2026-03-08T05:00"),  # the clocks change at two
        ("America/New_York", "2026-03-09", "2026-03-09T04:00"),
        ("America/New_York", "2026-11-01", "2026-11-01T04:00"),
        ("America/New_York", "2026-11-02", "2026-11-02T05:00"),
        ("Asia/Kolkata", "2026-11-20", "2026-11-19T18:30"),
        ("Asia/Kathmandu", "2026-11-20", "2026-11-19T18:15"),
        ("Australia/Lord_Howe", "2026-04-06", "2026-04-05T13:30"),
        ("Pacific/Chatham", "2026-11-20", "2026-11-19T10:15"),
        ("Pacific/Kiritimati", "2026-11-20", "2026-11-19T10:00"),
        # Midnight is skipped: the day begins with the skip.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00"),
        ("Asia/Beirut", "2026-03-29", "2026-03-28T22:00"),
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00"),
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00"),
        # Midnight comes twice: the day begins with the first.
        ("America/Havana", "2026-11-01", "2026-11-01T04:00"),
        # The evening before comes twice.
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00"),
        # A whole day that never was: its beginning is the next one's.
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00"),
    ],
)
def test_a_day_begins_with_its_first_moment(zone: str, day: str, expected: str) -> None:
    assert midnight(date.fromisoformat(day), ZoneInfo(zone)) == utc(expected)


@given(zone=zones, now=moments)
def test_a_day_begins_where_its_date_does(zone: ZoneInfo, now: datetime) -> None:
    day = now.astimezone(zone).date()
    begin = midnight(day, zone)
    assert begin <= now
    assert begin.astimezone(zone).date() == day
    before = (begin - timedelta(seconds=1)).astimezone(zone).date()
    # Where the evening before comes twice, a moment before midnight is the second one's.
    assert before < day


@given(zone=zones, now=moments, past=st.integers(0, 60), future=st.integers(1, 90))
def test_the_window_runs_from_a_days_start_to_a_days_end(
    zone: ZoneInfo, now: datetime, past: int, future: int
) -> None:
    window = window_at(now, zone, past, future)
    today = now.astimezone(zone).date()
    assert window.start.tzinfo is UTC
    assert window.end.tzinfo is UTC
    assert window.start == midnight(today - timedelta(days=past), zone)
    last = (window.end - timedelta(microseconds=1)).astimezone(zone).date()
    assert last == today + timedelta(days=future) or zone.key == "Pacific/Apia"
    assert window.overlaps(now, now + timedelta(seconds=1))


def test_the_zone_decides_what_today_is() -> None:
    late = utc("2026-11-20T23:30")
    assert window_at(late, ZoneInfo("Pacific/Kiritimati"), 0, 1).start == utc("2026-11-20T10:00")
    assert window_at(late, ZoneInfo("America/New_York"), 0, 1).start == utc("2026-11-20T05:00")


def test_a_new_day_only_comes_at_midnight() -> None:
    zone = ZoneInfo("Asia/Kolkata")
    before = window_at(utc("2026-11-20T18:29:59"), zone, 30, 90)
    after = window_at(utc("2026-11-20T18:30"), zone, 30, 90)
    assert never_listed(after, before) == (Window(before.end, after.end),)
    assert after.end - before.end == timedelta(days=1)


@pytest.mark.parametrize(
    ("start", "end", "seen"),
    [
        (-2, 0, False),  # ends with the window's start
        (-2, 1, True),
        (9, 12, True),
        (10, 12, False),  # starts with the window's end
        (4, 4, True),
        (-5, 15, True),
    ],
)
def test_overlaps_is_exclusive_at_both_ends(start: int, end: int, seen: bool) -> None:
    of = hours(start, end)
    assert hours(0, 10).overlaps(of.start, of.end) is seen


@pytest.mark.parametrize(
    ("listed", "gaps"),
    [
        (None, [(0, 10)]),
        ((0, 10), []),
        ((-5, 15), []),
        ((-1, 9), [(9, 10)]),
        ((1, 11), [(0, 1)]),
        ((2, 8), [(0, 2), (8, 10)]),
        ((-9, 0), [(0, 10)]),
        ((10, 12), [(0, 10)]),
        ((-9, -3), [(0, 10)]),
        ((12, 14), [(0, 10)]),
    ],
)
def test_never_listed(listed: tuple[int, int] | None, gaps: list[tuple[int, int]]) -> None:
    found = never_listed(hours(0, 10), hours(*listed) if listed else None)
    assert found == tuple(hours(*gap) for gap in gaps)


spans = st.tuples(st.integers(-30, 30), st.integers(1, 30)).map(lambda s: (s[0], s[0] + s[1]))


@given(window=spans, listed=spans)
def test_listed_and_never_listed_are_the_window(
    window: tuple[int, int], listed: tuple[int, int]
) -> None:
    gaps = never_listed(hours(*window), hours(*listed))
    for hour in range(-31, 62):
        moment = (EPOCH + timedelta(hours=hour), EPOCH + timedelta(hours=hour, minutes=1))
        covered = sum(gap.overlaps(*moment) for gap in gaps)
        wanted = hours(*window).overlaps(*moment) and not hours(*listed).overlaps(*moment)
        assert covered == wanted


def test_all_day_is_midnight_to_midnight_in_the_calendars_zone() -> None:
    zone = ZoneInfo("America/New_York")
    first, after = AllDay(date(2026, 11, 1)), AllDay(date(2026, 11, 2))
    assert span(first, after, zone) == (utc("2026-11-01T04:00"), utc("2026-11-02T05:00"))


@given(zone=zones, at=moments, length=st.timedeltas(timedelta(0), timedelta(days=3)))
def test_moments_are_taken_as_they_are(zone: ZoneInfo, at: datetime, length: timedelta) -> None:
    assert span(Instant(at), Instant(at + length), zone) == (at, at + length)
