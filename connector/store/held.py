"""Differences that were held for a human: a full reading that would cancel an implausible share of a calendar.

The rows of a held difference stand in the outbox, marked, and are not sent. Readings go on meanwhile: newer content of
a key takes its row over and is sent as always, and what Google confirms as cancelled is held no longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.domain.mapping import CANCELLED, CANCELLED_AND_BLANKED, from_millis, to_millis
from connector.domain.model import UserName
from connector.domain.plan import Gone, Key
from connector.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Held:
    """One held difference: `gone` of `tracked` events would be cancelled; `waiting` rows of it are not sent."""

    id: int
    user: UserName
    at: datetime
    gone: int
    tracked: int
    waiting: int


def hold(
    connection: Connection,
    calendar: int,
    gone: int,
    *,
    window_start: datetime,
    share: float,
    minimum: int,
    now: datetime,
) -> int | None:
    """The id of a new held difference if `gone` events are implausibly many, else None."""
    if gone < minimum:
        return None
    tracked = connection.execute(
        "SELECT count(DISTINCT event_id) FROM occurrences WHERE calendar_id = ? AND alive AND end_ms > ?",
        (calendar, to_millis(window_start)),
    ).fetchone()[0]
    if gone <= share * tracked:
        return None
    cursor = connection.execute(
        "INSERT INTO held (calendar_id, at_ms, gone, tracked) VALUES (?, ?, ?, ?) RETURNING id",
        (calendar, to_millis(now), gone, tracked),
    )
    return int(cursor.fetchone()[0])


def confirm(connection: Connection, calendar: int, findings: Iterable[object]) -> None:
    """Google itself says that these are cancelled: they need no human any more."""
    held = connection.execute("SELECT 1 FROM held WHERE calendar_id = ?", (calendar,)).fetchone()
    if held is None:
        return
    connection.executemany(
        "UPDATE outbox SET held_id = NULL WHERE calendar_id = ? AND event_id = ? AND ical_uid = ? AND cancels",
        [
            (calendar, finding.key.event_id, finding.key.ical_uid)
            for finding in findings
            if isinstance(finding, Gone) and finding.confirmed
        ],
    )
    _forget_empty(connection)


def held_differences(connection: Connection) -> list[Held]:
    """Every held difference, oldest first."""
    cursor = connection.execute(
        """SELECT h.id, c.name, h.at_ms, h.gone, h.tracked,
                  (SELECT count(*) FROM outbox b WHERE b.held_id = h.id)
           FROM held h JOIN calendars c ON c.id = h.calendar_id ORDER BY h.id"""
    )
    return [
        Held(row[0], UserName(row[1]), from_millis(row[2]), row[3], row[4], row[5])
        for row in cursor
    ]


def held_keys(connection: Connection, held_id: int) -> list[tuple[Key, bool]]:
    """The keys of a held difference, and whether each would be cancelled."""
    cursor = connection.execute(
        "SELECT event_id, ical_uid, cancels FROM outbox WHERE held_id = ? ORDER BY start_ms",
        (held_id,),
    )
    return [(Key(row[0], row[1]), bool(row[2])) for row in cursor]


def release(connection: Connection, ids: Sequence[int]) -> int:
    """Let held differences go out; gives how many rows."""
    freed = 0
    for held_id in ids:
        freed += connection.execute(
            "UPDATE outbox SET held_id = NULL WHERE held_id = ?", (held_id,)
        ).rowcount
        connection.execute("DELETE FROM held WHERE id = ?", (held_id,))
    return freed


def discard(connection: Connection, ids: Sequence[int]) -> int:
    """Drop held differences: Salesloft keeps what it holds. Gives how many rows."""
    dropped = 0
    for held_id in ids:
        connection.execute(
            """UPDATE occurrences SET alive = (accepted IS NOT NULL AND accepted NOT IN (?, ?)),
                   canceled_ms = CASE WHEN accepted IN (?, ?) THEN canceled_ms ELSE NULL END
               WHERE EXISTS (SELECT 1 FROM outbox b WHERE b.held_id = ? AND b.calendar_id = occurrences.calendar_id
                   AND b.event_id = occurrences.event_id AND b.ical_uid = occurrences.ical_uid)""",
            (CANCELLED, CANCELLED_AND_BLANKED, CANCELLED, CANCELLED_AND_BLANKED, held_id),
        )
        dropped += connection.execute("DELETE FROM outbox WHERE held_id = ?", (held_id,)).rowcount
        connection.execute("DELETE FROM held WHERE id = ?", (held_id,))
    return dropped


def _forget_empty(connection: Connection) -> None:
    connection.execute(
        "DELETE FROM held WHERE NOT EXISTS (SELECT 1 FROM outbox b WHERE b.held_id = held.id)"
    )
