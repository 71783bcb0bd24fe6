"""An initial sync of 10,000 occurrences, one by one and in bulk, against a bare loop that sends the same requests.

.venv/bin/python -m benchmarks initial
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import aiohttp

from benchmarks.company import Company, key_of, run_fast, write_configuration
from benchmarks.process import Speaking, speaking
from benchmarks.result import Benchmark, Picture, Result, Row, row_of

POINTS_A_MINUTE = 600
UNLIMITED = 100_000
USABLE = 558
"""Of 600 points a minute: 5 % are left to the team's other tools, 2 % to bookings and banners."""
AT_ONCE = 16
ONE_BY_ONE = "bulk_threshold = 1000000\n"
ABOUT = """
{sellers} sellers with {each} occurrences each in their windows, half of them of series, none of which
Salesloft has. The real program, `run --initial-sync`, reads all from the simulated Google and delivers all to
the simulated Salesloft, each in a process of its own; start-up is included, the time that a bulk job takes
inside Salesloft is zero. The bare loop sends the requests to Salesloft that the program had sent, with an
aiohttp session, {at_once} at once (those of a bulk job one after the other), and does nothing else: it reads
no calendar, keeps no state and knows no limits. {rounds} rounds, medians.

With a budget of {limit} points a minute: in bulk **{bulk_points} points**, which is sent at once: measured
with Salesloft enforcing the limit, it took {limited_seconds} s, {peak} points in the busiest minute,
{limited} answers of 429. One by one **{single_points} points**: {usable} of {limit} are usable (5 % are left
to the team's other tools, 2 % to bookings and banners), so that the last point is spent after
⌊({single_points} − 1) / {usable}⌋ = {single_minutes} minutes. Bulk costs {share} of the points.
"""


@dataclass(frozen=True, slots=True)
class Way:
    """How it is delivered; `points` are what Salesloft allows a minute."""

    name: str
    tables: str
    points: int


SINGLE = Way("one by one", ONE_BY_ONE, UNLIMITED)
BULK = Way("in bulk", "", UNLIMITED)
LIMITED = Way("in bulk, 600 points a minute", "", POINTS_A_MINUTE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One sync: seconds of the clock and of the processors, and Salesloft's count."""

    wall: float
    cpu: float
    points: int = 0
    peak: int = 0
    limited: int = 0


@asynccontextmanager
async def salesloft_of(company: Company, config: Path) -> AsyncIterator[tuple[str, Speaking]]:
    """A fresh Salesloft that holds nothing."""
    async with speaking(
        "benchmarks.company", "salesloft", str(config), json.dumps(asdict(company))
    ) as child:
        url = (await child.hear())["url"]
        await child.ask("keep")
        yield url, child


async def with_connector(company: Company, config: Path, google: str, way: Way) -> Sample:
    """The real program on a new state; what it sent is in `sent.json` then."""
    limited = replace(company, points_per_minute=way.points)
    async with salesloft_of(limited, config) as (url, child):
        for file in config.parent.glob("state.db*"):
            file.unlink()
        state = f'[state]\nurl = "sqlite:///{config.parent}/state.db"'
        write_configuration(config, limited, google, url, state)
        toml = config / "connector.toml"
        toml.write_text(toml.read_text().replace("[salesloft]\n", f"[salesloft]\n{way.tables}"))
        before, began = _children_cpu(), time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "connector", "run", "--config", str(config), "--initial-sync"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, complaints = await process.communicate()
        wall, cpu = time.perf_counter() - began, _children_cpu() - before
        if process.returncode:
            raise RuntimeError(f"status {process.returncode}: {complaints.decode()[-2000:]}")
        held = (await child.ask("held"))["held"]
        if f"delivered {held}," not in out.decode():
            raise RuntimeError(f"Salesloft holds {held}: {out.decode()[-500:]}")
        told = await child.ask("sent", file=str(config / "sent.json"))
        return Sample(wall, cpu, told["points"], told["busiest_team"], told["limited"])


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def bare(company: Company, config: Path, way: Way) -> Sample:
    """The requests of `sent.json`, sent again to a fresh Salesloft."""
    unlimited = replace(company, points_per_minute=UNLIMITED)
    requests = json.loads((config / "sent.json").read_text())
    bodies = [None if body is None else json.dumps(body).encode() for *_, body in requests]
    headers = {"Authorization": f"Bearer {key_of(0)}", "Content-Type": "application/json"}
    numbers = iter(range(len(requests)))
    async with salesloft_of(unlimited, config) as (url, _), aiohttp.ClientSession() as session:

        async def worker() -> None:
            for number in numbers:
                method, path, query, _ = requests[number]
                async with session.request(
                    method, f"{url}{path}", params=query, data=bodies[number], headers=headers
                ) as answer:
                    await answer.read()
                    answer.raise_for_status()

        cpu, began = time.process_time(), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE if way is SINGLE else 1):
                group.create_task(worker())
        return Sample(time.perf_counter() - began, time.process_time() - cpu)


