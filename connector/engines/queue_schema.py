"""Procrastinate's tables beside ours, brought up to date by its own numbered steps."""

from __future__ import annotations

from pathlib import Path

from procrastinate.schema import SchemaManager

from connector.store.postgres import PostgresConnection
from connector.store.server import QUEUE_STEP, Server, migrating

_AFTER_ALL = "_post_"
"""Steps that Procrastinate wants to be done when no worker of the version before is left."""


def prepare_queue(server: Server) -> None:
    """Make the tables, or do what steps are missing. StateUnusable if that fails. Blocks."""
    with migrating(server) as connection:
        steps = sorted(
            file.name for file in Path(SchemaManager.get_migrations_path()).glob("*.sql")
        )
        if connection.execute("SELECT to_regclass('procrastinate_jobs')").fetchone() == (None,):
            _run(connection, SchemaManager.get_schema(), steps[-1])
            return
        row = connection.execute(
            "SELECT value FROM cursors WHERE scope = ? AND name = ?", QUEUE_STEP
        ).fetchone()
        for step in steps:
            if row is None or step <= row[0]:
                continue
            if _AFTER_ALL in step and _others(connection):
                return  # the last node to be upgraded does it, or the next start of any
            _run(connection, (Path(SchemaManager.get_migrations_path()) / step).read_text(), step)


def _others(connection: PostgresConnection) -> bool:
    return connection.execute("SELECT EXISTS (SELECT 1 FROM nodes)").fetchone() == (True,)


def _run(connection: PostgresConnection, statements: str, step: str) -> None:
    connection.execute("BEGIN")
    connection.execute(statements)
    connection.execute(
        "INSERT INTO cursors (scope, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT (scope, name) DO UPDATE SET value = excluded.value",
        (*QUEUE_STEP, step),
    )
    connection.execute("COMMIT")
