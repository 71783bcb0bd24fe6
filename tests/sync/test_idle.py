"""A slower pace only where it was asked for, and only while nobody is likely to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from connector.domain.model import AllDay, EventId, ICalUid, Instant, When
from connector.domain.plan import Seen
from connector.store import State
from connector.store.commit import commit_cycle
from connector.sync.idle import BUSY_FOR, SOON, WORK_BEGINS, WORK_ENDS, Pace
from tests.domain.builders import NOW, an_event
from tests.store.world import a_cycle
from tests.sync.team import InlineDatabase

BERLIN = "Europe/Berlin"
WORKDAY_NOON = datetime(2026, 3, 4, 11, 0, tzinfo=UTC)
WORKDAY_NIGHT = datetime(2026, 3, 4, 23, 0, tzinfo=UTC)
SUNDAY_NOON = datetime(2026, 3, 8, 11, 0, tzinfo=UTC)

ZONES = [
    *(BERLIN, "America/New_York", "Pacific/Honolulu", "Asia/Kolkata", "Pacific/Apia"),
    *("Asia/Riyadh", "Asia/Jerusalem", "Asia/Tehran", "Australia/Lord_Howe", "UTC"),
]
MOMENTS = st.integers(0, 2 * 365 * 86_400).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
PACES = st.tuples(st.floats(1, 600), st.floats(1, 86_400)).map(sorted)


@pytest.mark.parametrize("moment", [WORKDAY_NOON, WORKDAY_NIGHT, SUNDAY_NOON])
def test_polling_is_never_slower_unless_configured(moment: datetime) -> None:
    assert Pace(BERLIN).interval(30.0, None, moment) == 30.0


@pytest.mark.parametrize(
    ("moment", "seconds"), [(WORKDAY_NOON, 30.0), (WORKDAY_NIGHT, 300.0), (SUNDAY_NOON, 300.0)]
)
def test_quiet_times_are_those_of_the_calendars_zone(moment: datetime, seconds: float) -> None:
    assert Pace(BERLIN).interval(30.0, 300.0, moment) == seconds


def test_noon_in_berlin_is_night_in_honolulu() -> None:
    assert Pace("Pacific/Honolulu").interval(30.0, 300.0, WORKDAY_NOON) == 300.0


@pytest.mark.parametrize("zone", ["Asia/Jerusalem", "Asia/Riyadh", "Asia/Tehran"])
def test_sunday_is_a_working_day_where_it_is_one(zone: str) -> None:
    friday_noon = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
    assert Pace(zone).interval(30.0, 300.0, SUNDAY_NOON) == 30.0
    assert Pace(zone).interval(30.0, 300.0, friday_noon) == 300.0


def test_after_an_edit_the_pace_is_fast_for_a_while() -> None:
    pace = Pace(BERLIN)
    assert pace.interval(30.0, 300.0, SUNDAY_NOON, changed=True) == 30.0
    assert pace.interval(30.0, 300.0, SUNDAY_NOON + BUSY_FOR - timedelta(seconds=1)) == 30.0
    assert pace.interval(30.0, 300.0, SUNDAY_NOON + BUSY_FOR) == 300.0


def test_an_edit_in_the_future_of_a_clock_that_went_back_says_nothing() -> None:
    pace = Pace(BERLIN)
    pace.interval(30.0, 300.0, SUNDAY_NOON, changed=True)
    assert pace.interval(30.0, 300.0, SUNDAY_NOON - timedelta(hours=3)) == 300.0


@pytest.mark.parametrize("zone", [None, "Mars/Olympus_Mons", ""])
def test_a_calendar_of_no_known_zone_is_read_fast(zone: str | None) -> None:
    assert Pace(zone).interval(30.0, 300.0, SUNDAY_NOON) == 30.0


def test_a_reading_that_failed_is_not_left_for_long() -> None:
    assert Pace(BERLIN).interval(30.0, 3600.0, SUNDAY_NOON, failed=True) == 30.0


def test_a_slow_pace_does_not_sleep_into_the_working_day() -> None:
    before_work = datetime(2026, 3, 9, 5, 48, tzinfo=UTC)  # 6:48 in Berlin, on a Monday
    assert Pace(BERLIN).interval(30.0, 3600.0, before_work) == 12 * 60
    assert Pace(BERLIN).interval(30.0, 86_400.0, SUNDAY_NOON) == 19 * 3600
    assert Pace(BERLIN).interval(30.0, 3600.0, before_work + timedelta(seconds=11.9 * 60)) == 30.0


def test_a_calendar_is_read_fast_before_a_meeting_and_while_one_runs() -> None:
    meeting = SUNDAY_NOON + timedelta(hours=3)
    pace = Pace(BERLIN, next_meeting=meeting)
    assert pace.interval(30.0, 300.0, SUNDAY_NOON) == 300.0
    assert pace.interval(30.0, 86_400.0, SUNDAY_NOON) == 2 * 3600
    assert pace.interval(30.0, 300.0, meeting - SOON) == 30.0
    assert pace.interval(30.0, 300.0, meeting + timedelta(minutes=10)) == 30.0


@given(MOMENTS, st.sampled_from(ZONES), PACES, st.one_of(st.none(), st.timedeltas(timedelta(0))))
def test_a_pause_is_between_both_paces_and_never_runs_into_working_hours(
    now: datetime, zone: str, paces: list[float], since_edit: timedelta | None
) -> None:
    fast, slow = paces
    edited = None
    if since_edit is not None:
        assume(since_edit < timedelta(days=300))
        edited = now - since_edit
    pause = Pace(zone, edited).interval(fast, slow, now)
    assert fast <= pause <= slow
    if since_edit is not None and since_edit < BUSY_FOR:
        assert pause == fast
    if pause > fast:
        # Every minute of it, but for the very end, is quiet by another reckoning than the program's.
        moments = [now + timedelta(minutes=n) for n in range(int(pause // 60) + 1)]
        assert not any(_works(at, zone) for at in moments if at < now + timedelta(seconds=pause))


@given(MOMENTS, st.sampled_from(ZONES), PACES)
def test_working_hours_are_always_fast(now: datetime, zone: str, paces: list[float]) -> None:
    fast, slow = paces
    assume(_works(now, zone))
    assert Pace(zone).interval(fast, slow, now) == fast


@given(MOMENTS, st.sampled_from(ZONES), PACES)
def test_a_day_has_its_fast_hours_from_the_first_one_on(
    start: datetime, zone: str, paces: list[float]
) -> None:
    """Readings at this pace: after each moment of working time at which one is due, at most `fast` passes."""
    fast, slow = max(paces[0], 60.0), max(paces[1], 60.0)
    pace, now = Pace(zone), start
    for _ in range(200):
        pause = pace.interval(fast, slow, now)
        later = now + timedelta(seconds=pause)
        if _works(later - timedelta(seconds=1), zone):
            assert pause == fast
        now = later


def _works(moment: datetime, zone: str) -> bool:
    local = moment.astimezone(ZoneInfo(zone))
    free = {"Asia/Riyadh": "FriSat", "Asia/Jerusalem": "FriSat", "Asia/Tehran": "Fri"}
    weekend = free.get(zone, "SatSun")
    return f"{local:%a}" not in weekend and WORK_BEGINS <= local.hour < WORK_ENDS


async def test_the_next_meeting_is_looked_up_in_the_state() -> None:
    """At 4 in the morning of a Friday, New York: what is no meeting, is over or far away says nothing."""
    database = InlineDatabase()

    def meeting(name: str, start: When, end: When) -> Seen:
        return Seen(an_event(id=EventId(name), ical_uid=ICalUid(name), start=start, end=end))

    def after(hours: float) -> When:
        return Instant(NOW + timedelta(hours=hours))

    never = [
        meeting("over", after(-2), after(-1)),
        meeting("far", after(2.5), after(3)),
        meeting("trip", after(-20), after(20)),
        meeting("day", AllDay(NOW.date()), AllDay(NOW.date() + timedelta(days=1))),
    ]
    pace, state = Pace("America/New_York"), State(database)
    await database.run(lambda c: commit_cycle(c, a_cycle(*never)))
    await pace.look_ahead(state, 1, NOW, slow=3600.0)
    assert pace.next_meeting is None
    early = meeting("early", after(1.5), after(2))
    await database.run(lambda c: commit_cycle(c, a_cycle(early)))
    await pace.look_ahead(state, 1, NOW, slow=3600.0)
    assert pace.next_meeting == NOW + timedelta(hours=1.5)
    assert pace.interval(30.0, 3600.0, NOW) == 1800.0


async def test_in_working_hours_the_state_is_not_asked() -> None:
    database = InlineDatabase()
    await Pace(BERLIN).look_ahead(State(database), 1, WORKDAY_NOON, slow=300.0)
    assert database.accesses == 0
