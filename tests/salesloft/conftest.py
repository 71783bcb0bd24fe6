"""A scripted Salesloft on loopback, and a client of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import stamina
from aiohttp import web
from aiohttp.test_utils import TestServer

from connector.salesloft import SalesloftClient, TeamBudget, make_session

KEY = "key-of-nobody"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Loopback:
    """Answers what the test queued, in that order, and remembers what was asked."""

    url: str = ""
    answers: list[Handler] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(
            Asked(
                request.method,
                request.path,
                list(request.query.items()),
                dict(request.headers),
                body,
            )
        )
        assert self.answers, f"nothing queued for {request.method} {request.path}"
        return await self.answers.pop(0)(request)

    def then(
        self, body: Any = None, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        """Queue a JSON answer."""

        async def answer(_: web.Request) -> web.StreamResponse:
            return web.json_response(
                body, status=status, headers={"x-request-id": "req-1", **(headers or {})}
            )

        self.answers.append(answer)

    def then_raw(
        self, body: bytes, *, status: int = 200, content_type: str = "application/json", **more: str
    ) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            headers = {"x-request-id": "req-1", **more}
            return web.Response(
                body=body, status=status, content_type=content_type, headers=headers
            )

        self.answers.append(answer)

    def then_reset(self) -> None:
        """Read the request, then break the connection without an answer."""

        async def answer(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        self.answers.append(answer)

    def then_cut(self, body: bytes, *, promised: int, status: int = 201) -> None:
        """Send less than the headers promise."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(
                status=status,
                headers={"Content-Length": str(promised), "x-request-id": "req-cut"},
            )
            await response.prepare(request)
            await response.write(body)
            assert request.transport is not None
            request.transport.close()
            return response

        self.answers.append(answer)


@pytest.fixture
async def salesloft() -> AsyncIterator[Loopback]:
    loopback = Loopback()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{tail:.*}", loopback.handle)
    async with TestServer(app) as server:
        loopback.url = str(server.make_url("/"))
        yield loopback


@pytest.fixture
def budget() -> TeamBudget:
    return TeamBudget(600)


@pytest.fixture
async def client(salesloft: Loopback, budget: TeamBudget) -> AsyncIterator[SalesloftClient]:
    async with make_session() as session:
        yield SalesloftClient(session, salesloft.url, lambda: KEY, budget)


@pytest.fixture
def no_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield
