"""A served world with a clock that only tests move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from connector.simulator.processes import serve
from connector.simulator.salesloft import SalesloftWorld, StoredEvent, make_salesloft_app
from connector.simulator.salesloft.people import SalesloftUser, Team

KEY = "key-of-the-team"
START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@dataclass
class Clock:
    """Wall and monotonic time, moved together."""

    wall: datetime = START
    seconds: float = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds)


@dataclass
class Answer:
    status: int
    body: Any
    headers: Any


@dataclass
class Sim:
    """The world, its team and user, and a client of it."""

    world: SalesloftWorld
    clock: Clock
    team: Team
    user: SalesloftUser
    http: aiohttp.ClientSession
    url: str
    defaults: dict[str, Any] = field(default_factory=dict)

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str = KEY, **query: str
    ) -> Answer:
        headers = {"Authorization": f"Bearer {key}"}
        async with self.http.request(
            method, f"{self.url}{path}", json=body, params=query, headers=headers
        ) as response:
            return Answer(response.status, await response.json(), response.headers)

    def event(self, **fields: Any) -> dict[str, Any]:
        """A complete upsert; `fields` replace, `...` leaves out."""
        body = {
            "calendar_id": self.user.calendar_id,
            "id": "event1",
            "i_cal_uid": "event1@example.com",
            "start_time": "2026-11-03T10:00:00-05:00",
            "end_time": "2026-11-03T11:00:00-05:00",
            **fields,
        }
        return {name: value for name, value in body.items() if value is not ...}

    async def upsert(self, **fields: Any) -> Answer:
        return await self.call("POST", "/v2/calendar/events/upsert", self.event(**fields))

    def stored(self, event_id: str = "event1") -> StoredEvent:
        found = self.world.events(self.user.calendar_id)
        return next(event for key, event in found.items() if key[0] == event_id)


@pytest.fixture
async def sim() -> AsyncIterator[Sim]:
    clock = Clock()
    world = SalesloftWorld(now=clock.now, monotonic=clock.monotonic, seed=7)
    team = world.add_team(KEY)
    user = world.add_user(team, "pam.beesly@example.com")
    async with serve(make_salesloft_app(world)) as url, aiohttp.ClientSession() as http:
        yield Sim(world, clock, team, user, http, url)
