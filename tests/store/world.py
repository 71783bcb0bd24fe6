"""The state on one connection without its thread, a plain model of Salesloft, and cycles with everything filled in."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from connector.domain.model import SyncToken
from connector.domain.plan import Finding
from connector.store.commit import Committed, Cycle, commit_cycle
from connector.store.outbox import Row
from connector.store.upgrade import upgrade
from tests.domain.builders import GROUND, NOW

Fields = dict[str, Any]


@cache
def _empty() -> bytes:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    upgrade(connection)
    made = connection.serialize()
    connection.close()
    return made


def an_empty_state() -> sqlite3.Connection:
    """A connection to a new state in memory, with one calendar (1)."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(_empty())
    add_calendar(connection, 1)
    return connection


def add_calendar(connection: sqlite3.Connection, calendar: int) -> None:
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


def commit(connection: sqlite3.Connection, *findings: Finding, **changes: Any) -> Committed:
    return commit_cycle(connection, a_cycle(*findings, **changes))


def dump(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    names = [r[0] for r in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    return {
        name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr)  # noqa: S608
        for name in names
    }


def count(connection: sqlite3.Connection, table: str) -> int:
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
