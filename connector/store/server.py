"""A state on a PostgreSQL server: opening, locking and copying it, as `database` does it for SQLite's files.

One process delivers at a time, or the nodes of the distributed engine do (`fence.py`): each holds an advisory lock **on
the very connection that writes**, so that whoever lost the one lost the other. Their transactions share a second lock,
which every transaction of a command takes alone: commands (`pause`, `offboard`, `erase`, …) are serialised with
everything else, as SQLite does it for all writers.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Table

from connector.domain.errors import RetryLater, StateUnusable
from connector.store import migrations, nodes
from connector.store.connection import Connection
from connector.store.database import Database, Dialect, begin_with, migrate
from connector.store.fence import Fence
from connector.store.postgres import PostgresConnection, Raw
from connector.store.schema import metadata

_OURS = 0x6763_616C  # "gcal": the first half of our advisory locks' names
_HOLDER, _WRITERS, _MIGRATION = 1, 2, 3
_SHARED = f"BEGIN; SELECT pg_advisory_xact_lock_shared({_OURS}, {_WRITERS})"
_ALONE = f"BEGIN; SELECT pg_advisory_xact_lock({_OURS}, {_WRITERS})"
_BUMP = """INSERT INTO cursors (scope, name, value) VALUES ('state', 'decisions', '1')
           ON CONFLICT (scope, name) DO UPDATE SET value = CAST(CAST(cursors.value AS BIGINT) + 1 AS TEXT)"""
OLDEST_FIT = ("schema", "oldest fit")
"""The cursor that names the oldest schema whose programs may use this state."""
UNFINISHED = ("migration", "unfinished")
"""The cursor that stands while rows are being moved here from another state."""
QUEUE_STEP = ("procrastinate", "schema")
"""The cursor that names the last step of the queue's own tables."""
_OWN_CURSORS = {UNFINISHED, OLDEST_FIT, QUEUE_STEP, ("state", "decisions")}
_OWN_TABLES = frozenset({"nodes", "shards"})
BATCH = 1000
LOCK_TIMEOUT_MS = 5000
SIGNS_TIMEOUT_MS = 1000


@dataclass(frozen=True, slots=True)
class Server:
    """Where a state is that a PostgreSQL server keeps. Shown without its password."""

    url: str = field(repr=False)

    def __str__(self) -> str:
        try:
            parts = conninfo_to_dict(self.url)
        except psycopg.Error:
            return "postgresql://…"
        host, port = parts.get("host") or "", parts.get("port")
        return f"postgresql://{host}{f':{port}' if port else ''}/{parts.get('dbname') or ''}"

    def exists(self) -> bool:
        """True if there is a state. StateUnusable if the server cannot be reached."""
        with reaching(self), contextlib.closing(PostgresConnection(self.url)) as connection:
            return schema_of(connection) is not None


_held: dict[Server, PostgresConnection] = {}
"""The connections that hold a state, until it is opened on them: who opens it then is a command like any other."""


def open_server(server: Server, fence: Fence | None = None) -> Database:
    """Open the state for writing, make or migrate it. StateUnusable of anything unfit, which is left as it is.

    Behind a `fence`, nothing is written that this process may not write as a node.
    """
    holding = _held.pop(server, None)
    connection = holding or PostgresConnection(server.url)
    try:
        with reaching(server):
            _check(connection, server)
            migrate_server(connection)
    except BaseException:
        connection.close()
        raise
    begin = begin_with(_SHARED if holding else f"{_ALONE}; {_BUMP}")
    if fence is not None:
        begin = partial(fence.begin, writers=_SHARED)
    return Database(connection, str(server), _dialect(begin))


