"""Many calendars on one machine for some minutes: is every change fresh within twice the poll interval?

    .venv/bin/python -m benchmarks fleet                                              # 10,000, about 20 minutes
    .venv/bin/python -m benchmarks.fleet --calendars 30000 --nodes 3 --minutes 10

With several nodes the state is on a PostgreSQL server of its own (Debian's packages), and each node is a process
`gcal-salesloft run` with the distributed engine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.arrivals import Arrivals, arrivals
from benchmarks.company import PROJECT_REQUESTS_PER_MINUTE, Company, write_configuration
from benchmarks.page import table
from benchmarks.process import (
    cpu_seconds,
    end,
    family_cpu_seconds,
    peak_bytes,
    resident_bytes,
    speaking,
)
from benchmarks.result import Benchmark, Picture, Result, Row, quantile
from tests.postgres import PostgresServer

SELLERS_A_TEAM = 200
SHARE_OF_QUOTA = 0.8
"""How full a Google project may be by polls alone; changes and early polls need the rest."""
LOOK_SECONDS = 0.5
SQLITE = "a SQLite state on disk"
POSTGRES = "one PostgreSQL server, on the same machine, that does not wait for its disk"
QUICK_PACE = 600.0
PATIENCE_INTERVALS = 4
"""How long the last changes are waited for; what has not arrived then is missing."""
SYNC_PATIENCE_SECONDS = 3600.0
SETTLED_SECONDS = 60.0
READ_SETTINGS = (
    "import time,sys;from pathlib import Path;from connector.settings.files import load_settings;"
    "a=time.process_time();n=len(load_settings(Path(sys.argv[1])).users);print(n,time.process_time()-a)"
)


@dataclass(frozen=True, slots=True)
class Drive:
    """What is driven: a company, served by so many nodes, changed for so many seconds."""

    company: Company
    nodes: int = 1
    seconds: float = 600.0
    distributed: bool = False
    """Even one node keeps its state on a server, and takes the teams as one of several would."""

    @property
    def is_alone(self) -> bool:
        return self.nodes == 1 and not self.distributed

    @property
    def interval(self) -> float:
        number, unit = re.fullmatch(r"(\d+)(s|m)", self.company.poll_interval).groups()  # type: ignore[union-attr]
        return int(number) * (60.0 if unit == "m" else 1.0)


@dataclass(slots=True)
class Outcome:
    """What a drive came to. Figures of processes are over the changes alone, unless they say otherwise."""

    drive: Drive
    occurrences: int = 0
    filled_seconds: float = 0.0
    settings_seconds: float = 0.0
    """CPU seconds to read the configuration of all sellers."""
    synced_seconds: float = 0.0
    """From the start of the nodes until Salesloft held everything."""
    synced_cpu: float = 0.0
    changes: int = 0
    watched_seconds: float = 0.0
    cpu: list[float] = field(default_factory=list)
    """Of each node, seconds."""
    resident: list[int] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)
    simulators_cpu: list[float] = field(default_factory=list)
    database_cpu: float | None = None
    arrived: Arrivals = field(default_factory=Arrivals)
    errors: Counter[str] = field(default_factory=Counter)
    """In the nodes' logs, by event."""
    google: dict[str, Any] = field(default_factory=dict)
    salesloft: dict[str, Any] = field(default_factory=dict)

    def refused(self, service: dict[str, Any]) -> int:
        """Answers that said: too much."""
        return sum(
            count
            for answer, count in service["answers"].items()
            if answer.endswith((" 429", " 403"))
        )

    def asked(self, service: dict[str, Any], route: str = "") -> int:
        return sum(n for answer, n in service["answers"].items() if answer.startswith(route))


def company_of(
    sellers: int,
    poll_interval: str,
    projects: int | None,
    *,
    teams: int | None,
    occurrences: int,
    pace: float = 1.0,
) -> Company:
    """With as many Google projects and teams as so many sellers need."""
    seconds = Drive(Company(1, 1, 1, poll_interval=poll_interval)).interval
    polls = sellers * 60 / seconds
    needed = math.ceil(polls / (PROJECT_REQUESTS_PER_MINUTE * SHARE_OF_QUOTA))
    return Company(
        sellers=sellers,
        teams=teams or max(1, math.ceil(sellers / SELLERS_A_TEAM)),
        projects=projects or needed,
        occurrences=occurrences,
        poll_interval=poll_interval,
        pace=pace,
    )


