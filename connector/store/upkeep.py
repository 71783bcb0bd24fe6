"""Keeps the state small, in steps so short that nobody waits for them.

Deleted rows leave free pages, which SQLite uses again; a state made since schema 2 (`auto_vacuum = INCREMENTAL`) can
also give them back to the disk. An older file cannot without being written anew whole, which would stop the work: it
keeps its free pages until `state restore` writes it anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from connector.domain.mapping import to_millis
from connector.store.connection import Connection
from connector.store.journal import KEPT_FOR

STEP_ROWS = 500
STEP_PAGES = 256
"""A megabyte: some milliseconds."""
KEPT_FREE_PAGES = 1024
"""Left in the file for what is written next."""

_FADED = """DELETE FROM journal WHERE id IN (SELECT id FROM journal WHERE at_ms < ? ORDER BY at_ms LIMIT ?)"""


def purge_journal_step(connection: Connection, now: datetime) -> bool:
    """Forget some of the journal's oldest answers; True if there may be more. One short transaction."""
    parameters = (to_millis(now - KEPT_FOR), STEP_ROWS)
    return connection.execute(_FADED, parameters).rowcount == STEP_ROWS


def reclaim_step(connection: Connection) -> bool:
    """Give some free pages back to the disk; True if there are more to give. One short transaction."""
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
        return False
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    if free <= KEPT_FREE_PAGES:
        return False
    for _ in range(min(STEP_PAGES, free - KEPT_FREE_PAGES)):
        # Page by page: SQLite frees one a step of the statement, and Python's driver makes one step only.
        connection.execute("PRAGMA incremental_vacuum(1)")
    return free - STEP_PAGES > KEPT_FREE_PAGES


def checkpoint(path: Path) -> bool:
    """Bring the log into the file without making anybody wait; True if all of it went. Blocks: call it in a thread.

    It has a connection of its own, because a transaction cannot hold a checkpoint.
    """
    uri = f"file:{quote(str(path))}?mode=rw"
    with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        busy, log, done = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return bool(not busy and log == done)
