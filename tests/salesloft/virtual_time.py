"""An event loop whose time passes only when everything waits, and a rate-limited server inside it."""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

T = TypeVar("T")
START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


class _Instant(selectors.SelectSelector):
    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise AssertionError("everything waits for something that never happens")
        self.loop.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """`asyncio.sleep` takes no time; `loop.time()` says how much passed."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _Instant()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def clock() -> float:
    return asyncio.get_running_loop().time()


def wall() -> datetime:
    return START + timedelta(seconds=clock())


@dataclass
class Server:
    """Counts arrivals as Salesloft might. `arrivals` has every request of ours, `refused` those answered 429."""

    limit: float = 600.0
    window: Literal["sliding", "fixed"] = "sliding"
    tells: bool = True
    offset: float = 0.0
    """Where the fixed minute begins."""
    costs: dict[str, float] = field(default_factory=dict)
    arrivals: list[tuple[float, float]] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    lowest: float = 600.0
    """The smallest rest that our own requests left to the others."""
    _counted: deque[tuple[float, float]] = field(default_factory=deque)

    def used(self) -> float:
        now = clock()
        edge = now - 60 if self.window == "sliding" else now - ((now - self.offset) % 60)
        while self._counted and self._counted[0][0] < edge:
            self._counted.popleft()
        return sum(cost for _, cost in self._counted)

    def spend(self, cost: float) -> bool:
        """Another tool's request."""
        if self.used() + cost > self.limit:
            return False
        self._counted.append((clock(), cost))
        return True

    def request(self, route: str) -> tuple[int, dict[str, str]]:
        cost = self.costs.get(route, 1.0)
        self.arrivals.append((clock(), cost))
        if not self.spend(cost):
            self.refused.append(clock())
            return 429, {"Retry-After": "5"}
        left = self.limit - self.used()
        self.lowest = min(self.lowest, left)
        if not self.tells:
            return 200, {}
        return 200, {
            "X-RateLimit-Endpoint-Cost": str(cost),
            "X-RateLimit-Remaining-Minute": str(left),
            "X-RateLimit-Limit-Minute": str(self.limit),
        }

    def most_in_a_minute(self) -> float:
        """The largest sum of our own costs in any closed 60 s."""
        most, start, total = 0.0, 0, 0.0
        for at, cost in self.arrivals:
            total += cost
            while self.arrivals[start][0] < at - 60:
                total -= self.arrivals[start][1]
                start += 1
            most = max(most, total)
        return most