async def drive(plan: Drive, directory: Path) -> Outcome:
    """Fill both simulators, start the nodes, wait until all is synced, then change things and watch them arrive."""
    outcome = Outcome(plan)
    company = json.dumps(asdict(plan.company))
    config = directory / "config"
    config.mkdir()
    async with AsyncExitStack() as stack:
        began = time.monotonic()
        google = await stack.enter_async_context(
            speaking("benchmarks.company", "google", str(config), company)
        )
        salesloft = await stack.enter_async_context(
            speaking("benchmarks.company", "salesloft", str(config), company)
        )
        told = await google.hear()
        salesloft_url = (await salesloft.hear())["url"]
        outcome.occurrences = told["occurrences"]
        outcome.filled_seconds = time.monotonic() - began
        state, database = await stack.enter_async_context(_state(plan, directory))
        write_configuration(config, plan.company, told["url"], salesloft_url, state)
        outcome.settings_seconds = await _read_settings(config)
        _say(f"{plan.company.sellers} sellers filled in {outcome.filled_seconds:.0f} s")
        nodes = [
            await stack.enter_async_context(node(config, directory / f"node{number}.log"))
            for number in range(plan.nodes)
        ]
        pids = [one.pid for one in nodes]
        began = time.monotonic()
        while (held := (await salesloft.ask("held"))["held"]) < outcome.occurrences:
            if time.monotonic() - began > SYNC_PATIENCE_SECONDS:
                raise RuntimeError(f"{held} of {outcome.occurrences} were synced")
            _check(nodes, directory)
            await asyncio.sleep(LOOK_SECONDS)
        outcome.synced_seconds = time.monotonic() - began
        outcome.synced_cpu = sum(map(cpu_seconds, pids))
        _say(f"{outcome.occurrences} occurrences synced in {outcome.synced_seconds:.0f} s")
        _pin(plan, pids, 0)
        _pin(plan, [google.pid, salesloft.pid], 1)
        # Settled: every calendar was polled again, and the points of the initial sync are there again.
        await asyncio.sleep(min(SETTLED_SECONDS, max(plan.interval, plan.seconds)))
        watched = [*pids, google.pid, salesloft.pid, *([database] if database else [])]
        await salesloft.ask("watch")
        before, began = {pid: family_cpu_seconds(pid) for pid in watched}, time.monotonic()
        await google.ask("change", seconds=plan.seconds)
        outcome.changes = (await google.ask("changed"))["changes"]
        outcome.watched_seconds = time.monotonic() - began
        spent = {pid: family_cpu_seconds(pid) - before[pid] for pid in watched}
        outcome.cpu = [spent[pid] for pid in pids]
        outcome.simulators_cpu = [spent[google.pid], spent[salesloft.pid]]
        outcome.database_cpu = spent[database] if database else None
        outcome.resident = [resident_bytes(pid) for pid in pids]
        outcome.peak = [peak_bytes(pid) for pid in pids]
        _check(nodes, directory)
        outcome.google = await google.ask("asked")
        ended = time.monotonic()
        while True:
            outcome.salesloft = await salesloft.ask("write")
            outcome.arrived = _arrived(config)
            late = time.monotonic() - ended
            if not outcome.arrived.missing or late > PATIENCE_INTERVALS * plan.interval:
                break
            await asyncio.sleep(plan.interval / 4)
        for one in nodes:
            await end(one)
    outcome.errors = _errors(directory, plan.nodes)
    return outcome


def _arrived(directory: Path) -> Arrivals:
    changes = json.loads((directory / "changes.json").read_text())
    return arrivals(changes, json.loads((directory / "stored.json").read_text()))


def _errors(directory: Path, nodes: int) -> Counter[str]:
    """What the nodes logged as errors, by event."""
    found: Counter[str] = Counter()
    for number in range(nodes):
        for line in (directory / f"node{number}.log").read_text(errors="replace").splitlines():
            if match := re.search(r"\[error +\] (\w+)", line):
                found[match[1]] += 1
    return found


@asynccontextmanager
async def _state(plan: Drive, directory: Path) -> AsyncIterator[tuple[str, int | None]]:
    """The tables of the process in connector.toml, and the process of the database if there is one."""
    if plan.is_alone:
        yield f'[state]\nurl = "sqlite:///{directory}/state.db"', None
        return
    server = _postgres()
    try:
        server.start()
        yield f'[engine]\nkind = "distributed"\n[state]\nurl = "{server.database()}"', server.pid
    finally:
        server.remove()


def _postgres() -> PostgresServer:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        raise RuntimeError("several nodes need PostgreSQL (Debian: apt-get install postgresql)")
    return PostgresServer(found[-1].parent)


