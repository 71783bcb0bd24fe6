"""What became of every request for a key, kept for `explain`: names and numbers, never content.

Written in the transaction that settles the row, so that both are true or neither. A key has at most `MOST` entries and
an entry `KEPT_FOR`, so that a row that fails for weeks cannot fill the disk; the last acceptance outlives the cap.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec

from connector.domain.mapping import Fingerprint, from_millis, to_millis
from connector.domain.plan import Key
from connector.store.connection import Connection

KEPT_FOR = timedelta(days=14)
MOST = 50
"""Entries of one key."""
_LONGEST_MESSAGE = 300


class Outcome(StrEnum):
    """What a request came to."""

    ACCEPTED = "accepted"
    PUT_OFF = "put off"
    """Salesloft did not answer, or not now: tried again."""
    REFUSED = "refused"
    IGNORED = "ignored"
    """A success that stored nothing: Salesloft holds a later time."""
    FIELD_DROPPED = "field dropped"
    """Refused for a newer field alone, and sent again without it."""
    BULK_LOADED = "bulk loaded"
    BULK_ACCEPTED = "bulk accepted"
    BULK_REFUSED = "bulk refused"


ACCEPTANCES = (Outcome.ACCEPTED, Outcome.BULK_ACCEPTED)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One request. `changed` are names of attributes, `upsert_type` is `create` or `update`, both empty if unknown.

    `status` is HTTP's, 0 where nothing was answered; `cost` is in points, 0 in bulk, where a job costs a few in all.
    `message` is redacted. `fingerprint` and `rule` are of the content that was sent; set by the store.
    """

    at: datetime
    status: int
    upsert_type: str = ""
    changed: tuple[str, ...] = ()
    request_id: str = ""
    cost: float = 0.0
    outcome: Outcome = Outcome.ACCEPTED
    message: str = ""
    via: str = "upsert"
    fingerprint: Fingerprint | None = None
    rule: str | None = None
    ical_uid: str = ""


class Sent(Protocol):
    """The row that a request was sent for."""

    @property
    def calendar(self) -> int: ...
    @property
    def key(self) -> Key: ...
    @property
    def updated_ms(self) -> int: ...
    @property
    def fingerprint(self) -> Fingerprint: ...


_INSERT = """
    INSERT INTO journal (calendar_id, event_id, ical_uid, at_ms, status, upsert_type, changed, request_id, cost,
                         outcome, message, via, fingerprint, rule)
    VALUES (:calendar, :event, :uid, :at, :status, :type, :changed, :request, :cost, :outcome, :message, :via,
            :fingerprint, (SELECT rule FROM occurrences WHERE calendar_id = :calendar AND event_id = :event
                           AND ical_uid = :uid AND updated_ms = :updated))
"""
"""The rule is known of the content that was planned last; newer content may have taken its place."""

_CAP = """
    DELETE FROM journal WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid
      AND id <= (SELECT id FROM journal WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid
                 ORDER BY id DESC LIMIT 1 OFFSET :most)
      AND id != coalesce((SELECT max(id) FROM journal WHERE calendar_id = :calendar AND event_id = :event
                          AND ical_uid = :uid AND outcome IN ('accepted', 'bulk accepted')), 0)
"""

_LOADED = """
    INSERT INTO journal (calendar_id, event_id, ical_uid, at_ms, status, upsert_type, changed, request_id, cost,
                         outcome, message, via, fingerprint, rule)
    SELECT i.calendar_id, i.event_id, i.ical_uid, :at, 0, '', '', '', 0, 'bulk loaded',
           'bulk job ' || coalesce(CAST(j.remote_id AS TEXT), j.name), 'bulk', i.fingerprint,
           CASE WHEN o.updated_ms = i.updated_ms THEN o.rule END
    FROM bulk_items i JOIN bulk_jobs j ON j.id = i.bulk_id
    LEFT JOIN occurrences o USING (calendar_id, event_id, ical_uid)
    WHERE i.bulk_id = :job AND i.loaded
"""
"""One entry a record, which the job's end brings up to date: an initial sync doubles no rows."""

