"""What several nodes do when something breaks: `python -m benchmarks.faults [FAULT …]` (as root: all of them).

Three nodes serve six teams of three sellers at simulated services, while somebody edits all the time. Then something
breaks and is mended; from that moment on nobody edits, and the time is taken until Salesloft holds exactly what the
calendars say. Counted besides: two requests under way for one key, older content over newer, and the most points that
any team was charged within 60 seconds (600 are allowed).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.daemon import Daemon
from tests.office import Office, open_office
from tests.people import fill, random_edit
from tests.postgres import PostgresServer

TEAMS, SELLERS, NODES, LIMIT = 6, 3, 3, 600
EDITS_A_SECOND = 3.0
PATIENCE = 300.0
PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path())
SPACE, NETWORK = "gcal-faults", "10.213.7"


@dataclass
class Stage:
    """Nodes, their database and the calendars of one fault."""

    office: Office
    server: PostgresServer
    nodes: list[Daemon]
    folder: Path


Fault = Callable[[Stage], Awaitable[None]]
"""Breaks something and mends it; returns when it is whole again."""


async def killed(stage: Stage) -> None:
    """kill -9 of a node, which does not come back; edits for 3 s more"""
    await stage.nodes[0].end(signal.SIGKILL)
    await asyncio.sleep(3)


async def killed_each(stage: Stage) -> None:
    """kill -9 of each node in turn, started again at once"""
    for node in stage.nodes:
        await node.end(signal.SIGKILL)
        await node.start()
        await asyncio.sleep(3)


async def frozen(stage: Stage) -> None:
    """a node frozen for a minute (SIGSTOP) and back"""
    stage.nodes[0].send(signal.SIGSTOP)
    await asyncio.sleep(60)
    stage.nodes[0].send(signal.SIGCONT)


async def restarted(stage: Stage) -> None:
    """the database killed and started again"""
    stage.server.stop()
    await asyncio.to_thread(stage.server.start)


async def away(stage: Stage) -> None:
    """the database away for 40 s"""
    stage.server.stop()
    await asyncio.sleep(40)
    await asyncio.to_thread(stage.server.start)


async def unreachable(_: Stage) -> None:
    """the database unreachable for 40 s: every packet to it is lost"""
    with packets_lost(f"{NETWORK}.2"):
        await asyncio.sleep(40)


async def cut_off(stage: Stage) -> None:
    """one node cut off from the database for 40 s: its packets are lost, it still reaches Salesloft"""
    await stage.nodes[0].end()
    config = stage.office.config / "connector.toml"
    before = config.read_text()
    config.write_text(before.replace(f"@{NETWORK}.2:", f"@{NETWORK}.3:"))
    await stage.nodes[0].start()
    await asyncio.sleep(5)
    config.write_text(before)
    with packets_lost(f"{NETWORK}.3"):
        await asyncio.sleep(40)


async def full(stage: Stage) -> None:
    """the database's disk full for 20 s"""
    ballast = stage.folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(b"0" * 65536)
            file.flush()
    await asyncio.sleep(20)
    ballast.unlink()
    stage.server.stop()  # it may have given up, or not: a fresh start is what an operator does
    await asyncio.to_thread(stage.server.start)


async def skewed(stage: Stage) -> None:
    """the nodes' clocks 10 s apart, and kill -9 of one; edits for 3 s more"""
    for node, seconds in zip(stage.nodes, ("-5", "0", "5"), strict=True):
        await node.end()
        await node.start(module=("tests.skewed", seconds))
    await asyncio.sleep(15)
    await stage.nodes[0].end(signal.SIGKILL)
    await asyncio.sleep(3)


async def spent(stage: Stage) -> None:
    """kill -9 of each node in turn while every team wants more than its 60 points a minute"""
    for node in [*stage.nodes, *stage.nodes]:
        await asyncio.sleep(10)
        await node.end(signal.SIGKILL)
        await node.start()


FAULTS: dict[str, Fault] = {
    fault.__name__.replace("_", "-"): fault
    for fault in (
        killed,
        killed_each,
        frozen,
        restarted,
        away,
        unreachable,
        cut_off,
        full,
        skewed,
        spent,
    )
}
LIMITS = {"spent": 60}
"""Points a minute where they are not the usual: then what is told last takes as long as its points."""


@contextlib.contextmanager
def packets_lost(address: str) -> Iterator[None]:
    """Packets to this address go to a machine that there is not: nobody says so."""
    device = f"{SPACE[:10]}0"
    nowhere = ("lladdr", "02:00:00:00:00:99", "dev", device, "nud", "permanent")
    _run("ip", "neigh", "replace", address, *nowhere)
    try:
        yield
    finally:
        _run("ip", "neigh", "del", address, "dev", device)


