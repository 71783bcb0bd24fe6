"""The soak as a section of `docs/benchmarks.md`: its judgements, with the figure behind each."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

import structlog

from benchmarks.result import Benchmark, Result, Row
from benchmarks.soak.course import Plan, soak
from benchmarks.soak.verdict import judge
from connector.observe.log import configure_logging

ABOUT = """
`make soak` does the same (`ARGS="--minutes 2 --users 40"` for a first look): the real daemon against both
simulators under constant edits, with faults in 1 % of all calls, dropped tokens, bookings, reloads, pauses,
refused events and a key rotation; then everything that it left is searched for planted words and secrets.
{users} users, polls of {interval}, {minutes} minutes, seed {seed}, {edits} edits.
"""
WORDS = {True: "kept", False: "**broken**", None: "not judged"}


def run(quick: bool) -> Result:
    plan = Plan(0.2, 6, 1, 1.0, "2s") if quick else Plan(30.0, 200, 1, 2.0, "30s")
    configure_logging()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as scratch:
        outcome = asyncio.run(soak(plan, Path(scratch)))
    rows = tuple(
        Row(one.promise, WORDS[one.passed], note=" ".join(one.figures.split()).replace("|", "/"))
        for one in judge(outcome)
    )
    facts = {
        "users": f"{plan.users}",
        "interval": plan.poll_interval,
        "minutes": f"{plan.minutes:.0f}",
        "seed": f"{plan.seed}",
        "edits": f"{outcome.edits:,}",
    }
    return Result(rows, facts)


BENCHMARK = Benchmark("soak", "Soak", ABOUT, run, alone=True, seconds=3600)
