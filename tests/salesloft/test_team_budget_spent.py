"""What a process spent in all, for the summary of a one-shot."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from connector.salesloft import TeamBudget, Urgency
from tests.salesloft.test_team_budget_limits import send
from tests.salesloft.virtual_time import Server, clock, run, wall


def test_spent_in_all_outlives_the_minute() -> None:
    async def main() -> None:
        server, budget = Server(), TeamBudget(600, clock=clock, wall=wall)
        for _ in range(3):
            await send(budget, server)
            await asyncio.sleep(100)
        assert budget.snapshot().spent == 0
        assert budget.spent_in_all == 3

    run(main())


def test_spent_in_all_counts_what_the_headers_say() -> None:
    async def main() -> None:
        budget = TeamBudget(600, clock=clock, wall=wall)
        with await budget.acquire("list", Urgency.CHANGE) as lease:
            lease.settle({"X-RateLimit-Endpoint-Cost": "8"}, status=200)
        assert budget.spent_in_all == 8

    run(main())


def test_spent_in_all_counts_lost_requests_and_no_refunds() -> None:
    async def main() -> None:
        budget = TeamBudget(600, clock=clock, wall=wall)
        with await budget.acquire("upsert", Urgency.CHANGE) as lost:
            lost.settle(None)
        (await budget.acquire("upsert", Urgency.CHANGE)).refund()
        assert budget.spent_in_all == 1

    run(main())


def test_spent_in_all_is_of_this_process_only() -> None:
    async def main() -> None:
        server, budget = Server(), TeamBudget(600, clock=clock, wall=wall)
        budget.restore([(wall() - timedelta(seconds=10), 40.0)])
        await send(budget, server)
        assert budget.snapshot().spent == 41
        assert budget.spent_in_all == 1

    run(main())
