"""Keeps the requests of one Google project under its limits, and lets changes go before sweeps.

Google counts requests in sliding minutes, per project and per user of a project. One limiter stands for one project;
every attempt of every request passes `acquire()`. A waiting change always goes before a waiting sweep, and within a
priority who came first goes first; only those whose own user is at its limit are passed over. Nothing runs in the
background: one timer of the loop wakes the queue when the next slot opens.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from enum import IntEnum

from connector.domain.rate import SlidingWindow

USER_REQUESTS_PER_MINUTE = 600
WINDOW_SECONDS = 61.0
"""A minute as Google sees it, plus a second: requests travel unequal times, so they may arrive closer together."""
CROWD_USERS = 3
CROWD_SECONDS = 10.0
"""So many users refused within so long: the limit is taken for the project's."""
CROWD_PAUSE_SECONDS = 5.0
"""The most that such a suspicion may hold up the project; neighbours must not suffer for one user's trouble."""
PRUNE_EVERY = 4096
FEW = 8
"""Requests of a user within the window that are kept as their times: an empty window takes ten times as much memory."""

_Spent = tuple[float, ...] | SlidingWindow
"""What a user spent lately."""


class Priority(IntEnum):
    """`CHANGE` goes before `SWEEP`: what a person just changed, before backfill, horizon and reconciliation."""

    CHANGE = 0
    SWEEP = 1


class _Ticket:
    """One waiting request."""

    __slots__ = ("granted", "user")

    def __init__(self, user: str, granted: asyncio.Future[None]) -> None:
        self.user = user
        self.granted = granted


class RequestLimiter:
    """One Google project's requests. `clock` is monotonic, in seconds. Belongs to one event loop."""

    def __init__(
        self,
        requests_per_minute: int,
        *,
        user_requests_per_minute: int = USER_REQUESTS_PER_MINUTE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._project = SlidingWindow(requests_per_minute, WINDOW_SECONDS)
        self._user_limit = user_requests_per_minute
        self._users: dict[str, _Spent] = {}
        # Dictionaries for their order: a cancelled ticket leaves from the middle at once.
        self._queues: dict[Priority, dict[_Ticket, None]] = {priority: {} for priority in Priority}
        self._paused_until = 0.0
        self._users_paused_until: dict[str, float] = {}
        self._refused: deque[tuple[float, str]] = deque(maxlen=64)
        self._timer: asyncio.TimerHandle | None = None
        self._grants = 0

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return len(self._queues[Priority.CHANGE]) + len(self._queues[Priority.SWEEP])

    @property
    def requests_per_minute(self) -> int:
        return int(self._project.limit)

    def set_requests_per_minute(self, limit: int) -> None:
        """Change the project's limit; what was spent stays counted."""
        self._project.limit = limit
        self.wake()

    async def acquire(self, user: str, priority: Priority) -> None:
        """Wait until one request for `user` may be sent; it is counted from then on, also if it is never sent."""
        if self.try_acquire(user):
            return
        ticket = _Ticket(user, asyncio.get_running_loop().create_future())
        queue = self._queues[priority]
        queue[ticket] = None
        self.wake()
        try:
            await ticket.granted
        finally:
            if ticket in queue:  # given up while waiting: the timer may have been set for this one
                del queue[ticket]
                self.wake()

    def try_acquire(self, user: str) -> bool:
        """The same where nobody waits and nothing is used up: True, and the request is counted. The usual case."""
        if self.waiting:
            return False
        now = self._clock()
        if self._paused_until > now or self._project.wait(now, 1) > 0:
            return False
        if user in self._users and self._user_wait(user, now) > 0:
            return False
        if self._users_paused_until and self._users_paused_until.get(user, 0.0) > now:
            return False
        self._count(user, now)
        return True

    def pause(self, seconds: float) -> None:
        """Send nothing of the project for so long: Google refused by a limit of the project."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)
        self.wake()

    def refused(self, user: str, seconds: float, *, whole_project: bool = False) -> None:
        """Google refused a request of `user` by a rate limit and wants `seconds` of quiet.

        Its answer seldom says whose limit it was: it is taken for the user's, unless several users are refused at once.
        """
        now = self._clock()
        self._users_paused_until[user] = max(self._users_paused_until.get(user, 0.0), now + seconds)
        self._refused.append((now, user))
        if whole_project:
            self.pause(seconds)
        elif self._crowd(now) >= CROWD_USERS:
            self.pause(min(seconds, CROWD_PAUSE_SECONDS))

    def wake(self) -> None:
        """Grant what may go now, and set the timer for what comes next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        delay = self._grant(self._clock())
        if delay is not None:
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.wake()

    def _grant(self, now: float) -> float | None:
        """Grant in order; seconds until it is worth asking again, or None if nobody waits."""
        if not self.waiting:
            return None
        blocked = self._project_wait(now)
        if blocked > 0:
            return blocked
        soonest: float | None = None
        for queue in self._queues.values():
            for ticket in list(queue):
                if ticket.granted.done():
                    continue  # cancelled; it takes itself out
                blocked = self._project_wait(now)
                if blocked > 0:
                    return blocked
                blocked = self._user_wait(ticket.user, now)
                if blocked > 0:
                    soonest = blocked if soonest is None else min(soonest, blocked)
                    continue
                del queue[ticket]
                self._count(ticket.user, now)
                ticket.granted.set_result(None)
        return soonest

    def _project_wait(self, now: float) -> float:
        return max(self._paused_until - now, self._project.wait(now, 1))

    def _user_wait(self, user: str, now: float) -> float:
        spent = self._users.get(user)
        # A few are never too many: see `_count`.
        wait = spent.wait(now, 1) if isinstance(spent, SlidingWindow) else 0.0
        return max(wait, self._users_paused_until.get(user, 0.0) - now)

    def _count(self, user: str, now: float) -> None:
        self._project.record(now, 1)
        spent = self._users.get(user, ())
        if isinstance(spent, SlidingWindow):
            spent.record(now, 1)
        else:
            within = (*_within(spent, now), now)
            is_few = len(within) <= FEW and len(within) < self._user_limit
            self._users[user] = within if is_few else self._window_of(within)
        self._grants += 1
        if self._grants % PRUNE_EVERY == 0:
            self._prune(now)

    def _window_of(self, times: tuple[float, ...]) -> SlidingWindow:
        window = SlidingWindow(self._user_limit, WINDOW_SECONDS)
        for at in times:
            window.record(at, 1)
        return window

    def _prune(self, now: float) -> None:
        """Forget users who asked nothing lately, and keep little of those who asked little."""
        kept: dict[str, _Spent] = {}
        for user, spent in self._users.items():
            if isinstance(spent, SlidingWindow):
                if 0 < spent.spent(now) <= min(FEW, self._user_limit - 1):
                    kept[user] = tuple(at for at, _ in spent.entries())
                elif spent.spent(now):
                    kept[user] = spent
            elif within := _within(spent, now):
                kept[user] = within
        self._users = kept
        self._users_paused_until = {
            user: until for user, until in self._users_paused_until.items() if until > now
        }

    def _crowd(self, now: float) -> int:
        return len({user for at, user in self._refused if at >= now - CROWD_SECONDS})


def _within(times: tuple[float, ...], now: float) -> tuple[float, ...]:
    """Those of a few times, ascending, that are within the window that ends now."""
    oldest = now - WINDOW_SECONDS
    if times and times[0] < oldest:
        return tuple(at for at in times if at >= oldest)
    return times
