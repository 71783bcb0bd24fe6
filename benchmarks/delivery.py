"""What one team's points buy: a burst of 6,000 changes under 600 points a minute.

    .venv/bin/python -m benchmarks delivery          # about 16 minutes

Both simulators run in this process and count strictly: what exceeds 600 points in 60 s is answered 429. The program is
the real one, in a process of its own; compared are bulk jobs, single calls, and single calls in the order in which the
changes were found.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from benchmarks.result import Benchmark, Result, Row
from connector.observe.log import configure_logging
from tests.daemon import Requests
from tests.office import KEY, Office, open_office
from tests.people import COLLEAGUES, PROSPECTS

SELLERS = 25
POINTS_PER_MINUTE = 600
SOON = timedelta(hours=24)
MINUTE = 61.0
"""Seconds after which nothing weighs any more that was spent before."""
LONGEST = 11 * 60.0
LOOK_EVERY = 0.25
ONE_BY_ONE = "bulk_threshold = 1000000\n"
BULK, SINGLY, FIFO = "as it is, in bulk from 200", "all singly", "first in, first out, singly"
WAYS = {
    BULK: ("connector", ""),
    SINGLY: ("connector", ONE_BY_ONE),
    FIFO: ("benchmarks.fifo", ONE_BY_ONE),
}
"""How it is delivered → the module that runs, and the end of every user's file."""
ABOUT = """
{sellers} sellers with ten daily series of 24 meetings and 20 attendees each. All series are renamed at the
same moment: {changed} occurrences change, {soon} of them start within 24 hours. The daemon polls each second
(add what your `poll_interval` is longer), a bulk job takes Salesloft 2 ms a record, and Salesloft answers 429
to whatever exceeds 600 points in any 60 seconds. Seconds count from the first edit; the aim is 60 s for what
starts within 24 hours. Where meetings are sent singly, only those are waited for.

Not more than 559 of 600 points are spent in a minute: 5 % of the team's limit are left to its other tools
(`[salesloft] reserve`), 2 % to bookings and banners. *First in, first out* is the same program with one line
of SQL replaced (`benchmarks/fifo.py`).
"""
Titles = Mapping[str, Mapping[str, str]]
"""Seller → event id → the title that Salesloft must show."""


@dataclass(frozen=True, slots=True)
class Burst:
    """What one burst came to, in seconds from the first edit."""

    name: str
    changed: int
    soon: int
    soon_right: float | None
    cpu_until_soon: float | None
    """The program's own seconds of processor until then: the machine may have other work."""
    all_right: float | None
    watched: float
    points: int
    most_in_a_minute: int
    limited: int

    def shown(self, seconds: float | None) -> tuple[float | str, str]:
        """So many seconds, or that it took longer than anybody looked."""
        return (f"more than {self.watched:.0f}" if seconds is None else seconds), "s"


async def measure(ways: Sequence[str], sellers: int, *, wait: float) -> Result:
    configure_logging()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    bursts = [await burst(way, sellers, wait) for way in ways]
    rows = []
    for one in bursts:
        rows += [
            Row(f"{one.name}: what starts within 24 h is right after", *one.shown(one.soon_right)),
            Row(f"{one.name}: of it the program's own, CPU", *one.shown(one.cpu_until_soon)),
            Row(f"{one.name}: everything is right after", *one.shown(one.all_right)),
            Row(f"{one.name}: points until then", one.points),
            Row(
                f"{one.name}: points in any 60 s",
                one.most_in_a_minute,
                "",
                one.most_in_a_minute / POINTS_PER_MINUTE,
            ),
            Row(f"{one.name}: answers 429", one.limited),
        ]
    facts = {
        "sellers": str(sellers),
        "changed": f"{bursts[0].changed:,}",
        "soon": f"{bursts[0].soon}",
    }
    return Result(tuple(rows), facts)


@asynccontextmanager
async def strict_office() -> AsyncIterator[Office]:
    with tempfile.TemporaryDirectory() as directory:
        async with open_office(Path(directory)) as office:
            office.points_per_minute = POINTS_PER_MINUTE
            office.salesloft.set_limit(KEY, POINTS_PER_MINUTE)
            office.salesloft.switches.bulk_seconds_per_record = 0.0
            yield office


