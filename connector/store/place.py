"""Where the state is, a file or a server, and how it is opened there."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path

from connector.domain.errors import StateUnusable
from connector.store import database, erasures, server
from connector.store.connection import Connection
from connector.store.database import Database
from connector.store.server import Server

StatePlace = Path | Server


def open_database(place: StatePlace) -> Database:
    """Open the state for writing, create or migrate it. Anything unfit is left as it is: StateUnusable."""
    if isinstance(place, Server):
        return server.open_server(place)
    return database.open_database(place)


def open_reader(place: StatePlace) -> Database:
    """Open the state for reading only, beside a daemon that has it open. StateUnusable if there is none."""
    if isinstance(place, Server):
        return server.read_server(place)
    return database.open_reader(place)


def open_copy(place: StatePlace) -> Database:
    """A copy of the state in memory, for dry runs: whatever is written to it, the state stays as it is."""
    if isinstance(place, Server):
        return server.copy_server(place)
    return database.open_copy(place)


def lock_state(place: StatePlace) -> AbstractContextManager[None]:
    """Hold the state for this process alone. Any death frees it; a second process is told who holds it."""
    if isinstance(place, Server):
        return server.lock_server(place)
    return database.lock_state(place)


def is_locked(place: StatePlace) -> bool:
    """True while a process holds the state (a daemon or a one-shot runs)."""
    if isinstance(place, Server):
        return server.is_server_held(place)
    return database.is_locked(place)


def decisions(connection: Connection) -> int:
    """Changes when another process has committed something (on a server: a command)."""
    if isinstance(connection, sqlite3.Connection):
        return int(connection.execute("PRAGMA data_version").fetchone()[0])
    return server.decisions(connection)


def empty_log(place: StatePlace) -> bool:
    """Have what was deleted leave the disk as far as the database allows it; False if that must be tried again."""
    if isinstance(place, Server):
        return server.vacuum(place)
    return erasures.checkpoint(place)


def no_state(place: StatePlace) -> StateUnusable:
    """The error of commands that need a state that was made already."""
    return StateUnusable(
        f"state {place}: does not exist yet; it is made by the first `gcal-salesloft run`"
    )