async def measure(company: Company, rounds: int, *, quick: bool) -> Result:
    taken: dict[Way, list[Sample]] = {SINGLE: [], BULK: []}
    base: dict[Way, list[Sample]] = {SINGLE: [], BULK: []}
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "config"
        config.mkdir()
        async with AsyncExitStack() as stack:
            google = await stack.enter_async_context(
                speaking("benchmarks.company", "google", str(config), json.dumps(asdict(company)))
            )
            told = await google.hear()
            for turn in range(rounds):
                for way in (SINGLE, BULK) if turn % 2 == 0 else (BULK, SINGLE):
                    taken[way].append(await with_connector(company, config, told["url"], way))
                    base[way].append(await bare(company, config, way))
            limited = taken[BULK][0]
            if not quick:
                limited = await with_connector(company, config, told["url"], LIMITED)
    rows: list[Row] = []
    for way in (SINGLE, BULK):
        bare_wall = [one.wall for one in base[way]]
        bare_cpu = [one.cpu for one in base[way]]
        rows.append(row_of(f"{way.name}: bare loop", bare_wall, "s"))
        rows.append(
            row_of(f"{way.name}: the program", [x.wall for x in taken[way]], "s", base=bare_wall)
        )
        rows.append(row_of(f"{way.name}: bare loop, CPU", bare_cpu, "s"))
        rows.append(
            row_of(f"{way.name}: the program, CPU", [x.cpu for x in taken[way]], "s", base=bare_cpu)
        )
        rows.append(Row(f"{way.name}: points", taken[way][0].points, ""))
    return Result(tuple(rows), _facts(company, taken, limited, rounds), _bars(taken, base))


def _facts(
    company: Company, taken: dict[Way, list[Sample]], limited: Sample, rounds: int
) -> dict[str, str]:
    single, bulk = taken[SINGLE][0].points, taken[BULK][0].points
    return {
        "sellers": f"{company.sellers}",
        "each": f"{company.occurrences}",
        "at_once": f"{AT_ONCE}",
        "rounds": f"{rounds}",
        "limit": f"{POINTS_A_MINUTE}",
        "usable": f"{USABLE}",
        "bulk_points": f"{bulk}",
        "single_points": f"{single:,}",
        "single_minutes": f"{(single - 1) // USABLE}",
        "share": f"{bulk / single:.2%}",
        "limited_seconds": f"{limited.wall:.1f}",
        "peak": f"{limited.peak}",
        "limited": "no" if not limited.limited else f"{limited.limited}",
    }


def _bars(
    taken: dict[Way, list[Sample]], base: dict[Way, list[Sample]]
) -> dict[str, list[tuple[float, float]]]:
    bars: dict[str, list[tuple[float, float]]] = {}
    for way in (SINGLE, BULK):
        for who, samples in (("bare loop", base[way]), ("the program", taken[way])):
            bars[f"{way.name}, {who}"] = [(0.0, statistics.median(one.wall for one in samples))]
    return bars


def run(quick: bool) -> Result:
    company = Company(2, 1, 1, occurrences=8) if quick else Company(25, 1, 1, occurrences=400)
    results: list[Result] = []

    async def keep() -> None:
        results.append(await measure(company, 1 if quick else 3, quick=quick))

    run_fast(keep)
    return results[0]


BENCHMARK = Benchmark(
    "initial",
    "Initial sync of 10,000 occurrences",
    ABOUT,
    run,
    Picture(y="seconds", bars=True),
    seconds=900,
)
