"""Rows that a process remembers between polls: never staler than promised, and a quiet poll's token is not lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from connector.domain.errors import RetryLater
from connector.domain.model import SyncToken, UserGuid, UserName
from connector.store import CalendarState, Database, State, calendars, open_database, recent
from connector.store.connection import Connection
from connector.store.recent import LOOK_EVERY, RecentRows

T = TypeVar("T")
GUID, NAME = UserGuid("00210d1a-df8a-459f-af75-89b953b618b0"), UserName("pam")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Counted:
    """A database that counts what it is asked, and fails on demand."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.asked = 0
        self.failing = False

    async def run(self, function: Callable[[Connection], T]) -> T:
        self.asked += 1
        if self.failing:
            raise RetryLater("the disk is full")
        return await self._database.run(function)


class Rows(RecentRows):
    """With a clock that the test moves."""

    def __init__(self, database: Counted) -> None:
        self.now = 0.0
        super().__init__(database, lambda: self.now)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def counted(path: Path) -> AsyncIterator[Counted]:
    database = open_database(path)
    yield Counted(database)
    database.close()


@pytest.fixture
async def rows(counted: Counted, path: Path, monkeypatch: pytest.MonkeyPatch) -> Rows:
    """Of one calendar that was read before: token `t0`."""
    monkeypatch.setattr(recent, "STORE_AFTER", 0.0)
    made = Rows(counted)
    row = await made.row(GUID, NAME)
    write(path, "UPDATE calendars SET sync_token = 't0', last_success = 1 WHERE id = ?", row.id)
    made.now += LOOK_EVERY
    await made.row(GUID, NAME)
    counted.asked = 0
    return made


def write(path: Path, statement: str, *parameters: object) -> None:
    """As another process would."""
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(statement, parameters)


def stored(path: Path) -> tuple[str | None, int]:
    with closing(sqlite3.connect(path)) as other:
        token, at = other.execute("SELECT sync_token, last_success FROM calendars").fetchone()
    return token, at


def token(text: str) -> SyncToken:
    return SyncToken(text)


async def settled(rows: RecentRows) -> None:
    """Until nothing waits to be stored."""
    while rows._timer is not None or rows._storing is not None:  # noqa: ASYNC110  # turns, no time
        await asyncio.sleep(0)


async def test_a_second_poll_asks_the_state_nothing(rows: Rows, counted: Counted) -> None:
    first = await rows.row(GUID, NAME)
    assert await rows.row(GUID, NAME) is first
    assert counted.asked == 0


async def test_what_this_process_writes_is_seen_at_once(rows: Rows, counted: Counted) -> None:
    row = await rows.row(GUID, NAME)
    rows.changes(row.id)
    await counted.run(lambda c: calendars.pause(c, row.id, NOW))
    assert (await rows.row(GUID, NAME)).paused_since == NOW
    rows.clear()
    await counted.run(lambda c: calendars.resume(c, row.id))
    assert (await rows.row(GUID, NAME)).paused_since is None


@pytest.mark.parametrize("of_all", [True, False])
async def test_an_answer_from_before_a_write_is_not_kept(
    rows: Rows, counted: Counted, of_all: bool
) -> None:
    row = await rows.row(GUID, NAME)
    rows.changes(row.id)
    reading = asyncio.create_task(rows.row(GUID, NAME))
    await asyncio.sleep(0)  # it is asked for
    rows.clear() if of_all else rows.changes(row.id)
    await counted.run(lambda c: calendars.pause(c, row.id, NOW))
    await reading
    assert (await rows.row(GUID, NAME)).paused_since == NOW


async def test_what_another_process_decides_is_seen_in_time(rows: Rows, path: Path) -> None:
    row = await rows.row(GUID, NAME)
    write(path, "UPDATE calendars SET paused_ms = 1 WHERE id = ?", row.id)
    rows.now += LOOK_EVERY
    assert (await rows.row(GUID, NAME)).paused_since is not None
    assert LOOK_EVERY <= 0.5


