"""Counts a team's points as Salesloft does: cost by endpoint, over the last 60 seconds or the clock's minute."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 60.0

_DEPTHS = ((100, 1), (150, 3), (250, 8), (500, 10))


def page_cost(page: int) -> int:
    """What one page of a list costs: deep pages cost more."""
    for last, cost in _DEPTHS:
        if page <= last:
            return cost
    return 30


class TeamBudget:
    """The points of one team. Times are seconds of the world's monotonic clock and never go back."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.charges: list[tuple[float, int]] = []
        """Everything that this simulator's clients were charged, oldest first."""
        self._recent: deque[tuple[float, int]] = deque()
        self._recent_total = 0
        self._minute = (0.0, 0)
        """The clock's minute of the last charge, and its total."""

    def spent(self, now: float, *, fixed: bool) -> int:
        """The points that stand in the current window, other tools' included."""
        if fixed:
            start, total = self._minute
            return total if start == _window_start(now) else 0
        while self._recent and self._recent[0][0] <= now - WINDOW_SECONDS:
            self._recent_total -= self._recent.popleft()[1]
        return self._recent_total

    def charge(self, now: float, points: int, *, elsewhere: bool = False) -> None:
        """Count points; `elsewhere`: another tool of the team spent them."""
        self._minute = (_window_start(now), self.spent(now, fixed=True) + points)
        self._recent.append((now, points))
        self._recent_total += points
        if not elsewhere:
            self.charges.append((now, points))

    def fits(self, now: float, points: int, *, fixed: bool) -> bool:
        return self.spent(now, fixed=fixed) + points <= self.limit

    def remaining(self, now: float, *, fixed: bool) -> int:
        return max(0, self.limit - self.spent(now, fixed=fixed))

    def wait(self, now: float, points: int, *, fixed: bool) -> float:
        """Seconds until `points` fit."""
        if fixed:
            return _window_start(now) + WINDOW_SECONDS - now
        excess = self.spent(now, fixed=False) + points - self.limit
        for at, spent in self._recent:
            excess -= spent
            if excess <= 0:
                return max(0.0, at + WINDOW_SECONDS - now)
        return WINDOW_SECONDS

    def peak(self) -> int:
        """The largest number of points that clients were charged within any 60 seconds."""
        largest = total = first = 0
        for at, points in self.charges:
            total += points
            while self.charges[first][0] <= at - WINDOW_SECONDS:
                total -= self.charges[first][1]
                first += 1
            largest = max(largest, total)
        return largest


def _window_start(now: float) -> float:
    return now - now % WINDOW_SECONDS
