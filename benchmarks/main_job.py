"""The main job in figures: requests of an initial sync and of a quiet cycle, and seconds from an edit to its arrival.

    .venv/bin/python -m benchmarks main_job

Three sellers with 400 single events and 40 series each, both simulators in this process, the daemon in another.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

from benchmarks.result import Benchmark, Result, Row, quantile
from connector.observe.log import configure_logging
from tests.daemon import Requests, daemon_of
from tests.office import KEY, Office, open_office
from tests.people import fill

SELLERS = ("pam", "jim", "dwight")
POLL_SECONDS = 1.0
ABOUT = """
{sellers} sellers with {singles} single events and {series} series each; both simulators in one process, the
program in another. Requests and points of an initial sync and of a quiet cycle, and the seconds from {edits}
edits, made at any moment of a poll, until Salesloft has them. The ratios are to an upsert of a point for each
occurrence, and to the poll interval of {interval} s.
"""


async def measure(edits: int, singles: int, series: int) -> Result:
    configure_logging()
    with tempfile.TemporaryDirectory() as directory:
        async with open_office(Path(directory)) as office:
            office.points_per_minute = 600
            rng = Random(7)
            for name in SELLERS:
                fill(office.hire(name), rng, office.clock(), singles=singles, series=series)
            rows = await cycles(office)
            rows += await freshness(office, rng, edits)
    facts = {"sellers": len(SELLERS), "singles": singles, "series": series, "edits": edits}
    shown = {name: str(value) for name, value in facts.items()}
    return Result(tuple(rows), shown | {"interval": f"{POLL_SECONDS:.0f}"})


async def cycles(office: Office) -> list[Row]:
    """An initial sync and a quiet cycle."""
    office.salesloft.switches.bulk_seconds_per_record = 0.0
    rows = []
    for title, full in (("initial sync", True), ("quiet cycle", False)):
        google, salesloft = len(office.google.log), len(office.salesloft.log)
        began = time.perf_counter()
        summary = await office.once(full=full)
        seconds = time.perf_counter() - began
        to_google = Counter(entry.route for entry in office.google.log[google:])
        to_salesloft = Counter(entry.route for entry in office.salesloft.log[salesloft:])
        points = sum(entry.cost for entry in office.salesloft.log[salesloft:])
        share = points / summary.accepted if summary.accepted else None
        rows += [
            Row(f"{title}: occurrences", summary.accepted),
            Row(f"{title}: seconds", seconds, "s"),
            Row(f"{title}: points", points, "", share),
            Row(f"{title}: requests to Google", to_google.total(), note=_told(to_google)),
            Row(f"{title}: requests to Salesloft", to_salesloft.total(), note=_told(to_salesloft)),
        ]
    return rows


def _told(routes: Counter[str]) -> str:
    return ", ".join(f"{count} {route}" for route, count in sorted(routes.items()))


def arrived(office: Office, name: str, event_id: str) -> bool:
    return any(key[0] == event_id for key in office.held(name))


async def freshness(office: Office, rng: Random, edits: int) -> list[Row]:
    """Seconds from an edit to its arrival."""
    requests = Requests(office)
    seconds: list[float] = []
    async with daemon_of(office) as daemon:
        await daemon.start()
        await requests.more(10)
        for number in range(edits):
            calendar = office.sellers[rng.choice(SELLERS)]
            await asyncio.sleep(rng.uniform(0, POLL_SECONDS))  # any moment of a poll is as likely
            start = office.clock().replace(minute=0, second=0, microsecond=0)
            began = time.perf_counter()
            event_id = calendar.create(f"Edit {number}", start + timedelta(hours=number % 48))
            name = calendar.owner.partition("@")[0]
            await requests.until(partial(arrived, office, name, event_id))
            seconds.append(time.perf_counter() - began)
        await daemon.end()
    half, most = statistics.median(seconds), quantile(seconds, 0.95)
    return [
        Row("from an edit to Salesloft, half of them", half, "s", half / POLL_SECONDS),
        Row("from an edit to Salesloft, 95 %", most, "s", most / POLL_SECONDS),
        Row("from an edit to Salesloft, all", max(seconds), "s", max(seconds) / POLL_SECONDS),
        Row("points in any 60 s", office.salesloft.window_peaks(KEY)),
    ]


def run(quick: bool) -> Result:
    return asyncio.run(measure(3, 10, 2) if quick else measure(60, 400, 40))


BENCHMARK = Benchmark("main_job", "The main job: from an edit to Salesloft", ABOUT, run)
