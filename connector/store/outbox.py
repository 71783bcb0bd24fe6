"""Claim what is most urgent, and settle it by what Salesloft answered.

Settling is conditional on the content that was sent: `updated_ms` rises with every content of a key, so a row whose
`updated_ms` is another one holds newer content, which a late answer must not mark as done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from functools import cache
from string import ascii_lowercase
from typing import Any

import msgspec

from connector.domain.errors import RetryLater
from connector.domain.mapping import (
    CANCELLED,
    CANCELLED_AND_BLANKED,
    UNCERTAIN,
    Fingerprint,
    to_millis,
    without_list,
)
from connector.domain.model import EventId, ICalUid
from connector.domain.plan import Key
from connector.store.connection import Connection

SOON = timedelta(hours=24)
BEYOND = timedelta(days=2)
"""Changes to what starts sooner go one by one even in masses: somebody waits for them."""
LONGEST_WAIT = timedelta(hours=1)
"""No row waits longer for its next attempt; a time further ahead was set before the clock went back."""


NO_LIMIT = 2**62
"""As a LIMIT: every row."""

IGNORED_TWICE = "ignored: Salesloft keeps other content under a later updated_at"
"""The reason of a dead letter that Salesloft answered with success."""


class Lane(IntEnum):
    """Classes of urgency, first in line first. Inside one, users of a team take turns."""

    SOON = 1  # running, or starting within 24 h
    PROSPECT = 2  # meetings with prospects, and cancellations
    LATER = 3
    BACKFILL = 4  # initial sync, horizon, resync


class Spare(IntEnum):
    """What stays in line though it may be sent; what another one of its event waits for goes all the same."""

    NOTHING = 0
    BACKFILL = 1
    BULKABLE = 2  # and all else that nobody waits for: the next bulk job will take it


class Row(msgspec.Struct, frozen=True, gc=False):
    """One claimed row; `payload` is the JSON body to send."""

    calendar: int
    key: Key
    updated_ms: int
    fingerprint: Fingerprint
    payload: bytes
    attempts: int
    lane: Lane
    queued_ms: int
    ignored: bool = False
    """Salesloft ignored it once already, because what it holds says a later time."""


_encode = msgspec.json.Encoder().encode


def _listed(calendars: Sequence[int]) -> str:
    return _encode(calendars).decode()


_READY = """
    SELECT b.calendar_id, b.event_id, b.ical_uid, b.queued_ms, CASE WHEN b.backfill THEN 4
                     WHEN b.end_ms > :now AND b.start_ms < :soon THEN 1
                     WHEN b.prospect OR b.cancels THEN 2
                     ELSE 3 END AS lane,
           b.end_ms <= :now AS past,
           CASE WHEN b.end_ms > :now THEN b.start_ms ELSE -b.start_ms END AS nearness,
           b.after_uid IS NOT NULL AND EXISTS (
                SELECT 1 FROM outbox n WHERE n.calendar_id = b.calendar_id
                AND n.event_id = b.event_id AND n.ical_uid = b.after_uid) AS blocked
    FROM outbox b
    WHERE b.calendar_id IN (SELECT CAST(value AS BIGINT) FROM json_each(:calendars))
      AND NOT b.in_flight AND b.held_id IS NULL
      AND (b.next_attempt_ms <= :due OR b.next_attempt_ms > :late)
      AND NOT (:spare > 0 AND b.after_uid IS NULL
               AND (b.backfill OR (:spare > 1 AND (b.start_ms >= :beyond OR b.end_ms <= :now))))
      AND (b.after_uid IS NULL OR NOT EXISTS (
           SELECT 1 FROM dead_letters d WHERE d.calendar_id = b.calendar_id
           AND d.event_id = b.event_id AND d.ical_uid = b.after_uid))
"""
"""Rows whose time has come; `blocked` ones wait for another key of their event.

