"""A state of every released version is brought to the present schema with all that is in it, and works."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.store import State, open_database, open_reader
from connector.store.backup import restore_backup, write_backup
from connector.store.integrity import check_state
from connector.store.migrations import HEAD, KNOWN

FOLDER = Path(__file__).parent
RELEASED = sorted(KNOWN - {HEAD})
NOW = datetime(2025, 11, 21, tzinfo=UTC)
Content = dict[str, list[dict[str, Any]]]


def content(path: Path) -> Content:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = [
            row[0]
            for row in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        ]
        found: Content = {}
        for table in tables:
            cursor = connection.execute(f"SELECT * FROM {table}")  # noqa: S608  # its own tables
            names = [column[0] for column in cursor.description]
            found[table] = [dict(zip(names, row, strict=True)) for row in cursor]
        return found


@pytest.fixture(params=RELEASED)
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A state as that version wrote it; every version needs its file."""
    path = tmp_path / "state.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript((FOLDER / f"v{request.param}.sql").read_text())
    return path


def test_every_table_of_a_released_state_has_rows(released: Path) -> None:
    assert all(content(released).values())


def test_nothing_is_lost_by_an_upgrade(released: Path) -> None:
    before = content(released)
    open_database(released).close()
    after = content(released)
    assert after["alembic_version"] == [{"version_num": HEAD}]
    for table in before.keys() - {"alembic_version"}:
        kept = [{name: row[name] for name in before[table][0]} for row in after[table]]
        assert kept == before[table], table


def test_an_upgraded_state_is_sound(released: Path) -> None:
    open_database(released).close()
    with contextlib.closing(sqlite3.connect(released)) as connection:
        assert [check for check in check_state(connection) if not check.ok] == []


async def test_an_upgraded_state_works(released: Path) -> None:
    state = State(open_database(released))
    try:
        await state.start()
        [row] = await state.claim([1], 10, NOW + timedelta(days=400))
        assert row.key.event_id == "waiting"
        await state.settle_accepted([row])
        assert [letter.key.event_id for letter in await state.dead_letters()] == ["refused"]
        assert [held.waiting for held in await state.held()] == [1]
        job = await state.bulk_job("team-1", [1])
        assert job is not None
        assert (job.remote_id, job.ready) == (77, True)
        assert {calendar.name for calendar in await state.calendars()} == {"pam", "jim"}
        assert await state.release_held([1]) == 1
    finally:
        state.close()


async def test_a_reader_leaves_an_older_file_as_it_is(released: Path) -> None:
    before = content(released)
    state = State(open_reader(released))
    assert len(await state.calendars()) == 2
    state.close()
    assert content(released) == before


def test_a_backup_of_an_older_state_can_be_restored(released: Path, tmp_path: Path) -> None:
    """Also made by this program, before its first run: the way back from an upgrade."""
    done = write_backup(released, tmp_path / "backup.db")
    assert done.schema in RELEASED
    assert content(tmp_path / "backup.db") == content(released)
    restored = restore_backup(tmp_path / "backup.db", released, NOW)
    assert (restored.calendars, restored.dropped, restored.jobs) == (2, 3, 1)
    after = content(released)
    assert after["alembic_version"] == [{"version_num": HEAD}]
    assert after["outbox"] == after["bulk_items"] == after["held"] == after["dead_letters"] == []
    assert {row["sync_token"] for row in after["calendars"]} == {None}
