"""A team that comes to a node, or goes from it: its points are those of one holder, and of who borrows from it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from connector.app.daemon import Service
from connector.app.gate import gated
from connector.app.nodes import HeldTeams
from connector.app.parts import assemble
from connector.app.to_salesloft import team_of
from connector.domain.errors import RetryLater
from connector.domain.mapping import to_millis
from connector.salesloft import TeamBudget
from connector.salesloft.budget import Urgency
from connector.settings.files import load_settings
from connector.simulator.processes import serve
from connector.store import open_database, sharing
from connector.store.fence import Fence
from connector.store.nodes import Node, Shard, View
from tests.office import open_office


@pytest.mark.parametrize(("ended_seconds_ago", "lent"), [(-30, 60.0), (30, 60.0), (90, 0.0)])
async def test_what_the_last_holder_lent_stays_lent_from_the_first_request_on(
    tmp_path: Path, ended_seconds_ago: int, lent: float
) -> None:
    async with open_office(tmp_path) as office:
        office.hire("pam")
        settings = load_settings(office.config)
        [pam] = settings.users
        team, cap = team_of(pam), pam.salesloft.points_per_minute
        nobody = replace(settings, users=())
        async with assemble(nobody, open_database(office.place), office.clock) as parts:
            until = to_millis(office.clock() - timedelta(seconds=ended_seconds_ago))
            loan = sharing.Loan("borrower", 60.0, until, granted=True)
            await parts.state.ask(lambda c: sharing.ask(c, team, loan, office.clock()))
            await parts.keep_team(pam)
            assert parts.live_budgets[team].limit == cap - lent


async def test_points_of_a_team_that_went_to_another_node_are_spent_by_nobody_here() -> None:
    """Also by who waits for some: a nightly comparison runs on for a while after its team was given away."""
    budget = TeamBudget(1)
    with await budget.acquire("GET list", Urgency.BACKFILL):
        waiting = asyncio.create_task(budget.acquire("GET list", Urgency.BACKFILL))
        await asyncio.sleep(0)
        budget.close()
        with pytest.raises(RetryLater):
            await waiting
    assert budget.try_acquire("GET list", Urgency.BACKFILL) is None
    with pytest.raises(RetryLater):
        await budget.acquire("GET list", Urgency.BACKFILL)


async def test_a_node_that_may_have_been_given_up_does_not_spend_points_by_reading() -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/", answer)
    async with serve(app) as url:
        for reads in (False, True):
            gate = gated(Fence(), reads=reads)
            async with aiohttp.ClientSession(request_class=gate) as session:
                with pytest.raises(RetryLater):
                    await session.post(url)
                if reads:
                    await session.get(url)
                else:
                    with pytest.raises(RetryLater):
                        await session.get(url)
    assert asked == ["GET"]


async def test_points_under_a_teams_former_key_are_not_taken_for_another_teams(
    tmp_path: Path,
) -> None:
    """They stand under its former name, which is a shard for a while yet; a team that another node has is another."""
    async with open_office(tmp_path) as office:
        office.hire("pam")
        settings = load_settings(office.config)
        ours = team_of(settings.users[0])
        nobody = replace(settings, users=())
        async with assemble(nobody, open_database(office.place), office.clock) as parts:
            held = HeldTeams(parts)
            held.service = Service(parts, settings, (), None)
            holders = {ours: "me", "former": "me", "left": None, "theirs": "other"}
            shards = {team: Shard(team, 1, node, 0, 1) for team, node in holders.items()}
            nodes = {name: Node(name, name, "1", 0, 0) for name in ("me", "other")}
            held.note("me", View(0, nodes, shards))
            assert set(parts.elsewhere) == {ours, "theirs"}
