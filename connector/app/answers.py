"""Answers for people that read Google and the state: beside a running daemon, writing nothing."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime

import connector
from connector import google, salesloft
from connector.app.parts import Clock, now, seller_of, state_file, team_of
from connector.settings.model import Settings, UserSettings
from connector.store import State, open_reader
from connector.sync.explain import explain
from connector.sync.explanation import Explanation


async def explain_event(
    settings: Settings, user: UserSettings, text: str, *, live: bool, clock: Clock = now
) -> Explanation:
    """Everything known of one event of a user; `live` also asks Salesloft, which costs points."""
    async with AsyncExitStack() as stack:
        state = State(open_reader(state_file(settings)))
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
        client = None
        if live:
            session = await stack.enter_async_context(salesloft.make_session())
            budget = salesloft.TeamBudget(
                user.salesloft.points_per_minute, reserve=user.salesloft.reserve
            )
            budget.restore(await state.spent(team_of(user), datetime.fromtimestamp(0, UTC)))
            key = user.salesloft.api_key
            client = salesloft.SalesloftClient(session, user.salesloft.api_url, key.reveal, budget)
        answer = await explain(
            text,
            seller_of(user, to_google, tokens, limiter),
            state,
            now=clock(),
            origins=user.origins,
            salesloft=client,
        )
        return replace(answer, points=client.budget.spent_in_all) if client else answer