@contextlib.contextmanager
def elsewhere() -> Iterator[tuple[str, ...]]:
    """A network of its own for the database; gives what runs a command in it. Needs root."""
    here, there = f"{SPACE[:10]}0", f"{SPACE[:10]}1"
    subprocess.run(["ip", "netns", "del", SPACE], check=False, capture_output=True)
    _run("ip", "netns", "add", SPACE)
    try:
        _run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", SPACE)
        _run("ip", "addr", "add", f"{NETWORK}.1/24", "dev", here)
        _run("ip", "link", "set", here, "up")
        inside = ("ip", "netns", "exec", SPACE)
        for last in (2, 3):
            _run(*inside, "ip", "addr", "add", f"{NETWORK}.{last}/24", "dev", there)
        for device in (there, "lo"):
            _run(*inside, "ip", "link", "set", device, "up")
        yield (*inside, "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    finally:
        _run("ip", "link", "del", here)  # a namespace that is deleted lets go of its devices later
        _run("ip", "netns", "del", SPACE)


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """A folder on a disk of its own, for the server's account. Needs root."""
    folder = Path(tempfile.mkdtemp(prefix="gcal-faults-"))
    _run("mount", "-t", "tmpfs", "-o", "size=256m,mode=0777", "none", str(folder))
    try:
        yield folder
    finally:
        _run("umount", "-l", str(folder))
        folder.rmdir()


@asynccontextmanager
async def stage_of(name: str) -> AsyncIterator[Stage]:
    """Everything up and equal, before anything breaks."""
    async with AsyncExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gcal-faults-")))
        disk = stack.enter_context(small_disk()) if name == "full" else None
        if name in ("unreachable", "cut-off"):
            inside = stack.enter_context(elsewhere())
            server = PostgresServer(PROGRAMS, address=f"{NETWORK}.2", inside=inside)
        else:
            folder = disk / "server" if disk is not None else None
            if folder is not None:
                folder.mkdir()
            server = PostgresServer(PROGRAMS, folder=folder)
        stack.callback(server.remove)
        server.start()
        office = await stack.enter_async_context(open_office(place))
        office.state_url = server.database()
        office.process = '[engine]\nkind = "distributed"\n'
        limit = office.points_per_minute = LIMITS.get(name, LIMIT)
        rng = Random(1)
        for number in range(TEAMS):
            team = office.salesloft.add_team(f"team{number}")
            office.salesloft.set_limit(team, limit)
            for seller in range(SELLERS):
                fill(
                    office.hire(f"seller{number}{seller}", key=f"team{number}"),
                    rng,
                    office.clock(),
                    singles=5,
                    series=1,
                )
        nodes = [Daemon(office, place / f"node{number}.log") for number in range(NODES)]
        try:
            for node in nodes:
                await node.start()
            await equal(office)
            yield Stage(office, server, nodes, disk or place)
        finally:
            for node in nodes:
                with contextlib.suppress(ProcessLookupError):
                    node.send(signal.SIGCONT)
                    await node.end(signal.SIGKILL)
            keep = os.environ.get("GCAL_FAULTS_LOGS")
            if keep:
                shutil.copytree(place, Path(keep) / name, dirs_exist_ok=True)


async def equal(office: Office) -> float:
    """Seconds until Salesloft holds what the calendars say; raises TimeoutError."""
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        while office.differences():  # noqa: ASYNC110  # nothing tells of a difference that is gone
            await asyncio.sleep(0.2)
    return time.monotonic() - began


async def edit_on(office: Office) -> None:
    rng = Random(2)
    while True:
        name = rng.choice(sorted(office.sellers))
        random_edit(office.sellers[name], rng, office.clock(), office.window(name))
        await asyncio.sleep(1 / EDITS_A_SECOND)


async def try_out(name: str) -> tuple[str, ...]:
    """One fault's row of the table."""
    fault = FAULTS[name]
    async with stage_of(name) as stage:
        editing = asyncio.create_task(edit_on(stage.office))
        await asyncio.sleep(5)
        await fault(stage)
        editing.cancel()
        await asyncio.gather(editing, return_exceptions=True)
        try:
            fresh = f"{await equal(stage.office):.1f} s"
        except TimeoutError:
            fresh = f"NOT in {PATIENCE:.0f} s ({len(stage.office.differences())} differences)"
        salesloft = stage.office.salesloft
        peak = max(salesloft.window_peaks(f"team{number}") for number in range(TEAMS))
        tracebacks = sum(node.log.count("Traceback") for node in stage.nodes)
        return (
            str(fault.__doc__),
            fresh,
            str(len(salesloft.overlaps)),
            str(len(salesloft.stale_writes)),
            f"{peak:.0f}",
            str(tracebacks),
        )


def _run(*words: str) -> None:
    subprocess.run(words, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("faults", nargs="*", choices=[[], *FAULTS], default=[])
    wanted = parser.parse_args().faults or list(FAULTS)
    print("| fault | fresh after | overlapping | stale | most points in 60 s | tracebacks |")
    print("|---|---|---|---|---|---|")
    bad = 0
    for name in wanted:
        if name in ("unreachable", "cut-off", "full") and os.geteuid() != 0:
            print(f"| {FAULTS[name].__doc__} | not tried: needs root | | | | |")
            continue
        row = asyncio.run(try_out(name))
        print(f"| {' | '.join(row)} |", flush=True)
        over = float(row[4]) > LIMITS.get(name, LIMIT)
        bad += "NOT" in row[1] or row[2] != "0" or row[3] != "0" or over
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
