"""Bring a database to the newest schema with alembic, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from connector.store import migrations


def upgrade(connection: sqlite3.Connection) -> None:
    """Run every step that is missing. Either all of them are applied or none."""
    _upgrade("sqlite://", lambda: connection, "BEGIN IMMEDIATE")


def upgrade_postgres(connection: Any) -> None:
    """The same for psycopg's connection, in autocommit mode. Raises psycopg.Error."""
    _upgrade("postgresql+psycopg://", lambda: connection, "BEGIN")


def _upgrade(url: str, creator: Callable[[], Any], begin: str) -> None:
    engine = create_engine(url, creator=creator, poolclass=StaticPool, pool_reset_on_return=None)

    # The driver is in autocommit mode: without this, a crash between two steps would leave half a schema.
    @event.listens_for(engine, "begin")
    def _begin(begun: Connection) -> None:
        begun.exec_driver_sql(begin)

    config = Config()
    config.set_main_option(
        "script_location", str(Path(migrations.__file__).parent).replace("%", "%%")
    )
    config.set_main_option("path_separator", "os")
    try:
        with engine.begin() as wrapped:
            config.attributes["connection"] = wrapped
            command.upgrade(config, "head")
    except DBAPIError as error:
        if error.orig is not None:
            raise error.orig from None  # without the statement: the caller knows what to make of it
        raise