async def test_another_name_is_written_at_once(rows: Rows) -> None:
    assert (await rows.row(GUID, UserName("pamela"))).name == "pamela"
    assert (await rows.row(GUID, NAME)).name == NAME


async def test_notes_of_quiet_polls_are_stored_together(
    rows: Rows, counted: Counted, path: Path
) -> None:
    row = await quiet(rows, "t1")
    row = await quiet(rows, "t2")
    assert (row.token, row.last_success) == ("t2", NOW)
    assert counted.asked == 0
    await settled(rows)
    assert counted.asked == 1
    assert stored(path) == ("t2", NOW.timestamp() * 1000)
    await quiet(rows, "t3", NOW + timedelta(minutes=1))
    await settled(rows)
    assert stored(path) == ("t3", (NOW.timestamp() + 60) * 1000)


async def quiet(rows: Rows, following: str, now: datetime = NOW) -> CalendarState:
    """A poll that finds nothing; gives the row that the next one begins with."""
    rows.note_quiet(await rows.row(GUID, NAME), token(following), now)
    return await rows.row(GUID, NAME)


async def test_a_note_never_takes_the_place_of_a_token_that_was_committed_meanwhile(
    rows: Rows, counted: Counted, path: Path
) -> None:
    row = await quiet(rows, "t1")
    rows.changes(row.id)
    committed = "UPDATE calendars SET sync_token = 'committed', last_success = 5 WHERE id = ?"
    await counted.run(lambda c: c.execute(committed, (row.id,)))
    await settled(rows)
    assert stored(path) == ("committed", 5)
    assert (await rows.row(GUID, NAME)).token == "committed"


async def test_a_token_that_another_process_dropped_stays_dropped(rows: Rows, path: Path) -> None:
    row = await quiet(rows, "t1")
    write(path, "UPDATE calendars SET sync_token = NULL WHERE id = ?", row.id)
    await settled(rows)
    assert stored(path)[0] is None
    assert (await rows.row(GUID, NAME)).token is None  # noticed by the note that did not fit


async def test_a_note_that_cannot_be_stored_is_told_and_stored_later(
    rows: Rows, counted: Counted, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await quiet(rows, "t1")
    monkeypatch.setattr(recent, "STORE_AFTER", 3600.0)  # the next attempt is this test's
    counted.failing = True
    while counted.asked == 0:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(RetryLater, match="disk"):
        await rows.row(GUID, NAME)
    assert stored(path)[0] == "t0"
    counted.failing = False
    await rows._store_notes()
    assert stored(path)[0] == "t1"
    assert (await rows.row(GUID, NAME)).token == "t1"
    rows.close()


async def test_notes_that_came_during_a_failure_follow_upon_what_is_stored(
    rows: Rows, counted: Counted, path: Path
) -> None:
    row = await quiet(rows, "t1")
    counted.failing = True
    storing = asyncio.create_task(rows._store_notes())
    rows.note_quiet(row, token("t2"), NOW)  # noted before the failure is known
    await storing
    counted.failing = False
    await settled(rows)
    assert stored(path)[0] == "t2"


async def test_the_end_stores_what_was_noted(path: Path) -> None:
    state = State(open_database(path))
    row = await state.calendar(GUID, NAME)
    write(path, "UPDATE calendars SET sync_token = 't0', last_success = 1 WHERE id = ?", row.id)
    state.note_quiet(await state.calendar(GUID, NAME), token("t1"), NOW)
    state.close()
    assert stored(path) == ("t1", NOW.timestamp() * 1000)


async def test_a_node_that_was_given_up_keeps_nothing(rows: Rows, path: Path) -> None:
    await quiet(rows, "t1")
    rows.forget()
    await settled(rows)
    assert stored(path)[0] == "t0"
    assert (await rows.row(GUID, NAME)).token == "t0"
