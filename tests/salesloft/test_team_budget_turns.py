"""Who goes first, what a 429 does, and that a cancelled waiter leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.salesloft import Lease, TeamBudget, Urgency
from tests.salesloft.virtual_time import START, clock, run, wall

OK = {"x-request-id": "1"}


def budget_of(cap: float, *, jitter: Callable[[], float] = lambda: 0.0) -> TeamBudget:
    return TeamBudget(cap, clock=clock, wall=wall, jitter=jitter)


async def spend(budget: TeamBudget, points: int, urgency: Urgency = Urgency.CHANGE) -> None:
    for _ in range(points):
        (await budget.acquire("upsert", urgency)).settle(OK, status=200)


def test_the_urgent_go_first_and_equals_in_the_order_they_came() -> None:
    async def main() -> None:
        budget = budget_of(10)
        await spend(budget, 9)
        order: list[str] = []

        async def ask(name: str, urgency: Urgency) -> None:
            (await budget.acquire("upsert", urgency)).settle(OK, status=200)
            order.append(name)

        async with asyncio.TaskGroup() as group:
            for name, urgency in (
                ("backfill", Urgency.BACKFILL),
                ("later", Urgency.LATER),
                ("change 1", Urgency.CHANGE),
                ("prospect", Urgency.PROSPECT),
                ("change 2", Urgency.CHANGE),
            ):
                group.create_task(ask(name, urgency))
                await asyncio.sleep(1)
        assert order == ["change 1", "change 2", "prospect", "later", "backfill"]

    run(main())


def test_the_most_urgent_class_has_a_share_of_its_own() -> None:
    async def main() -> None:
        budget = budget_of(100)
        await spend(budget, 98)
        assert budget.try_acquire("upsert", Urgency.CHANGE) is None
        for _ in range(2):
            (await budget.acquire("banner", Urgency.BANNER_AND_BOOKINGS)).settle(OK, status=200)
        assert budget.try_acquire("banner", Urgency.BANNER_AND_BOOKINGS) is None
        assert clock() == 0

    run(main())


@given(
    asks=st.lists(st.tuples(st.floats(0, 100), st.sampled_from(Urgency)), min_size=2, max_size=60),
    cancels=st.sets(st.integers(0, 59)),
    wait=st.floats(0, 90),
)
@settings(max_examples=100, deadline=None)
def test_order_holds_within_a_class_and_cancelled_waiters_leave_nothing(
    asks: list[tuple[float, Urgency]], cancels: set[int], wait: float
) -> None:
    async def main() -> None:
        budget = budget_of(8)
        asked: list[int] = []
        served: list[int] = []

        async def ask(number: int, at: float, urgency: Urgency) -> None:
            await asyncio.sleep(at)
            asked.append(number)
            with await budget.acquire("upsert", urgency) as lease:
                served.append(number)
                await asyncio.sleep(0.1)
                lease.settle(OK, status=200)

        tasks = [asyncio.create_task(ask(n, at, u)) for n, (at, u) in enumerate(asks)]
        await asyncio.sleep(wait)
        for number in cancels:
            if number < len(tasks):
                tasks[number].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        lost = {n for n, task in enumerate(tasks) if task.cancelled()}
        assert lost <= cancels
        assert set(served) | lost == set(range(len(asks)))
        for urgency in Urgency:
            mine = [n for n in asked if asks[n][1] is urgency and n in served]
            assert [n for n in served if asks[n][1] is urgency] == mine
        snapshot = budget.snapshot()
        assert (snapshot.waiting, snapshot.in_flight) == (0, 0)
        assert not [t for t in asyncio.all_tasks() if t.get_name() == "salesloft-budget-timer"]

    run(main())


def test_a_waiter_cancelled_while_first_hands_its_place_on() -> None:
    async def main() -> None:
        budget = budget_of(2)
        held = await budget.acquire("upsert", Urgency.BANNER_AND_BOOKINGS)
        held.settle(OK, status=200)
        held = await budget.acquire("upsert", Urgency.BANNER_AND_BOOKINGS)
        first = asyncio.create_task(budget.acquire("upsert", Urgency.CHANGE))
        await asyncio.sleep(1)
        second = asyncio.create_task(budget.acquire("upsert", Urgency.CHANGE))
        await asyncio.sleep(1)
        first.cancel()
        held.refund()
        assert isinstance(await second, Lease)
        assert clock() >= 60

    run(main())


def test_a_refunded_lease_weighs_nothing_and_settling_twice_counts_once() -> None:
    async def main() -> None:
        budget = budget_of(10)
        (await budget.acquire("upsert", Urgency.CHANGE)).refund()
        assert budget.snapshot().spent == 0
        with await budget.acquire("upsert", Urgency.CHANGE) as lease:
            lease.settle(OK, status=200)
            lease.refund()
        assert budget.snapshot().spent == 1

    run(main())


def test_a_429_pauses_the_team_as_long_as_it_asks() -> None:
    async def main() -> None:
        budget, neighbour = budget_of(100), budget_of(100)
        (await budget.acquire("upsert", Urgency.CHANGE)).settle({"Retry-After": "17"}, status=429)
        paused_until = budget.snapshot().paused_until
        assert paused_until is not None
        assert (paused_until - START).total_seconds() == 17
        await neighbour.acquire("upsert", Urgency.CHANGE)
        assert clock() == 0
        await budget.acquire("upsert", Urgency.BANNER_AND_BOOKINGS)
        assert 17 <= clock() < 17.1
        assert budget.snapshot().paused_until is None

    run(main())


@pytest.mark.parametrize(("jitter", "first"), [(0.0, 5.0), (1.0, 6.25)])
def test_a_429_that_asks_for_nothing_pauses_longer_each_time(jitter: float, first: float) -> None:
    async def main() -> None:
        budget = budget_of(600, jitter=lambda: jitter)
        pauses = []
        for _ in range(6):
            lease = await budget.acquire("upsert", Urgency.CHANGE)
            before = clock()
            lease.settle({}, status=429)
            (await budget.acquire("upsert", Urgency.CHANGE)).refund()
            pauses.append(clock() - before)
        assert pauses[0] == pytest.approx(first, abs=0.01)
        assert pauses == sorted(pauses)
        assert pauses[2] >= 4 * 5
        assert pauses[-1] <= 60.01
        await asyncio.sleep(200)
        lease = await budget.acquire("upsert", Urgency.CHANGE)
        before = clock()
        lease.settle({}, status=429)
        await budget.acquire("upsert", Urgency.CHANGE)
        assert clock() - before == pytest.approx(first, abs=0.01)

    run(main())


def test_refusals_of_one_burst_are_one_refusal() -> None:
    async def main() -> None:
        budget = budget_of(600)
        await spend(budget, 1)
        burst = [await budget.acquire("upsert", Urgency.CHANGE) for _ in range(20)]
        for lease in burst:
            await asyncio.sleep(0.01)
            lease.settle({}, status=429)
        await budget.acquire("upsert", Urgency.CHANGE)
        assert clock() < 6

    run(main())


def test_after_a_429_one_request_asks_first() -> None:
    async def main() -> None:
        budget = budget_of(600)
        await spend(budget, 1)
        (await budget.acquire("upsert", Urgency.CHANGE)).settle({"retry-after": "3"}, status=429)
        lease = await budget.acquire("upsert", Urgency.CHANGE)
        assert budget.try_acquire("upsert", Urgency.CHANGE) is None
        lease.settle(OK, status=200)
        assert budget.try_acquire("upsert", Urgency.CHANGE) is not None

    run(main())


def test_nobody_overtakes_a_waiter_without_waiting() -> None:
    async def main() -> None:
        budget = budget_of(20)
        await spend(budget, 18)
        waiter = asyncio.create_task(budget.acquire("deep", Urgency.CHANGE, 8.0))
        await asyncio.sleep(1)
        assert budget.try_acquire("upsert", Urgency.BACKFILL) is None
        assert budget.try_acquire("upsert", Urgency.CHANGE) is None
        await waiter

    run(main())


def test_a_raised_cap_lets_waiters_go_at_once() -> None:
    async def main() -> None:
        budget = budget_of(10)
        await spend(budget, 9)
        waiter = asyncio.create_task(budget.acquire("upsert", Urgency.CHANGE))
        await asyncio.sleep(1)
        budget.set_cap(50)
        await waiter
        assert clock() == 1

    run(main())
