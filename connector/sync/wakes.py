"""Turns notifications into readings, few of them: who is told ten times in a moment reads once, or twice.

The first notification of a calendar hastens its reading; what follows within a short distance is made up for by one
more reading at its end. Woken in vain again and again (our own writes notify, too, and whoever got hold of a secret
might), a calendar keeps a growing distance, so that no flood can spend Google's quota.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

DISTANCE_SECONDS = 2.0
"""Between two readings of one calendar that notifications ask for."""
LONGEST_DISTANCE_SECONDS = 30.0
FORGIVEN_AFTER_SECONDS = 60.0
"""Without a notification for so long, the distance is the short one again."""
GLOW_SECONDS = 60.0
"""So long after a notification polls come at the usual pace: more changes are likely, and Google's listing may lag."""


@dataclass(slots=True)
class _Pulse:
    """One watched calendar. Times are of the monotonic clock."""

    woken_at: float | None = None
    told_at: float | None = None
    began: float | None = None
    vain: int = 0
    misses: int = 0
    woken: bool = False
    failing: bool = False
    timer: asyncio.TimerHandle | None = None


class Wakes:
    """`hasten` reads a calendar (its row) as soon as possible; asked twice before that, it reads once."""

    def __init__(
        self, hasten: Callable[[int], None], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._hasten = hasten
        self._monotonic = monotonic
        self._pulses: dict[int, _Pulse] = {}

    def watch(self, calendar: int) -> None:
        """Take notice of a calendar from now on."""
        self._pulses.setdefault(calendar, _Pulse())

    def drop(self, calendar: int) -> None:
        """Take no notice of it any more."""
        pulse = self._pulses.pop(calendar, None)
        if pulse is not None and pulse.timer is not None:
            pulse.timer.cancel()

    def close(self) -> None:
        """Wake nobody any more."""
        for calendar in tuple(self._pulses):
            self.drop(calendar)

    def told(self, calendar: int) -> None:
        """A notification that counts has come."""
        pulse = self._pulses.get(calendar)
        if pulse is None:
            return
        now = self._monotonic()
        if pulse.told_at is not None and now - pulse.told_at > FORGIVEN_AFTER_SECONDS:
            pulse.vain = 0
        pulse.told_at, pulse.misses = now, 0
        if pulse.failing or pulse.timer is not None:
            return  # probed at its own pace, or in line already
        wait = 0.0 if pulse.woken_at is None else pulse.woken_at + _distance(pulse.vain) - now
        if wait <= 0:
            self._wake(calendar)
        else:
            loop = asyncio.get_running_loop()
            pulse.timer = loop.call_later(wait, self._ring, calendar)

    def was_read(self, calendar: int, began: float, *, touched: bool, failed: bool) -> bool:
        """A reading that began then is over. True if it found a change that no notification had told of.

        `touched`: Google's listing named something. Of the first reading nothing can be concluded.
        """
        pulse = self._pulses.get(calendar)
        if pulse is None:
            return False
        before, pulse.began = pulse.began, began
        woken, pulse.woken, pulse.failing = pulse.woken, False, failed
        if failed:
            return False
        if not touched:
            pulse.vain += woken
            return False
        pulse.vain = 0
        if before is None or (pulse.told_at is not None and pulse.told_at >= before):
            return False
        pulse.misses += 1
        return True

    def read_since(self, calendar: int, moment: float) -> bool:
        """Whether a reading began after that moment, or is still to come first of all."""
        pulse = self._pulses.get(calendar)
        return pulse is None or pulse.began is None or pulse.began > moment

    def misses(self, calendar: int) -> int:
        """Changes in a row that no notification told of."""
        pulse = self._pulses.get(calendar)
        return pulse.misses if pulse is not None else 0

    def renewed(self, calendar: int) -> None:
        """Another channel was made: what the last one missed is no fault of it."""
        pulse = self._pulses.get(calendar)
        if pulse is not None:
            pulse.misses = 0

    def glows(self, calendar: int) -> bool:
        """Whether a notification came a short while ago."""
        pulse = self._pulses.get(calendar)
        if pulse is None or pulse.told_at is None:
            return False
        return self._monotonic() - pulse.told_at < GLOW_SECONDS

    def _ring(self, calendar: int) -> None:
        pulse = self._pulses.get(calendar)
        if pulse is not None:
            pulse.timer = None
            if not pulse.failing:
                self._wake(calendar)

    def _wake(self, calendar: int) -> None:
        pulse = self._pulses[calendar]
        pulse.woken_at, pulse.woken = self._monotonic(), True
        self._hasten(calendar)


def _distance(vain: int) -> float:
    return min(DISTANCE_SECONDS * 2.0 ** min(vain, 10), LONGEST_DISTANCE_SECONDS)
