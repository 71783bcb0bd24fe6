"""The parts of commands that only ask: users' readers and clients, without what a running connector takes in hand.

`assemble` puts back in line what a dead process had in flight, which beside a daemon would be wrong; nothing here does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp

import connector
from connector import google
from connector.app.to_google import limiters_of, project_of, seller_of
from connector.app.to_salesloft import team_of
from connector.domain.errors import (
    CredentialsRefused,
    RequestRefused,
    RetryLater,
    UserParked,
)
from connector.settings.model import Settings, UserSettings
from connector.sync.seller import Seller

UNREAD = (UserParked, RetryLater, RequestRefused)
"""What concerns one user of a command: the others are still asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One user as a command asks Google for them; `team` names whose points calls to Salesloft cost."""

    user: UserSettings
    seller: Seller
    team: str


class UnknownUser(Exception):
    """`--user` names nobody; `str()` is the message for the user."""


def only(settings: Settings, name: str | None) -> Settings:
    """The settings of one user alone, or of all. Raises UnknownUser."""
    if name is None:
        return settings
    users = tuple(user for user in settings.users if user.name == name)
    broken = tuple(one for one in settings.broken if one.name == name)
    if not users and not broken:
        names = ", ".join(user.name for user in settings.users)
        raise UnknownUser(f"no user {name} in this configuration; there are: {names}")
    return replace(settings, users=users, broken=broken)


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[tuple[Asked, ...]]:
    """Google's readers of these users; all is closed at the end."""
    async with AsyncExitStack() as stack:
        session: aiohttp.ClientSession = await stack.enter_async_context(
            google.make_session(version=connector.__version__)
        )
        pool = google.RefreshPool(session)
        stack.push_async_callback(pool.close)
        limiters = limiters_of(settings.users)
        asked = []
        for user in settings.users:
            tokens = google.TokenSource(
                user.google.credentials.info,
                pool,
                kind=user.google.credentials.kind,
                subject=user.google.subject,
                who=user.name,
            )
            stack.push_async_callback(tokens.close)
            seller = seller_of(user, session, tokens, limiters[project_of(user)])
            asked.append(Asked(user, seller, team_of(user)))
        yield tuple(asked)


def status_of_errors(errors: list[Exception], users: int) -> int:
    """0 if all could be asked, 77 if Google or Salesloft refused everybody's credentials, else 1."""
    if not errors:
        return 0
    refused = [error for error in errors if isinstance(error, UserParked | CredentialsRefused)]
    return 77 if len(refused) == users else 1
