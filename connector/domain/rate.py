"""How much of a per-minute budget is left, as pure arithmetic over a sliding window."""

from __future__ import annotations

from collections import deque


class SlidingWindow:
    """Costs spent in the last `seconds`; never lets more than `limit` stand in any window of that length.

    All times are seconds of one clock that the caller chooses. Not thread-safe. Costs of the same `grain` of time are
    kept as one, at the time of the last: they weigh that much longer at most, and a window holds few of them.
    """

    def __init__(self, limit: float, seconds: float = 60.0, grain: float = 0.0) -> None:
        self.limit = limit
        self.seconds = seconds
        self._grain = grain
        self._spent: deque[tuple[float, float]] = deque()
        self._total = 0.0

    def spent(self, now: float) -> float:
        """What stands in the window that ends now."""
        self._forget(now)
        return self._total

    def record(self, now: float, cost: float) -> None:
        """Count a cost that was spent at `now`; times may not go backwards."""
        self._total += cost
        if self._grain and self._spent:
            at, before = self._spent[-1]
            if now // self._grain == at // self._grain:
                self._spent[-1] = (now, before + cost)
                return
        self._spent.append((now, cost))

    def wait(self, now: float, cost: float) -> float:
        """Seconds until `cost` fits; 0.0 if it fits now. A cost above the limit fits into an empty window."""
        self._forget(now)
        if self._total + cost <= self.limit or not self._spent:
            return 0.0
        excess = self._total + cost - self.limit
        for at, spent in self._spent:
            excess -= spent
            if excess <= 0:
                return at + self.seconds - now + 0.001
        return self._spent[-1][0] + self.seconds - now + 0.001

    def entries(self) -> tuple[tuple[float, float], ...]:
        """What stands in the window, oldest first, as (time, cost): for keeping it over a restart."""
        return tuple(self._spent)

    def _forget(self, now: float) -> None:
        # A cost spent exactly `seconds` ago still shares a closed window with one spent now: strictly older only.
        while self._spent and self._spent[0][0] < now - self.seconds:
            self._total -= self._spent.popleft()[1]
        if not self._spent:
            self._total = 0.0
