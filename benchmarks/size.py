"""What the size of a calendar costs: a quiet poll, one change, a listing in full, from 100 to 100,000 occurrences.

.venv/bin/python -m benchmarks size
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from benchmarks.company import Company, run_fast, write_configuration
from benchmarks.process import child, forget_peak, line_of, peak_bytes, resident_bytes, speaking
from benchmarks.result import Benchmark, Picture, Result, Row
from connector.app.opening import state_place
from connector.app.parts import Parts, assemble
from connector.observe.log import configure_logging
from connector.settings.files import load_settings
from connector.store import open_database
from connector.sync.cycle import Report

SIZES = (100, 1_000, 10_000, 100_000)
QUICK_SIZES = (20,)
POLLS, CHANGES = 60, 15
ABOUT = """
One calendar with so many occurrences in its window, half of them of series; a process for each size. The processor's
time is that of the real cycle (`CalendarCycle.run`: requests, decoding, judging, the commit in SQLite) with all its
threads, without start-up and without deliveries; the simulated Google answers from a process of its own. A quiet poll
finds nothing ({polls} polls), a change is one meeting moved ({changes} of them, median); the first reading reads and
stores everything, the second one reads everything again and finds nothing new. Memory is the peak of the process
during the first reading, less what it held before. The ratio is to the smallest calendar.
"""


async def measure(events: int) -> dict[str, float]:
    """All figures of one size, in milliseconds of the processor and MiB."""
    configure_logging()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    company = Company(1, 1, 1, occurrences=events, points_per_minute=600)
    told = json.dumps(asdict(company))
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "config"
        config.mkdir()
        async with (
            speaking("benchmarks.company", "google", str(config), told) as google,
            speaking("benchmarks.company", "salesloft", str(config), told) as salesloft,
        ):
            google_url, salesloft_url = (
                (await google.hear())["url"],
                (await salesloft.hear())["url"],
            )
            state = f'[state]\nurl = "sqlite:///{directory}/state.db"'
            write_configuration(config, company, google_url, salesloft_url, state)
            settings = load_settings(config)
            async with assemble(settings, open_database(state_place(settings))) as parts:
                return await _figures(parts, google.ask)


async def _figures(parts: Parts, ask: Callable[..., Awaitable[dict[str, Any]]]) -> dict[str, float]:
    (calendar,) = parts.calendars
    await parts.served[calendar.seller.name].tokens.token()

    async def cpu(*, full: bool = False) -> tuple[float, Report]:
        gc.collect()
        before = time.process_time()
        report = await parts.cycle.run(calendar.seller, full=full)
        if report.failed:
            raise RuntimeError(f"the calendar was not read: {report.error}")
        return 1000 * (time.process_time() - before), report

    gc.collect()
    forget_peak()
    held = resident_bytes()
    first, _ = await cpu()
    peak = (peak_bytes() - held) / 2**20
    await cpu()
    before = time.process_time()
    for _ in range(POLLS):
        await parts.cycle.run(calendar.seller)
    quiet = 1000 * (time.process_time() - before) / POLLS
    changes = []
    for pick in range(CHANGES):
        await ask("move", pick=pick)
        took, report = await cpu()
        if not report.changed:
            raise RuntimeError("a change was not seen")
        changes.append(took)
    again, _ = await cpu(full=True)
    return {
        "quiet": quiet,
        "change": statistics.median(changes),
        "first": first,
        "again": again,
        "peak": peak,
    }


NAMES = {
    "quiet": ("a quiet poll", "ms"),
    "change": ("a change", "ms"),
    "first": ("the first reading", "ms"),
    "again": ("a full reading again", "ms"),
    "peak": ("memory at the peak", "MiB"),
}


async def all_sizes(sizes: tuple[int, ...]) -> Result:
    found: dict[int, dict[str, float]] = {}
    for events in sizes:
        async with child("benchmarks.size", "--events", str(events)) as process:
            found[events] = json.loads(await line_of(process))
    smallest = found[sizes[0]]
    rows = [
        Row(
            f"{title}, {events:,} occurrences",
            found[events][key],
            unit,
            found[events][key] / smallest[key],
        )
        for key, (title, unit) in NAMES.items()
        for events in sizes
    ]
    curves = {
        NAMES[key][0]: [(float(events), found[events][key]) for events in sizes]
        for key in ("quiet", "change", "first", "again")
    }
    return Result(tuple(rows), {"polls": str(POLLS), "changes": str(CHANGES)}, curves)


def run(quick: bool) -> Result:
    return asyncio.run(all_sizes(QUICK_SIZES if quick else SIZES))


BENCHMARK = Benchmark(
    "size",
    "Cost against the size of a calendar",
    ABOUT,
    run,
    Picture("occurrences in the window", "ms of the processor", log_x=True, log_y=True),
    seconds=900,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, required=True)
    given = parser.parse_args()

    async def tell() -> None:
        print(json.dumps(await measure(given.events)), flush=True)

    run_fast(tell)


if __name__ == "__main__":
    main()
