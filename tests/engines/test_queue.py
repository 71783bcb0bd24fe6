"""Jobs carry offers, and no job may ever stand in the way of an offer for good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from procrastinate import App
from procrastinate.exceptions import ConnectorException

from connector.domain.errors import RetryLater
from connector.engines import queue
from connector.engines.queue import ShardQueue
from connector.engines.queue_schema import prepare_queue
from connector.store import Server
from tests.postgres import postgres_server

LEASE = 10.0


@pytest.fixture
def url() -> str:
    server = Server(postgres_server().migrated())
    prepare_queue(server)
    return server.url


class Node:
    """A node's queue; `took` has what it was offered."""

    def __init__(self, url: str, name: str) -> None:
        self.took: list[str] = []
        self.took_some, self.ended = asyncio.Event(), asyncio.Event()
        self.queue = ShardQueue(url, name, self._serve, LEASE)

    async def _serve(self, team: str, unable: list[str]) -> None:
        self.took.append(team)
        self.took_some.set()
        await self.ended.wait()

    async def offer(self, team: str, node: str | None = None) -> None:
        """As soon as its queue is open."""
        async with asyncio.timeout(30):
            while True:
                try:
                    return await self.queue.offer(team, node)
                except RetryLater:
                    await asyncio.sleep(0.05)

    async def takes(self) -> None:
        async with asyncio.timeout(30):
            await self.took_some.wait()


@asynccontextmanager
async def node_of(url: str, name: str) -> AsyncIterator[Node]:
    node = Node(url, name)
    node.queue.start()
    try:
        yield node
    finally:
        node.ended.set()
        await node.queue.stop()


async def test_a_job_that_a_living_worker_left_behind_does_not_keep_a_shard_free(url: str) -> None:
    """Its worker could not say that it is over, and gives signs of life: it never counts as stalled."""
    async with node_of(url, "one") as one, node_of(url, "two") as two:
        await one.offer("acme", "one")
        await one.takes()
        await two.offer("acme", "two")  # waits for the other one's lock
        await two.queue.rescue(["acme"], ["one", "two"])
        with psycopg.connect(url) as raw:
            assert raw.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (2,)
        await two.queue.rescue(["acme"], ["one", "two"], overdue=["acme"])
        await two.offer("acme", "two")
        await two.takes()


async def test_an_offer_that_a_living_node_does_not_take_is_withdrawn(url: str) -> None:
    async with node_of(url, "two") as two:
        await two.offer("acme", "one")  # which has no worker, for whatever reason
        await two.queue.rescue(["acme"], ["one", "two"], overdue=["acme"])
        await two.offer("acme")
        await two.takes()


async def test_a_node_has_a_worker_again_whatever_the_last_one_died_of(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the database was away just when it was to begin."""
    errors = [ConnectorException("away"), RuntimeError("unforeseen")]
    open_it = App.open_async

    def open_or_fail(self: App, *arguments: object) -> object:
        if errors:
            raise errors.pop()
        return open_it(self)

    monkeypatch.setattr(App, "open_async", open_or_fail)
    monkeypatch.setattr(queue, "AGAIN_AFTER", 0.01)
    async with node_of(url, "one") as one:
        await one.offer("acme", "one")
        await one.takes()


async def test_a_queue_that_is_stopped_while_it_opens_leaves_nothing_running(url: str) -> None:
    """Tasks of its pool swallow their end: a process that is stopped just after its start would never exit."""
    before = asyncio.all_tasks()
    queue_of_node = ShardQueue(url, "one", Node(url, "one")._serve, LEASE)
    queue_of_node.start()
    await asyncio.sleep(0)
    await queue_of_node.stop()
    assert asyncio.all_tasks() == before
