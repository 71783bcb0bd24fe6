"""How often a calendar is read: always `poll_interval`, unless a slower pace for quiet times is configured.

Quiet is when nobody is likely to change anything, or to be misled by what was not yet read: outside of working hours in
the calendar's zone, half an hour after the last edit, an hour before the next meeting, and while none takes place.
Where somebody does edit at night, that is seen at the slower pace, and what follows it at the fast one. A pause never
runs into a time that is not quiet, however slow the pace: the first reading of a working day is due when it begins.

A calendar that could not be read, or whose zone nobody knows, is never quiet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from connector.store import State
from connector.store.rows import next_meeting

BUSY_FOR = timedelta(minutes=30)
"""After an edit more of them are likely: people edit in bursts."""
SOON = timedelta(hours=1)
"""So long before a meeting its calendar is busy: what is put off at the last moment must be told at once."""
WORK_BEGINS, WORK_ENDS = 7, 20
_WEEKEND = frozenset({5, 6})
_FRIDAY_AND_SATURDAY, _FRIDAY = frozenset({4, 5}), frozenset({4})
_OTHER_WEEKENDS = {
    **dict.fromkeys(
        (
            *("Africa/Algiers", "Africa/Cairo", "Africa/Khartoum", "Africa/Tripoli", "Asia/Aden"),
            *("Asia/Amman", "Asia/Baghdad", "Asia/Bahrain", "Asia/Damascus", "Asia/Dhaka"),
            *("Asia/Jerusalem", "Asia/Kuwait", "Asia/Muscat", "Asia/Qatar", "Asia/Riyadh"),
            *("Asia/Tel_Aviv", "Egypt", "Israel", "Indian/Maldives"),
        ),
        _FRIDAY_AND_SATURDAY,
    ),
    **dict.fromkeys(("Asia/Kabul", "Asia/Tehran"), _FRIDAY),
}
"""Zones where people work on Sundays (CLDR's week data)."""
_DAYS_AHEAD = 4
"""No weekend is longer than this."""


@dataclass(slots=True)
class Pace:
    """One calendar's. `zone` is the name of the calendar's zone, once it was read.

    `edited_at`: when an edit was last found. `next_meeting`: when one begins that is not over yet, if one is near.
    """

    zone: str | None = None
    edited_at: datetime | None = None
    next_meeting: datetime | None = None

    def interval(
        self,
        fast: float,
        slow: float | None,
        now: datetime,
        *,
        changed: bool = False,
        failed: bool = False,
    ) -> float:
        """Seconds to the next reading, from `fast` to `slow`, the pace for quiet times (None: there is none).

        `changed`: this reading found an edit; `failed`: it came to nothing.
        """
        if changed:
            self.edited_at = now
        if slow is None or slow <= fast or failed or self._is_busy(now):
            return fast
        return min(slow, max(fast, (self._quiet_until(now) - now).total_seconds()))

    async def look_ahead(self, state: State, calendar: int, now: datetime, slow: float) -> None:
        """Ask the state for the next meeting, if it could matter before the next reading at the slow pace."""
        zone = _zone(self.zone)
        if zone is None or _is_working_time(now.astimezone(zone), zone):
            return
        until = now + SOON + timedelta(seconds=slow)
        self.next_meeting = await state.look(lambda c: next_meeting(c, calendar, now, until))

    def _is_busy(self, now: datetime) -> bool:
        zone = _zone(self.zone)
        if zone is None or _is_working_time(now.astimezone(zone), zone):
            return True
        if self.edited_at is not None and timedelta(0) <= now - self.edited_at < BUSY_FOR:
            return True
        return self.next_meeting is not None and self.next_meeting - SOON <= now

    def _quiet_until(self, now: datetime) -> datetime:
        """When a quiet time ends by the clock or by the next meeting."""
        zone = _zone(self.zone)
        assert zone is not None
        ends = _next_working_time(now, zone)
        return ends if self.next_meeting is None else min(ends, self.next_meeting - SOON)


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        return None


def _is_working_time(local: datetime, zone: ZoneInfo) -> bool:
    return _is_working_day(local, zone) and WORK_BEGINS <= local.hour < WORK_ENDS


def _is_working_day(local: datetime, zone: ZoneInfo) -> bool:
    return local.weekday() not in _OTHER_WEEKENDS.get(zone.key, _WEEKEND)


def _next_working_time(now: datetime, zone: ZoneInfo) -> datetime:
    """When the next working hours begin, in the zone of `now`; what has begun does not count."""
    local = now.astimezone(zone)
    for days in range(_DAYS_AHEAD + 1):
        day = local.date() + timedelta(days=days)
        begins = datetime.combine(day, time(WORK_BEGINS), zone).astimezone(now.tzinfo)
        if begins > now and _is_working_day(begins.astimezone(zone), zone):
            return begins
    return now
