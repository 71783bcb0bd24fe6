"""Salesloft for commands beside a daemon: clients that spend a borrowed share of the points (`sync.sharing`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from connector import salesloft
from connector.app.clock import now
from connector.salesloft import TeamBudget
from connector.settings.model import UserSettings
from connector.store import State, StatePlace, is_locked
from connector.sync.sharing import MINUTE, borrowed_name, borrowing


@asynccontextmanager
async def borrowed_clients(
    teams: Mapping[str, Sequence[UserSettings]],
    state: State,
    path: StatePlace,
    *,
    waits: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[dict[str, salesloft.SalesloftClient]]:
    """One client a team, under a budget that is the borrowed share of the team's; what is spent is kept in the state.

    `waits` is told, once, if the points have to be waited for. RetryLater if they can not be had.
    """
    caps = {
        team: min(float(user.salesloft.points_per_minute) for user in users)
        for team, users in teams.items()
    }
    async with (
        salesloft.make_session() as session,
        borrowing(state, caps, partial(is_locked, path), waits=waits) as shares,
    ):
        clients = {}
        for team, users in teams.items():
            settings = users[0].salesloft
            budget = TeamBudget(shares[team], reserve=max(user.salesloft.reserve for user in users))
            own = borrowed_name(team)
            budget.restore(await state.spent(own, now() - MINUTE - MINUTE))
            budget.keeper = partial(state.spend, own)
            clients[team] = salesloft.SalesloftClient(
                session, settings.api_url, settings.api_key.reveal, budget
            )
        try:
            yield clients
        finally:
            for client in clients.values():
                await client.budget.keep()
