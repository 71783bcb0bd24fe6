"""A node's tenures: whatever becomes of the queue's jobs, what it holds is served, and what it does not is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, ClassVar, cast

import psycopg
import pytest
from procrastinate import App
from procrastinate.exceptions import ConnectorException

from connector.engines import distributed
from connector.engines.distributed import DatabaseClock, DistributedEngine, join
from connector.engines.queue import ShardQueue
from connector.store import Server, State
from connector.store.fence import Fence, boot_seconds
from connector.store.nodes import View
from connector.store.server import join_server, lock_server, open_server
from tests.postgres import postgres_server

LEASE = timedelta(seconds=2)
Serve = Callable[[str, list[str]], Awaitable[None]]


class Local:
    """Runs until it is stopped; a task that failed stops it, as the local engine does."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.ended = asyncio.Event()

    state: State

    async def run(self, stopping: asyncio.Event) -> None:
        self.stopping = stopping
        await stopping.wait()
        self.ended.set()
        if self.failure is not None:
            raise self.failure

    def watch(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = error
            self.stopping.set()


class Service:
    """Teams of two users each. `served` are those that are served, `let_go` what became of others."""

    def __init__(self, *teams: str) -> None:
        self.configured = dict.fromkeys(teams, 2)
        self.served: set[str] = set()
        self.changed = asyncio.Event()
        self.error: Exception | None = None
        self.left: Collection[int] = ()
        self.engine: DistributedEngine

    def teams(self) -> Mapping[str, int]:
        return self.configured

    def held(self) -> Mapping[str, int]:
        return dict.fromkeys(self.served, 2)

    def projects(self) -> Mapping[str, int]:
        return {}

    async def serve(self) -> None:
        if self.error is not None:
            raise self.error
        self.served = {team for team in self.configured if self.engine.holds(team)}
        self.changed.set()

    async def let_go(self, team: str, *, at_once: bool) -> Collection[int]:
        self.served.discard(team)
        return self.left

    def note(self, node: str, view: View) -> None:
        self.changed.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not reached():
                self.changed.clear()
                await self.changed.wait()


class Queue:
    """Does each job at once; `jobs` are those under way, by team. `offering` is awaited by each offer."""

    made: ClassVar[list[Queue]]

    def __init__(self, url: str, node: str, serve: Serve, lease: float) -> None:
        self.node, self._serve = node, serve
        self.jobs: dict[str, asyncio.Task[None]] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.made.append(self)

    def start(self) -> None: ...

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def offer(self, team: str, node: str | None = None, unable: Any = ()) -> None:
        await self.offering(team)
        if node in (None, self.node) and (team not in self.jobs or self.jobs[team].done()):
            self.jobs[team] = asyncio.create_task(cast(Any, self._serve(team, list(unable))))
            self.tasks.append(self.jobs[team])
            await self.offered(team)

    async def offering(self, team: str) -> None: ...

    async def offered(self, team: str) -> None: ...

    async def rescue(self, *_: object) -> None: ...


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> type[Queue]:
    """The queue that the next node gets; its methods may be replaced."""

    class OfTest(Queue):
        made: ClassVar[list[Queue]] = []

    monkeypatch.setattr(distributed, "ShardQueue", OfTest)
    return OfTest


@asynccontextmanager
async def node_of(server: Server, service: Service) -> AsyncIterator[Local]:
    """A node that runs; raises what it died of."""
    fence, clock, local = Fence(), DatabaseClock(), Local()
    with lock_server(server, as_node=True):
        local.state = state = State(open_server(server, fence))
        await join(server, fence, "one", "1", LEASE, clock)
        service.engine = DistributedEngine(
            cast(Any, local),
            service,
            state,
            server,
            fence,
            clock,
            name="one",
            version="1",
            lease=LEASE,
        )
        stopping = asyncio.Event()
        running = asyncio.create_task(service.engine.run(stopping))
        try:
            yield local
            stopping.set()
            await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            state.close()


async def test_a_shard_is_served_though_its_job_was_cancelled_while_it_was_taken(
    queues: type[Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue gives up its jobs when its own connection breaks: the row may be taken all the same."""
    cancelled: list[str] = []

    async def cancel_first(self: Queue, team: str) -> None:
        if not cancelled:
            cancelled.append(team)
            await asyncio.sleep(0)  # it asks for the shard now
            self.jobs[team].cancel()

    monkeypatch.setattr(queues, "offered", cancel_first)
    service = Service("acme")
    async with node_of(Server(postgres_server().migrated()), service):
        await service.until(lambda: service.served == {"acme"})
        assert cancelled


async def test_a_shard_may_be_given_away_while_others_are_looked_after(
    queues: type[Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, service = Server(postgres_server().migrated()), Service("globex")
    async with node_of(server, service) as local:
        await service.until(lambda: service.served == {"globex"})
        service.configured["acme"] = 2
        await service.until(lambda: service.served == {"globex", "acme"})
        blocked = asyncio.Event()

        async def wait_for_release(self: Queue, team: str) -> None:
            blocked.set()
            await service.until(lambda: service.served == {"globex"})
            while service.engine._tenures.has("acme"):  # noqa: ASYNC110  # nothing tells of its end
                await asyncio.sleep(0.01)

        monkeypatch.setattr(queues, "offering", wait_for_release)
        for job in queues.made[0].jobs.values():
            job.cancel()
        async with asyncio.timeout(20):
            await blocked.wait()
        join_server(server, "two", "two", "1", "")
        await service.until(lambda: service.served == {"globex"})
        monkeypatch.setattr(queues, "offering", Queue.offering)
        await service.until(lambda: not queues.made[0].jobs["globex"].done())
        assert local.failure is None


async def test_what_cannot_be_served_for_a_reason_nobody_foresaw_ends_the_process(
    queues: type[Queue],
) -> None:
    """The queue hides what its jobs die of: a team that is held and not served must not go unnoticed."""
    service = Service("acme")
    service.error = KeyError("unforeseen")
    with pytest.raises(KeyError, match="unforeseen"):
        async with (
            node_of(Server(postgres_server().migrated()), service) as local,
            asyncio.timeout(20),
        ):
            await local.ended.wait()


async def test_a_long_transaction_costs_no_node_its_life(queues: type[Queue]) -> None:
    """A bulk job of thousands of records is settled in one; and a command that waits for it makes all nodes wait."""
    server, service = Server(postgres_server().migrated()), Service("acme")
    async with node_of(server, service) as local:
        await service.until(lambda: service.served == {"acme"})
        before = holders(server)
        long = LEASE.total_seconds() * 2
        writing = asyncio.create_task(
            local.state.run(lambda c: c.execute(f"SELECT pg_sleep({long})"))
        )
        command = asyncio.create_task(asyncio.to_thread(decide, server))
        await asyncio.gather(writing, command)
        assert holders(server) == before
        assert service.served == {"acme"}


def decide(server: Server) -> None:
    """As a command does, that is serialised with everything else."""
    database = open_server(server)
    asyncio.run(database.run(lambda _: None))
    database.close()


async def test_what_a_team_left_in_flight_is_in_line_again_when_it_is_given_away(
    queues: type[Queue],
) -> None:
    """Its answer took longer than a give waits; as long as this node lives, nobody else can tell that it is over."""
    server, service = Server(postgres_server().migrated()), Service("acme")
    async with node_of(server, service) as local:
        await service.until(lambda: service.served == {"acme"})
        with psycopg.connect(server.url) as raw:
            for calendar in (1, 2):  # the second is another team's, and still served here
                raw.execute(
                    "INSERT INTO calendars (id, user_guid, name) VALUES (%s, %s, %s)",
                    (calendar, f"guid-{calendar}", f"user-{calendar}"),
                )
                raw.execute(
                    """INSERT INTO outbox (calendar_id, event_id, ical_uid, updated_ms, fingerprint, payload, start_ms,
                           end_ms, prospect, cancels, backfill, attempted, in_flight, attempts, next_attempt_ms,
                           queued_ms, claimed_by)
                       SELECT %s, 'event', 'uid', 1, 'f', '', 0, 0, FALSE, FALSE, FALSE, 1, TRUE, 0, 0, 0, id
                       FROM nodes""",
                    (calendar,),
                )
        service.left = {1}
        del service.configured["acme"]
        service.served.clear()
        while holders(server):  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.05)
        with psycopg.connect(server.url) as raw:
            found = raw.execute("SELECT calendar_id, in_flight FROM outbox ORDER BY 1").fetchall()
        assert found == [(1, False), (2, True)]
        assert local.failure is None


def holders(server: Server) -> Sequence[object]:
    with psycopg.connect(server.url) as raw:
        return raw.execute("SELECT node FROM shards WHERE node IS NOT NULL").fetchall()


async def test_a_database_whose_clock_is_set_costs_no_living_node_its_life(
    queues: type[Queue],
) -> None:
    """Or one that a failover put in its place: the first to see it must not take all others for dead."""
    server, service = Server(postgres_server().migrated()), Service("acme")
    async with node_of(server, service):
        await service.until(lambda: service.served == {"acme"})
        began = boot_seconds()
        join_server(server, "two", "two", "1", "")
        with psycopg.connect(server.url) as raw:  # its last sign seems an hour old
            raw.execute("UPDATE nodes SET seen_ms = seen_ms - 3600000 WHERE id = 'two'")
        while len(living(server)) > 1:  # noqa: ASYNC110  # it gives no sign, and is dead in the end
            await asyncio.sleep(0.05)
        assert boot_seconds() - began > LEASE.total_seconds()


def living(server: Server) -> Sequence[object]:
    with psycopg.connect(server.url) as raw:
        return raw.execute("SELECT id FROM nodes").fetchall()


async def test_a_queue_stops_though_its_worker_ends_of_a_lost_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that is cancelled says goodbye to the database first, and may end by that error instead."""
    runs, running = [], asyncio.Event()

    async def run_worker(self: App, **_: object) -> None:
        runs.append(1)
        running.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectorException from None

    async def nothing(_: object) -> None:
        return None

    monkeypatch.setattr(App, "run_worker_async", run_worker)
    monkeypatch.setattr(App, "open_async", nothing)
    monkeypatch.setattr(App, "close_async", nothing)

    async def serve(team: str, unable: list[str]) -> None:
        raise AssertionError((team, unable))

    queue = ShardQueue("postgresql://localhost:1/nowhere", "aa", serve, 10.0)
    queue.start()
    await running.wait()
    async with asyncio.timeout(30):
        await queue.stop()
    assert runs == [1]
