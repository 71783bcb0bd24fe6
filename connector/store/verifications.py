"""The last comparison of each calendar, and the one transaction in which a comparison marks what mends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from connector.domain.mapping import CANCELLED, UNCERTAIN, Fingerprint, from_millis, to_millis
from connector.domain.plan import (
    Finding,
    Gone,
    Ground,
    Key,
    Known,
    Seen,
    Send,
    decide,
    decide_withheld,
)
from connector.store.commit import Hold
from connector.store.connection import Connection
from connector.store.held import hold
from connector.store.rows import enqueue, known_of_events, remember


@dataclass(frozen=True, slots=True)
class Verified:
    """How a calendar's last comparison came out, in occurrences; `waiting`: on their way, held or refused."""

    at: datetime
    equal: int
    missing: int
    extra: int
    different: int
    leaks: int
    out_of_step: int
    waiting: int
    repaired: int

    @property
    def clean(self) -> bool:
        """Nothing differs and nothing waits."""
        wrong = (self.missing, self.extra, self.different, self.leaks, self.out_of_step)
        return not any(wrong) and not self.waiting


@dataclass(frozen=True, slots=True)
class Adopt:
    """Salesloft holds what Google shows, and the state did not know: the state is what is put right."""

    known: Known


@dataclass(frozen=True, slots=True)
class Forget:
    """Neither Google nor Salesloft has it alive any more; the state did not know."""

    key: Key


@dataclass(frozen=True, slots=True)
class Blank:
    """A cancelled row whose text must not stand in Salesloft."""

    key: Key


Cure = Seen | Gone | Blank | Adopt | Forget


@dataclass(frozen=True, slots=True)
class Remedy:
    """What mends one difference. `before`: what the state knew when it was found; `held`: what Salesloft holds.

    `extra`: it cancels something that Salesloft holds alive, so it counts towards what is held for a human.
    """

    key: Key
    cure: Cure
    before: Known | None
    held: Known | None
    extra: bool = False


@dataclass(frozen=True, slots=True)
class Repaired:
    """`enqueued` rows are in line, `marked` needed no sending, `held` wait for a human under `held_id`."""

    enqueued: int = 0
    marked: int = 0
    held: int = 0
    held_id: int | None = None


@dataclass(frozen=True, slots=True)
class InLine:
    """Keys of a calendar that are dealt with already: held for a human, or refused."""

    held: frozenset[Key]
    refused: frozenset[Key]


_COLUMNS = "at_ms, equal, missing, extra, different, leaks, out_of_step, waiting, repaired"

_KEEP = (
    f"INSERT INTO verifications (calendar_id, {_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)"  # noqa: S608  # own names
    f" ON CONFLICT (calendar_id) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in _COLUMNS.split(', '))}"
)


def last(connection: Connection, calendar: int) -> Verified | None:
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM verifications WHERE calendar_id = ?",  # noqa: S608  # own names
        (calendar,),
    ).fetchone()
    return Verified(from_millis(row[0]), *row[1:]) if row else None


def keep(connection: Connection, calendar: int, result: Verified) -> None:
    """Remember how a comparison came out, instead of the one before."""
    connection.execute(
        _KEEP,
        (
            calendar,
            to_millis(result.at),
            *(result.equal, result.missing, result.extra, result.different),
            *(result.leaks, result.out_of_step, result.waiting, result.repaired),
        ),
    )


def in_line(connection: Connection, calendar: int) -> InLine:
    """What of a calendar is held or was refused."""

    def keys(statement: str) -> frozenset[Key]:
        return frozenset(Key(*row) for row in connection.execute(statement, (calendar,)))

    return InLine(
        held=keys(
            "SELECT event_id, ical_uid FROM outbox WHERE calendar_id = ? AND held_id IS NOT NULL"
        ),
        refused=keys("SELECT event_id, ical_uid FROM dead_letters WHERE calendar_id = ?"),
    )


def repair(
    connection: Connection,
    calendar: int,
    ground: Ground,
    remedies: Sequence[Remedy],
    limit: Hold,
    now: datetime,
) -> Repaired:
    """Mark and enqueue what mends the differences; nothing is sent here. Done twice, the second time does nothing.

    A key of which something waits already, or that changed since it was compared, is left alone: what was decided
    since is newer. Cancellations of more than the plausible share are held for a human, like any others.
    """
    sends: list[tuple[Remedy, Send]] = []
    marked = 0
    now_known = _now_known(connection, calendar, remedies)
    for remedy in remedies:
        known = now_known.get(remedy.key)
        if known is not None and (known.pending is not None or known.refused is not None):
            continue
        if _told(known) != _told(remedy.before):
            continue
        if isinstance(remedy.cure, Adopt | Forget):
            marked += _mark(connection, calendar, remedy.cure, known)
            continue
        decision = _decision(ground, remedy.cure, _doubted(known, remedy.held))
        if isinstance(decision, Send):
            sends.append((remedy, decision))
    extras = [remedy.key.event_id for remedy, _ in sends if remedy.extra]
    held_id = hold(
        connection,
        calendar,
        len(set(extras)),
        window_start=ground.window.start,
        share=limit.share,
        minimum=limit.minimum,
        now=now,
    )
    for remedy, send in sends:
        held = held_id if remedy.extra else None
        enqueue(connection, calendar, send, backfill=False, now=now, held=held)
    held_rows = len(extras) if held_id is not None else 0
    return Repaired(len(sends) - held_rows, marked, held_rows, held_id)


def _now_known(
    connection: Connection, calendar: int, remedies: Sequence[Remedy]
) -> Mapping[Key, Known]:
    ids = {remedy.key.event_id for remedy in remedies}
    return {row.key: row for row in known_of_events(connection, calendar, ids)}


def _told(known: Known | None) -> tuple[Fingerprint | None, bool, datetime | None] | None:
    return (known.accepted, known.alive, known.updated_at) if known else None


def _doubted(known: Known | None, held: Known | None) -> Known | None:
    """What is known of a key when nothing that the state believes of Salesloft is believed any more.

    Its `updated_at` is at least what Salesloft shows, so that what is sent next is newer than what it holds.
    """
    base = known or held
    if base is None:
        return None
    times = [row.updated_at for row in (known, held) if row and row.updated_at]
    return replace(
        base,
        alive=base.alive or bool(held and held.alive),
        accepted=UNCERTAIN,
        pending=None,
        attempted=False,
        exposed=base.exposed or bool(held and held.exposed),
        updated_at=max(times, default=None),
        canceled_at=base.canceled_at or (held.canceled_at if held else None),
    )


def _decision(ground: Ground, cure: Finding | Blank, doubted: Known | None) -> object:
    if isinstance(cure, Blank):
        return decide_withheld(ground, replace(doubted, alive=False)) if doubted else None
    if isinstance(cure, Gone) and doubted is not None:
        doubted = replace(doubted, alive=True)
    return decide(ground, cure, doubted)


def _mark(connection: Connection, calendar: int, cure: Adopt | Forget, known: Known | None) -> bool:
    if isinstance(cure, Adopt):
        remember(connection, calendar, cure.known)
        return True
    if known is None or not known.alive:
        return False
    remember(connection, calendar, replace(known, alive=False, accepted=CANCELLED, rule=None))
    return True