@asynccontextmanager
async def node(config: Path, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """One `gcal-salesloft run`, ended with the block."""
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "connector", "run", "--config", str(config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        await end(process)


async def _read_settings(config: Path) -> float:
    """CPU seconds that reading all files takes, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", READ_SETTINGS, str(config)), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return float(said.split()[1])


def _pin(plan: Drive, pids: list[int], core: int) -> None:
    """One node has a core to itself, the simulators share another; several nodes go where the system puts them."""
    cores = sorted(os.sched_getaffinity(0))
    if plan.is_alone and len(cores) > 1:
        for thread in (name for pid in pids for name in os.listdir(f"/proc/{pid}/task")):
            os.sched_setaffinity(int(thread), {cores[core]})


def _check(nodes: list[asyncio.subprocess.Process], directory: Path) -> None:
    for number, one in enumerate(nodes):
        if one.returncode is not None:
            log = (directory / f"node{number}.log").read_text()[-2000:]
            raise RuntimeError(f"node {number} ended with status {one.returncode}: {log}")


def _say(text: str) -> None:
    print(f"   {text}", file=sys.stderr, flush=True)


def drive_in(plan: Drive, keep: Path | None = None) -> Outcome:
    """A drive in a folder of its own, which is removed unless it is to be kept."""
    directory = keep or Path(tempfile.mkdtemp(prefix="fleet-"))
    directory.mkdir(parents=True, exist_ok=True)
    try:
        return asyncio.run(drive(plan, directory))
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)


def result_of(outcome: Outcome) -> Result:
    """Its figures; seconds are rated by the poll interval."""
    found, interval = outcome.arrived, outcome.drive.interval
    sellers = outcome.drive.company.sellers
    rows = []
    for name, share in (("half", 0.5), ("95 %", 0.95), ("99 %", 0.99), ("all", 1.0)):
        seconds = quantile(found.seconds, share)
        rows.append(Row(f"{name} of the changes arrived within", seconds, "s", seconds / interval))
    if found.of_series:
        seconds = quantile(found.of_series, 0.95)
        rows.append(
            Row(
                "95 % of the edits of series, all their occurrences",
                seconds,
                "s",
                seconds / interval,
                note=f"{len(found.of_series)} edits",
            )
        )
    rows.append(Row("occurrences that never arrived", len(found.missing), ""))
    pauses = outcome.google["longest_pauses"]
    for name, share in (("99 % of the calendars", 0.99), ("all calendars", 1.0)):
        longest = quantile(pauses, share)
        rows.append(Row(f"{name}: longest pause between polls", longest, "s", longest / interval))
    rows.append(Row("calendars that were never polled", outcome.google["unpolled"]))
    told = ", ".join(f"{count} {event}" for event, count in sorted(outcome.errors.items()))
    rows.append(Row("errors in the nodes' logs", outcome.errors.total(), note=told))
    polls = outcome.asked(outcome.google, "events.list") / outcome.watched_seconds
    rows.append(Row("polls, all calendars", polls, "a second"))
    busy = sum(outcome.cpu) / outcome.watched_seconds
    rows.append(Row("processor of the nodes together", busy, "cores"))
    if outcome.database_cpu is not None:
        share = outcome.database_cpu / outcome.watched_seconds
        rows.append(Row("processor of the database", share, "cores"))
    share = sum(outcome.simulators_cpu) / outcome.watched_seconds
    rows.append(Row("processor of the simulators", share, "cores"))
    rows.append(Row("memory of a node, the largest", max(outcome.resident) / 2**20, "MiB"))
    rows.append(Row("memory of a node at its peak", max(outcome.peak) / 2**20, "MiB"))
    rows.append(Row("configuration read, CPU", outcome.settings_seconds, "s"))
    synced = "bulk jobs take no time inside Salesloft then"
    rows.append(Row("started and synced within", outcome.synced_seconds, "s", note=synced))
    rows.append(
        Row("the same, CPU of the nodes a seller", 1000 * outcome.synced_cpu / sellers, "ms")
    )
    rows.append(
        Row(
            "busiest project, requests in any 60 s",
            outcome.google["busiest_project"],
            "",
            outcome.google["busiest_project"] / PROJECT_REQUESTS_PER_MINUTE,
        )
    )
    points = outcome.drive.company.points_per_minute
    busiest = outcome.salesloft["busiest_team"]
    rows.append(Row("busiest team, points in any 60 s", busiest, "", busiest / points))
    for name, service in (("Google", outcome.google), ("Salesloft", outcome.salesloft)):
        rows.append(Row(f"refused by {name}'s limits", outcome.refused(service), ""))
    rows.append(Row("two requests in flight for one key", outcome.salesloft["overlaps"], ""))
    return Result(tuple(rows), _facts(outcome), {"changes": _distribution(found.seconds)})


def _facts(outcome: Outcome) -> dict[str, str]:
    company, found = outcome.drive.company, outcome.arrived
    return {
        "sellers": f"{company.sellers:,}",
        "occurrences": f"{company.occurrences}",
        "all_occurrences": f"{outcome.occurrences:,}",
        "teams": f"{company.teams}",
        "points": f"{company.points_per_minute}",
        "projects": f"{company.projects}",
        "nodes": f"{outcome.drive.nodes}",
        "state": SQLITE if outcome.drive.is_alone else POSTGRES,
        "interval": company.poll_interval,
        "minutes": f"{outcome.watched_seconds / 60:.1f}",
        "changes": f"{outcome.changes:,}",
        "silent": f"{found.silent:,}",
        "taken_back": f"{found.taken_back:,}",
        "p99": f"{quantile(found.seconds, 0.99):.1f}",
        "p50": f"{quantile(found.seconds, 0.5):.1f}",
    }


def _distribution(seconds: list[float]) -> list[tuple[float, float]]:
    """The share of changes that had arrived after so many seconds, in percent; 200 points are enough."""
    if not seconds:
        return []
    ranked = sorted(seconds)
    every = max(1, len(ranked) // 200)
    points = [(at, 100 * (n + 1) / len(ranked)) for n, at in enumerate(ranked)]
    return [*points[::every], points[-1]]


ABOUT = """
{sellers} sellers with {occurrences} occurrences each in their windows, in {teams} teams of {points} points a
minute and {projects} Google projects of 10,000 requests a minute, 600 a `quotaUser`; {nodes} node(s)
({state}) poll each calendar every {interval}. Both simulators enforce every limit, in processes of their own.
After the initial sync, the workload model's first {minutes} minutes of a full hour on a working day: the
burst of ten times for three minutes, then the usual rate, no time compressed. {changes} changes were made;
{silent} of them alter nothing that Salesloft may hold (the title of an internal meeting), and {taken_back}
were taken back before anybody saw them. A change has arrived with the last of its occurrences that Salesloft
accepted. The ratio is to the poll interval; the aim is twice the interval at the 99th percentile.

Calendars are smaller here than the model's 450 occurrences, so that filling the simulators and the initial
sync do not take hours; what is polled and changed does not depend on it, apart from the edits of series.
"""
PICTURE = Picture("seconds after the change", "% of the changes")


def run(quick: bool) -> Result:
    company = (
        company_of(6, "1s", 1, teams=2, occurrences=6, pace=QUICK_PACE)
        if quick
        else company_of(10_000, "60s", None, teams=None, occurrences=10)
    )
    return result_of(drive_in(Drive(company, 1, 2.0 if quick else 600.0)))


def run_nodes(quick: bool) -> Result:
    company = (
        company_of(6, "1s", 1, teams=2, occurrences=6, pace=QUICK_PACE)
        if quick
        else company_of(30_000, "60s", None, teams=None, occurrences=8)
    )
    return result_of(drive_in(Drive(company, 2 if quick else 3, 2.0 if quick else 600.0)))


BENCHMARK = Benchmark(
    "fleet", "10,000 calendars on one machine", ABOUT, run, PICTURE, alone=True, seconds=7200
)
OF_NODES = Benchmark(
    "fleet3",
    "30,000 calendars on three nodes",
    ABOUT,
    run_nodes,
    PICTURE,
    alone=True,
    seconds=10800,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calendars", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--poll-interval", default="60s")
    parser.add_argument("--projects", type=int, help="by default as many as the quotas demand")
    parser.add_argument("--teams", type=int, help=f"by default one for {SELLERS_A_TEAM} sellers")
    parser.add_argument("--occurrences", type=int, default=40, help="in a calendar's window")
    parser.add_argument("--keep", type=Path, help="a folder for logs, state and records, kept")
    given = parser.parse_args()
    company = company_of(
        given.calendars,
        given.poll_interval,
        given.projects,
        teams=given.teams,
        occurrences=given.occurrences,
    )
    began = time.monotonic()
    result = result_of(drive_in(Drive(company, given.nodes, given.minutes * 60), given.keep))
    print(table(result.rows))
    print(json.dumps(dict(result.facts), indent=1))
    print(f"{time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
