"""Everything that the state knows of some events, for answers to people. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from connector.domain.mapping import from_millis
from connector.domain.model import EventId, ICalUid
from connector.domain.plan import Key, Known
from connector.store import journal
from connector.store.connection import Connection
from connector.store.rows import known_of_events, known_of_series


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row of the outbox. `bulk` names the job that holds it; `held_id` the difference that a human must release."""

    queued_at: datetime
    attempts: int
    next_attempt: datetime | None
    last_error: str | None
    in_flight: bool
    held_id: int | None
    after_uid: str | None
    bulk: str | None


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter; `reason` is Salesloft's, redacted."""

    at: datetime
    status: int
    reason: str
    request_id: str
    discarded: bool


@dataclass(frozen=True, slots=True)
class Remembered:
    """One key with what waits of it, what was refused, and every request that is still in the journal."""

    known: Known
    waiting: Waiting | None
    letter: Letter | None
    journal: tuple[journal.Entry, ...]


def remembered(connection: Connection, calendar: int, ids: Iterable[str]) -> list[Remembered]:
    """What is known under these ids, as events or as series, by their start."""
    wanted = [EventId(one) for one in ids]
    rows = {row.key: row for row in known_of_events(connection, calendar, wanted)}
    rows |= {row.key: row for row in known_of_series(connection, calendar, wanted)}
    return [
        Remembered(
            row,
            _waiting(connection, calendar, row.key),
            _letter(connection, calendar, row.key),
            tuple(
                entry
                for entry in journal.entries(connection, calendar, row.key.event_id)
                if entry.ical_uid == row.key.ical_uid
            ),
        )
        for row in sorted(rows.values(), key=lambda row: (row.start, row.key.event_id))
    ]


def ids_of_uid(connection: Connection, calendar: int, uid: ICalUid | str) -> list[str]:
    """The event ids that are known under an iCalUID."""
    cursor = connection.execute(
        "SELECT DISTINCT event_id FROM occurrences WHERE calendar_id = ? AND ical_uid = ?",
        (calendar, uid),
    )
    return [row[0] for row in cursor]


def set_aside(connection: Connection, calendar: int, event_id: str) -> str | None:
    """Why an event could not be read, if it could not."""
    row = connection.execute(
        "SELECT reason FROM set_aside WHERE calendar_id = ? AND event_id = ?", (calendar, event_id)
    ).fetchone()
    return str(row[0]) if row else None


def _waiting(connection: Connection, calendar: int, key: Key) -> Waiting | None:
    row = connection.execute(
        """SELECT b.queued_ms, b.attempts, b.next_attempt_ms, b.last_error, b.in_flight, b.held_id, b.after_uid,
                  (SELECT coalesce(CAST(j.remote_id AS TEXT), j.name)
                   FROM bulk_items i JOIN bulk_jobs j ON j.id = i.bulk_id
                   WHERE i.calendar_id = b.calendar_id AND i.event_id = b.event_id AND i.ical_uid = b.ical_uid)
           FROM outbox b WHERE b.calendar_id = ? AND b.event_id = ? AND b.ical_uid = ?""",
        (calendar, key.event_id, key.ical_uid),
    ).fetchone()
    if row is None:
        return None
    return Waiting(
        queued_at=from_millis(row[0]),
        attempts=row[1],
        next_attempt=from_millis(row[2]) if row[2] else None,
        last_error=row[3],
        in_flight=bool(row[4]),
        held_id=row[5],
        after_uid=row[6],
        bulk=str(row[7]) if row[7] is not None else None,
    )


def _letter(connection: Connection, calendar: int, key: Key) -> Letter | None:
    row = connection.execute(
        """SELECT at_ms, status, reason, request_id, discarded FROM dead_letters
           WHERE calendar_id = ? AND event_id = ? AND ical_uid = ?""",
        (calendar, key.event_id, key.ical_uid),
    ).fetchone()
    return Letter(from_millis(row[0]), row[1], row[2], row[3], bool(row[4])) if row else None
