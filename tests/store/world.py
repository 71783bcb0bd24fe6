"""The state on one connection without its thread, a plain model of Salesloft, and cycles with everything filled in."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Protocol

from connector.domain.model import SyncToken
from connector.domain.plan import Finding
from connector.store import outbox
from connector.store.commit import Committed, Cycle, commit_cycle
from connector.store.connection import Connection
from connector.store.outbox import Row
from connector.store.postgres import PostgresConnection
from connector.store.schema import metadata
from connector.store.upgrade import upgrade
from tests.domain.builders import GROUND, NOW
from tests.postgres import postgres_server

Fields = dict[str, Any]


@cache
def _empty() -> bytes:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    upgrade(connection)
    made = connection.serialize()
    connection.close()
    return made


class OpenState(Connection, Protocol):
    """A state of either database, open in a test."""

    def close(self) -> None: ...


_kind = "sqlite"


@contextlib.contextmanager
def on_database(kind: str) -> Iterator[None]:
    """`sqlite` or `postgresql`: where `an_empty_state` makes its states meanwhile."""
    global _kind
    before, _kind = _kind, kind
    try:
        yield
    finally:
        _kind = before


def an_empty_state() -> OpenState:
    """A connection to a new state, with one calendar (1); SQLite's is in memory."""
    if _kind == "postgresql":
        server = PostgresConnection(postgres_server().migrated())
        add_calendar(server, 1)
        return server
    return an_empty_file_state()


def an_empty_file_state() -> sqlite3.Connection:
    """The same of SQLite, for tests that look behind the statements."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(_empty())
    add_calendar(connection, 1)
    return connection


def secure_delete(state: Connection) -> None:
    """Have SQLite overwrite what is deleted, as `open_database` does."""
    if isinstance(state, sqlite3.Connection):
        state.execute("PRAGMA secure_delete = ON")


def all_bytes(state: Connection) -> bytes:
    """Everything that stands in the state: SQLite's whole file, or every value of every row of a server's."""
    if isinstance(state, sqlite3.Connection):
        return state.serialize()
    values = (value for rows in dump(state).values() for row in rows for value in row)
    return b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in values)


def add_calendar(connection: Connection, calendar: int) -> None:
    connection.execute(
        "INSERT INTO calendars (id, user_guid, name) VALUES (?, ?, ?)",
        (calendar, f"guid-{calendar}", f"user-{calendar}"),
    )


def a_cycle(*findings: Finding, **changes: Any) -> Cycle:
    """What a reading of calendar 1 found, at `NOW`."""
    plain: dict[str, Any] = {
        "calendar": 1,
        "ground": GROUND,
        "findings": findings,
        "malformed": (),
        "token": SyncToken("token-1"),
        "token_fingerprint": "parameters",
        "time_zone": "America/New_York",
        "access_role": "owner",
        "listed": GROUND.window,
        "full": False,
        "backfill": frozenset(),
        "now": NOW,
    }
    return Cycle(**(plain | changes))


def commit(connection: Connection, *findings: Finding, **changes: Any) -> Committed:
    return commit_cycle(connection, a_cycle(*findings, **changes))


def dump(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    names = sorted(metadata.tables)
    return {
        name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr)  # noqa: S608
        for name in names
    }


def count(connection: Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def fields_of(row: Row) -> Fields:
    found: Fields = json.loads(row.payload)
    return found


@dataclass
class PlainSalesloft:
    """Upserts as the guide has them: what is left out stays, what is strictly older is ignored."""

    held: dict[tuple[str, str], Fields] = field(default_factory=dict)
    stale: int = 0

    def upsert(self, body: Fields) -> bool:
        """True if anything but `updated_at` and `canceled_at` changed."""
        key = (body["id"], body["i_cal_uid"])
        before = self.held.get(key)
        sent_at = datetime.fromisoformat(body["updated_at"])
        if before is not None and sent_at < before["updated_at"]:
            self.stale += 1
            return False
        after = {**(before or {}), **body, "updated_at": sent_at}
        self.held[key] = after
        return _facts(before or {}) != _facts(after)


def _facts(of: Fields) -> Fields:
    facts = {k: v for k, v in of.items() if k not in ("updated_at", "canceled_at")}
    for name in ("start_time", "end_time"):
        if name in facts:
            facts[name] = datetime.fromisoformat(facts[name])
    if "attendees" in facts:
        facts["attendees"] = sorted(json.dumps(a) for a in facts["attendees"])
    return facts


def take(
    connection: Connection,
    calendars: Sequence[int],
    limit: int,
    now: datetime,
    *,
    holder: str | None = None,
    **options: Any,
) -> list[Row]:
    """Claim the most urgent rows, everything looked through."""
    rows = outbox.most_urgent(connection, calendars, limit, now, **options)
    outbox.mark(connection, rows, holder)
    return rows
