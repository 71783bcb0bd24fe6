"""Several nodes on one database: whatever happens to one, every calendar is served, and by one node at a time."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import psycopg
import pytest

from tests.behaviour.command import command
from tests.daemon import Daemon, Requests, daemon_of
from tests.office import Office, open_office
from tests.people import fill, random_edit
from tests.postgres import postgres_server

TEAMS = ("acme", "globex", "initech", "umbrella")
LEASE = 2.0


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Four teams of two sellers each, whose state is on a server."""
    async with open_office(tmp_path) as opened:
        opened.state_url = postgres_server().database()
        opened.process = f'[engine]\nkind = "distributed"\nlease = "{LEASE:.0f}s"\n'
        rng = Random(5)
        for team in TEAMS:
            opened.salesloft.add_team(team)
            for number in range(2):
                seller = opened.hire(f"{team}{number}", key=team)
                fill(seller, rng, opened.clock(), singles=10, series=2)
        yield opened


def edit(office: Office, rng: Random, times: int) -> None:
    for _ in range(times):
        name = rng.choice(sorted(office.sellers))
        random_edit(office.sellers[name], rng, office.clock(), office.window(name))


@asynccontextmanager
async def nodes_of(office: Office, count: int) -> AsyncIterator[list[Daemon]]:
    """So many nodes, started."""
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(daemon_of(office, f"node{n}")) for n in range(count)
        ]
        for node in nodes:
            await node.start()
        yield nodes


def holders(office: Office) -> dict[str, str]:
    """Team → the node that holds it, as the database says."""
    try:
        with psycopg.connect(office.state_url) as connection:
            return dict(connection.execute("SELECT team, node FROM shards WHERE node IS NOT NULL"))
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return {}  # not there yet, or not at the moment


async def shared_out(office: Office, nodes: int) -> None:
    """Until all shards are held, by so many nodes, each as many as the others."""
    async with asyncio.timeout(60):
        while True:
            found = holders(office)
            each = Counter(found.values()).values()
            if len(found) >= len(TEAMS) and len(each) == nodes and max(each) - min(each) <= 1:
                return
            await asyncio.sleep(0.1)


def assert_sound(office: Office) -> None:
    assert office.salesloft.overlaps == []
    assert office.salesloft.stale_writes == []


async def test_nodes_share_the_teams_and_stop_in_order(office: Office) -> None:
    requests = Requests(office)
    async with nodes_of(office, 2) as nodes:
        await shared_out(office, 2)
        await requests.until(lambda: office.differences() == [])
        told = json.loads((await command(office, "status", "--json"))[1])
        assert [node["teams"] for node in told["nodes"]] == [2, 2]
        assert {team["users"] for team in told["teams"]} == {2}
        assert "2 teams, 4 calendars" in (await command(office, "status"))[1]
        edit(office, Random(1), 20)
        await requests.until(lambda: office.differences() == [])
        assert await nodes[0].end() == 0
        edit(office, Random(2), 20)
        await requests.until(lambda: office.differences() == [])
        assert len(set(holders(office).values())) == 1
        assert await nodes[1].end() == 0
        assert holders(office) == {}
        assert not any("Traceback" in node.log for node in nodes)
    assert_sound(office)


async def test_a_killed_node_is_replaced(office: Office) -> None:
    requests, rng = Requests(office), Random(3)
    async with nodes_of(office, 2) as nodes:
        await shared_out(office, 2)
        await requests.more(rng.randint(1, 60))
        assert await nodes[0].end(signal.SIGKILL) == -signal.SIGKILL
        edit(office, rng, 10)
        await requests.until(lambda: office.differences() == [])
        await nodes[0].start()
        await shared_out(office, 2)
        assert not any("Traceback" in node.log for node in nodes)
    assert_sound(office)


async def test_a_node_that_was_frozen_does_no_harm_when_it_is_back(office: Office) -> None:
    requests, rng = Requests(office), Random(4)
    async with nodes_of(office, 2) as nodes:
        await shared_out(office, 2)
        await requests.until(lambda: office.differences() == [])
        edit(office, rng, 20)
        await requests.more(rng.randint(1, 20))
        nodes[0].send(signal.SIGSTOP)
        edit(office, rng, 10)
        await requests.until(lambda: office.differences() == [])
        edit(office, rng, 10)
        nodes[0].send(signal.SIGCONT)
        await requests.until(lambda: office.differences() == [])
        await shared_out(office, 2)
        assert "node_lost" in nodes[0].log
        assert not any("Traceback" in node.log for node in nodes)
    assert_sound(office)


async def test_nodes_outlive_their_database(office: Office) -> None:
    requests, rng, server = Requests(office), Random(5), postgres_server()
    async with nodes_of(office, 2) as nodes:
        await shared_out(office, 2)
        await requests.until(lambda: office.differences() == [])
        for pause in (0.0, 2.5 * LEASE):
            server.stop()
            try:
                edit(office, rng, 10)
                await asyncio.sleep(
                    pause
                )  # longer than the lease: all nodes give up what they hold
            finally:
                server.start()
            await requests.until(lambda: office.differences() == [])
            await shared_out(office, 2)
        assert not any("Traceback" in node.log for node in nodes)
        for node in nodes:
            assert await node.end() == 0
    assert_sound(office)


async def test_a_new_team_is_taken_by_any_node(office: Office) -> None:
    requests = Requests(office)
    async with nodes_of(office, 2):
        await shared_out(office, 2)
        office.salesloft.add_team("hooli")
        fill(office.hire("gavin", key="hooli"), Random(6), office.clock(), singles=5, series=1)
        await requests.until(lambda: office.differences() == [])
        assert len(holders(office)) == len(TEAMS) + 1
    assert_sound(office)
