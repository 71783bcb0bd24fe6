"""The numbered steps lead to the schema that the program uses."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Integer, MetaData, Table, create_engine
from sqlalchemy.pool import StaticPool

from connector.store.schema import metadata
from connector.store.upgrade import upgrade
from tests.project.files import ROOT

MIGRATIONS = ROOT / "connector/store/migrations"


@pytest.fixture
def migrated() -> Iterator[sqlite3.Connection]:
    """A new database, brought up step by step."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        upgrade(connection)
        yield connection


def differences(connection: sqlite3.Connection, wanted: MetaData) -> list[object]:
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    with engine.connect() as wrapped:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(wrapped, opts=options), wanted))


def test_migrations_equal_the_schema(migrated: sqlite3.Connection) -> None:
    assert differences(migrated, metadata) == []


def test_a_forgotten_step_would_be_found(migrated: sqlite3.Connection) -> None:
    wanted = MetaData()
    for known in metadata.sorted_tables:
        known.to_metadata(wanted)
    Table("forgotten", wanted, Column("id", Integer, primary_key=True))
    assert len(differences(migrated, wanted)) == 1


def test_tables_are_made_as_the_schema_makes_them(migrated: sqlite3.Connection) -> None:
    """What `compare_metadata` does not see: WITHOUT ROWID, the order of primary keys."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as direct:
        engine = create_engine("sqlite://", creator=lambda: direct, poolclass=StaticPool)
        metadata.create_all(engine)
        assert shapes(direct) == shapes(migrated)


def shapes(connection: sqlite3.Connection) -> dict[str, object]:
    tables = connection.execute("PRAGMA table_list").fetchall()
    return {
        name: (
            without_rowid,
            sorted(row[1:] for row in connection.execute(f"PRAGMA table_xinfo({name})")),
        )
        for _, name, kind, _, without_rowid, _ in tables
        if kind == "table" and not name.startswith(("sqlite_", "alembic_"))
    }


def test_steps_are_one_line_forward_only() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert len(script.get_heads()) == 1
    for step in script.walk_revisions():
        assert not step.is_merge_point
        assert not step.is_branch_point
