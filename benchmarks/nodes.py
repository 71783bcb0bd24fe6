"""The same company served by one process, and by one, two and three nodes: what sharing the work costs and gives.

.venv/bin/python -m benchmarks nodes
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.fleet import QUICK_PACE, Drive, Outcome, company_of, drive_in
from benchmarks.result import Benchmark, Picture, Result, Row, quantile

SELLERS = 1_500
INTERVAL = "15s"
SECONDS = 60.0
TEAMS = 15

ABOUT = """
{sellers} sellers in {teams} teams, {occurrences} occurrences each in their windows, polled every {interval}: first by
one process with a SQLite state, then by one, two and three nodes of the distributed engine with one PostgreSQL
server. Each drive begins with an empty state and plays the same {seconds} seconds of the workload model's burst. All of
it, both simulators and the database included, shares this machine's cores: the rows tell what nodes cost, not how
much more several machines would carry. Ratios are to one node; those of the process with SQLite, too.
"""


def run(quick: bool) -> Result:
    company = (
        company_of(6, "1s", 1, teams=3, occurrences=4, pace=QUICK_PACE)
        if quick
        else company_of(SELLERS, INTERVAL, None, teams=TEAMS, occurrences=10)
    )
    seconds = 1.5 if quick else SECONDS
    ways = {"one process, SQLite": Drive(company, 1, seconds)}
    for nodes in (1, 3) if quick else (1, 2, 3):
        name = f"{nodes} node{'s' if nodes > 1 else ''}"
        ways[name] = Drive(company, nodes, seconds, distributed=True)
    return result_of({name: drive_in(plan) for name, plan in ways.items()})


def result_of(outcomes: dict[str, Outcome]) -> Result:
    """Four figures a way, rated by those of one node."""
    base = outcomes["1 node"]
    rows = []
    for name, outcome in outcomes.items():
        for what, unit, value, other in zip(
            NAMES, UNITS, _figures(outcome), _figures(base), strict=True
        ):
            rows.append(Row(f"{name}: {what}", value, unit, value / other if other else None))
        missing = len(outcome.arrived.missing)
        rows.append(Row(f"{name}: occurrences that never arrived", missing))
    plan = base.drive
    facts = {
        "sellers": f"{plan.company.sellers:,}",
        "teams": f"{plan.company.teams}",
        "occurrences": f"{plan.company.occurrences}",
        "interval": plan.company.poll_interval,
        "seconds": f"{plan.seconds:.0f}",
    }
    bars = {name: [(0.0, _figures(outcome)[1])] for name, outcome in outcomes.items()}
    return Result(tuple(rows), facts, bars)


NAMES = (
    "99 % of the changes arrived within",
    "processor of the nodes, a poll",
    "processor of the database, a poll",
    "started and synced within",
    "processor of the nodes until then, a seller",
)
UNITS = ("s", "ms", "ms", "s", "ms")


def _figures(outcome: Outcome) -> Sequence[float]:
    polls = max(1, outcome.asked(outcome.google, "events.list"))
    return (
        quantile(outcome.arrived.seconds, 0.99),
        1000 * sum(outcome.cpu) / polls,
        1000 * (outcome.database_cpu or 0.0) / polls,
        outcome.synced_seconds,
        1000 * outcome.synced_cpu / outcome.drive.company.sellers,
    )


BENCHMARK = Benchmark(
    "nodes",
    "One, two and three nodes",
    ABOUT,
    run,
    Picture(y="ms of the nodes' processor, a poll", bars=True),
    alone=True,
    seconds=1800,
)
