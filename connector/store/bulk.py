"""Which rows of the outbox stand in a bulk job, and how far that job is. One job at a time per team.

A row in a job stays in the outbox, in flight: newer content takes its place there and waits until the job is settled.
The items keep what the job holds, so that a job that a crash left behind is found again and finished, not repeated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.domain.mapping import Fingerprint, from_millis, iso, to_millis
from connector.domain.model import EventId, ICalUid, UserGuid
from connector.domain.plan import Key
from connector.store import journal
from connector.store.connection import Connection
from connector.store.outbox import (
    BEYOND,
    IGNORED_TWICE,
    NO_LIMIT,
    SOON,
    Lane,
    Row,
    settle_accepted,
    settle_ignored,
    settle_later,
    settle_refused,
)

_BULKABLE = """
    FROM outbox WHERE calendar_id IN (SELECT CAST(value AS BIGINT) FROM json_each(:calendars))
      AND NOT in_flight AND held_id IS NULL AND after_uid IS NULL AND next_attempt_ms <= :now
      AND (backfill OR start_ms >= :beyond OR end_ms <= :now)
"""


@dataclass(frozen=True, slots=True)
class LocalJob:
    """A bulk job as this side knows it. `remote_id` is None until Salesloft answered."""

    id: int
    name: str
    remote_id: int | None
    ready: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """What Salesloft said of one record that it did not take."""

    reason: str
    passing: bool = False


def bulkable(connection: Connection, calendars: Sequence[int], now: datetime) -> int:
    """How many rows could go by bulk: nobody waits for them within minutes."""
    row = connection.execute(f"SELECT count(*) {_BULKABLE}", _scope(calendars, now)).fetchone()
    return int(row[0])


def open_job(
    connection: Connection,
    team: str,
    calendars: Sequence[int],
    name: str,
    now: datetime,
    *,
    most: int,
) -> LocalJob:
    """Put up to `most` rows into a new job: from here on they are in flight."""
    job_id = connection.execute(
        "INSERT INTO bulk_jobs (team, name, ready, created_ms) VALUES (?, ?, FALSE, ?) RETURNING id",
        (team, name, to_millis(now)),
    ).fetchone()[0]
    connection.execute(
        f"""INSERT INTO bulk_items (calendar_id, event_id, ical_uid, bulk_id, updated_ms, fingerprint, payload, loaded)
            SELECT calendar_id, event_id, ical_uid, :job, updated_ms, fingerprint, payload, FALSE
            {_BULKABLE} ORDER BY end_ms <= :now, start_ms LIMIT :most""",
        {**_scope(calendars, now), "job": job_id, "most": most},
    )
    connection.execute(
        """UPDATE outbox SET in_flight = TRUE, attempted = attempted + 1 WHERE EXISTS (
               SELECT 1 FROM bulk_items i WHERE i.bulk_id = ? AND i.calendar_id = outbox.calendar_id
               AND i.event_id = outbox.event_id AND i.ical_uid = outbox.ical_uid)""",
        (job_id,),
    )
    return LocalJob(int(job_id), name, None, False, now)


def job_of(
    connection: Connection,
    team: str,
    calendars: Sequence[int],
    running: Sequence[int] = (),
) -> LocalJob | None:
    """The team's job that is not settled yet, also one that was begun with the key that it had before.

    None of the `running`, and none of a team that has a holder: somebody brings those to their end.
    """
    row = connection.execute(
        """SELECT id, name, remote_id, ready, created_ms, team FROM bulk_jobs WHERE (team = :team OR id IN (
               SELECT bulk_id FROM bulk_items
               WHERE calendar_id IN (SELECT CAST(value AS BIGINT) FROM json_each(:calendars))))
               AND id NOT IN (SELECT CAST(value AS BIGINT) FROM json_each(:running))
               AND NOT EXISTS (SELECT 1 FROM shards s JOIN nodes n ON n.id = s.node
                               WHERE s.team = bulk_jobs.team AND s.team <> :team)
           ORDER BY id LIMIT 1""",
        {
            "team": team,
            "calendars": json.dumps(list(calendars)),
            "running": json.dumps(list(running)),
        },
    ).fetchone()
    if row is None:
        return None
    taken = connection.execute(
        "UPDATE bulk_jobs SET team = ? WHERE id = ? AND team = ?", (team, row[0], row[5])
    ).rowcount
    if not taken:
        return None  # another node was faster, with whom some of its users are now
    return LocalJob(row[0], row[1], row[2], bool(row[3]), from_millis(row[4]))


def note_remote(connection: Connection, job: int, remote_id: int) -> None:
    connection.execute("UPDATE bulk_jobs SET remote_id = ? WHERE id = ?", (remote_id, job))


def note_ready(connection: Connection, job: int, now: datetime) -> None:
    connection.execute("UPDATE bulk_jobs SET ready = TRUE WHERE id = ?", (job,))
    journal.note_loaded(connection, job, now)


def items(
    connection: Connection, job: int, *, limit: int = NO_LIMIT, only_unloaded: bool = False
) -> list[Row]:
    """The contents of a job, soonest-written first."""
    cursor = connection.execute(
        """SELECT calendar_id, event_id, ical_uid, updated_ms, fingerprint, payload FROM bulk_items
           WHERE bulk_id = ? AND (NOT loaded OR NOT ?) LIMIT ?""",
        (job, only_unloaded, limit),
    )
    return [
        Row(
            calendar=row[0],
            key=Key(EventId(row[1]), ICalUid(row[2])),
            updated_ms=row[3],
            fingerprint=Fingerprint(row[4]),
            payload=row[5],
            attempts=0,
            lane=Lane.BACKFILL,
            queued_ms=0,
        )
        for row in cursor
    ]


def corrections(connection: Connection, job: int) -> dict[tuple[int, Key], bytes]:
    """The bodies of a job whose key Salesloft had accepted something for before."""
    cursor = connection.execute(
        """SELECT i.calendar_id, i.event_id, i.ical_uid, i.payload FROM bulk_items i
           JOIN occurrences o USING (calendar_id, event_id, ical_uid)
           WHERE i.bulk_id = ? AND o.accepted IS NOT NULL""",
        (job,),
    )
    return {(row[0], Key(EventId(row[1]), ICalUid(row[2]))): row[3] for row in cursor}


def calendars_of(connection: Connection, job: int) -> dict[int, UserGuid]:
    """Whose records a job holds."""
    cursor = connection.execute(
        "SELECT id, user_guid FROM calendars"
        " WHERE id IN (SELECT calendar_id FROM bulk_items WHERE bulk_id = ?)",
        (job,),
    )
    return {row[0]: UserGuid(row[1]) for row in cursor}


def take_out(connection: Connection, job: int, but_of: Sequence[int]) -> None:
    """Take records that Salesloft does not have yet out of a job, but those of some calendars: they wait again."""
    scope = {"job": job, "calendars": json.dumps(list(but_of))}
    connection.execute(
        """UPDATE outbox SET in_flight = FALSE, attempted = CASE WHEN attempted > 0 THEN attempted - 1 ELSE 0 END
           WHERE calendar_id NOT IN (SELECT CAST(value AS BIGINT) FROM json_each(:calendars)) AND EXISTS (
               SELECT 1 FROM bulk_items i WHERE i.bulk_id = :job AND NOT i.loaded
               AND i.calendar_id = outbox.calendar_id
               AND i.event_id = outbox.event_id AND i.ical_uid = outbox.ical_uid)""",
        scope,
    )
    connection.execute(
        """DELETE FROM bulk_items WHERE bulk_id = :job AND NOT loaded
           AND calendar_id NOT IN (SELECT CAST(value AS BIGINT) FROM json_each(:calendars))""",
        scope,
    )


def note_loaded(connection: Connection, rows: Sequence[Row]) -> None:
    """These records are in Salesloft's job."""
    connection.executemany(
        "UPDATE bulk_items SET loaded = TRUE WHERE calendar_id = ? AND event_id = ? AND ical_uid = ?",
        [(row.calendar, row.key.event_id, row.key.ical_uid) for row in rows],
    )


