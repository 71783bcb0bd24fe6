"""`gcal-salesloft erase`: one person is left out of everything from now on, with a receipt. Works beside the daemon.

The receipt shows the first digits of the keyed hash, not the address.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connector.app.erasing import AtUser, Erasure, erase_person
from connector.cli.exits import USAGE
from connector.cli.run import stop_signal
from connector.domain.erasure import is_address
from connector.observe.log import configure_logging
from connector.settings.files import load_settings

DIGITS = 12
SHOWN = 10
"""Event ids that are listed by user; `--json` has them all."""


async def run(config: Path, *, person: str, dry_run: bool, as_json: bool) -> int:
    person = person.strip()
    if not is_address(person):
        print(  # noqa: T201  # the user's answer
            "gcal-salesloft: --person is not an e-mail address; expected one plain address such as"
            " name@example.org, without a name or angle brackets",
            file=sys.stderr,
        )
        return USAGE
    settings = load_settings(config)
    configure_logging(settings.process.log_format)
    receipt = await erase_person(settings, person, stop_signal(), dry_run=dry_run)
    if as_json:
        print(json.dumps(_facts(receipt), indent=2))  # noqa: T201  # the command's answer
    else:
        for line in _lines(receipt):
            print(line)  # noqa: T201  # the command's answer
    if receipt.summary is not None and receipt.summary.key_refused is not None:
        print(f"gcal-salesloft: {receipt.summary.key_refused}", file=sys.stderr)  # noqa: T201
    return receipt.exit_status


def _facts(receipt: Erasure) -> dict[str, Any]:
    cleaned, summary = receipt.cleaned, receipt.summary
    return {
        "person": cleaned.digest[:DIGITS],
        "erased_at": cleaned.erased_at.isoformat(timespec="seconds"),
        "erased_before": cleaned.already,
        "dry_run": receipt.dry_run,
        "state": {
            "waiting_rewritten": cleaned.waiting,
            "taken_out_of_bulk_jobs": cleaned.in_jobs,
            "dead_letters_rewritten": cleaned.dead_letters,
            "messages_removed": cleaned.messages,
            "log_emptied": receipt.log_emptied,
        },
        "sent_by": _carrier(receipt),
        "sent": None
        if summary is None
        else {
            "accepted": summary.accepted,
            "refused": summary.refused,
            "waiting": summary.pending,
            "points": summary.points,
        },
        "users": [
            {
                "user": user.name,
                "error": user.error,
                "left": user.left,
                "without_file": user.without_file,
                "not_served_now": user.stopped,
                "named_in": list(user.named),
                "waiting": user.waiting,
                "refused": user.refused,
                "address_in_texts": list(user.in_texts),
                "guest_list_cut_off": list(user.cut_off),
            }
            for user in receipt.users
        ],
        "own_users": list(receipt.own_users),
        "left_to_do": _next_steps(receipt),
    }


def _carrier(receipt: Erasure) -> str:
    if receipt.dry_run:
        return "nobody: dry run"
    return "the running daemon" if receipt.by_daemon else "this command"


def _lines(receipt: Erasure) -> list[str]:
    cleaned = receipt.cleaned
    if receipt.dry_run:
        head = "would be erased (dry run, nothing was changed)"
    else:
        head = "erased before" if cleaned.already else "erased"
    would = "would be " if receipt.dry_run else ""
    lines = [
        f"{head}: person {cleaned.digest[:DIGITS]}",
        f"  since        {cleaned.erased_at:%Y-%m-%d %H:%M:%S} UTC",
        f"  local state  {cleaned.waiting} waiting upserts, {cleaned.dead_letters} dead letters,"
        f" {cleaned.in_jobs} records of bulk jobs and {cleaned.messages} messages {would}rewritten",
        f"  re-sent by   {_carrier(receipt)}{_sent(receipt)}",
    ]
    for user in receipt.users:
        lines += _of_user(user)
    return [*lines, "  left to do", *(f"    - {step}" for step in _next_steps(receipt))]


def _sent(receipt: Erasure) -> str:
    summary = receipt.summary
    if summary is None:
        return ""
    return (
        f": {summary.accepted} upserts of this round accepted, {summary.refused} refused,"
        f" {summary.pending} waiting"
    )


def _of_user(user: AtUser) -> list[str]:
    lines = [f"  {user.name}"]
    if user.error is not None:
        return [*lines, f"    not read for this report: {user.error}"]
    if user.without_file:
        lines.append("    without a file: what Salesloft holds for this user stays as it is")
        return lines
    if user.left:
        lines.append("    offboarded: what Salesloft holds for this user stays as it is")
    if user.stopped:
        lines.append("    not served now: re-sent when this user is served again")
    lines.append(
        f"    {len(user.named)} meetings name the person in Google"
        f" ({user.waiting} of them waiting to be sent, {user.refused} refused){_ids(user.named)}"
    )
    if user.in_texts:
        lines.append(
            f"    {len(user.in_texts)} hold the address in title, description or location, which is sent as"
            f" it is:{_ids(user.in_texts)}"
        )
    if user.cut_off:
        lines.append(
            f"    {len(user.cut_off)} show only a part of their guests, so Salesloft may still hold the"
            f" person there:{_ids(user.cut_off)}"
        )
    return lines


def _ids(ids: Sequence[str]) -> str:
    shown = "".join(f"\n      {event_id}" for event_id in ids[:SHOWN])
    more = len(ids) - SHOWN
    return shown + (f"\n      and {more} more: --json lists all" if more > 0 else "")


def _next_steps(receipt: Erasure) -> list[str]:
    steps = []
    if any(user.in_texts for user in receipt.users):
        steps.append(
            "edit the texts of the meetings above in Google; the change is synced as any other"
        )
    if any(user.cut_off for user in receipt.users):
        steps.append("look at the meetings with a cut-off guest list in Salesloft")
    steps += [
        f"to take the person out of what Salesloft holds for {user.name}, who left: `gcal-salesloft resume"
        f" --user {user.name}`, wait until nothing is pending, then `offboard` again"
        for user in receipt.users
        if user.stays
    ]
    if any(user.error for user in receipt.users):
        steps.append("run this command again when the calendars above can be read")
    if receipt.summary is not None and (receipt.summary.pending or receipt.summary.refused):
        steps.append(
            "see `gcal-salesloft status` and `gcal-salesloft dead-letters list` for what has not arrived"
        )
    if receipt.by_daemon:
        steps.append("see `gcal-salesloft status`: done when nothing is pending")
    steps += [
        f"the address is the calendar of user {name}, which is still served: `gcal-salesloft offboard"
        f" --user {name}` if they leave"
        for name in receipt.own_users
    ]
    if not receipt.log_emptied:
        steps.append(
            "a reader held on to the state's write-ahead log; run this command again to empty it"
        )
    steps.append(
        f"Salesloft keeps what it was sent for meetings that ended more than {receipt.past_days} days ago, and"
        " the person's own record: ask Salesloft's support, or whoever administers Salesloft, to erase the"
        " person there"
    )
    steps.append(
        "backups of the state that are older than this still hold what waited then: delete them; after"
        " restoring one, or a lost state, run this command again"
    )
    return steps
