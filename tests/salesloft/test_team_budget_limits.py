"""The cap holds in every sliding minute as the server sees it, and what the server says is left is respected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.salesloft import TeamBudget, Urgency
from tests.salesloft.virtual_time import Server, clock, run, wall

ROUTES = {"upsert": 1.0, "list": 1.0, "deep": 8.0}
request_plans = st.lists(
    st.tuples(
        st.floats(0, 150),  # when it is asked for
        st.sampled_from(sorted(ROUTES)),
        st.sampled_from(Urgency),
        st.sampled_from([0.0, 0.01, 0.3, 2.0, 20.0, 59.0]),  # on the way there
        st.sampled_from([0.0, 0.01, 0.3, 2.0, 20.0, 59.0]),  # on the way back
        st.sampled_from(["answered", "answered", "answered", "lost", "cancelled"]),
    ),
    min_size=1,
    max_size=90,
)


async def send(
    budget: TeamBudget,
    server: Server,
    *,
    route: str = "upsert",
    urgency: Urgency = Urgency.CHANGE,
    there: float = 0.05,
    back: float = 0.05,
    fate: str = "answered",
) -> int:
    with await budget.acquire(route, urgency, ROUTES[route] if route == "deep" else None) as lease:
        await asyncio.sleep(there)
        status, headers = server.request(route)
        if fate == "cancelled":
            raise asyncio.CancelledError
        await asyncio.sleep(back)
        lease.settle(None if fate == "lost" else headers, status=status)
        return status


@given(
    plan=request_plans,
    cap=st.integers(10, 60),
    tells=st.booleans(),
    window=st.sampled_from(["sliding", "fixed"]),
)
@settings(max_examples=120, deadline=None)
def test_no_sixty_seconds_at_the_server_hold_more_than_the_cap(
    plan: list[tuple[float, str, Urgency, float, float, str]], cap: int, tells: bool, window: str
) -> None:
    async def main() -> Server:
        server = Server(limit=600, tells=tells, costs=ROUTES, window=window)  # type: ignore[arg-type]
        budget = TeamBudget(cap, clock=clock, wall=wall)

        async def later(at: float, route: str, urgency: Urgency, *way: float, fate: str) -> None:
            await asyncio.sleep(at)
            await send(
                budget, server, route=route, urgency=urgency, there=way[0], back=way[1], fate=fate
            )

        done = await asyncio.gather(
            *(
                later(at, route, u, there, back, fate=fate)
                for at, route, u, there, back, fate in plan
            ),
            return_exceptions=True,
        )
        assert not [error for error in done if isinstance(error, Exception)]
        assert len(server.arrivals) == len(plan), "everybody was served"
        snapshot = budget.snapshot()
        assert (snapshot.in_flight, snapshot.waiting) == (0, 0)
        return server

    assert run(main()).most_in_a_minute() <= cap


@given(
    others=st.lists(st.tuples(st.floats(0, 120), st.integers(1, 60)), max_size=12),
    window=st.sampled_from(["sliding", "fixed"]),
    offset=st.floats(0, 59),
    latency=st.sampled_from([0.01, 0.2, 1.5]),
)
@settings(max_examples=60, deadline=None)
def test_the_teams_other_tools_keep_their_share(
    others: list[tuple[float, int]], window: str, offset: float, latency: float
) -> None:
    """Other tools come in bursts of up to half the reserve: nobody is ever refused, they nor we."""

    async def main() -> None:
        server = Server(limit=120, window=window, offset=offset, lowest=120)  # type: ignore[arg-type]
        budget = TeamBudget(120, reserve=0.2, clock=clock, wall=wall)
        refused_others = []

        async def other(at: float, points: int) -> None:
            await asyncio.sleep(at)
            for _ in range(points % 12):
                if not server.spend(1):
                    refused_others.append(clock())
                await asyncio.sleep(2.1)

        async def ours() -> None:
            gate = asyncio.Semaphore(8)

            async def guarded() -> None:
                async with gate:
                    await send(budget, server, there=latency / 2, back=latency / 2)

            await asyncio.gather(*(guarded() for _ in range(300)))

        if not others:
            others.append((0.0, 1))
        await asyncio.gather(ours(), other(*others[0]))
        assert not server.refused
        assert not refused_others

    run(main())


def drained(server: Server, requests: int, *, latency: float, tasks: int) -> float:
    """Seconds for so many requests."""

    async def main() -> float:
        budget = TeamBudget(600, clock=clock, wall=wall)
        work = iter(range(requests))

        async def worker() -> None:
            for _ in work:
                await send(
                    budget,
                    server,
                    urgency=Urgency.BACKFILL,
                    there=latency / 2,
                    back=latency / 2,
                )

        await asyncio.gather(*(worker() for _ in range(tasks)))
        return clock()

    return run(main())


@pytest.mark.parametrize("window", ["sliding", "fixed"])
@pytest.mark.parametrize(("latency", "tasks"), [(0.1, 1), (0.2, 24), (1.0, 100)])
@pytest.mark.parametrize("tells", [True, False])
def test_a_backlog_uses_nearly_all_that_it_may(
    window: str, latency: float, tasks: int, tells: bool
) -> None:
    server = Server(limit=600, window=window, tells=tells, offset=17.0)  # type: ignore[arg-type]
    requests = 5 * 600
    seconds = drained(server, requests, latency=latency, tasks=tasks)
    assert not server.refused
    assert server.lowest >= (29 if tells else 0), "the reserve is left to the others"
    # 5 % for other tools and 2 % for the most urgent class are not to be had; the first minute comes at once.
    usable = 600 * (0.93 if tells else 0.98)
    assert seconds <= 60 * (requests / usable - 1) * 1.1 + 60


def test_when_others_spend_nearly_everything_we_take_only_what_is_left() -> None:
    async def main() -> None:
        server = Server(limit=600)
        for _ in range(540):
            server.spend(1)
        budget = TeamBudget(600, clock=clock, wall=wall)
        tasks = [asyncio.create_task(send(budget, server)) for _ in range(100)]
        await asyncio.sleep(50)
        assert 600 - server.used() >= 30
        assert len(server.arrivals) >= 15
        await asyncio.gather(*tasks)
        assert not server.refused

    run(main())


def test_after_a_silent_minute_one_request_asks_before_the_others_follow() -> None:
    async def main() -> None:
        server = Server(limit=600)
        budget = TeamBudget(600, clock=clock, wall=wall)
        await send(budget, server)
        await asyncio.sleep(100)
        for _ in range(595):
            server.spend(1)
        tasks = [asyncio.create_task(send(budget, server)) for _ in range(50)]
        await asyncio.sleep(30)
        assert len(server.arrivals) == 2
        assert not server.refused
        await asyncio.gather(*tasks)

    run(main())


def test_an_unanswered_first_request_holds_up_the_others_for_seconds_only() -> None:
    async def main() -> None:
        budget = TeamBudget(600, clock=clock, wall=wall)
        await budget.acquire("upload", Urgency.BACKFILL)
        await budget.acquire("upsert", Urgency.CHANGE)
        assert 0 < clock() <= 2.1

    run(main())


def test_a_learnt_cost_is_reserved_for_the_next_call_of_the_route() -> None:
    async def main() -> None:
        budget = TeamBudget(20, clock=clock, wall=wall)
        (await budget.acquire("upsert", Urgency.CHANGE)).settle(
            {"x-ratelimit-endpoint-cost": "7"}, status=200
        )
        assert budget.snapshot().spent == 7
        assert (await budget.acquire("upsert", Urgency.CHANGE)).cost == 7
        assert (await budget.acquire("list", Urgency.CHANGE)).cost == 1
        assert budget.try_acquire("upsert", Urgency.CHANGE) is None

    run(main())


def test_a_cost_that_rises_weighs_on_what_is_in_flight() -> None:
    async def main() -> None:
        budget = TeamBudget(20, clock=clock, wall=wall)
        (await budget.acquire("upsert", Urgency.CHANGE)).settle({}, status=200)
        first, second = [await budget.acquire("upsert", Urgency.CHANGE) for _ in range(2)]
        first.settle({"X-RateLimit-Endpoint-Cost": "6"}, status=200)
        assert second.cost == 6
        assert budget.snapshot().spent == 1 + 6 + 6

    run(main())


def test_the_cost_of_a_deep_page_is_no_cost_of_the_first_page() -> None:
    async def main() -> None:
        budget = TeamBudget(600, clock=clock, wall=wall)
        (await budget.acquire("list", Urgency.LATER, 30)).settle(
            {"x-ratelimit-endpoint-cost": "30"}, status=200
        )
        assert (await budget.acquire("list", Urgency.LATER)).cost == 1

    run(main())


@pytest.mark.parametrize("name", ["x-ratelimit-limit", "X-RateLimit-Limit-Minute"])
def test_a_lower_limit_of_the_server_counts_and_a_higher_one_does_not(name: str) -> None:
    async def main() -> None:
        budget = TeamBudget(100, clock=clock, wall=wall)
        for told, expected in (("40", 40), ("900", 100), ("0", 100), ("nonsense", 100)):
            (await budget.acquire("upsert", Urgency.CHANGE)).settle({name: told}, status=200)
            assert budget.limit == expected

    run(main())


@pytest.mark.parametrize("cap", [1, 2, 5])
def test_a_call_above_the_cap_goes_alone(cap: int) -> None:
    async def main() -> None:
        server = Server(limit=600, costs={"deep": 8.0, "upsert": 1.0})
        budget = TeamBudget(cap, clock=clock, wall=wall)
        await asyncio.gather(
            *(send(budget, server) for _ in range(3)),
            send(budget, server, route="deep", urgency=Urgency.BACKFILL),
        )
        at_deep = next(at for at, cost in server.arrivals if cost == 8.0)
        assert not [at for at, cost in server.arrivals if cost == 1.0 and at_deep - at < 60]

    run(main())


@pytest.mark.parametrize(
    ("change", "is_tight"),
    [
        (lambda at: at, True),
        (lambda at: at.replace(year=at.year + 1), True),  # the clock was set back
        (lambda at: at.replace(year=at.year - 1), False),  # or a year has passed
    ],
)
def test_a_restart_does_not_forget_the_last_minute(
    change: Callable[..., object], is_tight: bool
) -> None:
    async def main() -> None:
        old = TeamBudget(10, clock=clock, wall=wall)
        (await old.acquire("upsert", Urgency.CHANGE)).settle({}, status=200)
        for _ in range(4):
            (await old.acquire("upsert", Urgency.CHANGE)).settle({}, status=200)
        await old.acquire("upsert", Urgency.CHANGE)  # still in flight when the process dies
        kept = [(change(at), cost) for at, cost in old.entries()]
        assert sum(cost for _, cost in kept) == 6
        await asyncio.sleep(30)
        new = TeamBudget(10, clock=clock, wall=wall)
        new.restore(kept)  # type: ignore[arg-type]
        assert new.snapshot().spent == (6 if is_tight else 0)
        for _ in range(3):
            (await new.acquire("upsert", Urgency.CHANGE)).settle({}, status=200)
        assert clock() == 30
        if is_tight:
            assert new.try_acquire("upsert", Urgency.CHANGE) is None
            await new.acquire("upsert", Urgency.CHANGE)
            assert clock() >= 60

    run(main())


def test_kept_entries_are_few_and_never_younger_than_what_they_stand_for() -> None:
    async def main() -> None:
        budget = TeamBudget(600, clock=clock, wall=wall)
        for _ in range(500):
            (await budget.acquire("upsert", Urgency.CHANGE)).settle({}, status=200)
            await asyncio.sleep(0.1)
        kept = budget.entries()
        assert len(kept) <= 61
        assert sum(cost for _, cost in kept) == 500
        assert all(at <= wall() for at, _ in kept)

    run(main())
