"""Requests that take too long are ended by one timer for all, and nobody else's cancellation is overheard."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from connector.domain.errors import RetryLater
from connector.domain.model import SyncToken
from connector.google import (
    CalendarRequests,
    GoogleCalendar,
    GoogleTransport,
    RequestLimiter,
    RetryPolicy,
    TokenSource,
)
from connector.google import patience as patience_module
from connector.google import transport as transport_module
from connector.google.patience import Patience
from tests.google.conftest import FakeGoogle, page


@pytest.fixture
def calendar(
    google: FakeGoogle, session: aiohttp.ClientSession, tokens: TokenSource
) -> GoogleCalendar:
    transport = GoogleTransport(
        session,
        tokens,
        RequestLimiter(1000),
        who="pam",
        policy=RetryPolicy(attempts=2, base_seconds=0.0),
    )
    return GoogleCalendar(CalendarRequests(google.url, "primary"), transport)


class Hanging:
    """A request that is never answered."""

    def __init__(self) -> None:
        self.arrived, self.end = asyncio.Event(), asyncio.Event()

    async def __call__(self, _: web.Request) -> web.StreamResponse:
        self.arrived.set()
        await self.end.wait()
        return web.Response(status=500)


async def test_a_poll_that_hangs_is_ended_and_tried_again(
    google: FakeGoogle, calendar: GoogleCalendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(patience_module, "LOOK_SECONDS", 0.01)
    hanging = Hanging()
    google.queue(hanging, page(nextSyncToken="next"), hanging, hanging)
    assert (await calendar.list_changes(SyncToken("t"))).next_token == "next"
    with pytest.raises(RetryLater, match="time-out"):
        await calendar.list_changes(SyncToken("t"))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    hanging.end.set()


async def test_who_cancels_a_poll_cancels_it(google: FakeGoogle, calendar: GoogleCalendar) -> None:
    hanging = Hanging()
    google.queue(hanging)
    poll = asyncio.create_task(calendar.list_changes(SyncToken("t")))
    await hanging.arrived.wait()
    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll
    hanging.end.set()


async def test_whoever_takes_too_long_is_cancelled_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience_module, "LOOK_SECONDS", 0.0)
    patience, forever = Patience(0.0), asyncio.Event()

    async def waiting(*, in_time: bool) -> str:
        task = asyncio.current_task()
        assert task is not None
        patience.begin(task)
        if in_time:
            assert not patience.end(task)
        try:
            await forever.wait()
        except asyncio.CancelledError:
            return "too long" if patience.end(task) else "cancelled"
        return "done"

    late, quick, late_too = (
        asyncio.create_task(waiting(in_time=one)) for one in (False, True, False)
    )
    assert await late == await late_too == "too long"
    forever.set()
    assert await quick == "done"
    assert not patience._until
    assert not patience._over
