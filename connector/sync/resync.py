"""When a calendar is listed in full although nobody asked: once a week, and after Google dropped the token."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import floor
from zlib import crc32

from connector.domain.errors import RetryLater
from connector.store import CalendarState

PERIOD = timedelta(days=7)
AT_ONCE = 10
"""So many full resyncs of a calendar in ten minutes run at once; see google-calendar.md 3.3."""
WITHIN = timedelta(minutes=10)
PAUSES_SECONDS = (30.0, 60.0, 300.0)
_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


def full_resync_is_due(calendar: CalendarState, now: datetime) -> bool:
    """True once a week, at a moment of the week that is the calendar's own: never all calendars at once."""
    if calendar.last_full is None:
        return False
    offset = crc32(calendar.user_guid.encode()) / 2**32
    return _weeks(now) - offset >= floor(_weeks(calendar.last_full) - offset) + 1


def _weeks(moment: datetime) -> float:
    return (moment - _EPOCH).total_seconds() / PERIOD.total_seconds()


class Resyncs:
    """Counts the full resyncs of each calendar, so that a token that never lasts does not become a storm."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._recent: dict[int, deque[datetime]] = defaultdict(deque)
        self._waits: dict[int, tuple[int, datetime]] = {}

    def check(self, calendar: int, name: str) -> None:
        """Raises RetryLater where the next one must wait: ten ran at once, then each waits longer."""
        now = self._clock()
        recent = self._recent[calendar]
        while recent and not timedelta(0) <= now - recent[0] <= WITHIN:
            recent.popleft()  # long ago, or from before the clock went back
        if len(recent) < AT_ONCE:
            self._waits.pop(calendar, None)
            return
        pauses, until = self._waits.setdefault(calendar, (0, now + _pause(0)))
        if now < until <= now + timedelta(seconds=PAUSES_SECONDS[-1]):
            raise RetryLater(
                f"user {name}: listed in full {len(recent)} times in ten minutes, because Google keeps"
                f" dropping the sync token; the next time waits until {until:%H:%M:%S} UTC",
                after_seconds=(until - now).total_seconds(),
            )
        self._waits[calendar] = (pauses + 1, now + _pause(pauses + 1))

    def done(self, calendar: int) -> None:
        """Count one that was completed."""
        self._recent[calendar].append(self._clock())


def _pause(pauses: int) -> timedelta:
    return timedelta(seconds=PAUSES_SECONDS[min(pauses, len(PAUSES_SECONDS) - 1)])
