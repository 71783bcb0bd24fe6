"""Puts together what books the meetings of a team, and runs one round of each team for the one-shots."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp

from connector import google
from connector.settings.model import UserSettings
from connector.sync.bookings import Booker, RoundResult, TeamBookings

STOP_SECONDS = 8.0
_SHORT = google.RetryPolicy(attempts=2, cap_seconds=1.0, deadline_seconds=5.0)


def booker_of(
    user: UserSettings,
    calendar: int,
    session: aiohttp.ClientSession,
    pool: google.RefreshPool,
    limiter: google.RequestLimiter,
) -> tuple[Booker, google.TokenSource]:
    """What books for one user, and its token source, which the caller closes.

    `calendar` is the user's row in the state. The tokens are for writing only: where they are refused, the source for
    reading knows nothing of it.
    """
    credentials = user.google.credentials
    delegated = credentials.kind == "service_account"
    tokens = google.TokenSource(
        credentials.info,
        pool,
        kind=credentials.kind,
        subject=user.google.subject,
        scopes=(google.WRITE_SCOPE,),
        who=user.name,
    )
    quota_user = google.quota_user(user.google.subject or user.name) if delegated else None
    transport = google.GoogleTransport(
        session,
        tokens,
        limiter,
        who=user.name,
        rate_key=quota_user,
        # The next round tries again: a long wait here would hold up a stop, and the team's other meetings.
        policy=_SHORT,
    )
    requests = google.CalendarRequests(
        user.google.api_url, user.google.calendar_id, quota_user=quota_user
    )
    booker = Booker(
        name=user.name,
        user_guid=user.salesloft.user_guid,
        calendar=calendar,
        writer=google.GoogleBookings(requests, transport, send_updates=user.bookings.send_updates),
        own_addresses=frozenset(filter(None, (user.google.subject, user.google.calendar_id))),
        conference=user.bookings.conference == "hangoutsMeet",
        client_id=str(credentials.info.get("client_id", "")) if delegated else "",
        probe_every=user.sync.poll_interval,
    )
    return booker, tokens


async def rounds(teams: Sequence[TeamBookings], stopping: asyncio.Event) -> tuple[RoundResult, ...]:
    """One round of every team, at once. After `stopping` it ends within `STOP_SECONDS`."""
    running = asyncio.ensure_future(asyncio.gather(*(team.round(stopping) for team in teams)))
    stopped = asyncio.create_task(stopping.wait(), name="stop of bookings")
    try:
        await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
        # A request that was sent is finished; what waits for points or a pause is not waited for.
        _, unfinished = await asyncio.wait(
            (running,), timeout=STOP_SECONDS if stopped.done() else None
        )
    finally:
        stopped.cancel()
    if unfinished:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return ()
    return tuple(running.result())
