"""How everything stands, in a few grouped queries: what metrics and the status page show. For a reading connection."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from connector.domain.mapping import from_millis, to_millis
from connector.store import calendars, channels
from connector.store.calendars import CalendarState
from connector.store.connection import Connection
from connector.store.held import Held, held_differences
from connector.store.outbox import SOON, Lane

NEWEST_REFUSED = 100
"""How many dead letters are shown one by one."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A dead letter without its payload."""

    user: str
    event_id: str
    at: datetime
    status: int
    reason: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Counts by calendar (its row in the state). `oldest` are changes only: backfill waits by design."""

    calendars: tuple[CalendarState, ...]
    backlog: dict[int, dict[Lane, int]]
    oldest: dict[int, datetime]
    held: dict[int, int]
    dead_letters: dict[int, int]
    set_aside: dict[int, int]
    differences: tuple[Held, ...]
    refused: tuple[Refused, ...]
    bookings: dict[str, int]
    verified: dict[str, int]
    verified_oldest: datetime | None
    channels: dict[str, int] = field(default_factory=dict)


_WAITING = """
    SELECT calendar_id, CASE WHEN backfill THEN 4
                             WHEN end_ms > :now AND start_ms < :soon THEN 1
                             WHEN prospect OR cancels THEN 2
                             ELSE 3 END AS lane,
           count(*), min(CASE WHEN backfill THEN NULL ELSE queued_ms END)
    FROM outbox WHERE held_id IS NULL GROUP BY calendar_id, lane
"""
_HELD = "SELECT calendar_id, count(*) FROM outbox WHERE held_id IS NOT NULL GROUP BY calendar_id"
_DEAD = "SELECT calendar_id, count(*) FROM dead_letters WHERE NOT discarded GROUP BY calendar_id"
_ASIDE = "SELECT calendar_id, count(*) FROM set_aside GROUP BY calendar_id"
_REFUSED = """
    SELECT c.name, d.event_id, d.at_ms, d.status, d.reason, d.request_id
    FROM dead_letters d JOIN calendars c ON c.id = d.calendar_id
    WHERE NOT d.discarded ORDER BY d.at_ms DESC LIMIT ?
"""
_BOOKINGS = "SELECT state, count(*) FROM bookings GROUP BY state"
_VERIFIED = """
    SELECT sum(equal), sum(missing), sum(extra), sum(different), sum(repaired), min(at_ms) FROM verifications
"""
_VERIFIED_NAMES = ("equal", "missing", "extra", "different", "repaired")


def standing(connection: Connection, now: datetime) -> Standing:
    """Everything at one moment, read in one transaction."""
    backlog: defaultdict[int, dict[Lane, int]] = defaultdict(dict)
    oldest: dict[int, datetime] = {}
    moments = {"now": to_millis(now), "soon": to_millis(now + SOON)}
    for calendar, lane, count, queued_ms in connection.execute(_WAITING, moments):
        backlog[calendar][Lane(lane)] = count
        if queued_ms is not None:
            since = from_millis(queued_ms)
            oldest[calendar] = min(since, oldest.get(calendar, since))
    *sums, verified_ms = connection.execute(_VERIFIED).fetchone()
    verified = {} if verified_ms is None else dict(zip(_VERIFIED_NAMES, sums, strict=True))
    return Standing(
        calendars=tuple(calendars.every_one(connection)),
        backlog=dict(backlog),
        oldest=oldest,
        held=dict(connection.execute(_HELD).fetchall()),
        dead_letters=dict(connection.execute(_DEAD).fetchall()),
        set_aside=dict(connection.execute(_ASIDE).fetchall()),
        differences=tuple(held_differences(connection)),
        refused=tuple(
            Refused(name, event, from_millis(at), status, reason, request)
            for name, event, at, status, reason, request in connection.execute(
                _REFUSED, (NEWEST_REFUSED,)
            )
        ),
        bookings=dict(connection.execute(_BOOKINGS).fetchall()),
        verified=verified,
        verified_oldest=from_millis(verified_ms) if verified_ms is not None else None,
        channels=channels.counts(connection, now),
    )


def changes_of_job(connection: Connection, job: int) -> list[int]:
    """The `updated_at` (ms) of each record of a bulk job that a change brought up: for measuring freshness."""
    return [
        row[0]
        for row in connection.execute(
            """SELECT i.updated_ms FROM bulk_items i JOIN outbox b USING (calendar_id, event_id, ical_uid)
               WHERE i.bulk_id = ? AND NOT b.backfill AND b.updated_ms = i.updated_ms""",
            (job,),
        )
    ]