def read_server(server: Server) -> Database:
    """Open the state for reading only, beside whoever writes it. StateUnusable if there is none."""
    connection = PostgresConnection(server.url, read_only=True)
    try:
        with reaching(server):
            found = _check(connection, server)
        if found is None:
            raise StateUnusable(
                f"state {server}: does not exist yet; it is made by the first `gcal-salesloft run`"
            )
        if found < migrations.HEAD:
            raise StateUnusable(
                f"state {server}: has schema {found}, this gcal-salesloft reads {migrations.HEAD};"
                " the next start of the daemon brings it up to date"
            )
    except BaseException:
        connection.close()
        raise
    return Database(
        connection, str(server), _dialect(begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ"))
    )


def copy_server(server: Server) -> Database:
    """A copy of the state in memory, for dry runs: the server's stays as it is."""
    return Database(copied(server), "in memory")


def copied(server: Server) -> sqlite3.Connection:
    """A copy of the state in memory, as SQLite keeps it; empty if there is none."""
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(memory)
    with (
        contextlib.closing(PostgresConnection(server.url, read_only=True)) as connection,
        reaching(server),
    ):
        found = _check(connection, server)
        if found is not None and found < migrations.HEAD:
            raise StateUnusable(
                f"state {server}: has schema {found}; start the daemon of this version once"
            )
        if found is not None:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            for table in metadata.sorted_tables:
                copy_rows(connection, memory, table)
            connection.execute("COMMIT")
    return memory


def stays(table: Table, row: Sequence[Any]) -> bool:
    """Whether a row is about the server and the processes on it, and no part of the state that could be elsewhere."""
    return table.name in _OWN_TABLES or (table.name == "cursors" and tuple(row[:2]) in _OWN_CURSORS)


def copy_rows(source: Connection, target: Connection, table: Table) -> int:
    """Every row of a table into an empty one of another state; gives how many."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    marks = ", ".join("?" * len(table.columns))
    found = source.execute(f"SELECT {names} FROM {table.name}")  # noqa: S608  # own names
    rows = [row for row in found if not stays(table, row)]
    for start in range(0, len(rows), BATCH):
        target.executemany(
            f"INSERT INTO {table.name} ({names}) VALUES ({marks})",  # noqa: S608  # own names
            rows[start : start + BATCH],
        )
    return len(rows)


@contextlib.contextmanager
def lock_server(server: Server, *, as_node: bool = False) -> Iterator[None]:
    """Hold the state for this process. Any death frees it; a second process is told who holds it.

    Nodes hold it beside each other, and beside nobody else.
    """
    held = False

    def prepare(raw: Raw) -> None:
        _hold(raw, server, again=held, as_node=as_node)

    connection = PostgresConnection(server.url, prepare=prepare)
    with reaching(server):
        _ = connection.raw
    held = True
    _held[server] = connection
    try:
        yield
    finally:
        _held.pop(server, None)
        connection.close()


def node_name() -> str:
    """This process, for humans: its host and its number."""
    return f"{socket.gethostname()}:{os.getpid()}"


def session_of(name: str) -> str:
    """What connections of the process of this name are called at the server."""
    host, _, process = name.rpartition(":")
    return f"gcal-salesloft {host[:30]} process {process}"


def open_signs(server: Server) -> Database:
    """A connection of its own for signs of life, made when it is needed.

    On the one that writes they would wait for long transactions, and with all nodes for a command that waits for one.
    """
    begin = begin_with(f"BEGIN; SET LOCAL lock_timeout = {SIGNS_TIMEOUT_MS}")

    def prepare(raw: Raw) -> None:
        raw.execute("SELECT set_config('application_name', %s, false)", (session_of(node_name()),))

    connection = PostgresConnection(server.url, prepare=prepare)
    return Database(connection, str(server), _dialect(begin))


def join_server(server: Server, node: str, name: str, version: str, before: str) -> int:
    """Register a node, in place of what this process was `before`; gives the server's time in ms. RetryLater."""
    connection = PostgresConnection(server.url)
    try:
        connection.execute(_SHARED)
        connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        nodes.register(connection, node, name, version, before)
        [now] = connection.execute(f"SELECT {nodes.NOW}").fetchone() or (0,)  # our own text
        connection.execute("COMMIT")
        return int(now)
    except psycopg.Error as error:
        raise _failure(str(server), error) from None
    finally:
        connection.close()


@contextlib.contextmanager
def migrating(server: Server) -> Iterator[PostgresConnection]:
    """A connection that alone changes tables: first starts of several nodes take turns. StateUnusable."""
    connection = PostgresConnection(server.url)
    try:
        with reaching(server):
            connection.execute(f"SELECT pg_advisory_lock({_OURS}, {_MIGRATION})")
            yield connection
    finally:
        connection.close()


def is_server_held(server: Server) -> bool:
    """True while a process holds the state; False, too, if the server cannot be reached."""
    try:
        with contextlib.closing(PostgresConnection(server.url, read_only=True)) as connection:
            return bool(_holder(connection.raw))
    except psycopg.Error:
        return False


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """What was seen of a state on a server. `problem` is why it is unusable; `size` in bytes."""

    schema: str = ""
    size: int = 0
    holder: str = ""
    problem: str = ""


def inspect_server(server: Server) -> ServerSeen:
    """Everything about a state that can be seen beside a daemon. Blocks."""
    try:
        with reaching(server), contextlib.closing(PostgresConnection(server.url)) as connection:
            found = _check(connection, server)
            [may_write] = connection.execute(
                "SELECT has_schema_privilege(current_schema(), 'CREATE')"
            ).fetchone() or (False,)
            if not may_write:
                raise StateUnusable(
                    f"state {server}: its user may not create tables; GRANT CREATE ON SCHEMA public to it"
                )
            [size] = connection.execute(
                "SELECT pg_database_size(current_database())"
            ).fetchone() or (0,)
            return ServerSeen(found or "", size, _holder(connection.raw))
    except StateUnusable as unusable:
        return ServerSeen(problem=str(unusable).removeprefix(f"state {server}: "))


def vacuum(server: Server) -> bool:
    """Have the server reuse the space of deleted rows; its write-ahead log and backups keep them for their time."""
    try:
        with contextlib.closing(PostgresConnection(server.url)) as connection:
            for table in metadata.sorted_tables:
                connection.execute(f"VACUUM {table.name}")
    except psycopg.Error:
        return False
    return True


def decisions(connection: Connection) -> int:
    """Changes when a command has committed something."""
    row = connection.execute(
        "SELECT value FROM cursors WHERE scope = 'state' AND name = 'decisions'"
    ).fetchone()
    return int(row[0]) if row else 0


def schema_of(connection: PostgresConnection) -> str | None:
    """The schema's version; None if the database holds none of our tables."""
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


@contextlib.contextmanager
def reaching(server: Server) -> Iterator[None]:
    """psycopg's errors while opening, as StateUnusable with a remedy and without secrets."""
    try:
        yield
    except psycopg.Error as error:
        raise StateUnusable(
            f"state {server}: {_words(error)}; check that the server runs, that [state] url is right and that its"
            " user may create tables in the database"
        ) from None


def _hold(raw: Raw, server: Server, *, again: bool, as_node: bool) -> None:
    """Take the lock. Whoever held it `again` waits for it: the server may not have noticed yet that we were cut off."""
    raw.execute(
        "SELECT set_config('application_name', %s, false)",
        (session_of(node_name()),),
    )
    shared = "_shared" if as_node else ""
    [got] = raw.execute(
        f"SELECT pg_try_advisory_lock{shared}({_OURS}, {_HOLDER})".encode()
    ).fetchone() or (False,)
    if not got:
        found = f"state {server}: already in use by {_holder(raw) or 'another gcal-salesloft'}"
        if again:
            raise RetryLater(f"{found}; this one lost its connection, and waits until it is free")
        why = (
            'it does not run as a node: give it `[engine] kind = "distributed"` too'
            if as_node
            else "one process on one state, or nodes alone"
        )
        raise StateUnusable(f"{found}; stop that one first ({why})")


def _holder(raw: Raw) -> str:
    row = raw.execute(
        f"""SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE l.locktype = 'advisory' AND l.classid = {_OURS} AND l.objid = {_HOLDER} AND l.granted
              AND l.objsubid = 2 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""  # noqa: S608
    ).fetchone()
    return str(row[0] or "unknown") if row else ""


def _check(connection: PostgresConnection, server: Server) -> str | None:
    """The schema of what is there. StateUnusable if it is not ours, newer than we are, or not moved here whole."""
    found = schema_of(connection)
    if found is None:
        other = connection.execute("SELECT to_regclass('calendars')").fetchone()
        if other != (None,):
            raise StateUnusable(
                f"state {server}: is a database of another program; name another in [state] url"
            )
        return None
    if found not in migrations.KNOWN and not _is_fit_for_us(connection):
        raise StateUnusable(
            f"state {server}: was written by a newer gcal-salesloft (schema {found}, this one knows up to"
            f" {migrations.HEAD}); upgrade, or restore a backup of before"
        )
    moving = connection.execute(
        "SELECT value FROM cursors WHERE scope = ? AND name = ?", UNFINISHED
    )
    if moving.fetchone() is not None:
        raise StateUnusable(
            f"state {server}: a move of another state to here was interrupted; run the same"
            " `gcal-salesloft state migrate` again"
        )
    return found


def _is_fit_for_us(connection: PostgresConnection) -> bool:
    """Whether a newer schema only adds to ours: while nodes are upgraded one by one, the old ones go on."""
    row = connection.execute(
        "SELECT value FROM cursors WHERE scope = ? AND name = ?", OLDEST_FIT
    ).fetchone()
    return row is not None and str(row[0]) <= migrations.HEAD


def migrate_server(connection: PostgresConnection) -> None:
    """Bring the schema to its newest step, alone; a newer one that fits us stays. Raises psycopg.Error."""
    if (schema_of(connection) or "") >= migrations.HEAD:
        return
    from connector.store.upgrade import upgrade_postgres  # loads alembic: only where there is work

    # Two first starts at once: the second finds it made.
    connection.execute(f"SELECT pg_advisory_lock({_OURS}, {_MIGRATION})")
    try:
        if (schema_of(connection) or "") < migrations.HEAD:
            upgrade_postgres(connection.raw)
            connection.execute(
                "INSERT INTO cursors (scope, name, value) VALUES (?, ?, ?)"
                " ON CONFLICT (scope, name) DO UPDATE SET value = excluded.value",
                (*OLDEST_FIT, migrations.OLDEST_FIT),
            )
    finally:
        connection.execute(f"SELECT pg_advisory_unlock({_OURS}, {_MIGRATION})")


def _undoes_all(error: Exception) -> bool:
    # Of class 25, invalid transaction state, is what a server says that ended a transaction of ours.
    return isinstance(
        error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError
    )


def _failure(name: str, error: Exception) -> RetryLater:
    return RetryLater(
        f"state {name}: cannot be written now ({_words(error)}); nothing is lost, it is tried again."
        " Check the server, the network to it, and its disk's free space."
    )


def _words(error: Any) -> str:
    """What the server or the network said, on one line; its details may quote rows, and are left out."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    text = primary or str(error).partition("\n")[0] or type(error).__name__
    return " ".join(text.split())[:300]


def _dialect(begin: Callable[[Any], object]) -> Dialect:
    return Dialect(begin, psycopg.Error, _undoes_all, _failure)
