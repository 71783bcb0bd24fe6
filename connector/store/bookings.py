"""What is known of meetings booked in Salesloft, and how far their list was walked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connector.domain.mapping import from_millis, to_millis
from connector.store.connection import Connection

CURSOR = "meetings"


@dataclass(frozen=True, slots=True)
class Booking:
    """One meeting's event. `state`: booking (about to be written), inserted, booked, moving, cancelled, failed.

    `message` says what failed, without texts and addresses.
    """

    calendar: int
    meeting_id: str
    event_id: str
    state: str
    at: datetime
    ical_uid: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    message: str = ""


def booking(connection: Connection, calendar: int, meeting_id: str) -> Booking | None:
    row = connection.execute(
        """SELECT event_id, state, at_ms, ical_uid, start_ms, end_ms, message FROM bookings
           WHERE calendar_id = ? AND meeting_id = ?""",
        (calendar, meeting_id),
    ).fetchone()
    return None if row is None else _booking(calendar, meeting_id, row)


def failed_bookings(connection: Connection, calendar: int) -> list[Booking]:
    """What could not be booked, moved or cancelled for good, oldest first."""
    cursor = connection.execute(
        """SELECT event_id, state, at_ms, ical_uid, start_ms, end_ms, message, meeting_id FROM bookings
           WHERE calendar_id = ? AND state = 'failed' ORDER BY at_ms""",
        (calendar,),
    )
    return [_booking(calendar, row[7], row) for row in cursor]


def counts_of(connection: Connection, calendar: int) -> dict[str, int]:
    """How many bookings are in which state."""
    rows = connection.execute(
        "SELECT state, count(*) FROM bookings WHERE calendar_id = ? GROUP BY state", (calendar,)
    )
    return dict(rows.fetchall())


def save_booking(connection: Connection, row: Booking) -> None:
    connection.execute(
        """INSERT INTO bookings (calendar_id, meeting_id, event_id, ical_uid, state, start_ms, end_ms, message, at_ms)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (calendar_id, meeting_id) DO UPDATE SET event_id = excluded.event_id,
               ical_uid = coalesce(excluded.ical_uid, bookings.ical_uid), state = excluded.state,
               start_ms = coalesce(excluded.start_ms, bookings.start_ms),
               end_ms = coalesce(excluded.end_ms, bookings.end_ms),
               message = excluded.message, at_ms = excluded.at_ms""",
        (
            row.calendar,
            row.meeting_id,
            row.event_id,
            row.ical_uid,
            row.state,
            to_millis(row.start) if row.start else None,
            to_millis(row.end) if row.end else None,
            row.message,
            to_millis(row.at),
        ),
    )


def purge_bookings(connection: Connection, calendar: int, before: datetime) -> None:
    """Forget meetings that were done with and ended before then.

    Failed ones stay: Salesloft may still list them as pending, and a forgotten one would be tried anew.
    """
    connection.execute(
        "DELETE FROM bookings WHERE calendar_id = ? AND state IN ('booked', 'cancelled') AND end_ms < ?",
        (calendar, to_millis(before)),
    )


def cursor_of(connection: Connection, team: str) -> datetime | None:
    """The last update that a team's walk has dealt with."""
    row = connection.execute(
        "SELECT value FROM cursors WHERE scope = ? AND name = ?", (team, CURSOR)
    ).fetchone()
    return from_millis(int(row[0])) if row else None


def save_cursor(connection: Connection, team: str, at: datetime) -> None:
    connection.execute(
        """INSERT INTO cursors (scope, name, value) VALUES (?, ?, ?)
           ON CONFLICT (scope, name) DO UPDATE SET value = excluded.value""",
        (team, CURSOR, str(to_millis(at))),
    )


def _booking(calendar: int, meeting_id: str, row: tuple[object, ...]) -> Booking:
    event_id, state, at, ical_uid, start, end, message = row[:7]
    return Booking(
        calendar,
        meeting_id,
        str(event_id),
        str(state),
        _moment(at),
        None if ical_uid is None else str(ical_uid),
        None if start is None else _moment(start),
        None if end is None else _moment(end),
        str(message),
    )


def _moment(millis: object) -> datetime:
    assert isinstance(millis, int)
    return from_millis(millis)
