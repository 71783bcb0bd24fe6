"""A slower pace only where it was asked for, and only while nobody is likely to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.sync.idle import BUSY_FOR, Pace

BERLIN = "Europe/Berlin"
WORKDAY_NOON = datetime(2026, 3, 4, 11, 0, tzinfo=UTC)
WORKDAY_NIGHT = datetime(2026, 3, 4, 23, 0, tzinfo=UTC)
SUNDAY_NOON = datetime(2026, 3, 8, 11, 0, tzinfo=UTC)


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


def test_after_a_change_the_pace_is_fast_for_a_while() -> None:
    pace = Pace(BERLIN)
    assert pace.interval(30.0, 300.0, SUNDAY_NOON, changed=True) == 30.0
    assert pace.interval(30.0, 300.0, SUNDAY_NOON + BUSY_FOR - timedelta(seconds=1)) == 30.0
    assert pace.interval(30.0, 300.0, SUNDAY_NOON + BUSY_FOR) == 300.0


def test_a_calendar_that_was_never_read_is_read_fast() -> None:
    assert Pace().interval(30.0, 300.0, SUNDAY_NOON) == 30.0
