"""What stands in the outbox, told for `plan`: names, times, rules and classes, without the payloads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from connector.domain.mapping import Fingerprint, from_millis, hides, to_millis
from connector.domain.model import EventId, ICalUid
from connector.domain.plan import Key
from connector.store.connection import Connection
from connector.store.outbox import BEYOND, SOON, Lane


class Change(StrEnum):
    """What a row does in Salesloft."""

    NEW = "new"
    CHANGED = "changed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """One row. `rule` gave the verdict (None: cancelled); `bulkable`: a bulk job may take it; `held`: for a human."""

    calendar: int
    key: Key
    updated_ms: int
    start: datetime
    change: Change
    full: bool
    rule: str | None
    lane: Lane
    bulkable: bool
    held: bool
    in_flight: bool


_ROWS = """
    SELECT b.calendar_id, b.event_id, b.ical_uid, b.updated_ms, b.start_ms, b.end_ms, b.cancels, b.fingerprint,
           b.backfill, b.prospect, b.after_uid, b.held_id, b.in_flight, b.next_attempt_ms, o.accepted, o.rule
    FROM outbox b LEFT JOIN occurrences o USING (calendar_id, event_id, ical_uid)
    WHERE b.calendar_id IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) ORDER BY b.start_ms
"""


def planned_rows(
    connection: Connection, calendars: Sequence[int], now: datetime
) -> list[PlannedRow]:
    """Everything in the outbox of some calendars, by start."""
    at, soon, beyond = to_millis(now), to_millis(now + SOON), to_millis(now + BEYOND)
    found = []
    for row in connection.execute(_ROWS, (json.dumps(list(calendars)),)):
        start, end, cancels, backfill, prospect = row[4], row[5], row[6], row[8], row[9]
        if backfill:
            lane = Lane.BACKFILL
        elif end > at and start < soon:
            lane = Lane.SOON
        else:
            lane = Lane.PROSPECT if prospect or cancels else Lane.LATER
        free = row[11] is None and not row[12] and row[10] is None and row[13] <= at
        change = Change.CHANGED if row[14] is not None else Change.NEW
        found.append(
            PlannedRow(
                calendar=row[0],
                key=Key(EventId(row[1]), ICalUid(row[2])),
                updated_ms=row[3],
                start=from_millis(start),
                change=Change.CANCELLED if cancels else change,
                full=not cancels and not hides(Fingerprint(row[7])),
                rule=None if cancels else row[15],
                lane=lane,
                bulkable=free and bool(backfill or start >= beyond or end <= at),
                held=row[11] is not None,
                in_flight=bool(row[12]),
            )
        )
    return found
