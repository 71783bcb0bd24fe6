"""A served Google world with a clock that only tests move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from yarl import URL

from connector.simulator.google import Calendar, GoogleWorld, make_google_app

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
PAM = "pam.beesly@example.com"


@dataclass
class Clock:
    """The world's time."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def advance(self, **delta: float) -> None:
        self.at += timedelta(**delta)


@dataclass
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: Any

    @property
    def ids(self) -> list[str]:
        return [item["id"] for item in self.body["items"]]

    @property
    def reason(self) -> tuple[int, str]:
        return self.status, self.body["error"]["errors"][0]["reason"]


@dataclass
class Sim:
    """The world, its main calendar, and a client of it."""

    world: GoogleWorld
    clock: Clock
    calendar: Calendar
    http: aiohttp.ClientSession
    url: str
    bodies: list[tuple[str, Any]] = field(default_factory=list)

    async def call(
        self,
        method: str,
        path: str,
        *,
        user: str = PAM,
        body: Any = None,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> Answer:
        token = self.world.accounts.access_token(user)
        shown = {"Authorization": f"Bearer {token}", **(headers or {})}
        url = URL(f"{self.url}/calendar/v3/{path}", encoded=True).update_query(query)
        async with self.http.request(method, url, json=body, headers=shown) as answer:
            text = await answer.text()
            value = await answer.json() if text else None
            return Answer(answer.status, value, answer.headers)

    async def get(self, path: str, **query: Any) -> Answer:
        return await self.call("GET", path, **query)

    async def events(self, calendar: str = "primary", **query: Any) -> Answer:
        """One page of events.list."""
        return await self.get(f"calendars/{calendar}/events", **query)

    async def walk(self, **query: Any) -> tuple[list[Any], str | None]:
        """All pages: the items in order, and the sync token of the last page."""
        items: list[Any] = []
        page: dict[str, str] = {}
        for _ in range(1000):
            answer = await self.events(**query, **page)
            assert answer.status == 200, answer.body
            items += answer.body["items"]
            if "nextPageToken" not in answer.body:
                return items, answer.body.get("nextSyncToken")
            assert "nextSyncToken" not in answer.body
            page = {"pageToken": answer.body["nextPageToken"]}
        raise AssertionError("a walk of a thousand pages")

    async def token(self) -> str:
        """A sync token for everything so far."""
        _, token = await self.walk()
        assert token is not None
        return token

    async def delta(self, token: str) -> list[Any]:
        """The items of an increment."""
        items, _ = await self.walk(syncToken=token)
        return items


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def sim(clock: Clock) -> AsyncIterator[Sim]:
    world = GoogleWorld(now=clock.now, seed=7)
    calendar = world.add_calendar(PAM)
    async with TestServer(make_google_app(world)) as server:
        url = str(server.make_url("")).rstrip("/")
        world.base_url = url
        async with aiohttp.ClientSession(auto_decompress=True) as http:
            yield Sim(world, clock, calendar, http, url)


def at(text: str, zone: str = "America/New_York") -> datetime:
    """A wall-clock time of a zone."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
