"""`gcal-salesloft policy simulate`: which meetings another policy would show or hide."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connector.app.asking import UnknownUser, only
from connector.app.policy_simulation import UserSimulated, simulate_policy
from connector.cli.exits import UNFINISHED, USAGE
from connector.domain.policy import Disclosure
from connector.observe.log import configure_logging
from connector.settings.files import load_settings
from connector.settings.policy_file import policies_with
from connector.sync.policy_changes import PolicyChange

WORDS = {
    Disclosure.FULL: "full",
    Disclosure.BUSY_ONLY: "busy only",
    Disclosure.NOTHING: "nothing",
}


async def run(config: Path, other: Path, *, user: str | None, reveal: bool, as_json: bool) -> int:
    try:
        settings = only(load_settings(config), user)
    except UnknownUser as unknown:
        print(f"gcal-salesloft: {unknown}", file=sys.stderr)  # noqa: T201  # the user's answer
        return USAGE
    configure_logging(settings.process.log_format)
    policies = policies_with(settings, other)
    for broken in settings.broken:
        for mistake in broken.mistakes:
            print(f"user {broken.name} is not judged: {mistake}", file=sys.stderr)  # noqa: T201
    if reveal:
        print(  # noqa: T201  # beside the answer
            "warning: --reveal prints titles of meetings that the policy withholds today;"
            " do not paste this into a ticket",
            file=sys.stderr,
        )
    simulated = await simulate_policy(settings, policies)
    if as_json:
        answer = {"users": [_user(one, reveal=reveal) for one in simulated.users]}
        print(json.dumps(answer, indent=2, ensure_ascii=False))  # noqa: T201  # the command's answer
    else:
        for one in simulated.users:
            for line in _lines(one, reveal=reveal):
                print(line)  # noqa: T201  # the command's answer
        print("nothing was changed; no points were spent")  # noqa: T201  # the command's answer
    return UNFINISHED if settings.broken and simulated.exit_status == 0 else simulated.exit_status


def _kind(change: PolicyChange) -> str:
    if change.before is change.after:
        return f"{WORDS[change.before]}, other content"
    return f"{WORDS[change.before]} -> {WORDS[change.after]}"


def _lines(one: UserSimulated, *, reveal: bool) -> Iterator[str]:
    if one.error is not None:
        yield f"{one.name}: not read: {one.error}"
        return
    counts = Counter(_kind(change) for change in one.changes)
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    unchanged = one.judged - len(one.changes)
    yield f"{one.name}: {told or 'no meeting would change'}; {unchanged} as today"
    for change in one.changes:
        title = _title(change, reveal=reveal)
        yield (
            f"  {_kind(change):<24}  {change.start:%Y-%m-%d %H:%M} UTC  {change.key.event_id}"
            f"  ({change.rule_before.value} -> {change.rule_after.value})"
            + (f"  {title!r}" if title is not None else "")
        )


def _title(change: PolicyChange, *, reveal: bool) -> str | None:
    """Of what is full today the title is no secret; of anything else only on demand."""
    return change.title if reveal or change.before is Disclosure.FULL else None


def _user(one: UserSimulated, *, reveal: bool) -> dict[str, Any]:
    counts = Counter(f"{change.before.value}_to_{change.after.value}" for change in one.changes)
    return {
        "user": one.name,
        "error": str(one.error) if one.error else None,
        "judged": one.judged,
        "counts": dict(sorted(counts.items())),
        "changes": [
            {
                "event_id": change.key.event_id,
                "i_cal_uid": change.key.ical_uid,
                "start": change.start.isoformat(),
                "from": change.before.value,
                "to": change.after.value,
                "rule": change.rule_before.value,
                "new_rule": change.rule_after.value,
                "title": _title(change, reveal=reveal),
            }
            for change in one.changes
        ],
    }