def settle(
    connection: Connection,
    job: int,
    refused: Mapping[tuple[int, Key], Refusal],
    ignored: Mapping[tuple[int, Key], tuple[datetime, bytes]],
    now: datetime,
) -> tuple[int, int]:
    """The job is done: each record is accepted or refused by itself. Gives how many of each.

    `ignored` records are sent again, one by one: the time that Salesloft holds, and the body with a later one.
    """
    accepted, dead = [], 0
    journal.note_done(connection, job, _not_accepted(refused, ignored), now)
    for row in items(connection, job):
        refusal = refused.get((row.calendar, row.key))
        again = ignored.get((row.calendar, row.key))
        if again is not None and not _ignored_before(connection, row):
            settle_ignored(connection, row, *again)
        elif again is not None:
            dead += settle_refused(
                connection, row, status=201, reason=IGNORED_TWICE, request_id="", now=now
            )
        elif refusal is None:
            accepted.append(row)
        elif refusal.passing:
            settle_later(connection, row, next_attempt=now, error=refusal.reason)
        else:
            dead += settle_refused(
                connection, row, status=422, reason=refusal.reason, request_id="", now=now
            )
    settle_accepted(connection, accepted)
    _forget(connection, job)
    return len(accepted), dead


def _not_accepted(
    refused: Mapping[tuple[int, Key], Refusal],
    ignored: Mapping[tuple[int, Key], tuple[datetime, bytes]],
) -> list[tuple[int, Key, journal.Outcome, str]]:
    """What the journal says of each record that was not accepted."""
    told = [
        (
            calendar,
            key,
            journal.Outcome.FIELD_DROPPED if refusal.passing else journal.Outcome.BULK_REFUSED,
            refusal.reason,
        )
        for (calendar, key), refusal in refused.items()
    ]
    return told + [
        (calendar, key, journal.Outcome.IGNORED, "Salesloft holds a later updated_at")
        for calendar, key in ignored
    ]


