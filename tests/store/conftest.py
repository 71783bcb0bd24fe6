from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.store.postgres import PostgresConnection
from tests.store.world import OpenState, an_empty_state, on_database

CONTRACT = {
    "test_bulk_items",
    "test_channel_rows",
    "test_journal",
    "test_leaving_and_erasing",
    "test_leaving_anywhere",
    "test_outbox_order",
    "test_line",
    "test_points",
    "test_roster_rows",
    "test_settling",
}
"""What must hold whichever database keeps the state; other modules are about SQLite's files."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2] in CONTRACT:
        metafunc.parametrize(
            "database_kind", ["sqlite", "postgresql"], indirect=True, scope="module"
        )


@pytest.fixture(scope="module", autouse=True)
def database_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """The database that `an_empty_state` is made on; of modules that are no part of the contract SQLite."""
    kind = getattr(request, "param", "sqlite")
    with on_database(kind):
        yield kind


@pytest.fixture
def state(database_kind: str) -> Iterator[OpenState]:
    """A new state in memory, with calendar 1."""
    connection = an_empty_state()
    # A contract that ran on one database only would say nothing, and nobody would notice.
    assert isinstance(connection, PostgresConnection) == (database_kind == "postgresql")
    yield connection
    connection.close()
