"""A circuit breaker for one team: after many failures in a row one request at a time asks whether it is over."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

OPENS_AFTER = 8
"""Failures in a row, of whatever occurrences. Refusals of one occurrence and rate limits are none."""
PAUSE_FIRST, PAUSE_MOST = timedelta(seconds=1), timedelta(seconds=30)


@dataclass(slots=True)
class Breaker:
    """Closed as long as requests succeed now and then."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    jitter: Callable[[], float] = random.random
    broken_since: datetime | None = None
    until: datetime | None = None
    """When the next request may ask."""
    _failures: int = field(default=0)

    @property
    def is_open(self) -> bool:
        return self.broken_since is not None

    def failed(self) -> bool:
        """Count a passing failure; True if this one opened the breaker."""
        self._failures += 1
        if self._failures < OPENS_AFTER:
            return False
        now = self.clock()
        beyond = self._failures - OPENS_AFTER
        pause = min(PAUSE_MOST, PAUSE_FIRST * 2 ** min(beyond, 8))
        self.until = now + pause * (0.5 + self.jitter() / 2)
        opened = self.broken_since is None
        self.broken_since = self.broken_since or now
        return opened

    def succeeded(self) -> bool:
        """Count a success; True if this one closed the breaker."""
        closed = self.is_open
        self._failures, self.broken_since, self.until = 0, None, None
        return closed
