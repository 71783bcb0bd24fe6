"""Between rows and the domain's values; the statements that read and write occurrences and the outbox."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from connector.domain.mapping import Fingerprint, from_millis, to_millis
from connector.domain.model import EventId, ICalUid
from connector.domain.plan import Key, Known, Send
from connector.domain.policy import Rule
from connector.store.connection import Connection

_LONGEST_MEETING_MS = 12 * 3_600_000
_KNOWN = """
    SELECT o.event_id, o.ical_uid, o.series_id, o.start_ms, o.end_ms, o.all_day, o.alive, o.accepted,
           b.fingerprint, coalesce(b.attempted > 0 OR b.in_flight, FALSE), d.fingerprint,
           o.exposed, o.prospect, o.updated_ms, o.canceled_ms, o.rule
    FROM occurrences o
    LEFT JOIN outbox b USING (calendar_id, event_id, ical_uid)
    LEFT JOIN dead_letters d USING (calendar_id, event_id, ical_uid)
    WHERE o.calendar_id = :calendar
"""
"""What is remembered of occurrences, with what waits and what was refused of them."""

_KNOWN_OF_EVENTS = _KNOWN + " AND o.event_id IN (SELECT value FROM json_each(:ids))"  # noqa: S608
_KNOWN_OF_SERIES = _KNOWN + " AND o.series_id IN (SELECT value FROM json_each(:ids))"  # noqa: S608

_REMEMBER = """
    INSERT INTO occurrences (calendar_id, event_id, ical_uid, series_id, start_ms, end_ms, all_day, alive,
                             exposed, prospect, accepted, updated_ms, canceled_ms, rule)
    VALUES (:calendar, :event, :uid, :series, :start, :end, :all_day, :alive,
            :exposed, :prospect, :accepted, :updated, :canceled, :rule)
    ON CONFLICT (calendar_id, event_id, ical_uid) DO UPDATE SET
        series_id = excluded.series_id, start_ms = excluded.start_ms, end_ms = excluded.end_ms,
        all_day = excluded.all_day, alive = excluded.alive, exposed = excluded.exposed,
        prospect = excluded.prospect, accepted = excluded.accepted, updated_ms = excluded.updated_ms,
        canceled_ms = excluded.canceled_ms, rule = excluded.rule
"""

_ENQUEUE = """
    INSERT INTO outbox (calendar_id, event_id, ical_uid, updated_ms, fingerprint, payload, start_ms, end_ms,
                        prospect, cancels, backfill, after_uid, attempted, in_flight, attempts, next_attempt_ms,
                        queued_ms, held_id)
    VALUES (:calendar, :event, :uid, :updated, :fingerprint, :payload, :start, :end,
            :prospect, :cancels, :backfill, :after, 0, FALSE, 0, 0, :now, :held)
    ON CONFLICT (calendar_id, event_id, ical_uid) DO UPDATE SET
        updated_ms = excluded.updated_ms, fingerprint = excluded.fingerprint, payload = excluded.payload,
        start_ms = excluded.start_ms, end_ms = excluded.end_ms, prospect = excluded.prospect,
        cancels = excluded.cancels, backfill = (outbox.backfill AND excluded.backfill),
        after_uid = excluded.after_uid, attempts = 0, next_attempt_ms = 0, last_error = NULL, ignored = FALSE,
        held_id = excluded.held_id