Running and coming occurrences by their start, then the past, latest first.
"""

_MOST_URGENT = f"""
    WITH ready AS ({_READY}),
    had AS MATERIALIZED (SELECT CAST(key AS BIGINT) AS calendar_id, CAST(value AS BIGINT) AS turns
                         FROM json_each(:recent) WHERE key IS NOT NULL),
    turns AS (SELECT ready.*, ROW_NUMBER() OVER (PARTITION BY ready.calendar_id, blocked, lane, past ORDER BY nearness)
                     + coalesce(had.turns, 0) AS turn
              FROM ready LEFT JOIN had ON had.calendar_id = ready.calendar_id
              WHERE :blocked_too OR NOT blocked),
    first AS (SELECT * FROM turns ORDER BY blocked, lane, past, turn, nearness LIMIT :limit)
    SELECT calendar_id, event_id, ical_uid, b.updated_ms, b.fingerprint, b.payload, b.attempts, lane, b.queued_ms,
           b.ignored
    FROM first JOIN outbox b USING (calendar_id, event_id, ical_uid)
    ORDER BY blocked, lane, past, turn, nearness
"""  # noqa: S608  # a constant
"""The keys are chosen first: a sort that drags every payload along takes twice as long."""

MOST_NAMED = len(ascii_lowercase)


@cache
def _named(count: int) -> str:
    """The statement of `still_ready`. Named one by one: a list of keys would be looked for in the whole outbox."""
    keys = ", ".join(f"(:calendar_{x}, :event_{x}, :uid_{x})" for x in ascii_lowercase[:count])
    of_these = """FROM named k CROSS JOIN outbox b
        ON b.calendar_id = k.calendar_id AND b.event_id = k.event_id AND b.ical_uid = k.ical_uid"""
    return f"""
        WITH named (calendar_id, event_id, ical_uid) AS (VALUES {keys}),
        ready AS ({_READY.replace("FROM outbox b", of_these, 1)})
        SELECT calendar_id, event_id, ical_uid, b.updated_ms, b.fingerprint, b.payload, b.attempts, lane, b.queued_ms,
               b.ignored
        FROM ready CROSS JOIN outbox b USING (calendar_id, event_id, ical_uid)
        WHERE NOT blocked"""  # noqa: S608  # own names


_CLAIM = """UPDATE outbox SET in_flight = TRUE, attempted = attempted + 1, claimed_by = ?
            WHERE calendar_id = ? AND event_id = ? AND ical_uid = ? AND NOT in_flight"""

_NEXT_DUE = """
    SELECT min(CASE WHEN next_attempt_ms > :late THEN 0 ELSE next_attempt_ms END), count(*) FROM outbox
    WHERE calendar_id IN (SELECT CAST(value AS BIGINT) FROM json_each(:calendars)) AND NOT in_flight AND held_id IS NULL
      AND attempts < :most
      AND NOT (:spare > 0 AND after_uid IS NULL
               AND (backfill OR (:spare > 1 AND (start_ms >= :beyond OR end_ms <= :now))))
      AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.calendar_id = outbox.calendar_id
                      AND d.event_id = outbox.event_id AND d.ical_uid = outbox.after_uid)
      AND NOT EXISTS (SELECT 1 FROM outbox n WHERE n.calendar_id = outbox.calendar_id
                      AND n.event_id = outbox.event_id AND n.ical_uid = outbox.after_uid)
