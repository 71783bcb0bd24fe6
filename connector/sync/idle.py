"""How often a calendar is read: always `poll_interval`, unless a slower pace for quiet times is configured.

Quiet is outside of working hours in the calendar's zone, half an hour after the last change. Nobody waits for a change
that nobody makes; where somebody does make one at night, it is seen at the slower pace, and what follows it at the
fast one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.sync.reading import zone_named

BUSY_FOR = timedelta(minutes=30)
"""After a change more of them are likely: people edit in bursts."""
WORK_BEGINS, WORK_ENDS = 7, 20
_SATURDAY = 5


@dataclass(slots=True)
class Pace:
    """One calendar's. `zone` is the name of the calendar's zone, once it was read."""

    zone: str | None = None
    changed_at: datetime | None = None

    def interval(
        self, fast: float, slow: float | None, now: datetime, *, changed: bool = False
    ) -> float:
        """Seconds to the next reading; `slow` is the pace for quiet times, None: there is none."""
        if changed:
            self.changed_at = now
        if (
            slow is None
            or self.zone is None
            or _is_working_time(now.astimezone(zone_named(self.zone)))
        ):
            return fast
        if self.changed_at is not None and now - self.changed_at < BUSY_FOR:
            return fast
        return slow


def _is_working_time(local: datetime) -> bool:
    return local.weekday() < _SATURDAY and WORK_BEGINS <= local.hour < WORK_ENDS
