"""What a team spent in the last minute, by the second, as it is kept over a restart.

It is asked for before every request, so it must cost little: a second's entry is made once and stays the same until
something more was spent in that second, so that whoever stores it has to store what changed only.
"""

from __future__ import annotations

from datetime import datetime, timedelta

DRIFT = timedelta(seconds=0.1)
"""By how much the wall clock may leave the other one before all entries are made anew."""

Entry = tuple[datetime, float]
"""When (wall time), and how many points."""


class Spending:
    """Costs of the last `seconds`, of one clock; times may not go backwards."""

    def __init__(self, seconds: float) -> None:
        self._window = seconds
        self._spent: dict[int, tuple[float, float]] = {}
        self._told: dict[int, Entry] = {}
        self._origin: datetime | None = None

    def record(self, now: float, cost: float) -> None:
        second = int(now)
        _, before = self._spent.pop(second, (now, 0.0))
        self._spent[second] = (now, before + cost)
        self._told.pop(second, None)

    def entries(self, now: float, wall: datetime, in_flight: float) -> tuple[Entry, ...]:
        """What weighs now, oldest first, a second at most each; what is in flight weighs as if it were spent now."""
        self._forget(now)
        origin = wall - timedelta(seconds=now)
        if self._origin is None or abs(origin - self._origin) > DRIFT:
            self._origin = origin
            self._told.clear()
        found = {second: self._entry(second) for second in self._spent}
        if in_flight:
            _, before = found.pop(int(now), (wall, 0.0))
            found[int(now)] = (wall, before + in_flight)
        return tuple(found.values())

    def _entry(self, second: int) -> Entry:
        told = self._told.get(second)
        if told is None:
            assert self._origin is not None
            at, cost = self._spent[second]
            told = self._told[second] = (self._origin + timedelta(seconds=at), cost)
        return told

    def _forget(self, now: float) -> None:
        while self._spent:
            second, (at, _) = next(iter(self._spent.items()))
            if at >= now - self._window:
                return
            del self._spent[second]
            self._told.pop(second, None)