"""


def most_urgent(
    connection: Connection,
    calendars: Sequence[int],
    limit: int,
    now: datetime,
    *,
    spare: Spare = Spare.NOTHING,
    recent: Mapping[int, int] | None = None,
) -> list[Row]:
    """The rows to be sent next: all that waits is looked through and put in order. Nothing is marked (see `mark`).

    `spare` leaves some of it in line. `recent` is how often each calendar had its turn lately: who had it less comes
    first inside a class.
    """
    parameters = {
        **_ready(calendars, now, spare=spare),
        "recent": _encode(recent or {}).decode(),
        "blocked_too": False,
        "limit": limit,
    }
    return [_to_row(row) for row in connection.execute(_MOST_URGENT, parameters)]


def still_ready(
    connection: Connection,
    keys: Sequence[tuple[int, Key]],
    calendars: Sequence[int],
    now: datetime,
    *,
    spare: Spare = Spare.NOTHING,
) -> list[Row]:
    """Of these rows (`MOST_NAMED` at most) those that may be sent now, in the order of the keys."""
    parameters = _ready(calendars, now, spare=spare)
    for letter, (calendar, key) in zip(ascii_lowercase, keys, strict=False):
        parameters[f"calendar_{letter}"] = calendar
        parameters[f"event_{letter}"] = key.event_id
        parameters[f"uid_{letter}"] = key.ical_uid
    found = map(_to_row, connection.execute(_named(len(keys)), parameters))
    rows = {(row.calendar, row.key): row for row in found}
    return [rows[key] for key in keys if key in rows]


def mark(connection: Connection, rows: Sequence[Row], holder: str | None = None) -> None:
    """Rows are in flight, and tried, before anything is sent. `holder` is the node that does, where several do."""
    if not rows:
        return
    claimed = connection.executemany(
        _CLAIM, [(holder, row.calendar, row.key.event_id, row.key.ical_uid) for row in rows]
    ).rowcount
    if claimed != len(rows):
        # Nodes with differing configurations, while a user moves from one team to another.
        raise RetryLater("another node claimed some of the same changes; it is tried again")


def _ready(calendars: Sequence[int], now: datetime, *, spare: Spare) -> dict[str, Any]:
    return {
        "calendars": _listed(calendars),
        "now": to_millis(now),
        "due": to_millis(now),
        "late": to_millis(now + LONGEST_WAIT),
        "soon": to_millis(now + SOON),
        "beyond": to_millis(now + BEYOND),
        "spare": spare.value,
    }


def waiting(
    connection: Connection,
    calendars: Sequence[int],
    now: datetime,
    most_attempts: int | None = None,
    *,
    spare: Spare = Spare.NOTHING,
) -> tuple[int | None, int]:
    """When the next row that is not in flight may be tried (ms; None: there is none), and how many there are.

    A row that waits for another one of its event does not count: that one does, or was given up.
    `most_attempts` leaves out rows that failed as often, `spare` what is to be left in line.
    """
    parameters = {
        "calendars": _listed(calendars),
        "most": most_attempts or 2**62,
        "now": to_millis(now),
        "late": to_millis(now + LONGEST_WAIT),
        "beyond": to_millis(now + BEYOND),
        "spare": spare.value,
    }
    row = connection.execute(_NEXT_DUE, parameters).fetchone()
    return row[0], row[1]


def unsettled(connection: Connection, calendars: Sequence[int], now: datetime) -> list[Row]:
    """Everything in the outbox, in the order in which it would be sent, claiming nothing."""
    cursor = connection.execute(
        _MOST_URGENT,
        {
            "calendars": _listed(calendars),
            "now": to_millis(now),
            "due": 2**62,
            "late": 2**62,
            "soon": to_millis(now + SOON),
            "beyond": 0,
            "spare": Spare.NOTHING.value,
            "recent": "{}",
            "blocked_too": True,
            "limit": NO_LIMIT,
        },
    )
    return [_to_row(row) for row in cursor]


def _to_row(row: tuple[Any, ...]) -> Row:
    return Row(
        calendar=row[0],
        key=Key(EventId(row[1]), ICalUid(row[2])),
        updated_ms=row[3],
        fingerprint=Fingerprint(row[4]),
        payload=row[5],
        attempts=row[6],
        lane=Lane(row[7]),
        queued_ms=row[8],
        ignored=bool(row[9]),
    )


_WHERE_KEY = "calendar_id = :calendar AND event_id = :event AND ical_uid = :uid"
_SAYS_SO = "(updated_ms = :updated OR fingerprint IN (:same, :same_but_list))"
"""The content that was sent, or newer content that says the same."""

_NOTE_ACCEPTED = f"""
    UPDATE occurrences SET accepted = :same, ours = TRUE,
        canceled_ms = CASE WHEN :alive AND EXISTS (SELECT 1 FROM outbox WHERE {_WHERE_KEY} AND {_SAYS_SO})
                           THEN NULL ELSE canceled_ms END
    WHERE {_WHERE_KEY} AND EXISTS (SELECT 1 FROM outbox WHERE {_WHERE_KEY})
