"""Doubles for the Google client: a scripted API on loopback, tokens without a network, a session that closes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from connector.google import (
    CalendarRequests,
    GoogleCalendar,
    GoogleTransport,
    RefreshPool,
    RequestLimiter,
    RetryPolicy,
    TokenSource,
    make_session,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
INFO = {
    "type": "authorized_user",
    "client_id": "client.apps.example.com",
    "client_secret": "not-a-secret",
    "refresh_token": "not-a-token",
}


@dataclass
class FakeGoogle:
    """A token endpoint and a Calendar API that answer what the test queued, and remember what was asked."""

    url: str = ""
    answers: list[Handler] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    token_answers: list[Handler] = field(default_factory=list)
    token_forms: list[dict[str, str]] = field(default_factory=list)

    def queue(self, *answers: Handler | dict[str, Any] | list[Any]) -> None:
        self.answers.extend(a if callable(a) else answer(a) for a in answers)

    def queue_token(self, *answers: Handler) -> None:
        self.token_answers.extend(answers)

    @property
    def queries(self) -> list[dict[str, str]]:
        return [dict(request.query) for request in self.requests]

    @property
    def bearers(self) -> list[str]:
        return [request.headers["Authorization"] for request in self.requests]

    async def api(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.answers.pop(0)(request)

    async def token(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        self.token_forms.append({key: str(value) for key, value in form.items()})
        if self.token_answers:
            return await self.token_answers.pop(0)(request)
        number = len(self.token_forms)
        return web.json_response({"access_token": f"token-{number}", "expires_in": 3599})


def answer(
    payload: Any = None, *, status: int = 200, headers: dict[str, str] | None = None
) -> Handler:
    """An answer with a JSON body, or with the bytes given."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(
            body=body, status=status, headers=headers, content_type="application/json"
        )

    return handler


def refusal(status: int, reason: str, /, **error: Any) -> Handler:
    """Google's envelope of an error."""
    return answer(refusal_body(status, reason, **error), status=status)


def refusal_body(status: int, reason: str, /, **error: Any) -> dict[str, Any]:
    return {
        "error": {
            "errors": [{"domain": "global", "reason": reason, "message": "Not for the log"}],
            "code": status,
            "message": "Not for the log",
            **error,
        }
    }


def event(event_id: str = "e1", **fields: Any) -> dict[str, Any]:
    """A plain living event as Google renders it."""
    return {
        "kind": "calendar#event",
        "id": event_id,
        "status": "confirmed",
        "iCalUID": f"{event_id}@google.com",
        "updated": "2026-03-01T10:00:00.123Z",
        "start": {"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "Europe/Berlin"},
        **fields,
    }


def page(*items: Any, **envelope: Any) -> dict[str, Any]:
    return {
        "kind": "calendar#events",
        "timeZone": "Europe/Berlin",
        "accessRole": "owner",
        "updated": "2026-03-01T10:00:00.123Z",
        "items": list(items),
        **envelope,
    }


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with make_session(version="0", connect_seconds=5, total_seconds=10) as opened:
        yield opened


@pytest.fixture
async def google() -> AsyncIterator[FakeGoogle]:
    fake = FakeGoogle()
    app = web.Application()
    app.router.add_post("/token", fake.token)
    app.router.add_route("*", "/{path:.*}", fake.api)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        fake.url = "http://{}:{}".format(*runner.addresses[0][:2])
        yield fake
    finally:
        await runner.cleanup()


@pytest.fixture
async def pool(session: aiohttp.ClientSession) -> AsyncIterator[RefreshPool]:
    opened = RefreshPool(session, workers=2)
    yield opened
    await opened.close()


@pytest.fixture
async def tokens(google: FakeGoogle, pool: RefreshPool) -> AsyncIterator[TokenSource]:
    info = {**INFO, "token_uri": f"{google.url}/token"}
    source = TokenSource(info, pool, kind="authorized_user", who="pam")
    yield source
    await source.close()


@dataclass
class Sleeps:
    """A sleep that only notes how long it would have been, and moves its clock by that."""

    seconds: list[float] = field(default_factory=list)
    now: float = 0.0

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
def transport(
    session: aiohttp.ClientSession, tokens: TokenSource, sleeps: Sleeps
) -> GoogleTransport:
    # Virtual time for the waits; the limiter shares the clock, so its pauses end with them.
    return GoogleTransport(
        session,
        tokens,
        RequestLimiter(100_000, clock=sleeps.clock),
        who="pam",
        policy=RetryPolicy(),
        sleep=sleeps,
        clock=sleeps.clock,
    )


@pytest.fixture
def calendar(google: FakeGoogle, transport: GoogleTransport) -> GoogleCalendar:
    return GoogleCalendar(CalendarRequests(google.url, "primary"), transport)