async def burst(name: str, sellers: int, wait: float) -> Burst:
    """Sellers with ten daily series of 24 meetings: 6,000 occurrences, 250 within 24 h. All are edited at once."""
    module, extra = WAYS[name]
    async with strict_office() as office:
        series = hire_all(office, sellers)
        await office.once(full=True)
        for file in (office.config / "users").glob("*.toml"):
            file.write_text(file.read_text() + extra)  # its last table is [salesloft]
        print(f"{name}: synced; waiting for a minute without points", file=sys.stderr, flush=True)
        await asyncio.sleep(wait)
        # Time that a job takes in Salesloft belongs to what a seller waits for: the default of the simulator.
        office.salesloft.switches.bulk_seconds_per_record = 0.002
        requests = Requests(office)
        daemon = await start(office, module)
        try:
            await requests.more(3 * sellers)  # it runs, and polls
            return await watch(name, office, series, daemon.pid)
        finally:
            daemon.terminate()
            await daemon.wait()


def hire_all(office: Office, sellers: int) -> list[tuple[str, str]]:
    """The sellers, and their series as (seller, series id)."""
    hour = office.clock().replace(minute=0, second=0, microsecond=0)
    people = PROSPECTS + COLLEAGUES + [f"guest{n}@customer.example.org" for n in range(16)]
    series = []
    for seller in range(sellers):
        calendar = office.hire(f"seller{seller}")
        for number in range(10):
            start = hour + timedelta(hours=1 + 2 * number, minutes=2 * seller)
            series.append(
                (
                    f"seller{seller}",
                    calendar.create_series(
                        f"Series {number}",
                        start,
                        rule="FREQ=DAILY;COUNT=24",
                        attendees=[{"email": email} for email in people],
                    ),
                )
            )
    return series


async def watch(name: str, office: Office, series: list[tuple[str, str]], daemon: int) -> Burst:
    """Edit everything, then look until all is right; without bulk jobs until what is soon is right."""
    log, began, now = len(office.salesloft.log), time.perf_counter(), office.clock()
    for seller, series_id in series:
        office.sellers[seller].edit_all(series_id, summary=f"Changed {series_id}")
    soon, everything = titles(office, now, now + SOON), titles(office, now, now + 30 * SOON)
    soon_right = all_right = cpu = None
    seconds, cpu_before = 0.0, cpu_seconds(daemon)
    while seconds < LONGEST and all_right is None:
        await asyncio.sleep(LOOK_EVERY)
        seconds = time.perf_counter() - began
        if soon_right is None and right(office, soon):
            soon_right, cpu = seconds, cpu_seconds(daemon) - cpu_before
            if name != BULK:
                break
        if soon_right is not None and right(office, everything) and not office.differences():
            all_right = seconds
    return Burst(
        name=name,
        changed=sum(len(of_seller) for of_seller in everything.values()),
        soon=sum(len(of_seller) for of_seller in soon.values()),
        soon_right=soon_right,
        cpu_until_soon=cpu,
        all_right=all_right,
        watched=seconds,
        points=sum(entry.cost for entry in office.salesloft.log[log:]),
        most_in_a_minute=office.salesloft.window_peaks(KEY),
        limited=limited(office),
    )


def cpu_seconds(process: int) -> float:
    """What a process took of the processors so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def titles(office: Office, start: datetime, end: datetime) -> Titles:
    return {
        name: {seen.id: seen.summary or "" for seen in calendar.truth(start, end)}
        for name, calendar in office.sellers.items()
    }


def right(office: Office, wanted: Titles) -> bool:
    for name, of_seller in wanted.items():
        held = {event_id: event.title for (event_id, _), event in office.held(name).items()}
        if any(held.get(event_id) != title for event_id, title in of_seller.items()):
            return False
    return True


def limited(office: Office) -> int:
    """Answers that said: too much."""
    return sum(entry.status == 429 for entry in office.salesloft.log)


async def start(office: Office, module: str) -> asyncio.subprocess.Process:
    """The real program on the office's configuration; its log goes to a file of the office."""
    with (office.directory / "program.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, "run", "--config", str(office.config)),
            stdout=log,
            stderr=log,
        )


def run(quick: bool) -> Result:
    ways, sellers, wait = ([BULK], 1, 0.0) if quick else (list(WAYS), SELLERS, MINUTE)
    return asyncio.run(measure(ways, sellers, wait=wait))


BENCHMARK = Benchmark(
    "delivery", "A burst under one team's points", ABOUT, run, alone=True, seconds=2400
)
