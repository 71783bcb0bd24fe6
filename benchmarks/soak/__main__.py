"""`make soak`: see the package's own words."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import structlog

from benchmarks.soak.course import Plan, soak
from benchmarks.soak.verdict import report
from connector.observe.log import configure_logging


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks.soak", description="A soak; see docs/benchmarks.md."
    )
    parser.add_argument(
        "--minutes", type=float, default=30.0, help="of edits, after the initial sync"
    )
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--edits-per-second", type=float, default=2.0)
    parser.add_argument("--poll-interval", default="30s")
    parser.add_argument(
        "--keep", type=Path, help="an empty directory for the log, state and configuration"
    )
    given = parser.parse_args()
    plan = Plan(given.minutes, given.users, given.seed, given.edits_per_second, given.poll_interval)
    configure_logging()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(
        f"begun {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, load {os.getloadavg()[0]:.1f}, {plan}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as scratch:
        text, passed = report(asyncio.run(soak(plan, given.keep or Path(scratch))))
    print(text)
    print(f"ended {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, load {os.getloadavg()[0]:.1f}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
