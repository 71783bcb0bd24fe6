"""`gcal-salesloft offboard`: a user leaves, with a receipt. Works beside the daemon."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from connector.app.offboarding import (
    Carrier,
    Offboarding,
    cancellations_by_outcome,
    next_steps,
    offboard,
)
from connector.cli.exits import OK, REFUSED, UNFINISHED, USAGE
from connector.cli.run import stop_signal
from connector.domain.mapping import calendar_id_of
from connector.observe.log import configure_logging
from connector.settings.files import load_settings
from connector.store.leaving import Outcome

SHOWN = 20
"""Cancellations that are listed by line; `--json` has them all."""


async def run(config: Path, *, user: str, cancel_future: bool, dry_run: bool, as_json: bool) -> int:
    settings = load_settings(config)
    configure_logging(settings.process.log_format)
    receipt = await offboard(
        settings, user, stop_signal(), cancel_future=cancel_future, dry_run=dry_run
    )
    if receipt is None:
        known = ", ".join(sorted(one.name for one in settings.users))
        print(  # noqa: T201  # the user's answer
            f"gcal-salesloft: no user {user!r}, neither in the files ({known}) nor in the state; give the name"
            " of the user's file without .toml, or the user's GUID in Salesloft",
            file=sys.stderr,
        )
        return USAGE
    if as_json:
        print(json.dumps(_facts(receipt), indent=2))  # noqa: T201  # the command's answer
    else:
        for line in _lines(receipt):
            print(line)  # noqa: T201  # the command's answer
    if receipt.refusal is not None:
        print(f"gcal-salesloft: {receipt.refusal}", file=sys.stderr)  # noqa: T201  # the user's answer
        return REFUSED
    return OK if receipt.finished else UNFINISHED


def _facts(receipt: Offboarding) -> dict[str, Any]:
    left = receipt.farewell
    counts = cancellations_by_outcome(left)
    return {
        "user": receipt.leaver.name,
        "user_guid": receipt.leaver.guid,
        "calendar_id": calendar_id_of(receipt.leaver.guid),
        "left_at": _time(left.left_at),
        "dry_run": receipt.carrier is Carrier.DRY_RUN,
        "occurrences_known": left.known,
        "dropped": left.dropped,
        "delivered_by": receipt.carrier.value,
        "cancellations": {
            "total": len(left.cancellations),
            **{outcome.value: count for outcome, count in counts.items()},
            "events": [
                {
                    "event_id": one.key.event_id,
                    "ical_uid": one.key.ical_uid,
                    "start": _time(one.start),
                    "outcome": one.outcome.value,
                }
                for one in left.cancellations
            ],
        },
        "untouched": {
            "begun_or_past": left.past,
            "not_sent_from_here": left.not_ours,
            "to_come_and_kept": left.future_kept,
            "cancelled_before": left.cancelled_before,
        },
        "left_to_do": next_steps(receipt),
    }


def _lines(receipt: Offboarding) -> list[str]:
    left, leaver = receipt.farewell, receipt.leaver
    counts = cancellations_by_outcome(left)
    dry = receipt.carrier is Carrier.DRY_RUN
    lines = [
        f"{'would leave (dry run, nothing was changed)' if dry else 'left'}: {leaver.name}",
        f"  Salesloft user  {leaver.guid}  (calendar {calendar_id_of(leaver.guid)})",
        f"  since           {left.left_at:%Y-%m-%d %H:%M:%S} UTC",
        f"  occurrences     {left.known} known; {left.dropped} waiting or refused upserts"
        f" {'would be ' if dry else ''}dropped",
        f"  cancelled       {_cancelled(receipt, counts)}",
    ]
    lines += [
        f"    {one.start:%Y-%m-%d %H:%M} UTC  {one.key.event_id}  {one.outcome.value}"
        for one in left.cancellations[:SHOWN]
    ]
    if len(left.cancellations) > SHOWN:
        lines.append(f"    and {len(left.cancellations) - SHOWN} more: --json lists all")
    lines += [
        "  left as they are",
        f"    {left.past} begun or past",
        f"    {left.future_kept} to come, sent from here, not asked to be cancelled",
        f"    {left.not_ours} to come, found in Salesloft and not sent from here",
        f"    {left.cancelled_before} to come, cancelled before",
        "  left to do",
    ]
    return lines + [f"    - {step}" for step in next_steps(receipt)]


def _cancelled(receipt: Offboarding, counts: dict[Outcome, int]) -> str:
    total = len(receipt.farewell.cancellations)
    match receipt.carrier:
        case Carrier.DRY_RUN:
            return f"{total} to come would be cancelled"
        case Carrier.DAEMON:
            return (
                f"{total} to come; {counts[Outcome.WAITING]} in line: the running daemon sends them"
            )
        case Carrier.KEY_UNKNOWN:
            return f"{total} to come; {counts[Outcome.WAITING]} in line, sent by nobody yet"
        case _:
            return (
                f"{total} to come: {counts[Outcome.ACCEPTED]} accepted by Salesloft,"
                f" {counts[Outcome.REFUSED]} refused, {counts[Outcome.WAITING]} still waiting"
            )


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
