"""`gcal-salesloft verify`: is it all there? Google, the state and Salesloft, compared by user and day."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from connector.app.asking import UnknownUser, only
from connector.app.verifying import Estimate, UserVerified, Verdicts, verify_users
from connector.cli.exits import UNFINISHED, USAGE
from connector.observe.log import configure_logging
from connector.settings.files import load_settings
from connector.sync.verification import WAITS, Difference, Kind, Slot, Verification

WORDS = {
    Kind.MISSING: "missing in Salesloft",
    Kind.EXTRA: "extra in Salesloft: gone in Google, or not to be sent",
    Kind.DIFFERENT: "different",
    Kind.OUT_OF_STEP: "the state is out of step; Google and Salesloft agree",
    Kind.ON_THE_WAY: "on its way: in the outbox, or just sent",
    Kind.NOT_READ: "not read yet: changed in Google, or entered the window, after the last sync",
    Kind.HELD: "held for a decision: see `gcal-salesloft held list`",
    Kind.REFUSED: "refused by Salesloft: see `gcal-salesloft dead-letters list`",
    Kind.UNREADABLE: "cannot be read from Google, so it was not compared",
}


async def run(config: Path, *, user: str | None, repair: bool, as_json: bool) -> int:
    try:
        settings = only(load_settings(config), user)
    except UnknownUser as unknown:
        print(f"gcal-salesloft: {unknown}", file=sys.stderr)  # noqa: T201  # the user's answer
        return USAGE
    configure_logging(settings.process.log_format)
    for broken in settings.broken:
        for mistake in broken.mistakes:
            print(f"user {broken.name} is not compared: {mistake}", file=sys.stderr)  # noqa: T201
    verdicts = await verify_users(
        settings,
        repair=repair,
        tell=_tell,
        waits=lambda why: print(why, file=sys.stderr),  # noqa: T201
    )
    status = verdicts.exit_status
    if settings.broken and status == 0:
        status = UNFINISHED
    if as_json:
        print(json.dumps(_answer(verdicts), indent=2))  # noqa: T201  # the command's answer
        return status
    for one in verdicts.users:
        for line in _lines(one):
            print(line)  # noqa: T201  # the command's answer
    print(f"{_points(verdicts.points)} spent; {_conclusion(verdicts, status, repair=repair)}")  # noqa: T201
    return status


def _tell(estimate: Estimate) -> None:
    print(  # noqa: T201  # beside the answer
        f"this will cost about {_points(estimate.points)}, at most {estimate.per_minute:.0f} a minute",
        file=sys.stderr,
    )


def _points(count: int) -> str:
    return f"{count} point{'s' if count != 1 else ''}"


def _conclusion(verdicts: Verdicts, status: int, *, repair: bool) -> str:
    if status == 0:
        return "nothing differs"
    wrong = any(one.verification and one.verification.remedies for one in verdicts.users)
    if any(one.verification and one.verification.repaired for one in verdicts.users):
        return (
            "what mends it is in line: the daemon, or the next run, sends it; then run verify again"
        )
    if wrong and not repair:
        return "`--repair` puts in line what mends the differences"
    return "not all is equal, see above"


def _lines(one: UserVerified) -> Iterator[str]:
    if one.skipped is not None:
        yield f"{one.name}: skipped: {one.skipped}"
        return
    found = one.verification
    if found is None:
        yield f"{one.name}: not compared: {one.error}"
        return
    yield f"{one.name}: {_counts(found)}"
    for kind in WAITS:
        if waiting := found.of(kind):
            yield f"  {len(waiting)} {WORDS[kind]}"
    yield from _days(found)
    done = found.repaired
    if done is not None:
        yield f"  repair: {done.enqueued} put in line, {done.marked} marked in the state, {done.held} held"
        if done.held_id is not None:
            yield (
                f"  {done.held} cancellations are implausibly many and wait for you: `gcal-salesloft held list`"
            )


def _counts(found: Verification, day: date | None = None) -> str:
    equal = found.equal.total() if day is None else found.equal[day]
    parts = [f"{equal}/{found.total(day)} equal"]
    parts += [
        f"{len(found.of(kind, day=day))} {kind.value}"
        for kind in (Kind.MISSING, Kind.EXTRA, Kind.DIFFERENT)
    ]
    if leaks := found.leaks(day):
        parts.append(f"{leaks} LEAK: withheld text stands in Salesloft")
    if off := len(found.of(Kind.OUT_OF_STEP, day=day)):
        parts.append(f"{off} out of step")
    if waiting := len(found.of(*WAITS, day=day)):
        parts.append(f"{waiting} waiting")
    return ", ".join(parts)


def _days(found: Verification) -> Iterator[str]:
    """A line for each day, with its differences; days on which all is equal share a line."""
    equal: list[date] = []
    for day in found.days():
        differences = [one for one in found.differences if one.day == day]
        if not differences:
            equal.append(day)
            continue
        yield from _equal_days(found, equal)
        equal = []
        yield f"  {day}  {_counts(found, day)}"
        for one in differences:
            yield f"    {_described(one)}"
    yield from _equal_days(found, equal)


def _equal_days(found: Verification, days: list[date]) -> Iterator[str]:
    if not days:
        return
    count = sum(found.equal[day] for day in days)
    span = f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"
    several = f" on each of {len(days)} days" if len(days) > 1 else ""
    yield f"  {span}  {count}/{count} equal, 0 missing, 0 extra, 0 different{several}"


def _described(one: Difference) -> str:
    at = f"{one.start:%Y-%m-%d %H:%M} UTC" if one.start else "no time"
    words = [f"{one.key.event_id}  {at}  {WORDS[one.kind]}"]
    if one.leak:
        words.append(f"LEAK: withheld text in {', '.join(one.fields)}")
    elif one.fields:
        words.append(", ".join(_field(one, name) for name in one.fields))
    if one.kind in (Kind.MISSING, Kind.DIFFERENT):
        words.append(f"state: {one.state}")
    if not one.mendable:
        words.append("Google was not asked or did not answer for it; not repaired")
    return "; ".join(words)


def _field(one: Difference, name: str) -> str:
    """A field's name; times and status with both values, which are no secret of any meeting."""
    sides = {"start_time": "start", "end_time": "end", "status": "status"}
    if name not in sides or one.google is None or one.salesloft is None:
        return name
    google, held = getattr(one.google, sides[name]), getattr(one.salesloft, sides[name])
    if name == "status":
        return f"status: Google {google}, Salesloft {held}"
    return f"{name}: Google {google:%Y-%m-%d %H:%M}, Salesloft {held:%Y-%m-%d %H:%M}"


