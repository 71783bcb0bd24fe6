"""Judges what belongs to the process: its state, its clock, and whether it has a share of a team's points."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from connector.store.inspection import StateSeen
from connector.store.server import Server, ServerSeen
from connector.sync.checks.model import Check, failed, ok, warning

PROCESS = "process"
LITTLE_SPACE = 200_000_000
SKEW_NOTED, SKEW_HARMFUL = timedelta(seconds=10), timedelta(seconds=120)
"""Google refuses a service account's signature from five minutes on; half of that is no time to wait for it."""


def judge_state(path: Path, seen: StateSeen) -> list[Check]:
    """Exists, writable, whose lock, which schema, sound, room on the disk."""
    checks = []
    if seen.problem:
        checks.append(failed(PROCESS, "state", f"{path}: {seen.problem}", seen.remedy))
    elif not seen.exists:
        checks.append(ok(PROCESS, "state", f"{path}: does not exist yet; the first `run` makes it"))
    else:
        held = f"held by process {seen.holder}" if seen.holder else "no daemon holds it"
        evidence = f"{path}: sound, schema {seen.schema}, {seen.size / 1e6:.1f} MB, {held}"
        checks.append(ok(PROCESS, "state", evidence))
    if not seen.writable:
        checks.append(
            failed(
                PROCESS,
                "state writable",
                f"{seen.place} belongs to {seen.owner} (mode {seen.mode:04o}); this is {seen.me}",
                f"run as the service's user (`sudo -u {seen.owner} gcal-salesloft doctor …`); if the service itself"
                f" is refused: `chown -R USER {seen.place}` with its user, `chmod 700` for its folder",
            )
        )
    space = f"{seen.free_bytes / 1e9:.1f} GB free beside {path}"
    if seen.free_bytes < LITTLE_SPACE:
        checks.append(
            failed(
                PROCESS, "disk space", space, "make room: on a full disk nothing is stored or sent"
            )
        )
    else:
        checks.append(ok(PROCESS, "disk space", space))
    return checks


def judge_server(server: Server, seen: ServerSeen) -> list[Check]:
    """The same of a state on a PostgreSQL server: reachable, whose lock, which schema."""
    if seen.problem:
        evidence, _, remedy = seen.problem.partition(";")
        return [failed(PROCESS, "state", f"{server}: {evidence}", remedy.strip() or evidence)]
    held = f"held by {seen.holder}" if seen.holder else "no daemon holds it"
    if not seen.schema:
        return [ok(PROCESS, "state", f"{server}: reachable and empty; the first `run` makes it")]
    evidence = f"{server}: reachable, schema {seen.schema}, {seen.size / 1e6:.1f} MB, {held}"
    return [ok(PROCESS, "state", evidence)]


def judge_clock(skews: Mapping[str, timedelta]) -> Check:
    """Of each service: its clock minus this machine's. Told by `Date` headers, so to a second."""
    if not skews:
        return warning(
            PROCESS,
            "clock",
            "no service told its time",
            "mend the connections below, then look again",
        )
    told = "; ".join(f"{name}'s is {_skew(skew)}" for name, skew in sorted(skews.items()))
    worst = max(abs(skew) for skew in skews.values())
    if worst <= SKEW_NOTED:
        return ok(PROCESS, "clock", told)
    remedy = "set this machine's clock: `timedatectl set-ntp true`, then look at `timedatectl`"
    if worst <= SKEW_HARMFUL:
        return warning(PROCESS, "clock", told, remedy)
    consequence = "; Google refuses service accounts from 300 s on"
    return failed(PROCESS, "clock", told + consequence, remedy)


def _skew(skew: timedelta) -> str:
    seconds = skew.total_seconds()
    if abs(seconds) < 1:
        return "the same"
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"


def judge_share(file: str, instances: int, *, default_points: bool) -> Check | None:
    """One file of several, served alone, is how gcal-salesloft@.service runs: each with points of its own."""
    if instances < 2 or not default_points:
        return None
    return warning(
        PROCESS,
        "share of points",
        f"{file} is one of {instances} users' files and has the default points_per_minute",
        "instances of gcal-salesloft@.service do not know what the others spend: give each a share, e.g."
        f" points_per_minute = {600 // instances}; or run gcal-salesloft.service for all of them",
    )
