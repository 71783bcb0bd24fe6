"""A team under virtual time: a state without a thread, a Salesloft that answers as it is told, and a budget."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from connector.domain.errors import ConnectorError, RetryLater
from connector.domain.model import EventId, ICalUid
from connector.domain.plan import Finding, Seen
from connector.salesloft import (
    Lease,
    PayloadRefused,
    StoredEvent,
    TeamBudget,
    UpsertAnswer,
    Urgency,
)
from connector.store import Database, State
from connector.store.connection import Connection
from connector.sync.delivery import TeamDelivery
from tests.domain.builders import ME, PROSPECT, an_event
from tests.salesloft.virtual_time import clock, wall
from tests.store.world import a_cycle, an_empty_state
from tests.values import replace

T = TypeVar("T")
ROUTE = "POST /v2/calendar/events/upsert"
Answer = Callable[["Request"], ConnectorError | None]


class InlineDatabase(Database):
    """Runs every function at once, on the loop's own thread. `broken` says which accesses fail."""

    def __init__(self) -> None:
        self._connection = an_empty_state()
        self.broken: Callable[[int], bool] = lambda _: False
        self.accesses = 0

    async def run(self, function: Callable[[Connection], T]) -> T:
        await asyncio.sleep(0)
        self.accesses += 1
        if self.broken(self.accesses):
            raise RetryLater("state in memory: cannot be written now")
        self._connection.execute("BEGIN")
        try:
            result = function(self._connection)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return result

    def close(self, last: Callable[[Connection], object] | None = None) -> None:
        if last is not None:
            last(self._connection)
        self._connection.close()

    def rows(self, table: str) -> list[dict[str, Any]]:
        cursor = self._connection.execute(f"SELECT * FROM {table}")  # noqa: S608
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


@dataclass
class Request:
    """One upsert as it arrived. `number` counts those of its event."""

    at: float
    event: str
    number: int
    body: dict[str, Any]
    ended: float | None = None


@dataclass
class Team:
    """`answers` decides for each request: None is success, an error is raised. Every request takes a second."""

    answers: Answer = lambda _: None
    points: float = 100_000
    seconds: float = 1.0
    database: InlineDatabase = field(default_factory=InlineDatabase)
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.budget = TeamBudget(self.points, reserve=0, clock=clock, wall=wall)
        self.state = State(self.database)
        self.stopping = asyncio.Event()
        self.delivery = TeamDelivery(
            "team", self, self.state, timedelta(seconds=2), wall, calendars={1}
        )

    # What delivery asks of its client

    async def lease_upsert(self) -> Lease:
        return await self.budget.acquire(ROUTE, Urgency.CHANGE)

    def try_lease_upsert(self) -> Lease | None:
        return self.budget.try_acquire(ROUTE, Urgency.CHANGE)

    def is_short(self) -> bool:
        return self.budget.is_short()

    def spent(self) -> Sequence[tuple[datetime, float]]:
        return self.budget.entries()

    async def upsert(self, body: bytes, lease: Lease) -> UpsertAnswer:
        decoded = json.loads(body)
        event = decoded["id"]
        number = 1 + sum(request.event == event for request in self.requests)
        request = Request(clock(), event, number, decoded)
        assert all(r.ended is not None for r in self.requests if r.event == event), "two at once"
        self.requests.append(request)
        await asyncio.sleep(self.seconds)
        request.ended = clock()
        lease.settle({"X-RateLimit-Remaining-Minute": "1000000"}, status=200)
        error = self.answers(request)
        if error is not None:
            raise error
        return UpsertAnswer("create", StoredEvent(), None, "r-1", 1.0)

    # What tests do

    async def commit(self, *findings: Finding, backfill: Collection[str] = ()) -> None:
        await self.state.commit(a_cycle(*findings, now=wall(), backfill=frozenset(backfill)))
        self.delivery.wake()

    async def put(self, *names: str, title: str = "Pitch") -> None:
        """Events wait to be sent, the first one the most urgent."""
        await self.commit(*[an_upsert(name, title) for name in names])

    def sent(self) -> list[str]:
        return [request.event for request in self.requests]

    def waiting(self) -> list[str]:
        return [row["event_id"] for row in self.database.rows("outbox")]

    def dead(self) -> list[str]:
        return [row["event_id"] for row in self.database.rows("dead_letters")]

    async def until(self, reached: Callable[[], bool], within: float = 4000.0) -> None:
        """Let time pass until something holds."""
        end = clock() + within
        while not reached():
            assert clock() < end, "it never came"
            await asyncio.sleep(0.1)


def an_upsert(name: str, title: str = "Pitch") -> Seen:
    event = an_event(ME, PROSPECT, id=EventId(name), ical_uid=ICalUid(name), summary=title)
    return Seen(replace(event, updated=None))


def refusing(*fields: str) -> PayloadRefused:
    return PayloadRefused(
        "Salesloft refused it with 422",
        status=422,
        reason=f"{' '.join(fields)} is wrong",
        request_id="r-422",
        fields=frozenset(fields),
    )
