"""The state is kept small in steps that nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from connector.domain.mapping import to_millis
from connector.store import State, open_database
from connector.store.bookings import Booking, save_booking
from connector.store.connection import Connection
from connector.store.journal import KEPT_FOR
from connector.store.upkeep import KEPT_FREE_PAGES, STEP_ROWS, reclaim_step
from connector.sync.upkeep import keep_small
from tests.store.world import add_calendar

NOW = datetime(2026, 11, 25, tzinfo=UTC)
OLD = STEP_ROWS * 20 + 7


def pragma(path: Path, name: str) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def fill(connection: Connection) -> None:
    add_calendar(connection, 1)
    entry = (
        "INSERT INTO journal (calendar_id, event_id, ical_uid, at_ms, status, upsert_type, changed,"
    )
    values = " request_id, cost) VALUES (1, ?, 'u', ?, 201, 'create', ?, 'r', 1)"
    old, young = to_millis(NOW - KEPT_FOR - timedelta(days=1)), to_millis(NOW)
    rows = [(f"old{n}", old, "x" * 900) for n in range(OLD)]
    connection.executemany(entry + values, [*rows, ("young", young, "")])


async def test_old_answers_go_and_the_disk_gets_its_pages_back(path: Path) -> None:
    state = State(open_database(path))
    await state.run(fill)
    await keep_small(state, path, NOW, asyncio.Event())
    kept = await state.run(lambda c: c.execute("SELECT event_id FROM journal").fetchall())
    state.close()
    assert kept == [("young",)]
    assert pragma(path, "freelist_count") <= KEPT_FREE_PAGES
    assert pragma(path, "page_count") < KEPT_FREE_PAGES + 200


async def test_a_stop_ends_it_between_two_steps(path: Path) -> None:
    state, stopping = State(open_database(path)), asyncio.Event()
    await state.run(fill)
    stopping.set()
    await keep_small(state, path, NOW, stopping)
    assert await state.run(lambda c: c.execute("SELECT count(*) FROM journal").fetchone()) == (
        OLD + 1,
    )
    state.close()


def test_an_older_file_is_left_as_it_is(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE t (x TEXT)")
        connection.executemany("INSERT INTO t VALUES (?)", [("y" * 3000,)] * 5000)
        connection.execute("DELETE FROM t")
        connection.execute("COMMIT")
        assert not reclaim_step(connection)


def test_a_new_state_can_give_pages_back(path: Path) -> None:
    open_database(path).close()
    assert pragma(path, "auto_vacuum") == 2


async def test_bookings_that_are_done_with_are_forgotten_and_failed_ones_kept(path: Path) -> None:
    state = State(open_database(path))
    await state.run(lambda c: add_calendar(c, 1))
    old, young = NOW - timedelta(days=91), NOW - timedelta(days=89)
    for name, kept_as, end in (
        ("old", "booked", old),
        ("old-cancelled", "cancelled", old),
        ("old-failed", "failed", old),
        ("old-moving", "moving", old),
        ("young", "booked", young),
    ):
        row = Booking(1, name, f"event-{name}", kept_as, NOW, start=end, end=end)
        await state.run(partial(save_booking, row=row))
    await state.purge(1, NOW - timedelta(days=90))
    left = await state.run(lambda c: c.execute("SELECT meeting_id FROM bookings").fetchall())
    state.close()
    assert {row[0] for row in left} == {"old-failed", "old-moving", "young"}
