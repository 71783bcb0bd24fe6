from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from tests.store.world import an_empty_state


@pytest.fixture
def state() -> Iterator[sqlite3.Connection]:
    """A new state in memory, with calendar 1."""
    connection = an_empty_state()
    yield connection
    connection.close()