def _ignored_before(connection: Connection, row: Row) -> bool:
    found = connection.execute(
        "SELECT ignored FROM outbox WHERE calendar_id = ? AND event_id = ? AND ical_uid = ? AND updated_ms = ?",
        (row.calendar, row.key.event_id, row.key.ical_uid, row.updated_ms),
    ).fetchone()
    return bool(found and found[0])


def abandon(connection: Connection, job: int) -> None:
    """Give up on a job: its rows go one by one. Sending again what it may have applied does no harm."""
    connection.execute(
        """UPDATE outbox SET in_flight = FALSE WHERE EXISTS (
               SELECT 1 FROM bulk_items i WHERE i.bulk_id = ? AND i.calendar_id = outbox.calendar_id
               AND i.event_id = outbox.event_id AND i.ical_uid = outbox.ical_uid)""",
        (job,),
    )
    _forget(connection, job)


def hasten(connection: Connection, job: int, now: datetime) -> int:
    """Take what has become urgent out of a job that waits too long, with a strictly newer `updated_at`.

    When the job is executed after all, Salesloft ignores its older record. Gives how many rows.
    """
    cursor = connection.execute(
        """SELECT b.calendar_id, b.event_id, b.ical_uid, b.updated_ms, b.payload FROM outbox b
           JOIN bulk_items i USING (calendar_id, event_id, ical_uid)
           WHERE i.bulk_id = ? AND b.in_flight AND b.end_ms > ? AND b.start_ms < ?""",
        (job, to_millis(now), to_millis(now + SOON)),
    ).fetchall()
    for calendar, event_id, uid, updated, payload in cursor:
        body = json.loads(payload)
        body["updated_at"] = iso(from_millis(updated + 1))
        key = {"calendar": calendar, "event": event_id, "uid": uid, "updated": updated + 1}
        connection.execute(
            """UPDATE outbox SET in_flight = FALSE, backfill = FALSE, updated_ms = :updated, payload = :payload
               WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid""",
            {**key, "payload": json.dumps(body, ensure_ascii=False).encode()},
        )
        connection.execute(
            """UPDATE occurrences SET updated_ms = :updated
               WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid""",
            key,
        )
        # The job's outcome no longer concerns this key: settling it must not touch a request that is in flight.
        connection.execute(
            """DELETE FROM bulk_items
               WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid""",
            key,
        )
    return len(cursor)


def _forget(connection: Connection, job: int) -> None:
    connection.execute("DELETE FROM bulk_items WHERE bulk_id = ?", (job,))
    connection.execute("DELETE FROM bulk_jobs WHERE id = ?", (job,))


def _scope(calendars: Sequence[int], now: datetime) -> dict[str, object]:
    return {
        "calendars": json.dumps(list(calendars)),
        "now": to_millis(now),
        "beyond": to_millis(now + BEYOND),
    }
