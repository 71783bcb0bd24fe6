"""Runs benchmarks, each in a process of its own, and writes `docs/benchmarks.md`: `make bench`, or

.venv/bin/python -m benchmarks [NAME ...] [--quick] [--render] [--list] [--to DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.page import PAGE, RESULTS, render, table
from benchmarks.registry import BENCHMARKS, by_name
from benchmarks.result import Benchmark, Measured, Result, as_dict, load, result_of, save

DOCS = Path(__file__).parent.parent / "docs"
GRACE_SECONDS = 40.0
"""What a benchmark that is ended has left to end its own processes."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 if all that was asked for was measured."""
    given = _parser().parse_args(argv)
    if given.list:
        for benchmark in BENCHMARKS:
            print(f"{benchmark.name:<12} {benchmark.title}{' (alone)' if benchmark.alone else ''}")
        return 0
    if given.measure:
        (name,) = given.names
        result = by_name()[name].run(given.quick)
        Path(given.measure).write_text(json.dumps(as_dict(result)))
        return 0
    unknown = sorted(set(given.names) - by_name().keys())
    if unknown:
        print(
            f"no benchmark {', '.join(unknown)}; there are {', '.join(by_name())}", file=sys.stderr
        )
        return 2
    folder = given.to or (Path(tempfile.mkdtemp(prefix="benchmarks-")) if given.quick else DOCS)
    chosen = [by_name()[name] for name in dict.fromkeys(given.names)]
    if not chosen and not given.render:
        chosen = [one for one in BENCHMARKS if not one.alone]
    failed = measure_all(folder, chosen, quick=given.quick)
    render(folder, BENCHMARKS, load(folder / RESULTS))
    print(f"written: {folder / PAGE}")
    if failed:
        print(f"failed, with their earlier results kept: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def measure_all(folder: Path, chosen: Sequence[Benchmark], *, quick: bool) -> list[str]:
    """Run some benchmarks in turn; each result is stored as it comes. The names of those that failed."""
    began, failed = time.monotonic(), []
    for benchmark in chosen:
        print(f"== {benchmark.name}: {benchmark.title}, load {os.getloadavg()[0]:.1f}", flush=True)
        of_this = time.monotonic()
        commit, date = _commit(), datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        machine = _machine()
        result = measure(benchmark, quick=quick)
        seconds = time.monotonic() - of_this
        if result is None:
            failed.append(benchmark.name)
            print(f"   failed after {seconds:.0f} s", flush=True)
            continue
        results = load(folder / RESULTS)
        results[benchmark.name] = Measured(result, commit, date, machine, round(seconds, 1))
        save(folder / RESULTS, results)
        print(f"{table(result.rows)}\n   {seconds:.0f} s", flush=True)
    if chosen:
        print(f"all together: {time.monotonic() - began:.0f} s")
    return failed


def measure(benchmark: Benchmark, *, quick: bool) -> Result | None:
    """One benchmark in a process of its own, with a limit; None if it failed. Nothing that it started stays."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "result.json"
        command = [sys.executable, "-m", "benchmarks", benchmark.name, "--measure", str(file)]
        # A session of its own: whatever it leaves behind can be ended with it.
        process = subprocess.Popen(command + (["--quick"] if quick else []), start_new_session=True)
        try:
            status = process.wait(benchmark.seconds)
        except subprocess.TimeoutExpired:
            print(f"   longer than {benchmark.seconds:.0f} s: ended", file=sys.stderr)
            status = None
        finally:
            _end_session(process)
        if status != 0 or not file.exists():
            return None
        return result_of(json.loads(file.read_text()))


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """End a benchmark as Ctrl-C would, so that it ends its own processes; then whatever is left of its group."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _commit() -> str:
    """What is measured: the last commit, and whether files differ from it."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=, edited", "--exclude=*", "--abbrev=9"],
            cwd=DOCS.parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.stdout.strip()


def _machine() -> str:
    """The machine, and how busy it was before."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores ({model}), load {load:.1f} before, Python {platform.python_version()}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="by default all that are not long")
    parser.add_argument("--quick", action="store_true", help="smallest sizes; figures mean nothing")
    parser.add_argument("--render", action="store_true", help="only write the page anew")
    parser.add_argument("--list", action="store_true", help="name all benchmarks")
    parser.add_argument("--to", type=Path, help="the folder of page and results, in place of docs")
    parser.add_argument("--measure", metavar="FILE", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
