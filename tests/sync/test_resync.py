"""Full resyncs come once a week, and never as a storm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.domain.errors import RetryLater
from connector.domain.model import UserGuid, UserName
from connector.store import CalendarState
from connector.sync.resync import AT_ONCE, PAUSES_SECONDS, Resyncs, full_resync_is_due

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def calendar(guid: str, last_full: datetime | None) -> CalendarState:
    return CalendarState(1, UserGuid(guid), UserName("pam"), last_full=last_full)


def test_each_calendar_has_its_own_moment_of_the_week() -> None:
    moments = set()
    for number in range(20):
        due = [
            hour
            for hour in range(7 * 24)
            if full_resync_is_due(
                calendar(f"guid-{number}", NOON + timedelta(hours=hour)),
                NOON + timedelta(hours=hour + 1),
            )
        ]
        assert len(due) == 1
        moments.add(due[0])
    assert len(moments) > 10


def test_a_calendar_never_read_in_full_is_not_due_twice() -> None:
    assert not full_resync_is_due(calendar("guid", None), NOON)


def test_ten_run_at_once_then_each_waits_longer() -> None:
    now = NOON
    resyncs = Resyncs(lambda: now)
    for _ in range(AT_ONCE):
        resyncs.check(1, "pam")
        resyncs.done(1)
    for pause in PAUSES_SECONDS:
        with pytest.raises(RetryLater, match="pam") as refused:
            resyncs.check(1, "pam")
        assert refused.value.after_seconds == pause
        now += timedelta(seconds=pause)
        resyncs.check(1, "pam")
        resyncs.done(1)
    resyncs.check(2, "jim")
    now += timedelta(minutes=11)
    resyncs.check(1, "pam")
