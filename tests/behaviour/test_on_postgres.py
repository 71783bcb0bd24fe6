"""The whole program on a PostgreSQL server: what changes is only where the state is."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from tests.behaviour.command import command, process
from tests.daemon import Daemon, Requests, daemon_of
from tests.office import Office, open_office
from tests.people import fill, random_edit
from tests.postgres import postgres_server


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """An office whose state is on a server; three sellers with full calendars."""
    async with open_office(tmp_path) as opened:
        opened.state_url = postgres_server().database()
        rng = Random(5)
        for name in ("pam", "jim", "dwight"):
            fill(opened.hire(name), rng, opened.clock(), singles=60, series=6)
        yield opened


def edit(office: Office, rng: Random, times: int) -> None:
    for _ in range(times):
        name = rng.choice(sorted(office.sellers))
        random_edit(office.sellers[name], rng, office.clock(), office.window(name))


async def said_again(daemon: Daemon, word: str, before: int) -> None:
    """Until the daemon's log holds a word once more: nothing reaches the simulators meanwhile."""
    for _ in range(1200):
        if daemon.log.count(word) > before:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(word)


async def test_one_shots_deliver_all_and_then_nothing(office: Office) -> None:
    await office.once(full=True)
    assert office.differences() == []
    edit(office, Random(1), 20)
    await office.once()
    assert office.differences() == []
    told = office.told()
    await office.once()
    assert office.told() == told


async def test_a_daemon_that_is_killed_or_loses_its_server_catches_up(office: Office) -> None:
    rng, server, requests = Random(2), postgres_server(), Requests(office)
    async with daemon_of(office) as daemon:
        for _ in range(5):
            await daemon.start()
            await requests.more(rng.randint(1, 60))
            assert await daemon.end(signal.SIGKILL) == -signal.SIGKILL
            edit(office, rng, 3)
        await daemon.start()
        await requests.until(lambda: office.differences() == [])
        for _ in range(3):
            told = daemon.log.count("state_busy")
            server.stop()
            try:
                edit(office, rng, 5)
                await said_again(daemon, "state_busy", told)
            finally:
                server.start()
            await requests.until(lambda: office.differences() == [])
        assert await daemon.end() == 0
        assert "Traceback" not in daemon.log
    assert office.salesloft.overlaps == []
    assert office.salesloft.stale_writes == []


async def test_commands_work_beside_the_daemon_and_are_obeyed(office: Office) -> None:
    requests = Requests(office)
    async with daemon_of(office) as daemon, daemon_of(office) as second:
        await daemon.start()
        await requests.until(lambda: office.differences() == [])
        await second.start()
        assert await second._process.wait() == 1  # type: ignore[union-attr]
        assert "already in use by gcal-salesloft" in second.log
        some_event = next(iter(office.alive("pam")))[0]
        for words, status in (
            (("status", "--json"), 0),
            (("explain", "--user", "pam", some_event, "--json"), 0),
            (("verify", "--json"), 0),
            (("plan", "--json"), 0),
            (("state", "check", "--json"), 0),
            (("state", "backup", "--to", str(office.directory / "backup.db")), 0),
            (("dead-letters", "list"), 0),
            (("held", "list"), 0),
            (("pause", "--user", "jim"), 0),
        ):
            code, out, err = await command(office, *words)
            assert code == status, (words, out, err)
            assert "Traceback" not in err
            if "--json" in words:
                json.loads(out)
        told = len(office.google.log)
        await requests.until(lambda: polls(office, "pam", told) > 8)
        told = len(office.google.log)
        await requests.until(lambda: polls(office, "pam", told) > 3)
        assert polls(office, "jim", told) == 0
        assert (await command(office, "resume", "--user", "jim"))[0] == 0
        edit(office, Random(3), 10)
        await requests.until(lambda: office.differences() == [])
        assert await daemon.end() == 0


def polls(office: Office, name: str, since: int) -> int:
    return sum(
        entry.route == "events.list" and entry.subject == f"{name}@example.com"
        for entry in office.google.log[since:]
    )


async def test_a_state_moves_to_the_server_and_the_daemon_goes_on(office: Office) -> None:
    url, office.state_url = office.state_url, ""
    for name in office.sellers:
        office.configure(name)
    await office.once(full=True)
    code, out, err = await process(office, "state", "migrate", "--to", url)
    assert code == 0, err
    assert "are there and equal" in out
    config = office.config / "connector.toml"
    config.write_text(config.read_text().replace(f"sqlite:///{office.state}", url))
    told, read = office.told(), len(office.google.log)
    await office.once()
    assert office.told() == told
    reads = [entry for entry in office.google.log[read:] if entry.route == "events.list"]
    assert len(reads) == 3
    assert all("syncToken" in entry.query for entry in reads)
    edit(office, Random(4), 10)
    await office.once()
    assert office.differences() == []


async def test_a_server_that_is_away_is_said_in_one_line(office: Office) -> None:
    office.state_url = "postgresql://me:hunter2@localhost:1/calendar"
    for name in office.sellers:
        office.configure(name)
    for words in (("run",), ("status",), ("run", "--once"), ("pause", "--user", "jim")):
        code, out, err = await process(office, *words)
        assert code == 1, words
        assert "postgresql://localhost:1/calendar" in err
        assert "hunter2" not in out + err
        assert "Traceback" not in err
    code, out, err = await process(office, "doctor")
    assert code == 1
    assert "postgresql://localhost:1/calendar" in out
    assert "hunter2" not in out + err
