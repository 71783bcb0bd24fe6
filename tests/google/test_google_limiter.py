"""The limiter: never over the limit, changes first, fair, and nothing leaks."""

from __future__ import annotations

import asyncio
import random

import pytest

from connector.google import Priority, RequestLimiter
from connector.google import limiter as limiter_module
from connector.google.limiter import WINDOW_SECONDS


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Queue:
    """Starts acquirers and notes the order in which they get their turn."""

    def __init__(self, limiter: RequestLimiter, clock: Clock) -> None:
        self.limiter = limiter
        self.clock = clock
        self.order: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, priority: Priority = Priority.CHANGE, user: str = "pam") -> None:
        async def acquire() -> None:
            await self.limiter.acquire(user, priority)
            self.order.append(name)

        self.tasks[name] = asyncio.create_task(acquire())
        await settle()

    async def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        self.limiter.wake()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_window_of_a_minute_holds_more_than_the_limit(clock: Clock) -> None:
    queue = Queue(RequestLimiter(3, clock=clock), clock)
    for name in "abcde":
        await queue.ask(name)
    assert queue.order == ["a", "b", "c"]
    await queue.advance(59.9)
    assert queue.order == ["a", "b", "c"]
    await queue.advance(WINDOW_SECONDS)
    assert queue.order == ["a", "b", "c", "d", "e"]
    assert queue.limiter.waiting == 0


async def test_changes_go_before_sweeps_and_else_who_came_first(clock: Clock) -> None:
    queue = Queue(RequestLimiter(1, clock=clock), clock)
    await queue.ask("first", Priority.SWEEP)
    for name in ("s1", "s2", "c1", "c2"):
        await queue.ask(name, Priority.SWEEP if name[0] == "s" else Priority.CHANGE)
    for _ in range(4):
        await queue.advance(WINDOW_SECONDS + 1)
    assert queue.order == ["first", "c1", "c2", "s1", "s2"]


async def test_a_user_at_its_limit_holds_up_nobody_else(clock: Clock) -> None:
    queue = Queue(RequestLimiter(100, user_requests_per_minute=2, clock=clock), clock)
    for name in ("p1", "p2", "p3"):
        await queue.ask(name, user="pam")
    await queue.ask("j1", Priority.SWEEP, user="jim")
    assert queue.order == ["p1", "p2", "j1"]
    await queue.advance(WINDOW_SECONDS + 1)
    assert queue.order[-1] == "p3"


async def test_who_gives_up_leaves_the_queue_and_passes_the_turn_on(clock: Clock) -> None:
    queue = Queue(RequestLimiter(1, clock=clock), clock)
    for name in ("a", "b", "c"):
        await queue.ask(name)
    queue.tasks["b"].cancel()
    await settle()
    assert queue.limiter.waiting == 1
    await queue.advance(WINDOW_SECONDS + 1)
    assert queue.order == ["a", "c"]


async def test_a_pause_holds_up_the_project(clock: Clock) -> None:
    queue = Queue(RequestLimiter(100, clock=clock), clock)
    queue.limiter.pause(30)
    await queue.ask("a")
    await queue.ask("b", user="jim")
    await queue.advance(29)
    assert queue.order == []
    await queue.advance(2)
    assert queue.order == ["a", "b"]


async def test_one_users_refusal_holds_up_that_user_only(clock: Clock) -> None:
    queue = Queue(RequestLimiter(100, clock=clock), clock)
    queue.limiter.refused("pam", 30)
    await queue.ask("p", user="pam")
    await queue.ask("j", user="jim")
    assert queue.order == ["j"]
    await queue.advance(31)
    assert queue.order == ["j", "p"]


async def test_refusals_of_several_users_at_once_hold_up_the_project_briefly(clock: Clock) -> None:
    queue = Queue(RequestLimiter(100, clock=clock), clock)
    for user in ("pam", "jim", "toby"):
        queue.limiter.refused(user, 30)
    await queue.ask("d", user="dwight")
    assert queue.order == []
    await queue.advance(6)
    assert queue.order == ["d"]


async def test_a_refusal_named_the_projects_holds_up_the_project(clock: Clock) -> None:
    queue = Queue(RequestLimiter(100, clock=clock), clock)
    queue.limiter.refused("pam", 30, whole_project=True)
    await queue.ask("d", user="dwight")
    await queue.advance(29)
    assert queue.order == []
    await queue.advance(2)
    assert queue.order == ["d"]


async def test_a_higher_limit_takes_effect_at_once(clock: Clock) -> None:
    queue = Queue(RequestLimiter(1, clock=clock), clock)
    await queue.ask("a")
    await queue.ask("b")
    queue.limiter.set_requests_per_minute(2)
    await settle()
    assert queue.order == ["a", "b"]


async def test_the_loops_own_timer_wakes_the_queue() -> None:
    limiter = RequestLimiter(100)
    limiter.pause(0.01)
    await asyncio.wait_for(limiter.acquire("pam", Priority.SWEEP), 10)
    assert limiter.waiting == 0


@pytest.mark.parametrize("limit", [1, 2, 7, 8, 9, 10, 30])
async def test_of_each_user_as_many_go_at_once_as_a_plain_count_allows(
    clock: Clock, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few requests are kept in another way than many; between the two nothing may be lost or gained."""
    monkeypatch.setattr(limiter_module, "PRUNE_EVERY", 7)
    chance = random.Random(limit)
    limiter = RequestLimiter(10_000, user_requests_per_minute=limit, clock=clock)
    sent: dict[str, list[float]] = {"pam": [], "jim": []}
    for _ in range(600):
        clock.now += chance.choice([0.0, 0.5, 3.0, WINDOW_SECONDS / limit, 70.0])
        user = chance.choice(list(sent))
        within = [at for at in sent[user] if at >= clock.now - WINDOW_SECONDS]
        assert limiter.try_acquire(user) == (len(within) < limit)
        if len(within) < limit:
            sent[user].append(clock.now)
