"""Moves a state from SQLite's file to a PostgreSQL server: row by row, resumable, and compared at the end.

Both sides are walked in the order of their keys, and what differs is put or removed. So an interrupted move goes on
where it stopped, and a second walk that finds no difference is the proof that every row is there. Until then a mark in
the target keeps every other command from using it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from sqlalchemy import Boolean, Table, Text

from connector.domain.errors import StateUnusable
from connector.store import migrations
from connector.store.database import is_locked, lock_state, no_state, open_database, unusable
from connector.store.postgres import PostgresConnection
from connector.store.schema import metadata
from connector.store.server import (
    BATCH,
    UNFINISHED,
    Server,
    migrate_server,
    reaching,
    schema_of,
    stays,
)

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """Rows of each table, all of them compared; `copied` had to be written by this call."""

    rows: dict[str, int]
    copied: int


def move_state(source: Path, target: Server) -> Moved:
    """Make the server's state equal to the file's, which stays as it is. Blocks.

    StateUnusable, with nothing lost, if a daemon holds the file, if the target holds another state, or if anything
    goes wrong: then the same call again goes on.
    """
    if not source.exists():
        raise no_state(source)
    if is_locked(source):
        raise StateUnusable(
            f"state {source}: in use; stop the daemon first: what it would still store would not be moved"
        )
    with lock_state(source):
        open_database(
            source
        ).close()  # brings an older schema up to date, and refuses what is not ours
        uri = f"file:{quote(str(source))}?mode=ro"
        with (
            unusable(source),
            contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as file,
            reaching(target),
            contextlib.closing(PostgresConnection(target.url)) as server,
        ):
            _prepare(server, target)
            file.execute("BEGIN")
            copied = _make_equal(file, server, target)
            rows = _compare(file, server, target)
            server.execute("DELETE FROM cursors WHERE scope = ? AND name = ?", UNFINISHED)
            return Moved(rows, copied)


def _prepare(server: PostgresConnection, target: Server) -> None:
    found = schema_of(server)
    if found is not None and found not in migrations.KNOWN:
        raise StateUnusable(
            f"state {target}: was written by a newer gcal-salesloft (schema {found}); upgrade first"
        )
    migrate_server(server)
    mark = server.execute("SELECT 1 FROM cursors WHERE scope = ? AND name = ?", UNFINISHED)
    if mark.fetchone() is None:
        held = server.execute("SELECT EXISTS (SELECT 1 FROM calendars)").fetchone()
        if held != (False,):
            raise StateUnusable(
                f"state {target}: holds a state already; name an empty database, nothing was changed"
            )
        server.execute(
            "INSERT INTO cursors (scope, name, value) VALUES (?, ?, ?)", (*UNFINISHED, "1")
        )


def _make_equal(file: sqlite3.Connection, server: PostgresConnection, target: Server) -> int:
    copied = 0
    extra: list[tuple[Table, list[Row]]] = []
    for table in metadata.sorted_tables:
        missing: list[Row] = []
        gone: list[Row] = []
        for here, there in _differences(file, target, table):
            if here is None:
                assert there is not None
                gone.append(_key(table, there))
                continue
            missing.append(here)
            if len(missing) == BATCH:
                copied += _put(server, table, missing)
                missing = []
        copied += _put(server, table, missing)
        extra.append((table, gone))
    for table, keys in reversed(extra):  # what refers to a row goes before it
        wanted = " AND ".join(f'"{column.name}" = ?' for column in table.primary_key)
        for key in keys:
            server.execute(f"DELETE FROM {table.name} WHERE {wanted}", key)  # noqa: S608  # own names
    for table in metadata.sorted_tables:
        if table.autoincrement_column is not None:
            server.execute(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'),"  # noqa: S608  # own names
                f" (SELECT coalesce(max(id), 0) + 1 FROM {table.name}), false)"
            )
    return copied


def _compare(
    file: sqlite3.Connection, server: PostgresConnection, target: Server
) -> dict[str, int]:
    for table in metadata.sorted_tables:
        if next(_differences(file, target, table), None) is not None:
            raise StateUnusable(
                f"state {target}: {table.name} is not equal to the file's after the move; something else writes there."
                " Stop it, then run the same command again"
            )
    return {
        table.name: file.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]  # noqa: S608  # own names
        for table in metadata.sorted_tables
    }


def _differences(
    file: sqlite3.Connection, target: Server, table: Table
) -> Iterator[tuple[Row | None, Row | None]]:
    """Rows that one side lacks, or that are not equal; both sides are streamed by their keys."""
    with contextlib.closing(PostgresConnection(target.url, read_only=True)) as reading:
        here, there = _rows_of_file(file, table), _rows_of_server(reading, table)
        mine, theirs = next(here, None), next(there, None)
        while mine is not None or theirs is not None:
            first, second = mine and _order(table, mine), theirs and _order(table, theirs)
            if second is None or (first is not None and first < second):
                yield mine, None
                mine = next(here, None)
            elif first is None or second < first:
                yield None, theirs
                theirs = next(there, None)
            else:
                if mine != theirs:
                    yield mine, theirs
                mine, theirs = next(here, None), next(there, None)


def _rows_of_file(file: sqlite3.Connection, table: Table) -> Iterator[Row]:
    order = ", ".join(f'"{column.name}"' for column in table.primary_key)
    booleans = [isinstance(column.type, Boolean) for column in table.columns]
    for row in file.execute(f"SELECT {_names(table)} FROM {table.name} ORDER BY {order}"):  # noqa: S608
        if not stays(table, row):
            yield tuple(
                bool(value) if boolean and value is not None else value
                for value, boolean in zip(row, booleans, strict=True)
            )


def _rows_of_server(reading: PostgresConnection, table: Table) -> Iterator[Row]:
    # As SQLite orders text: by its bytes.
    order = ", ".join(
        f'"{column.name}"' + (' COLLATE "C"' if isinstance(column.type, Text) else "")
        for column in table.primary_key
    )
    with reading.raw.transaction(), reading.raw.cursor(name="moving") as cursor:
        cursor.itersize = BATCH
        query = f"SELECT {_names(table)} FROM {table.name} ORDER BY {order}"  # noqa: S608  # own names
        for row in cursor.execute(query.encode()):
            if not stays(table, row):
                yield row


def _put(server: PostgresConnection, table: Table, rows: list[Row]) -> int:
    if not rows:
        return 0
    keys = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in keys]
    marks = ", ".join("?" * len(table.columns))
    updates = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
    conflict = f"DO UPDATE SET {updates}" if others else "DO NOTHING"
    statement = (
        f"INSERT INTO {table.name} ({_names(table)}) VALUES ({marks})"  # noqa: S608  # own names
        f" ON CONFLICT ({', '.join(keys)}) {conflict}"
    )
    server.execute("BEGIN")
    try:
        server.executemany(statement, rows)
        server.execute("COMMIT")
    except psycopg.DataError as error:
        server.execute("ROLLBACK")
        raise StateUnusable(
            f"a row of {table.name} cannot be stored in PostgreSQL ({type(error).__name__}); nothing was lost,"
            " keep the SQLite file and report this with `gcal-salesloft support-bundle`"
        ) from None
    return len(rows)


def _names(table: Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


def _key(table: Table, row: Row) -> Row:
    names = [column.name for column in table.columns]
    return tuple(row[names.index(column.name)] for column in table.primary_key)


def _order(table: Table, row: Row) -> Row:
    return tuple(value.encode() if isinstance(value, str) else value for value in _key(table, row))
