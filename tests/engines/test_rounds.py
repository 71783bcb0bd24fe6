"""Rounds: again and again, never two of one name at once, and a failure stops nothing."""

from __future__ import annotations

import asyncio

from connector.domain.errors import RetryLater
from connector.engines.rounds import Rounds


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_round_comes_at_its_interval_and_at_once_first() -> None:
    clock, done = Clock(), []
    rounds = Rounds(clock)

    async def step() -> None:
        done.append(clock.now)

    rounds.every(10.0, "bookings", step)
    for _ in range(31):
        rounds.start_due()
        await settle()
        clock.now += 1
    assert done == [100.0, 110.0, 120.0, 130.0]


async def test_two_of_one_name_never_run_at_once() -> None:
    clock, release = Clock(), asyncio.Event()
    rounds, running = Rounds(clock), 0

    async def step() -> None:
        nonlocal running
        running += 1
        await release.wait()

    rounds.every(1.0, "slow", step)
    for _ in range(5):
        rounds.start_due()
        await settle()
        clock.now += 5
    assert running == 1
    rounds.every(1.0, "slow", step)  # agreed anew: the one that runs counts
    rounds.start_due()
    await settle()
    assert running == 1
    release.set()
    await settle()
    rounds.start_due()
    await settle()
    assert running == 2


async def test_a_failing_round_comes_again_and_its_neighbour_too() -> None:
    clock, done = Clock(), []
    rounds = Rounds(clock)

    async def fails() -> None:
        done.append("fails")
        raise RetryLater("later") if len(done) < 3 else KeyError("pam@example.com")

    async def works() -> None:
        done.append("works")

    rounds.every(1.0, "fails", fails)
    rounds.every(1.0, "works", works)
    for _ in range(4):
        rounds.start_due()
        await settle()
        clock.now += 1
    assert done.count("fails") == done.count("works") == 4


async def test_the_end_waits_for_what_runs_and_then_gives_it_up() -> None:
    rounds, given_up = Rounds(Clock()), asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    rounds.every(1.0, "endless", endless)
    rounds.start_due()
    await settle()
    await rounds.end(0.01)
    assert given_up.is_set()
