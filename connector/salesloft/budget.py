"""One team's points: who may send next, and when. The product's physical limit.

Salesloft counts points a minute for a whole team, over all its tools. Three bounds hold at once, the tightest wins:

1. **Our own sliding minute.** A request weighs from *before* it is sent until 60 s *after* its answer. Its arrival at
   the server lies between the two, so whatever the network does, no 60 s as the server sees them hold more than the
   cap. (Take any such 60 s and the request in them that was granted last: when it was granted, every other one of
   them was still weighed.) The cap is the smaller of the configured one and the server's `limit` header.
2. **What the server says is left** (`remaining.py`), less a share for the team's other tools. When nothing is known
   (start, silence of a minute, after a 429), requests go one by one until an answer tells. When all that is known is
   used up and points of ours have left the minute since, one request at a time asks anew.
3. **A pause** after a 429, as long as `Retry-After` says, or 5 s growing to a minute.

Waiters go by urgency, then in the order in which they came; a small share is kept for the most urgent class. There is
no task of its own: each waiter grants itself when it is first in line, so a cancelled one leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Self, final

from connector.domain.errors import RetryLater
from connector.domain.rate import SlidingWindow
from connector.salesloft.headers import RateHeaders, retry_after
from connector.salesloft.remaining import Remaining
from connector.salesloft.spending import Entry, Spending

WINDOW = 60.0
GRAIN = 0.05
"""Points of so many seconds are remembered together, at the time of the last."""
PROBE_INTERVAL = 0.5
"""Seconds between two requests that ask anew what is left."""
PROBE_PATIENCE = 2.0
"""Seconds after which one unanswered request no longer holds up the next one while nothing is known."""
PAUSE_FIRST, PAUSE_MOST, PAUSE_SANE = 5.0, 60.0, 3600.0
CHANGES_SHARE = 0.1
"""Of the limit, what an initial sync leaves to changes: a minute whose points are all spent lets nobody through."""
CLOCK_SLACK = timedelta(seconds=1)


class Urgency(IntEnum):
    """Who goes first; within one class, who came first."""

    BANNER_AND_BOOKINGS = 0
    CHANGE = 1
    PROSPECT = 2
    LATER = 3
    BACKFILL = 4


@dataclass(frozen=True, slots=True)
class BudgetSnapshot:
    """The budget as `status` shows it, in points. `remaining` is what the server last told of the whole team."""

    spent: float
    left: float
    limit: float
    in_flight: int
    waiting: int
    remaining: float | None
    paused_until: datetime | None
    reserve: float = 0.0
    """What is left to the team's other tools, where the server tells enough."""


@dataclass(eq=False, slots=True)
class _Waiter:
    route: str
    urgency: Urgency
    declared: float | None
    wake: asyncio.Event = field(default_factory=asyncio.Event)


