"""Nothing is written by a node that was given up, and what it held and had in flight is there for the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from connector.domain.errors import StateUnusable
from connector.domain.model import UserGuid, UserName
from connector.store import Server, State, lock_state, nodes, open_database
from connector.store.connection import Connection
from connector.store.fence import Fence, Fenced
from connector.store.server import (
    join_server,
    lock_server,
    open_server,
    open_signs,
    session_of,
)
from tests.postgres import postgres_server

TEAM = "team-1"


@pytest.fixture
def server() -> Server:
    return Server(postgres_server().migrated())


@asynccontextmanager
async def node_of(server: Server, name: str) -> AsyncIterator[tuple[State, Fence]]:
    """A node that registered."""
    fence = Fence()
    with lock_server(server, as_node=True):
        state = State(open_server(server, fence))
        try:
            join_server(server, name, name, "1", "")
            fence.enter(name, valid_until=2**40)
            state.holder = lambda: fence.node
            yield state, fence
        finally:
            state.close()


async def take(state: State, fence: Fence, team: str = TEAM) -> int | None:
    def write(connection: Connection) -> int | None:
        version = nodes.acquire(connection, team, fence.node)
        if version is not None:
            fence.expected[team] = version
        return version

    return await state.run(write)


def last_sign(server: Server, node: str) -> dict[str, int]:
    """When this node last gave a sign of life."""
    with psycopg.connect(server.url) as raw:
        return dict(raw.execute("SELECT id, seen_ms FROM nodes WHERE id = %s", (node,)).fetchall())


async def test_a_free_shard_has_one_taker_and_each_a_higher_version(server: Server) -> None:
    async with node_of(server, "aa") as (one, fence_one), node_of(server, "bb") as (two, fence_two):
        await one.run(lambda c: nodes.add_shards(c, {TEAM: 3}))
        took = await asyncio.gather(take(one, fence_one), take(two, fence_two))
        assert sorted(took, key=str) == [1, None]
        winner, fence = (one, fence_one) if took[0] else (two, fence_two)

        def give(connection: Connection) -> None:
            nodes.release(connection, TEAM, fence.node)
            fence.expected.clear()

        await winner.run(give)
        assert await take(one, fence_one) == 2


async def test_a_node_that_was_given_up_commits_nothing(server: Server) -> None:
    async with node_of(server, "aa") as (one, fence_one), node_of(server, "bb") as (two, _):
        await one.run(lambda c: nodes.add_shards(c, {TEAM: 3}))
        await take(one, fence_one)
        seen = last_sign(server, "aa")
        older = {"aa": seen["aa"] - 1}
        assert await two.run(lambda c: nodes.reap(c, older)) == []  # it gave one since
        assert await two.run(lambda c: nodes.reap(c, seen)) == ["aa"]
        with pytest.raises(Fenced, match="given up"):
            await one.calendar(UserGuid("guid"), UserName("pam"))
        assert await two.calendars() == []
        view = await two.run(nodes.view)
        assert view.shards[TEAM].node is None


async def test_a_node_with_a_transaction_under_way_is_not_given_up(server: Server) -> None:
    """It holds its lock: what it commits now is committed before anybody else may take over."""
    async with node_of(server, "aa") as (_, fence_one), node_of(server, "bb") as (two, _):
        seen = last_sign(server, "aa")
        with psycopg.connect(server.url) as raw:
            raw.execute(
                f"SELECT pg_advisory_xact_lock_shared({nodes.NODES_LOCK}, {nodes.lock_of(fence_one.node)})".encode()
            )
            assert await two.run(lambda c: nodes.reap(c, seen)) == []
        assert await two.run(lambda c: nodes.reap(c, seen)) == ["aa"]


async def test_a_shard_taken_by_somebody_else_fences_too(server: Server) -> None:
    """Whoever changed the row: what is held must be exactly what one thinks one holds."""
    async with node_of(server, "aa") as (one, fence_one):
        await one.run(lambda c: nodes.add_shards(c, {TEAM: 3}))
        await take(one, fence_one)
        with psycopg.connect(server.url) as raw:
            raw.execute("UPDATE shards SET version = version + 1")
        with pytest.raises(Fenced):
            await one.calendars()


async def test_joining_anew_ends_what_one_was(server: Server) -> None:
    async with node_of(server, "aa") as (one, fence_one):
        await one.run(lambda c: nodes.add_shards(c, {TEAM: 3}))
        await take(one, fence_one)
        join_server(server, "cc", "cc", "1", "aa")
        fence_one.enter("cc", valid_until=2**40)
        view = await one.run(nodes.view)
        assert set(view.nodes) == {"cc"}
        assert [shard.team for shard in view.free] == [TEAM]


async def test_nodes_and_a_process_of_its_own_exclude_each_other(server: Server) -> None:
    async with node_of(server, "aa"):
        with pytest.raises(StateUnusable, match="one process on one state, or nodes alone"):
            lock_state(server).__enter__()
    with (
        lock_state(server),
        pytest.raises(StateUnusable, match="distributed"),
        lock_server(server, as_node=True),
    ):
        pass


async def test_a_process_of_its_own_clears_what_dead_nodes_left(server: Server) -> None:
    async with node_of(server, "aa") as (one, fence_one):
        await one.run(lambda c: nodes.add_shards(c, {TEAM: 3}))
        await take(one, fence_one)
    with lock_state(server):
        state = State(open_database(server))
        await state.start()
        assert (await state.run(nodes.view)).nodes == {}
        assert (await state.run(nodes.view)).shards[TEAM].node is None
        state.close()


def test_a_fence_ends_by_itself_with_its_lease() -> None:
    now = [100.0]
    fence = Fence(lambda: now[0])
    fence.enter("aa", valid_until=109.0)
    assert fence.is_valid()
    now[0] = 109.0
    assert not fence.is_valid()


async def test_a_process_that_stopped_amid_its_statements_holds_up_nobody(server: Server) -> None:
    """The server waits for the rest of them for ever, and so does whoever needs what it locked."""
    silent = session_of("elsewhere:1")
    with psycopg.connect(server.url, application_name=silent) as frozen:
        frozen.execute("INSERT INTO cursors (scope, name, value) VALUES ('a', 'b', '1')")
        async with node_of(server, "aa") as (one, _):
            blocked = asyncio.create_task(
                one.run(
                    lambda c: c.execute(
                        "INSERT INTO cursors (scope, name, value) VALUES ('a', 'b', '2')"
                    )
                )
            )
            signs = open_signs(server)
            await signs.run(lambda c: nodes.cut_off(c, [silent]))
            await blocked
            signs.close()
        with pytest.raises(psycopg.OperationalError):
            frozen.execute("SELECT 1")
        frozen.close()