def _answer(verdicts: Verdicts) -> dict[str, Any]:
    return {
        "clean": verdicts.exit_status == 0,
        "estimated_points": verdicts.estimate.points,
        "points": verdicts.points,
        "users": [_user(one) for one in verdicts.users],
    }


def _user(one: UserVerified) -> dict[str, Any]:
    found = one.verification
    head = {
        "user": one.name,
        "skipped": one.skipped,
        "error": str(one.error) if one.error else None,
    }
    if found is None:
        return head
    counts = found.summary()
    done = found.repaired
    return head | {
        "at": found.at.isoformat(timespec="seconds"),
        "total": found.total(),
        "equal": counts.equal,
        "missing": counts.missing,
        "extra": counts.extra,
        "different": counts.different,
        "leaks": counts.leaks,
        "out_of_step": counts.out_of_step,
        "waiting": counts.waiting,
        "repaired": None
        if done is None
        else {"enqueued": done.enqueued, "marked": done.marked, "held": done.held},
        "days": [_day(found, day) for day in found.days()],
        "differences": [_difference(one) for one in found.differences],
    }


def _day(found: Verification, day: date) -> dict[str, Any]:
    return {
        "day": day.isoformat(),
        "total": found.total(day),
        "equal": found.equal[day],
        "missing": len(found.of(Kind.MISSING, day=day)),
        "extra": len(found.of(Kind.EXTRA, day=day)),
        "different": len(found.of(Kind.DIFFERENT, day=day)),
        "waiting": len(found.of(*WAITS, day=day)),
    }


def _difference(one: Difference) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "event_id": one.key.event_id,
        "i_cal_uid": one.key.ical_uid,
        "start": one.start.isoformat() if one.start else None,
        "fields": list(one.fields),
        "leak": one.leak,
        "state": one.state,
        "mendable": one.mendable,
        "google": _slot(one.google),
        "salesloft": _slot(one.salesloft),
    }


def _slot(slot: Slot | None) -> dict[str, str] | None:
    if slot is None:
        return None
    return {
        "start": slot.start.isoformat(),
        "end": slot.end.isoformat(),
        "status": slot.status,
    }
