"""`gcal-salesloft plan`: what a cycle would send now, and what it would cost."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from connector.app.asking import UnknownUser, only
from connector.app.planning import Plan, UserPlan, make_plan
from connector.cli.exits import UNFINISHED, USAGE
from connector.observe.log import configure_logging
from connector.settings.files import load_settings
from connector.store.outbox import Lane
from connector.store.planned import Change, PlannedRow

SHOWN = 200
"""Rows of one user that are listed in text; `--json` has all."""
CLASSES = {
    Lane.SOON: "soon",
    Lane.PROSPECT: "prospect",
    Lane.LATER: "later",
    Lane.BACKFILL: "backfill",
}


async def run(config: Path, *, user: str | None, as_json: bool) -> int:
    try:
        settings = only(load_settings(config), user)
    except UnknownUser as unknown:
        print(f"gcal-salesloft: {unknown}", file=sys.stderr)  # noqa: T201  # the user's answer
        return USAGE
    configure_logging(settings.process.log_format)
    for broken in settings.broken:
        for mistake in broken.mistakes:
            print(f"user {broken.name} is not planned: {mistake}", file=sys.stderr)  # noqa: T201
    plan = await make_plan(settings)
    if as_json:
        print(json.dumps(_answer(plan), indent=2))  # noqa: T201  # the command's answer
    else:
        for line in _lines(plan):
            print(line)  # noqa: T201  # the command's answer
    return UNFINISHED if settings.broken and plan.exit_status == 0 else plan.exit_status


def _lines(plan: Plan) -> Iterator[str]:
    for user in plan.users:
        yield from _user_lines(plan, user)
    for cost in plan.costs:
        bulk = f" and {cost.bulk_records} in bulk" if cost.bulk_records else ""
        took = "under a minute" if cost.minutes <= 1 else f"about {cost.minutes:.0f} minutes"
        yield (
            f"cost: {cost.singles} one by one{bulk}: about {cost.points} points,"
            f" {took} at {cost.points_per_minute:.0f} points a minute"
        )
    yield f"{plan.google_requests} requests to Google were made for this; nothing was sent or stored"


def _user_lines(plan: Plan, user: UserPlan) -> Iterator[str]:
    if user.error is not None:
        yield f"{user.name}: not read: {user.error}"
        return
    if user.skipped is not None:
        yield f"{user.name}: {user.skipped}"
        return
    counts = Counter(row.change for row in user.rows)
    kind = "full listing" if user.full else "changes"
    parts = [f"{counts[change]} {change.value}" for change in Change]
    yield (
        f"{user.name}: {kind}: {', '.join(parts)}; {len(user.waiting)} wait already, {len(user.held)} held"
    )
    if user.full and not user.compared:
        yield "  never compared with Salesloft's list: what it holds already will not be sent"
    for title, rows in (("", user.rows), ("waits already  ", user.waiting), ("held  ", user.held)):
        yield from _row_lines(plan, title, rows)


def _row_lines(plan: Plan, title: str, rows: Sequence[PlannedRow]) -> Iterator[str]:
    for row in rows[:SHOWN]:
        what = _shown(row)
        via = "bulk" if plan.goes_by_bulk(row) else "single"
        rule = f" ({row.rule})" if row.rule else ""
        yield (
            f"  {title}{row.change.value:<9}  {row.start:%Y-%m-%d %H:%M} UTC  {row.key.event_id}"
            f"  {what}{rule}  {CLASSES[row.lane]}, {via}"
        )
    if len(rows) > SHOWN:
        yield f"  {title}and {len(rows) - SHOWN} more: `--json` lists all"


def _shown(row: PlannedRow) -> str:
    if row.change is Change.CANCELLED:
        return "ids and times"
    return "full" if row.full else "busy only"


def _answer(plan: Plan) -> dict[str, Any]:
    return {
        "google_requests": plan.google_requests,
        "costs": [
            {
                "singles": cost.singles,
                "bulk_records": cost.bulk_records,
                "points": cost.points,
                "points_per_minute": cost.points_per_minute,
                "minutes": round(cost.minutes, 2),
            }
            for cost in plan.costs
        ],
        "users": [_user(plan, user) for user in plan.users],
    }


def _user(plan: Plan, user: UserPlan) -> dict[str, Any]:
    counts = Counter(row.change for row in user.rows)
    return {
        "user": user.name,
        "error": str(user.error) if user.error else None,
        "skipped": user.skipped,
        "full_listing": user.full,
        **{change.value: counts[change] for change in Change},
        "rows": [_row(plan, row) for row in user.rows],
        "waiting": [_row(plan, row) for row in user.waiting],
        "held": [_row(plan, row) for row in user.held],
    }


def _row(plan: Plan, row: PlannedRow) -> dict[str, Any]:
    return {
        "event_id": row.key.event_id,
        "i_cal_uid": row.key.ical_uid,
        "start": row.start.isoformat(),
        "change": row.change.value,
        "shown": _shown(row).replace(" ", "_"),
        "rule": row.rule,
        "class": CLASSES[row.lane],
        "via": "bulk" if plan.goes_by_bulk(row) else "single",
    }
