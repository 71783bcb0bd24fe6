"""A daemon and a command share a team's points: each keeps to its part, whatever the other does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.domain.errors import RetryLater
from connector.salesloft import TeamBudget, Urgency
from connector.store import State, open_database
from connector.sync.sharing import Lender, borrowed_name, borrowing, share_of

TEAM = "team"


class Clock:
    """One clock for the budgets' seconds and everybody's wall; a sleep lets it run on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


def budget_of(clock: Clock, cap: float) -> TeamBudget:
    return TeamBudget(cap, clock=clock.monotonic, wall=clock.wall)


def spend_all(budget: TeamBudget) -> int:
    """Grant and settle as much as may go now."""
    spent = 0
    while (lease := budget.try_acquire("GET x", Urgency.BANNER_AND_BOOKINGS)) is not None:
        lease.settle({}, status=200)
        spent += 1
    return spent


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[State]:
    state = State(open_database(path / "state.db"))
    try:
        yield state
    finally:
        state.close()


async def test_holder_and_borrower_together_never_exceed_the_cap(tmp_path: Path) -> None:
    clock = Clock()
    spent: list[tuple[float, int]] = []
    async with opened(tmp_path) as state:
        holder = budget_of(clock, 100)
        lender = Lender(state, {TEAM: holder}, clock.wall)
        spent.append((clock.seconds, spend_all(holder)))  # a busy daemon: all that it may

        async def tick(_: float) -> None:
            clock.seconds += 1.0
            await lender.look()
            spent.append((clock.seconds, spend_all(holder)))
            await asyncio.sleep(0)

        started: float | None = None
        async with borrowing(
            state, {TEAM: 100.0}, lambda: True, sleep=tick, clock=clock.wall
        ) as shares:
            started = clock.seconds
            borrower = budget_of(clock, shares[TEAM])
            for _ in range(130):
                clock.seconds += 1.0
                await lender.look()
                spent.append((clock.seconds, spend_all(holder)))
                spent.append((clock.seconds, spend_all(borrower)))
        for _ in range(200):
            await tick(0)
        assert started - 1000.0 > 59.0, "the holder had spent all, and makes room within a minute"
    assert peak(spent) == 100
    assert sum(points for at, points in spent if at > clock.seconds - 60) == 100, "A is given back"


def peak(spent: list[tuple[float, int]]) -> int:
    return max(
        sum(points for at, points in spent if begin <= at <= begin + 60.0) for begin, _ in spent
    )


async def test_without_a_holder_the_last_ones_points_are_waited_for(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path) as state:
        await state.spend(TEAM, [(clock.wall(), 95.0)])

        async def tick(_: float) -> None:
            clock.seconds += 1.0
            await asyncio.sleep(0)

        began = clock.seconds
        told: list[str] = []
        async with borrowing(
            state, {TEAM: 100.0}, lambda: False, sleep=tick, clock=clock.wall, waits=told.append
        ) as shares:
            assert shares == {TEAM: 10.0}
            assert [one.partition(":")[0] for one in told] == ["waiting up to a minute"]
            assert clock.seconds - began > 60.0


async def test_a_second_borrower_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as state, borrowing(state, {TEAM: 100.0}, lambda: False):
        with pytest.raises(RetryLater, match="another `verify`"):
            async with borrowing(state, {TEAM: 100.0}, lambda: False):
                pass


async def test_a_holder_that_makes_no_room_is_named(tmp_path: Path) -> None:
    clock = Clock()

    async def tick(_: float) -> None:
        clock.seconds += 10.0
        await asyncio.sleep(0)

    async with opened(tmp_path) as state:
        with pytest.raises(RetryLater, match="makes no room"):
            async with borrowing(state, {TEAM: 9.0}, lambda: True, sleep=tick, clock=clock.wall):
                pass


async def test_a_dead_borrower_costs_the_holder_nothing_for_long(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path) as state:
        holder = budget_of(clock, 100)
        lender = Lender(state, {TEAM: holder}, clock.wall)
        asking = borrowing(state, {TEAM: 100.0}, lambda: False, clock=clock.wall)
        await asking.__aenter__()
        await lender.look()
        assert holder.limit == 90
        clock.seconds += 40.0  # nobody prolongs it
        await lender.look()
        assert holder.limit == 90, "its last points are still in the minute"
        clock.seconds += 60.0
        await lender.look()
        assert holder.limit == 100
        await asking.__aexit__(None, None, None)


async def test_a_cap_of_one_point_is_lent_whole_and_nothing_goes_meanwhile() -> None:
    clock = Clock()
    holder = budget_of(clock, 1)
    assert share_of(1) == 1.0
    assert holder.lend(1.0)
    assert holder.try_acquire("GET x", Urgency.CHANGE) is None
    holder.lend(0.0)
    assert holder.try_acquire("GET x", Urgency.CHANGE) is not None


async def test_what_a_borrower_spent_weighs_in_the_next_process(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    async with opened(tmp_path) as state:
        await state.spend(borrowed_name(TEAM), [(now, 7.0)])
        spent = await state.spent(TEAM, now - timedelta(minutes=1), served=[TEAM])
    assert sum(cost for _, cost in spent) == 7.0
