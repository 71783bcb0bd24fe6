"""What Salesloft answered to each upsert, kept for `explain`: names and numbers, never content."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.domain.mapping import from_millis, to_millis
from connector.domain.plan import Key

KEPT_FOR = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer. `changed` are names of attributes; `upsert_type` is `create` or `update`."""

    at: datetime
    status: int
    upsert_type: str
    changed: tuple[str, ...]
    request_id: str
    cost: float


def write(connection: sqlite3.Connection, calendar: int, key: Key, entry: Entry) -> None:
    connection.execute(
        """INSERT INTO journal (calendar_id, event_id, ical_uid, at_ms, status, upsert_type, changed, request_id, cost)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            calendar,
            key.event_id,
            key.ical_uid,
            to_millis(entry.at),
            entry.status,
            entry.upsert_type,
            ",".join(entry.changed),
            entry.request_id,
            entry.cost,
        ),
    )


def entries(connection: sqlite3.Connection, calendar: int, event_id: str) -> list[Entry]:
    """The answers to everything that was sent of one event, oldest first."""
    cursor = connection.execute(
        """SELECT at_ms, status, upsert_type, changed, request_id, cost FROM journal
           WHERE calendar_id = ? AND event_id = ? ORDER BY id""",
        (calendar, event_id),
    )
    return [
        Entry(from_millis(row[0]), row[1], row[2], tuple(filter(None, row[3].split(","))), *row[4:])
        for row in cursor
    ]


def purge(connection: sqlite3.Connection, now: datetime) -> None:
    connection.execute("DELETE FROM journal WHERE at_ms < ?", (to_millis(now - KEPT_FOR),))