"""  # noqa: S608  # constants
"""Nothing of a key in line: something newer was accepted before (it overtook a bulk job), and this was ignored."""

_TAKE_OUT = f"DELETE FROM outbox WHERE {_WHERE_KEY} AND {_SAYS_SO}"  # noqa: S608
_LEAVE_IN = f"UPDATE outbox SET in_flight = FALSE, attempted = 0 WHERE {_WHERE_KEY}"  # noqa: S608


def settle_accepted(connection: Connection, rows: Iterable[Row]) -> bool:
    """Salesloft holds these contents now. Newer content of a key stays in line, unless it says the same.

    The rows are of different keys. True if something is in line again by this.
    """
    accepted = [
        {
            **_parameters(row),
            "same": row.fingerprint,
            "same_but_list": without_list(row.fingerprint),
            "alive": row.fingerprint not in (CANCELLED, CANCELLED_AND_BLANKED),
        }
        for row in rows
    ]
    connection.executemany(_NOTE_ACCEPTED, accepted)
    if connection.executemany(_TAKE_OUT, accepted).rowcount == len(accepted):
        return False
    connection.executemany(_LEAVE_IN, accepted)
    return True


def settle_ignored(connection: Connection, row: Row, stored_at: datetime, payload: bytes) -> None:
    """Salesloft ignored this content for a later time that it holds: once more, with a time just above that.

    `payload` is the content with that time. Newer content waits already: it is judged by its own answer.
    """
    parameters = {**_parameters(row), "above": to_millis(stored_at) + 1, "payload": payload}
    connection.execute(
        """UPDATE outbox SET in_flight = FALSE, ignored = (updated_ms = :updated),
               payload = CASE WHEN updated_ms = :updated THEN :payload ELSE payload END,
               updated_ms = CASE WHEN updated_ms = :updated THEN :above ELSE updated_ms END
           WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid""",
        parameters,
    )
    _raise_time(connection, parameters)


def note_stored_time(connection: Connection, row: Row, stored_at: datetime) -> None:
    """Salesloft keeps a later time than was sent: the next content must be later still."""
    _raise_time(connection, {**_parameters(row), "above": to_millis(stored_at)})


def _raise_time(connection: Connection, parameters: dict[str, Any]) -> None:
    connection.execute(
        """UPDATE occurrences SET updated_ms = CASE WHEN updated_ms > :above THEN updated_ms ELSE :above END
           WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid""",
        parameters,
    )


def settle_later(connection: Connection, row: Row, *, next_attempt: datetime, error: str) -> None:
    """A passing failure: the row waits for its next attempt; newer content does not."""
    connection.execute(
        """UPDATE outbox SET in_flight = FALSE,
               attempts = CASE WHEN updated_ms = :updated THEN attempts + 1 ELSE attempts END,
               next_attempt_ms = CASE WHEN updated_ms = :updated THEN :next ELSE next_attempt_ms END,
               last_error = :error
           WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid""",
        {**_parameters(row), "next": to_millis(next_attempt), "error": error},
    )


def settle_refused(
    connection: Connection,
    row: Row,
    *,
    status: int,
    reason: str,
    request_id: str,
    now: datetime,
) -> bool:
    """A lasting refusal: a dead letter, unless newer content waits already. True if it became one."""
    key = _parameters(row)
    release(connection, [row])
    _note_uncertain(connection, key)
    refused = connection.execute(
        "DELETE FROM outbox WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid"
        " AND updated_ms = :updated",
        key,
    ).rowcount
    if not refused:
        return False
    connection.execute(
        """INSERT INTO dead_letters (calendar_id, event_id, ical_uid, updated_ms, fingerprint, payload, status,
                                     reason, request_id, at_ms)
           VALUES (:calendar, :event, :uid, :updated, :fingerprint, :payload, :status, :reason, :request, :now)
           ON CONFLICT (calendar_id, event_id, ical_uid) DO UPDATE SET
               updated_ms = excluded.updated_ms, fingerprint = excluded.fingerprint,
               payload = excluded.payload, status = excluded.status, reason = excluded.reason,
               request_id = excluded.request_id, at_ms = excluded.at_ms""",
        {
            **key,
            "fingerprint": row.fingerprint,
            "payload": row.payload,
            "status": status,
            "reason": reason,
            "request": request_id,
            "now": to_millis(now),
        },
    )
    return True


def _note_uncertain(connection: Connection, key: dict[str, Any]) -> None:
    """This content was refused, but what was sent of the key before, without an answer, may have been applied."""
    connection.execute(
        """UPDATE occurrences SET accepted = :uncertain
           WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid AND EXISTS (
               SELECT 1 FROM outbox b WHERE b.calendar_id = :calendar AND b.event_id = :event
               AND b.ical_uid = :uid AND b.updated_ms = :updated AND b.attempted > 0)""",
        {**key, "uncertain": UNCERTAIN},
    )


def put_off(connection: Connection, row: Row, until: datetime, error: str) -> None:
    """Everything of a row's calendar waits until then, except what is in flight; the row is in line again."""
    connection.execute(
        "UPDATE outbox SET next_attempt_ms = ?, last_error = ? WHERE calendar_id = ? AND NOT in_flight",
        (to_millis(until), error, row.calendar),
    )
    connection.execute(
        "UPDATE outbox SET in_flight = FALSE, next_attempt_ms = :until, last_error = :error"
        " WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid",
        {**_parameters(row), "until": to_millis(until), "error": error},
    )