_SETTLED = """
    UPDATE journal SET outcome = :outcome, at_ms = :at, status = :status WHERE id IN (
        SELECT d.id FROM bulk_jobs j CROSS JOIN bulk_items i ON i.bulk_id = j.id
            CROSS JOIN journal d ON d.calendar_id = i.calendar_id AND d.event_id = i.event_id
            AND d.ical_uid = i.ical_uid AND d.outcome = 'bulk loaded' AND d.at_ms >= j.created_ms
        WHERE j.id = :job)
"""
"""By the job's items (CROSS JOIN keeps that order), never by a walk through the whole journal."""

_OTHERWISE = """
    UPDATE journal SET outcome = :outcome, status = :status, message = message || ': ' || :message WHERE id = (
        SELECT max(id) FROM journal WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid
            AND via = 'bulk' AND at_ms = :at)
"""


def write(connection: Connection, sent: Sent, entry: Entry | None) -> None:
    """Keep what became of one request; call it before the row is settled. Nothing for None."""
    write_all(connection, [(sent, entry)])


def write_all(connection: Connection, answers: Iterable[tuple[Sent, Entry | None]]) -> None:
    """The same of several requests for different keys."""
    lines = [_line(sent, entry) for sent, entry in answers if entry is not None]
    connection.executemany(_INSERT, lines)
    connection.executemany(_CAP, lines)


def _line(sent: Sent, entry: Entry) -> dict[str, object]:
    return {
        "calendar": sent.calendar,
        "event": sent.key.event_id,
        "uid": sent.key.ical_uid,
        "at": to_millis(entry.at),
        "status": entry.status,
        "type": entry.upsert_type,
        "changed": ",".join(entry.changed),
        "request": entry.request_id,
        "cost": entry.cost,
        "outcome": entry.outcome.value,
        "message": entry.message[:_LONGEST_MESSAGE],
        "via": entry.via,
        "fingerprint": sent.fingerprint,
        "updated": sent.updated_ms,
        "most": MOST,
    }


def note_loaded(connection: Connection, job: int, now: datetime) -> None:
    """Salesloft has a job's records, and may begin; call it once a job."""
    connection.execute(_LOADED, {"job": job, "at": to_millis(now)})


def note_done(
    connection: Connection,
    job: int,
    refused: Iterable[tuple[int, Key, Outcome, str]],
    now: datetime,
) -> None:
    """A job is done: its records are accepted but for those `refused` (calendar, key, outcome, redacted reason)."""
    at = to_millis(now)
    connection.execute(
        _SETTLED, {"job": job, "at": at, "outcome": Outcome.BULK_ACCEPTED.value, "status": 201}
    )
    connection.executemany(
        _OTHERWISE,
        [
            {
                "calendar": calendar,
                "event": key.event_id,
                "uid": key.ical_uid,
                "outcome": outcome.value,
                "status": 201 if outcome is Outcome.IGNORED else 422,
                "message": message[:_LONGEST_MESSAGE],
                "at": at,
            }
            for calendar, key, outcome, message in refused
        ],
    )


def entries(connection: Connection, calendar: int, event_id: str) -> list[Entry]:
    """Every request for one event that is still kept, oldest first."""
    cursor = connection.execute(
        """SELECT at_ms, status, upsert_type, changed, request_id, cost, outcome, message, via, fingerprint, rule,
                  ical_uid
           FROM journal WHERE calendar_id = ? AND event_id = ? ORDER BY at_ms, id""",
        (calendar, event_id),
    )
    return [
        Entry(
            from_millis(row[0]),
            row[1],
            row[2],
            tuple(filter(None, row[3].split(","))),
            row[4],
            row[5],
            Outcome(row[6]),
            row[7],
            row[8],
            Fingerprint(row[9]) if row[9] is not None else None,
            row[10],
            row[11],
        )
        for row in cursor
    ]


def purge(connection: Connection, now: datetime) -> None:
    connection.execute("DELETE FROM journal WHERE at_ms < ?", (to_millis(now - KEPT_FOR),))
