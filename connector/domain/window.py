"""The window of days that Salesloft is kept true for, and what part of it was never listed.

The window runs from the start of the calendar's day `past_days` ago to the end of its day `future_days` ahead. It moves
with the wall clock in the calendar's zone, so that new days appear at the horizon without any change in Google.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from connector.domain.model import AllDay, Instant, When


class Window(msgspec.Struct, frozen=True, gc=False):
    """A span of time: `start` inclusive, `end` exclusive, both aware and in UTC."""

    start: datetime
    end: datetime

    def overlaps(self, start: datetime, end: datetime) -> bool:
        """True if something from `start` to `end` (exclusive) is seen in the window."""
        return end > self.start and start < self.end


def window_at(now: datetime, zone: ZoneInfo, past_days: int, future_days: int) -> Window:
    """The window at the aware time `now` for a calendar in `zone`."""
    place = (zone, past_days, future_days)
    lasting = _lasting.get(place)
    if lasting is None or not lasting.start <= now < lasting.end:
        today = now.astimezone(zone).date()
        if len(_lasting) >= _MOST_PLACES:
            _lasting.clear()
        lasting = _lasting[place] = _Lasting(
            midnight(today, zone),
            midnight(today + timedelta(days=1), zone),
            Window(
                midnight(today - timedelta(days=past_days), zone),
                midnight(today + timedelta(days=future_days + 1), zone),
            ),
        )
    return lasting.window


class _Lasting(msgspec.Struct, frozen=True, gc=False):
    """A window, and from when until when it is that one."""

    start: datetime
    end: datetime
    window: Window


_lasting: dict[tuple[ZoneInfo, int, int], _Lasting] = {}
"""The windows of today: every poll asks for one, and all calendars of a zone for the same."""
_MOST_PLACES = 1000


def never_listed(window: Window, listed: Window | None) -> tuple[Window, ...]:
    """The parts of `window` outside what was `listed` last: the horizon's new days, or days that a clock took back."""
    if listed is None or listed.end <= window.start or listed.start >= window.end:
        return (window,)
    gaps = []
    if window.start < listed.start:
        gaps.append(Window(window.start, listed.start))
    if window.end > listed.end:
        gaps.append(Window(listed.end, window.end))
    return tuple(gaps)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The start of a day in a zone, in UTC. Where the clocks skip midnight, the moment of the skip."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def span(start: When, end: When, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Both ends as instants in UTC; an all-day boundary is midnight in the calendar's zone."""
    return _instant(start, zone), _instant(end, zone)


def _instant(when: When, zone: ZoneInfo) -> datetime:
    match when:
        case Instant(at):
            return at
        case AllDay(day):
            return midnight(day, zone)
