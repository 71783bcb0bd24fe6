"""Answers for people, beside a running daemon. Nothing is written but the points of asking Salesloft."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import connector
from connector import google, salesloft
from connector.app.borrowed import borrowed_clients
from connector.app.clock import Clock, now
from connector.app.opening import state_place
from connector.app.to_google import seller_of
from connector.app.to_salesloft import team_of
from connector.domain.errors import RetryLater, StateUnusable
from connector.settings.model import Settings, UserSettings
from connector.store import State, StatePlace, open_database, open_reader
from connector.sync.explain import explain
from connector.sync.explanation import Explanation


async def explain_event(
    settings: Settings,
    user: UserSettings,
    text: str,
    *,
    live: bool,
    clock: Clock = now,
    waits: Callable[[str], None] = lambda _: None,
) -> Explanation:
    """Everything known of one event of a user; `live` also asks Salesloft, which costs points of a borrowed share.

    `waits` is told, once, if those points have to be waited for.
    """
    path = state_place(settings)
    async with AsyncExitStack() as stack:
        state = State(open_reader(path))
        stack.callback(state.close)
        to_google = await stack.enter_async_context(
            google.make_session(version=connector.__version__)
        )
        pool = google.RefreshPool(to_google)
        stack.push_async_callback(pool.close)
        tokens = google.TokenSource(
            user.google.credentials.info,
            pool,
            kind=user.google.credentials.kind,
            subject=user.google.subject,
            who=user.name,
        )
        stack.push_async_callback(tokens.close)
        limiter = google.RequestLimiter(user.google.requests_per_minute)
        client, note = None, None
        if live:
            try:
                client = await stack.enter_async_context(_borrowed(user, path, waits))
            except (RetryLater, StateUnusable) as error:
                note = f"Salesloft was not asked: {error}"
        answer = await explain(
            text,
            seller_of(user, to_google, tokens, limiter),
            state,
            now=clock(),
            origins=user.origins,
            salesloft=client,
        )
        if note is not None:
            answer = replace(answer, notes=(*answer.notes, note))
        return replace(answer, points=client.budget.spent_in_all) if client else answer


@asynccontextmanager
async def _borrowed(
    user: UserSettings, path: StatePlace, waits: Callable[[str], None]
) -> AsyncIterator[salesloft.SalesloftClient]:
    """A client that spends what the daemon lends: what is spent counts, so the state is opened for that."""
    loans = State(open_database(path))
    try:
        team = team_of(user)
        async with borrowed_clients({team: [user]}, loans, path, waits=waits) as clients:
            yield clients[team]
    finally:
        loans.close()