@final
class Lease:
    """Leave to send one request. Settle it with the answer's headers; a `with` left unsettled counts it as sent."""

    __slots__ = ("_budget", "_open", "cost", "declared", "granted_at", "route", "tick")

    def __init__(
        self,
        budget: TeamBudget,
        route: str,
        declared: float | None,
        cost: float,
        now: float,
        tick: int,
    ) -> None:
        self._budget = budget
        self._open = True
        self.route = route
        self.declared = declared
        self.cost = cost
        self.granted_at = now
        self.tick = tick

    def settle(self, headers: Mapping[str, str] | None, *, status: int | None = None) -> None:
        """The answer has arrived, or with None will never be heard. Only the first call counts."""
        if self._open:
            self._open = False
            self._budget._settle(self, headers, status)

    def refund(self) -> None:
        """The request never left this machine."""
        if self._open:
            self._open = False
            self._budget._refund(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.settle(None)


class TeamBudget:
    """The points of one team (one API key at one address), shared by all its users. For one event loop."""

    def __init__(
        self,
        points_per_minute: float,
        *,
        reserve: float = 0.05,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`reserve` is the share of the team's limit that is left to its other tools, where the server tells enough."""
        self.keeper: Callable[[Sequence[tuple[datetime, float]]], Awaitable[None]] | None = None
        self._cap = float(points_per_minute)
        self._reserve = reserve
        self._clock, self._sleep, self._wall, self._jitter = clock, sleep, wall, jitter
        self._told_limit: float | None = None
        self._window = SlidingWindow(self._cap, WINDOW, GRAIN)
        self._spending = Spending(WINDOW)
        self._recorded = 0.0
        self._restored = 0.0
        self._remaining = Remaining(WINDOW)
        self._learnt: dict[tuple[str, float | None], float] = {}
        self._queues: dict[Urgency, OrderedDict[_Waiter, None]] = {
            u: OrderedDict() for u in Urgency
        }
        self._in_flight: set[Lease] = set()
        self._tick = 0
        self._granted_at = -math.inf
        self._lent = 0.0
        self._paused_at = self._paused_until = -math.inf
        self._refusals = 0
        self._closed = False

    @property
    def limit(self) -> float:
        """Points that we may spend in any 60 s: the cap, or the server's limit if that is lower, less what is lent."""
        return max(0.0, min(self._cap, self._told_limit or self._cap) - self._lent)

    @property
    def spent_in_all(self) -> float:
        """What every request so far came to, without those still in flight and what an earlier process spent."""
        return self._recorded - self._restored

    async def keep(self) -> None:
        """Store what weighs now, where whoever made this budget wants it stored."""
        if self.keeper is not None:
            await self.keeper(self.entries())

    def set_cap(self, points_per_minute: float, *, reserve: float | None = None) -> None:
        """Another configured cap and reserve, as after a reload."""
        self._cap = float(points_per_minute)
        self._reserve = self._reserve if reserve is None else reserve
        self._wake_first()

    def lend(self, points: float) -> bool:
        """Leave so many points a minute to another process (0.0: take them back); True once they are really free."""
        if points != self._lent:
            self._lent = points
            self._wake_first()
        return self._window.spent(self._clock()) + self._flying() <= self.limit

    def close(self) -> None:
        """These points are somebody else's from now on: whoever asks for some gets RetryLater."""
        self._closed = True
        for queue in self._queues.values():
            for waiter in queue:
                waiter.wake.set()

    async def acquire(self, route: str, urgency: Urgency, cost: float | None = None) -> Lease:
        """Wait for the points of one request; they weigh from now on.

        `route` names what costs are learnt for. `cost` is what the call is known to cost (deep pages); what Salesloft's
        headers said of such calls counts for more. A call that costs more than the cap goes when all else is quiet.
        """
        waiter = _Waiter(route, urgency, cost)
        queue = self._queues[urgency]
        queue[waiter] = None
        try:
            while not self._closed and (delay := self._delay(waiter)) > 0:
                await self._rest(waiter, delay)
            if self._closed:
                raise RetryLater("this team's points are another process's now")
            return self._grant(waiter.route, waiter.declared)
        finally:
            del queue[waiter]
            self._wake_first()

    def try_acquire(self, route: str, urgency: Urgency, cost: float | None = None) -> Lease | None:
        """The same, if the points are there now and nobody as urgent waits for them."""
        if self._closed or any(queue for u, queue in self._queues.items() if u <= urgency):
            return None
        if self._delay_of(route, urgency, cost) > 0:
            return None
        return self._grant(route, cost)

    def is_short(self) -> bool:
        """Whether the rest of the minute's points should be left to what somebody waits for: changes.

        By what we spent alone: other tools' requests must not keep an initial sync waiting for ever.
        """
        spent = self._window.spent(self._clock()) + self._flying()
        kept = math.floor(CHANGES_SHARE * self.limit) + self._kept_for_urgent()
        return spent > self.limit - kept

    def snapshot(self) -> BudgetSnapshot:
        now = self._clock()
        spent = self._window.spent(now) + self._flying()
        pause = self._paused_until - now
        return BudgetSnapshot(
            spent=spent,
            left=max(0.0, self.limit - spent),
            limit=self.limit,
            in_flight=len(self._in_flight),
            waiting=sum(len(queue) for queue in self._queues.values()),
            remaining=self._remaining.left(now),
            paused_until=self._wall() + timedelta(seconds=pause) if pause > 0 else None,
            reserve=self._reserve * (self._told_limit or self._cap),
        )

    def entries(self) -> tuple[Entry, ...]:
        """What weighs now, oldest first, as (wall time, points) a second at most: for keeping it over a restart."""
        return self._spending.entries(self._clock(), self._wall(), self._flying())

    def restore(self, entries: Iterable[tuple[datetime, float]]) -> None:
        """Weigh what an earlier process spent in the last minute.

        What seems to lie in the future (the clock was set back) weighs as if it were spent now; a second of slack
        covers small corrections. A clock set forward by more cannot be seen: then the first requests, which go one
        by one, find out what is left.
        """
        now, wall = self._clock(), self._wall()
        restored = list(self._window.entries())
        for at, cost in entries:
            age = max(timedelta(), wall - at - CLOCK_SLACK).total_seconds()
            if age <= WINDOW and cost > 0:
                restored.append((now - age, cost))
                self._recorded += cost
                self._restored += cost
        self._window = SlidingWindow(self._cap, WINDOW, GRAIN)
        self._spending = Spending(WINDOW)
        for moment, cost in sorted(restored):
            self._window.record(moment, cost)
            self._spending.record(moment, cost)

    # -- waiting

    def _first(self) -> _Waiter | None:
        return next((next(iter(queue)) for queue in self._queues.values() if queue), None)

    def _wake_first(self) -> None:
        if first := self._first():
            first.wake.set()

    async def _rest(self, waiter: _Waiter, delay: float) -> None:
        """Until something changed for the waiter, or `delay` has passed."""
        waiter.wake.clear()
        if delay == math.inf:
            await waiter.wake.wait()
            return
        timer = asyncio.create_task(self._sleep(delay), name="salesloft-budget-timer")
        timer.add_done_callback(lambda _: waiter.wake.set())
        try:
            await waiter.wake.wait()
        finally:
            timer.cancel()
            await asyncio.wait((timer,))

    def _delay(self, waiter: _Waiter) -> float:
        """Seconds until it is worth looking again; 0.0 if the waiter may go now, inf if only an event can tell."""
        if self._first() is not waiter:
            return math.inf
        return self._delay_of(waiter.route, waiter.urgency, waiter.declared)

    def _delay_of(self, route: str, urgency: Urgency, declared: float | None) -> float:
        """The same for whoever is first in line."""
        now, cost = self._clock(), self._cost(route, declared)
        kept = 0.0 if urgency is Urgency.BANNER_AND_BOOKINGS else self._kept_for_urgent()
        flying = self._flying()
        return max(
            0.0,
            self._paused_until - now,
            self._delay_of_window(now, cost, self.limit - kept, flying),
            self._delay_of_remaining(now, cost, kept, flying),
        )

    def _delay_of_window(self, now: float, cost: float, limit: float, flying: float) -> float:
        if limit <= 0.0 or (self._in_flight and flying + cost > limit):
            return math.inf
        self._window.limit = limit
        return self._window.wait(now, flying + cost)

    def _delay_of_remaining(self, now: float, cost: float, kept: float, flying: float) -> float:
        if self._remaining.is_never_told:
            return 0.0
        left = self._remaining.left(now)
        if left is None:
            patience = self._granted_at + PROBE_PATIENCE - now
            return max(0.0, patience) if self._in_flight else 0.0
        reserve = self._reserve * (self._told_limit or self._cap)
        if cost <= left - flying - reserve - kept:
            return 0.0
        until_older = self._remaining.until_changed(now)
        if self._in_flight:
            return until_older
        # Ask anew with one request, if that is safe should the server's window slide, and does little harm if not.
        regained = self._remaining.left_if_sliding(now, self._expired(now))
        if regained - cost >= reserve + kept and left - cost >= reserve / 2:
            return max(0.0, min(until_older, self._granted_at + PROBE_INTERVAL - now))
        return min(until_older, self._until_own_point_leaves(now))

    def _until_own_point_leaves(self, now: float) -> float:
        entries = self._window.entries()
        return entries[0][0] + WINDOW - now + 0.001 if entries else math.inf

    # -- spending

    def _grant(self, route: str, declared: float | None) -> Lease:
        now = self._clock()
        self._tick += 1
        lease = Lease(self, route, declared, self._cost(route, declared), now, self._tick)
        self._in_flight.add(lease)
        self._granted_at = now
        return lease

    def _settle(self, lease: Lease, headers: Mapping[str, str] | None, status: int | None) -> None:
        now = self._clock()
        self._in_flight.discard(lease)
        self._tick += 1
        told = RateHeaders.read(headers or {})
        if told.limit is not None:
            self._told_limit = told.limit
        if told.cost is not None:
            self._learn(lease, told.cost)
            lease.cost = told.cost
        self._window.record(now, lease.cost)
        self._spending.record(now, lease.cost)
        self._recorded += lease.cost
        if status == 429:
            self._pause(lease, now, retry_after(headers or {}))
        else:
            # A proxy's 502 without the header says nothing about whether Salesloft sends it.
            is_answer = headers is not None and (status or 200) < 500
            self._note_remaining(lease, now, told, is_answer=is_answer)
        self._wake_first()

    def _note_remaining(
        self, lease: Lease, now: float, told: RateHeaders, *, is_answer: bool
    ) -> None:
        if is_answer and told.remaining is None:
            self._remaining.note_silence()
        self._remaining.note(
            sent_tick=lease.tick,
            tick=self._tick,
            now=now,
            remaining=told.remaining,
            cost=lease.cost,
            expired=self._expired(now),
        )

    def _refund(self, lease: Lease) -> None:
        self._in_flight.discard(lease)
        self._wake_first()

    def _learn(self, lease: Lease, cost: float) -> None:
        key = (lease.route, lease.declared)
        if self._learnt.get(key) == cost:
            return  # whatever is in flight was granted at that, or at more
        self._learnt[key] = cost
        for other in self._in_flight:
            if (other.route, other.declared) == key:
                other.cost = max(other.cost, cost)

    def _pause(self, lease: Lease, now: float, after: float | None) -> None:
        """429: nothing goes for a while. Refusals of what was sent before the pause began are the same one."""
        self._remaining.forget()
        is_new = lease.granted_at >= self._paused_at
        if is_new:
            self._refusals = self._refusals + 1 if now - self._paused_until < WINDOW else 1
            self._paused_at = now
        if after is not None:
            seconds = min(max(after, 1.0), PAUSE_SANE)
        elif is_new:
            growing = PAUSE_FIRST * 2.0 ** min(self._refusals - 1, 10)
            seconds = min(PAUSE_MOST, growing * (1.0 + 0.25 * self._jitter()))
        else:
            return
        self._paused_until = max(self._paused_until, now + seconds)

    def _cost(self, route: str, declared: float | None) -> float:
        return self._learnt.get((route, declared), 1.0 if declared is None else declared)

    def _kept_for_urgent(self) -> float:
        return max(1.0, 0.02 * self.limit) if self.limit >= 2.0 else 0.0

    def _flying(self) -> float:
        return sum(lease.cost for lease in self._in_flight)

    def _expired(self, now: float) -> float:
        return self._recorded - self._window.spent(now)