def retry_now(connection: Connection, calendars: Sequence[int]) -> None:
    """End every pause between attempts."""
    connection.execute(
        "UPDATE outbox SET next_attempt_ms = 0 WHERE next_attempt_ms > 0"
        " AND calendar_id IN (SELECT CAST(value AS BIGINT) FROM json_each(?))",
        (_listed(calendars),),
    )


def release(connection: Connection, rows: Iterable[Row]) -> None:
    """Give claimed rows back as they were: this request surely changed nothing."""
    connection.executemany(
        "UPDATE outbox SET in_flight = FALSE, attempted = CASE WHEN attempted > 0 THEN attempted - 1 ELSE 0 END"
        " WHERE calendar_id = ? AND event_id = ? AND ical_uid = ?",
        [(row.calendar, row.key.event_id, row.key.ical_uid) for row in rows],
    )


def release_all(connection: Connection) -> None:
    """After a start: whatever a dead process had in flight is in line again; bulk jobs keep theirs."""
    connection.execute(
        """UPDATE outbox SET in_flight = FALSE WHERE in_flight AND NOT EXISTS (
               SELECT 1 FROM bulk_items i WHERE i.calendar_id = outbox.calendar_id
               AND i.event_id = outbox.event_id AND i.ical_uid = outbox.ical_uid)"""
    )
    # What the last process gave up on is tried afresh.
    connection.execute(
        "UPDATE outbox SET attempts = 0, next_attempt_ms = 0 WHERE attempts > 0 AND NOT in_flight"
    )


def release_of_the_dead(connection: Connection) -> None:
    """What nodes had in flight that are none any more is in line again; bulk jobs keep theirs."""
    connection.execute(
        """UPDATE outbox SET in_flight = FALSE, claimed_by = NULL
           WHERE in_flight AND (claimed_by IS NULL OR claimed_by NOT IN (SELECT id FROM nodes))
             AND NOT EXISTS (
               SELECT 1 FROM bulk_items i WHERE i.calendar_id = outbox.calendar_id
               AND i.event_id = outbox.event_id AND i.ical_uid = outbox.ical_uid)"""
    )


def release_left(connection: Connection, calendars: Iterable[int], holder: str | None) -> None:
    """What this holder has in flight of calendars for which it sends nothing any more is in line again.

    A request that was cut off may have been applied, and is sent again; bulk jobs keep theirs.
    """
    connection.execute(
        """UPDATE outbox SET in_flight = FALSE, claimed_by = NULL
           WHERE in_flight AND claimed_by = ?
             AND calendar_id IN (SELECT CAST(value AS BIGINT) FROM json_each(?))
             AND NOT EXISTS (
               SELECT 1 FROM bulk_items i WHERE i.calendar_id = outbox.calendar_id
               AND i.event_id = outbox.event_id AND i.ical_uid = outbox.ical_uid)""",
        (holder, _listed(sorted(calendars))),
    )


def _parameters(row: Row) -> dict[str, Any]:
    return {
        "calendar": row.calendar,
        "event": row.key.event_id,
        "uid": row.key.ical_uid,
        "updated": row.updated_ms,
    }
