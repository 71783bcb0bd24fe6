"""Who was erased, as keyed hashes, and what of them still stood in this state.

The random key and the name of the whole set stand in `cursors` (scope `erasure`), the hashes in `erased`; the address
itself is nowhere. Payloads that wait or were refused lose the person in the same transaction, under a later
`updated_at`, so that an answer to what was already on its way cannot settle them.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from connector.domain.erasure import Digest, Erased
from connector.domain.mapping import Fingerprint, from_millis, to_millis
from connector.domain.rewriting import names, without
from connector.store.connection import Connection

SCOPE = "erasure"
_MESSAGES = (
    ("outbox", "last_error"),
    ("dead_letters", "reason"),
    ("journal", "message"),
    ("set_aside", "reason"),
    ("calendars", "parked_message"),
    ("bookings", "message"),
)
"""Where another's words are kept; they are redacted before, but a promise needs a second look."""
_SQLITE_MS = 5000


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What an erasure changed in the state. `erased_at` is when the person was first erased."""

    digest: Digest
    erased_at: datetime
    already: bool
    waiting: int = 0
    """Rows of the outbox that named the person."""
    in_jobs: int = 0
    """Records that were taken out of a bulk job."""
    dead_letters: int = 0
    messages: int = 0


@dataclass(slots=True)
class _Counts:
    waiting: int = 0
    in_jobs: int = 0
    dead_letters: int = 0
    keys: set[tuple[int, str, str]] = field(default_factory=set)


def erased_people(connection: Connection) -> Erased:
    """Everybody who was erased; read inside the transaction that decides what is sent."""
    digests = frozenset(Digest(row[0]) for row in connection.execute("SELECT digest FROM erased"))
    if not digests:
        return Erased()
    return Erased(bytes.fromhex(_cursor(connection, "key") or ""), digests)


def erased_at(connection: Connection, email: str) -> datetime | None:
    """When this person was erased; None if not."""
    erased = erased_people(connection)
    if not erased.has(email):
        return None
    row = connection.execute(
        "SELECT at_ms FROM erased WHERE digest = ?", (erased.digest_of(email),)
    ).fetchone()
    return from_millis(row[0])


def erase(connection: Connection, email: str, now: datetime) -> Cleaned:
    """Remember a person as erased and take them out of everything that waits or was refused. Repeatable."""
    key = _cursor(connection, "key") or secrets.token_hex(32)
    _keep(connection, "key", key)
    digest = Erased(bytes.fromhex(key)).digest_of(email)
    before = connection.execute("SELECT at_ms FROM erased WHERE digest = ?", (digest,)).fetchone()
    connection.execute(
        "INSERT INTO erased (digest, at_ms) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (digest, to_millis(now)),
    )
    erased = erased_people(connection)
    _keep(connection, "set", erased.name)
    counts = _Counts()
    _clean_jobs(connection, erased, counts)
    _clean_outbox(connection, erased, counts)
    _clean_dead_letters(connection, erased, counts)
    return Cleaned(
        digest=digest,
        erased_at=from_millis(before[0] if before else to_millis(now)),
        already=before is not None,
        waiting=counts.waiting,
        in_jobs=counts.in_jobs,
        dead_letters=counts.dead_letters,
        messages=_clean_messages(connection, email),
    )


def checkpoint(path: Path) -> bool:
    """Empty the write-ahead log, which may hold pages of before. False if a reader held on to it."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(f"PRAGMA busy_timeout = {_SQLITE_MS}")
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return not busy


def _clean_jobs(connection: Connection, erased: Erased, counts: _Counts) -> None:
    """Take records that name the person out of their job: what waits of them overtakes it with a later time.

    If the job holds them already, Salesloft ignores its older record, or has it replaced.
    """
    for row in _rows(connection, "bulk_items"):
        if not names(row["payload"], erased):
            continue
        counts.in_jobs += 1
        key = _key(row)
        connection.execute(
            "DELETE FROM bulk_items WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid",
            key,
        )
        # Newer content of the key waits for the job; without its record nothing would end that wait.
        connection.execute(
            "UPDATE outbox SET in_flight = FALSE"
            " WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid",
            key,
        )


def _clean_outbox(connection: Connection, erased: Erased, counts: _Counts) -> None:
    for row in _rows(connection, "outbox"):
        changed = _rewrite(connection, "outbox", row, erased)
        counts.waiting += changed
        if changed:
            connection.execute(
                "UPDATE outbox SET ignored = FALSE, attempts = 0, next_attempt_ms = 0"
                " WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid",
                _key(row),
            )


def _clean_dead_letters(connection: Connection, erased: Erased, counts: _Counts) -> None:
    for row in _rows(connection, "dead_letters"):
        counts.dead_letters += _rewrite(connection, "dead_letters", row, erased)


def _rewrite(connection: Connection, table: str, row: dict[str, Any], erased: Erased) -> bool:
    """Rewrite a row of a table that has payloads; True if it named somebody erased."""
    used = connection.execute(
        "SELECT updated_ms FROM occurrences"
        " WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid",
        _key(row),
    ).fetchone()
    updated = max(row["updated_ms"], (used and used[0]) or 0) + 1
    made = without(
        row["payload"], Fingerprint(row["fingerprint"]), erased, updated_at=from_millis(updated)
    )
    if made is None:
        return False
    parameters = {
        **_key(row),
        "payload": made.payload,
        "fingerprint": made.fingerprint,
        "updated": updated,
    }
    connection.execute(
        f"""UPDATE {table} SET payload = :payload, fingerprint = :fingerprint, updated_ms = :updated
            WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid""",  # noqa: S608  # own names
        parameters,
    )
    connection.execute(
        """UPDATE occurrences SET updated_ms = :updated
           WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid""",
        parameters,
    )
    return True


def _clean_messages(connection: Connection, email: str) -> int:
    wanted = email.strip()
    cleaned = 0
    for table, column in _MESSAGES:
        cleaned += connection.execute(
            f"UPDATE {table} SET {column} = '(removed: it named an erased person)'"  # noqa: S608  # own names
            f" WHERE replace(lower({column}), lower(?), '') != lower({column})",
            (wanted,),
        ).rowcount
    return cleaned


def _rows(connection: Connection, table: str) -> Iterator[dict[str, Any]]:
    """Rows with a payload; a discarded dead letter has none left."""
    columns = "calendar_id, event_id, ical_uid, updated_ms, fingerprint, payload"
    cursor = connection.execute(
        f"SELECT {columns} FROM {table} WHERE length(payload) > 0"  # noqa: S608  # own names
    ).fetchall()
    for row in cursor:
        yield dict(zip(columns.split(", "), row, strict=True))


def _key(row: dict[str, Any]) -> dict[str, object]:
    return {"calendar": row["calendar_id"], "event": row["event_id"], "uid": row["ical_uid"]}


def _cursor(connection: Connection, name: str) -> str | None:
    row = connection.execute(
        "SELECT value FROM cursors WHERE scope = ? AND name = ?", (SCOPE, name)
    ).fetchone()
    return row[0] if row else None


def _keep(connection: Connection, name: str, value: str) -> None:
    connection.execute(
        "INSERT INTO cursors (scope, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT (scope, name) DO UPDATE SET value = excluded.value",
        (SCOPE, name, value),
    )
