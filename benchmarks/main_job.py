"""The main job in figures: requests of an initial sync and of a quiet cycle, and seconds from an edit to its arrival.

    .venv/bin/python -m benchmarks.main_job [--edits 60]

Three sellers with 400 single events and 40 series each, both simulators in this process, the daemon in another.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

from connector.observe.log import configure_logging
from tests.daemon import Requests, daemon_of
from tests.office import KEY, Office, open_office
from tests.people import fill

SELLERS = ("pam", "jim", "dwight")
POLL_SECONDS = 1.0


async def measure(edits: int) -> None:
    configure_logging()
    with tempfile.TemporaryDirectory() as directory:
        async with open_office(Path(directory)) as office:
            office.points_per_minute = 600
            rng = Random(7)
            for name in SELLERS:
                fill(office.hire(name), rng, office.clock(), singles=400, series=40)
            await initial_sync(office)
            await freshness(office, rng, edits)


async def initial_sync(office: Office) -> None:
    office.salesloft.switches.bulk_seconds_per_record = 0.0
    for title, full in (("initial sync", True), ("quiet cycle", False)):
        google, salesloft = len(office.google.log), len(office.salesloft.log)
        began = time.perf_counter()
        summary = await office.once(full=full)
        seconds = time.perf_counter() - began
        to_google = Counter(entry.route for entry in office.google.log[google:])
        to_salesloft = Counter(entry.route for entry in office.salesloft.log[salesloft:])
        points = sum(entry.cost for entry in office.salesloft.log[salesloft:])
        print(f"{title}: {summary.accepted} occurrences in {seconds:.2f} s, {points} points")
        print(f"  Google: {dict(to_google)}\n  Salesloft: {dict(to_salesloft)}")
        if summary.accepted:
            print(f"  points against one-by-one upserts: {points / summary.accepted:.4f}")


def arrived(office: Office, name: str, event_id: str) -> bool:
    return any(key[0] == event_id for key in office.held(name))


async def freshness(office: Office, rng: Random, edits: int) -> None:
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
    cuts = statistics.quantiles(seconds, n=20)
    print(f"edit → Salesloft at poll_interval {POLL_SECONDS:.0f} s, {edits} edits:")
    print(
        f"  p50 {statistics.median(seconds):.2f} s, p95 {cuts[18]:.2f} s, max {max(seconds):.2f} s"
    )
    print(f"  p50 against the poll interval: {statistics.median(seconds) / POLL_SECONDS:.2f}")
    print(f"  most points in any 60 s: {office.salesloft.window_peaks(KEY)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=60)
    asyncio.run(measure(parser.parse_args().edits))


if __name__ == "__main__":
    main()
