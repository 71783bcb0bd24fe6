"""What one team's points buy: an initial sync, and a burst of 6,000 changes under 600 points a minute.

    .venv/bin/python -m benchmarks.delivery [--part initial|burst|bulk|singly|fifo]

Both simulators run in this process and count strictly: what exceeds 600 points in 60 s is answered 429. The program is
the real one, in a process of its own. `burst` is with bulk jobs (`bulk`) and without (`singly`); `fifo` is the same
burst, sent in the order in which it was found, for comparison. All parts together take about 16 minutes;
`docs/benchmarks.md` has what was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import structlog

from connector.observe.log import configure_logging
from tests.daemon import Requests
from tests.office import KEY, Office, open_office
from tests.people import COLLEAGUES, PROSPECTS, guests, some_time

SELLERS = 25
POINTS_PER_MINUTE = 600
SOON = timedelta(hours=24)
MINUTE = 61.0
"""Seconds after which nothing weighs any more that was spent before."""
LONGEST = 11 * 60.0
LOOK_EVERY = 0.25
ONE_BY_ONE = "bulk_threshold = 1000000\n"
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


async def main_of(part: str | None) -> None:
    configure_logging()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(
        f"load of this machine before it begins: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    if part in (None, "initial"):
        await initial_sync()
    bursts = []
    for name, module, extra in (
        ("bulk", "connector", ""),
        ("singly", "connector", ONE_BY_ONE),
        ("fifo", "benchmarks.fifo", ONE_BY_ONE),
    ):
        if part in (None, name) or (part == "burst" and name != "fifo"):
            bursts.append(await burst(name, module, extra))
    if bursts:
        show(bursts)


@asynccontextmanager
async def strict_office() -> AsyncIterator[Office]:
    with tempfile.TemporaryDirectory() as directory:
        async with open_office(Path(directory)) as office:
            office.points_per_minute = POINTS_PER_MINUTE
            office.salesloft.set_limit(KEY, POINTS_PER_MINUTE)
            office.salesloft.switches.bulk_seconds_per_record = 0.0
            yield office


async def initial_sync() -> None:
    """25 sellers with 225 single meetings and 9 series of 25 each, all of them in the window."""
    async with strict_office() as office:
        rng, now = Random(7), office.clock()
        for number in range(SELLERS):
            calendar = office.hire(f"seller{number}")
            for one in range(225):
                calendar.create(f"Meeting {one}", some_time(rng, now), attendees=guests(rng))
            for one in range(9):
                calendar.create_series(
                    f"Series {one}",
                    some_time(rng, now, high=60),
                    rule="FREQ=DAILY;COUNT=25",
                    attendees=guests(rng),
                )
        began = time.perf_counter()
        process = await start(office, "connector", "--initial-sync", answer=True)
        output, _ = await process.communicate()
        seconds = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        stored = sum(len(office.held(name)) for name in office.sellers)
        points = sum(entry.cost for entry in office.salesloft.log)
        print(f"initial sync of {SELLERS} sellers, {stored} occurrences (half of them of series)")
        print(f"  seconds, start-up included, Salesloft's job time zero: {seconds:.1f}")
        print(f"  of them the program's own on a processor: {used.ru_utime + used.ru_stime:.1f}")
        print(f"  points: {points}, {points / stored:.2%} of one-by-one upserts")
        print(f"  most points in any 60 s: {office.salesloft.window_peaks(KEY)}")
        print(f"  answered 429: {limited(office)}; exit status {process.returncode}")
        print(f"  differences: {len(office.differences())}")
        print(
            f"  its own summary: {output.decode().rpartition('delivered')[2].strip()}", flush=True
        )
        if process.returncode:
            print((office.directory / "program.log").read_text()[-3000:])


async def burst(name: str, module: str, extra: str) -> Burst:
    """Sellers with ten daily series of 24 meetings: 6,000 occurrences, 250 within 24 h. All are edited at once."""
    async with strict_office() as office:
        series = hire_all(office)
        await office.once(full=True)
        for file in (office.config / "users").glob("*.toml"):
            file.write_text(file.read_text() + extra)  # its last table is [salesloft]
        print(f"{name}: synced; waiting for a minute without points", flush=True)
        await asyncio.sleep(MINUTE)
        # Time that a job takes in Salesloft belongs to what a seller waits for: the default of the simulator.
        office.salesloft.switches.bulk_seconds_per_record = 0.002
        requests = Requests(office)
        daemon = await start(office, module)
        try:
            await requests.more(3 * SELLERS)  # it runs, and polls
            return await watch(name, office, series, daemon.pid)
        finally:
            daemon.terminate()
            await daemon.wait()


def hire_all(office: Office) -> list[tuple[str, str]]:
    """The sellers, and their series as (seller, series id)."""
    hour = office.clock().replace(minute=0, second=0, microsecond=0)
    people = PROSPECTS + COLLEAGUES + [f"guest{n}@customer.example.org" for n in range(16)]
    series = []
    for seller in range(SELLERS):
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
            print(f"{name}: what is soon is right after {seconds:.1f} s", flush=True)
            if name != "bulk":
                break
        if soon_right is not None and right(office, everything) and not office.differences():
            all_right = seconds
            print(f"{name}: all is right after {seconds:.1f} s", flush=True)
    print(
        f"{name}: {dict(Counter(entry.route for entry in office.salesloft.log[log:]))}", flush=True
    )
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


async def start(
    office: Office, module: str, *arguments: str, answer: bool = False
) -> asyncio.subprocess.Process:
    """The real program on the office's configuration; its log goes to a file of the office."""
    with (office.directory / "program.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, "run", "--config", str(office.config), *arguments),
            stdout=asyncio.subprocess.PIPE if answer else log,
            stderr=log,
        )


def show(bursts: list[Burst]) -> None:
    print(
        f"\nburst under {POINTS_PER_MINUTE} points a minute, {SELLERS} sellers, polled each second"
    )
    columns = "{:<8} {:>8} {:>6} {:>12} {:>8} {:>12} {:>8} {:>10} {:>5}"
    print(
        columns.format(
            "", "changed", "soon", "soon right", "its CPU", "all right", "points", "any 60 s", 429
        )
    )
    for one in bursts:
        print(
            columns.format(
                one.name,
                one.changed,
                one.soon,
                shown(one.soon_right, one.watched),
                shown(one.cpu_until_soon, one.watched),
                shown(one.all_right, one.watched),
                one.points,
                one.most_in_a_minute,
                one.limited,
            )
        )


def shown(seconds: float | None, watched: float) -> str:
    return f"> {watched:.0f} s" if seconds is None else f"{seconds:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["initial", "burst", "bulk", "singly", "fifo"])
    asyncio.run(main_of(parser.parse_args().part))


if __name__ == "__main__":
    main()
