"""Looks through the state for what must not be: damage, a foreign schema, rows that contradict each other."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from connector.store import migrations
from connector.store.connection import Connection
from connector.store.database import schema_version
from connector.store.schema import metadata

_SHOWN = 10
REBUILD = (
    "stop the daemon, then restore a backup (`gcal-salesloft state restore`), or move the file away: the next start"
    " builds it anew from Google and Salesloft"
)
RESYNC = (
    "list these users' calendars anew (`gcal-salesloft resync`); if it comes back, report it with"
    " `gcal-salesloft support-bundle`"
)


@dataclass(frozen=True, slots=True)
class StateCheck:
    """One check. `remedy` is empty where all is well; evidence holds names of tables and numbers, no ids."""

    name: str
    ok: bool
    evidence: str
    remedy: str = ""


_KEY = "{0}.calendar_id = {1}.calendar_id AND {0}.event_id = {1}.event_id AND {0}.ical_uid = {1}.ical_uid"
_HAS_OCCURRENCE = f"EXISTS (SELECT 1 FROM occurrences o WHERE {_KEY.format('o', 'x')})"  # noqa: S608  # constants
_IN_OUTBOX = f"EXISTS (SELECT 1 FROM outbox b WHERE {_KEY.format('b', 'x')})"  # noqa: S608
_REFUSED = f"EXISTS (SELECT 1 FROM dead_letters d WHERE {_KEY.format('d', 'x')})"  # noqa: S608

INVARIANTS: Sequence[tuple[str, str]] = (
    ("what waits belongs to an occurrence", f"FROM outbox x WHERE NOT {_HAS_OCCURRENCE}"),
    (
        "what was refused belongs to an occurrence",
        f"FROM dead_letters x WHERE NOT {_HAS_OCCURRENCE}",
    ),
    ("nothing waits and is refused at once", f"FROM outbox x WHERE {_REFUSED}"),
    (
        "what was never accepted waits or was refused",
        f"FROM occurrences x WHERE x.accepted IS NULL AND NOT {_IN_OUTBOX} AND NOT {_REFUSED}",
    ),
    (
        "a cancellation waits, was accepted, or was refused",
        "FROM occurrences x WHERE NOT x.alive AND x.accepted IS NOT NULL AND x.accepted NOT LIKE 'cancelled%'"
        f" AND NOT {_IN_OUTBOX} AND NOT {_REFUSED}",
    ),
    (
        "what waits is the last content of its occurrence",
        "FROM outbox x JOIN occurrences o USING (calendar_id, event_id, ical_uid) WHERE x.updated_ms > o.updated_ms",
    ),
    ("no occurrence ends before it starts", "FROM occurrences x WHERE x.end_ms < x.start_ms"),
    (
        "what is held belongs to a held difference",
        "FROM outbox x WHERE x.held_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM held h WHERE h.id = x.held_id)",
    ),
    (
        "a held difference holds something",
        "FROM held x WHERE NOT EXISTS (SELECT 1 FROM outbox b WHERE b.held_id = x.id)",
    ),
    (
        "a record of a bulk job belongs to a job",
        "FROM bulk_items x WHERE NOT EXISTS (SELECT 1 FROM bulk_jobs j WHERE j.id = x.bulk_id)",
    ),
    (
        "a sync token has its fingerprint",
        "FROM calendars x WHERE x.sync_token IS NOT NULL AND x.token_fingerprint IS NULL",
    ),
)
"""Name of each rule of ours → the rows that break it."""


def checks_of(connection: Connection) -> list[StateCheck]:
    """Every check of a state, whichever database keeps it. A server looks after its pages and keys itself."""
    if isinstance(connection, sqlite3.Connection):
        return check_state(connection)
    version = _version(migrations.HEAD)  # another one is not opened
    checks = [version, *(_invariant(connection, name, rows) for name, rows in INVARIANTS)]
    return [*checks, _payloads(connection)]


def check_state(connection: sqlite3.Connection) -> list[StateCheck]:
    """Every check, in the order in which to read them; later ones are left out where the file is damaged."""
    checks = [_integrity(connection)]
    if not checks[0].ok:
        return checks
    version = _version(schema_version(connection))
    checks.append(version)
    checks.append(_foreign_keys(connection))
    if version.ok and schema_version(connection) == migrations.HEAD:
        checks.append(_schema(connection))
        if checks[-1].ok:
            checks += [_invariant(connection, name, rows) for name, rows in INVARIANTS]
            checks.append(_payloads(connection))
    return checks


def _integrity(connection: sqlite3.Connection) -> StateCheck:
    try:
        found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_SHOWN})")]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found == ["ok"]:
        return StateCheck("integrity", True, "every page and index is sound")
    words = "; ".join(" ".join(line.split()) for line in found)
    return StateCheck("integrity", False, words, REBUILD)


def _version(version: str | None) -> StateCheck:
    if version == migrations.HEAD:
        return StateCheck("schema version", True, f"{version}, the newest that this program knows")
    if version in migrations.KNOWN:
        evidence = f"{version}; the next `gcal-salesloft run` brings it to {migrations.HEAD}"
        return StateCheck("schema version", True, evidence)
    return StateCheck(
        "schema version",
        False,
        f"{version or 'none'}; this program knows up to {migrations.HEAD}",
        "upgrade gcal-salesloft, or restore a backup of before",
    )


def _foreign_keys(connection: sqlite3.Connection) -> StateCheck:
    broken = [row[0] for row in connection.execute("PRAGMA foreign_key_check")]
    if not broken:
        return StateCheck("foreign keys", True, "every row belongs to what it names")
    tables = ", ".join(f"{broken.count(name)} in {name}" for name in sorted(set(broken)))
    return StateCheck("foreign keys", False, f"rows that belong to nothing: {tables}", REBUILD)


def _schema(connection: sqlite3.Connection) -> StateCheck:
    """The tables, columns and indexes are those of the schema, no more and no fewer."""
    wanted: set[str] = set()
    for table in metadata.sorted_tables:
        wanted |= {f"{table.name}.{column.name}" for column in table.columns}
        wanted |= {f"index {index.name}" for index in table.indexes}
    tables = [row[1] for row in connection.execute("PRAGMA table_list") if row[2] == "table"]
    found = {
        f"{name}.{column[1]}"
        for name in tables
        if not name.startswith(("sqlite_", "alembic_"))
        for column in connection.execute(f"PRAGMA table_info({name})")
    }
    found |= {
        f"index {name}"
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        )
    }
    differences = [f"missing {name}" for name in sorted(wanted - found)]
    differences += [f"unknown {name}" for name in sorted(found - wanted)]
    if not differences:
        return StateCheck("schema", True, f"{len(metadata.sorted_tables)} tables as they should be")
    return StateCheck("schema", False, "; ".join(differences[:_SHOWN]), REBUILD)


def _invariant(connection: Connection, name: str, rows: str) -> StateCheck:
    count = connection.execute(f"SELECT count(*) {rows}").fetchone()[0]  # from the table above
    if not count:
        return StateCheck(name, True, "no exception")
    return StateCheck(name, False, f"{count} rows break this rule", RESYNC)


def _payloads(connection: Connection) -> StateCheck:
    """What waits can be sent, and goes where its row says."""
    name, wrong, count = "what waits can be sent", 0, 0
    cursor = connection.execute(
        "SELECT c.user_guid, b.event_id, b.ical_uid, b.payload FROM outbox b JOIN calendars c ON c.id = b.calendar_id"
    )
    for guid, event_id, uid, payload in cursor:
        count += 1
        try:
            body = json.loads(payload)
            key = (body["calendar_id"], body["id"], body["i_cal_uid"])
        except (ValueError, KeyError, TypeError):
            wrong += 1
        else:
            wrong += key != (f"external_{guid}", event_id, uid)
    if not wrong:
        return StateCheck(name, True, f"{count} rows read")
    return StateCheck(name, False, f"{wrong} of {count} rows hold another key, or no JSON", RESYNC)
