"""The way to Salesloft: which users are one team, and a team's client with its budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache, partial
from hashlib import sha256

import aiohttp

from connector import salesloft
from connector.app.clock import Clock, now
from connector.domain.errors import RetryLater
from connector.observe.log import get_logger
from connector.observe.observer import NOBODY, Observer
from connector.settings.model import Secret, UserSettings
from connector.store import State

_log = get_logger(__name__)


def team_of(user: UserSettings) -> str:
    """A one-way name of key and address: users that share both share one budget."""
    return _team_name(user.salesloft.api_key, user.salesloft.api_url)


@lru_cache(maxsize=4096)
def _team_name(api_key: Secret, api_url: str) -> str:
    return f"{api_key.digest()}-{sha256(api_url.encode()).hexdigest()[:8]}"


async def client_of(
    team: str,
    users: Sequence[UserSettings],
    state: State,
    session: aiohttp.ClientSession,
    teams: Collection[str],
    observer: Observer = NOBODY,
    clock: Clock = now,
) -> salesloft.SalesloftClient:
    """The client and the budget of one team; of differing `points_per_minute` the smallest counts.

    What teams spent that are none of `teams` counts too: the same team's, under the key that it had before.
    """
    budget = salesloft.TeamBudget(
        min(user.salesloft.points_per_minute for user in users),
        reserve=max(user.salesloft.reserve for user in users),
        wall=clock,
    )
    since = clock() - timedelta(minutes=2)
    budget.restore(await state.spent(team, since, served=list(teams)))
    budget.keeper = partial(state.spend, team)
    first = users[0].salesloft
    answered = None if observer is NOBODY else observer.salesloft_answered
    return salesloft.SalesloftClient(session, first.api_url, first.api_key.reveal, budget, answered)


async def clients_of(
    users: Sequence[UserSettings], state: State, session: aiohttp.ClientSession
) -> dict[str, salesloft.SalesloftClient]:
    """One client a team, of all teams of these users."""
    teams: dict[str, list[UserSettings]] = defaultdict(list)
    for user in users:
        teams[team_of(user)].append(user)
    return {
        team: await client_of(team, members, state, session, list(teams))
        for team, members in teams.items()
    }


async def keep_spent(clients: Mapping[str, salesloft.SalesloftClient]) -> None:
    """At the end, what the last answers told of costs."""
    for team, client in clients.items():
        try:
            await client.budget.keep()
        except RetryLater as later:
            _log.warning("state_busy", team=team, message=str(later))