"""
"""One row per occurrence: newer content replaces what waits; what was tried before stays marked as tried."""


def known_of_events(connection: Connection, calendar: int, ids: Iterable[EventId]) -> list[Known]:
    return _known(connection, _KNOWN_OF_EVENTS, calendar, ids)


def known_of_series(connection: Connection, calendar: int, ids: Iterable[EventId]) -> list[Known]:
    return _known(connection, _KNOWN_OF_SERIES, calendar, ids)


def known_since(connection: Connection, calendar: int, since: datetime) -> list[Known]:
    """Everything remembered that ends after `since`, or of which something waits."""
    cursor = connection.execute(
        _KNOWN + " AND (o.end_ms > :since OR b.fingerprint IS NOT NULL)",
        {"calendar": calendar, "since": to_millis(since)},
    )
    return [_to_known(row) for row in cursor]


def count_alive(connection: Connection, calendar: int, since: datetime, until: datetime) -> int:
    """How many living occurrences are remembered that end after `since` and start before `until`."""
    (count,) = connection.execute(
        "SELECT count(*) FROM occurrences WHERE calendar_id = ? AND end_ms > ? AND start_ms < ? AND alive",
        (calendar, to_millis(since), to_millis(until)),
    ).fetchone()
    return int(count)


def next_meeting(
    connection: Connection, calendar: int, now: datetime, until: datetime
) -> datetime | None:
    """When the first meeting begins that is not over at `now` and begins before `until`.

    Whole days are no meetings, nor is what lasts longer than half of one.
    """
    (start,) = connection.execute(
        "SELECT min(start_ms) FROM occurrences WHERE calendar_id = ? AND end_ms > ? AND start_ms < ?"
        " AND end_ms - start_ms <= ? AND alive AND NOT all_day",
        (calendar, to_millis(now), to_millis(until), _LONGEST_MEETING_MS),
    ).fetchone()
    return None if start is None else from_millis(start)


def _known(
    connection: Connection, statement: str, calendar: int, ids: Iterable[EventId]
) -> list[Known]:
    parameters = {"calendar": calendar, "ids": json.dumps(list(ids))}
    return [_to_known(row) for row in connection.execute(statement, parameters)]


def _to_known(row: tuple[Any, ...]) -> Known:
    return Known(
        key=Key(EventId(row[0]), ICalUid(row[1])),
        series_id=EventId(row[2]) if row[2] is not None else None,
        start=from_millis(row[3]),
        end=from_millis(row[4]),
        all_day=bool(row[5]),
        alive=bool(row[6]),
        accepted=_fingerprint(row[7]),
        pending=_fingerprint(row[8]),
        attempted=bool(row[9]),
        refused=_fingerprint(row[10]),
        exposed=bool(row[11]),
        prospect=bool(row[12]),
        updated_at=from_millis(row[13]) if row[13] is not None else None,
        canceled_at=from_millis(row[14]) if row[14] is not None else None,
        rule=Rule(row[15]) if row[15] else None,
    )


def _fingerprint(text: str | None) -> Fingerprint | None:
    return Fingerprint(text) if text is not None else None


def remember(connection: Connection, calendar: int, known: Known) -> None:
    connection.execute(_REMEMBER, _remembered(calendar, known))


def _remembered(calendar: int, known: Known) -> dict[str, Any]:
    return {
        "calendar": calendar,
        "event": known.key.event_id,
        "uid": known.key.ical_uid,
        "series": known.series_id,
        "start": to_millis(known.start),
        "end": to_millis(known.end),
        "all_day": known.all_day,
        "alive": known.alive,
        "exposed": known.exposed,
        "prospect": known.prospect,
        "accepted": known.accepted,
        "updated": to_millis(known.updated_at) if known.updated_at else None,
        "canceled": to_millis(known.canceled_at) if known.canceled_at else None,
        "rule": known.rule,
    }


def enqueue(
    connection: Connection,
    calendar: int,
    send: Send,
    *,
    backfill: bool,
    now: datetime,
    held: int | None = None,
) -> None:
    """Put one content in line, and remember what it makes of its occurrence."""
    enqueue_all(connection, calendar, [(send, backfill)], now=now, held=held)


def enqueue_all(
    connection: Connection,
    calendar: int,
    sends: Sequence[tuple[Send, bool]],
    *,
    now: datetime,
    held: int | None = None,
) -> None:
    """Several contents, each with whether it is backfill, of different keys."""
    known = [send.known for send, _ in sends]
    connection.executemany(_REMEMBER, [_remembered(calendar, one) for one in known])
    connection.executemany(
        _ENQUEUE, [_in_line(calendar, send, is_late, now, held) for send, is_late in sends]
    )
    if has_any(connection, "dead_letters", calendar):
        connection.executemany(
            "DELETE FROM dead_letters WHERE calendar_id = ? AND event_id = ? AND ical_uid = ?",
            [(calendar, one.key.event_id, one.key.ical_uid) for one in known],
        )


def has_any(connection: Connection, table: str, calendar: int) -> bool:
    """Whether one of the tables that are mostly empty has rows of a calendar: looked at once, not for each key."""
    if table not in ("dead_letters", "set_aside"):
        raise ValueError(table)
    return (
        connection.execute(
            f"SELECT 1 FROM {table} WHERE calendar_id = ? LIMIT 1",  # noqa: S608  # from the list above
            (calendar,),
        ).fetchone()
        is not None
    )


def _in_line(
    calendar: int, send: Send, backfill: bool, now: datetime, held: int | None
) -> dict[str, Any]:
    known = send.known
    if known.updated_at is None or known.pending is None:
        raise ValueError("an outbox row needs its updated_at and its fingerprint")
    return {
        "calendar": calendar,
        "event": known.key.event_id,
        "uid": known.key.ical_uid,
        "updated": to_millis(known.updated_at),
        "fingerprint": known.pending,
        "payload": send.payload,
        "start": to_millis(known.start),
        "end": to_millis(known.end),
        "prospect": send.prospect,
        "cancels": send.cancels,
        "backfill": backfill,
        "after": send.after,
        "now": to_millis(now),
        "held": held,
    }


def delete(connection: Connection, table: str, calendar: int, key: Key) -> bool:
    """Remove the row of a key from one of the tables that have it; True if there was one."""
    if table not in ("occurrences", "outbox", "dead_letters"):
        raise ValueError(table)
    cursor = connection.execute(
        f"DELETE FROM {table} WHERE calendar_id = ? AND event_id = ? AND ical_uid = ?",  # noqa: S608  # from the list above
        (calendar, key.event_id, key.ical_uid),
    )
    return cursor.rowcount > 0
