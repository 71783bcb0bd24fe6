"""Bring a database to the newest schema with alembic, in one transaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from connector.store import migrations


def upgrade(connection: sqlite3.Connection) -> None:
    """Run every step that is missing. Either all of them are applied or none."""
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)

    # The driver is in autocommit mode: without this, a crash between two steps would leave half a schema.
    @event.listens_for(engine, "begin")
    def _begin(begun: Connection) -> None:
        begun.exec_driver_sql("BEGIN IMMEDIATE")

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
        if isinstance(error.orig, sqlite3.Error):
            raise error.orig from None  # without the statement: the caller knows what to make of it
        raise
