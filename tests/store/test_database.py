"""Group commit: many small transactions, few commits, and a failure that undoes only itself."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from connector.domain.errors import RetryLater, StateUnusable
from connector.store import Database, database, open_database
from connector.store.connection import Connection

NOTE = "INSERT INTO notes (text) VALUES (?)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def opened(path: Path) -> AsyncIterator[Database]:
    """A state with a further table for notes."""
    made = open_database(path)
    await made.run(lambda c: c.execute("CREATE TABLE notes (text TEXT NOT NULL)"))
    yield made
    made.close()


def notes(path: Path) -> list[str]:
    """As another connection sees them: only what was committed."""
    with closing(sqlite3.connect(path)) as reader:
        return [row[0] for row in reader.execute("SELECT text FROM notes ORDER BY rowid")]


def note(text: str | None) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(NOTE, (text,))


class Gate:
    """Holds the writer thread, so that what is handed over meanwhile is committed together."""

    def __init__(self, opened: Database) -> None:
        self._opened = opened
        self._open, self._entered = threading.Event(), threading.Event()
        self._task: asyncio.Task[object] | None = None

    async def __aenter__(self) -> None:
        def hold(_: Connection) -> None:
            self._entered.set()
            self._open.wait()

        self._task = asyncio.create_task(self._opened.run(hold))
        await asyncio.to_thread(self._entered.wait)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)  # lets the tasks of the block hand over their work
        self._open.set()
        assert self._task is not None
        await self._task


async def together(opened: Database, *jobs: Callable[[Connection], object]) -> list[object]:
    """Run jobs in one group; results or errors."""
    async with Gate(opened):
        tasks = [asyncio.create_task(opened.run(job)) for job in jobs]
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_was_answered_is_committed(opened: Database, path: Path) -> None:
    for number in range(3):
        await opened.run(note(str(number)))
        assert notes(path)[-1] == str(number)


async def test_what_waits_is_committed_together(opened: Database, path: Path) -> None:
    commits: list[str] = []

    def trace(connection: Connection) -> None:
        cast(sqlite3.Connection, connection).set_trace_callback(
            lambda s: commits.append(s) if s == "COMMIT" else None
        )

    await opened.run(trace)
    commits.clear()
    await together(opened, *[note(str(number)) for number in range(150)])
    assert notes(path) == [str(number) for number in range(150)]
    assert len(commits) <= 1 + 150 // 64 + 1
    await opened.run(lambda c: cast(sqlite3.Connection, c).set_trace_callback(None))


async def test_one_jobs_failure_undoes_only_itself(opened: Database, path: Path) -> None:
    def half(connection: Connection) -> None:
        connection.execute(NOTE, ("half",))
        raise LookupError("half done")

    first, second, third, fourth = await together(
        opened, note("first"), half, note(None), note("last")
    )
    assert isinstance(second, LookupError)
    assert isinstance(third, sqlite3.IntegrityError)
    assert not isinstance(first, BaseException)
    assert not isinstance(fourth, BaseException)
    assert notes(path) == ["first", "last"]


async def test_an_error_that_no_future_takes_leaves_nobody_waiting(opened: Database) -> None:
    def end(_: Connection) -> object:
        raise StopIteration("the title of a meeting")

    async with asyncio.timeout(10):
        failed, noted = await together(opened, end, note("beside it"))
    assert isinstance(failed, RuntimeError)
    assert "title" not in str(failed)
    assert not isinstance(noted, BaseException)


async def test_results_go_to_who_asked(opened: Database) -> None:
    found = await together(opened, *[lambda _, n=n: n * n for n in range(100)])
    assert found == [n * n for n in range(100)]


async def test_a_full_disk_is_retried_and_loses_nothing(opened: Database, path: Path) -> None:
    await opened.run(note("before"))
    pages = await opened.run(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await opened.run(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 1}").fetchone())
    outcomes = await together(opened, note("small"), note("x" * 100_000), note("after"))
    assert all(isinstance(outcome, RetryLater) for outcome in outcomes)
    assert "full" in str(outcomes[0])
    assert "free space" in str(outcomes[0])
    assert notes(path) == ["before"]
    await opened.run(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchone())
    await opened.run(note("small"))
    await opened.run(note("x" * 100_000))
    assert len(notes(path)) == 3


async def test_locked_by_another_program_is_retried(opened: Database, path: Path) -> None:
    await opened.run(lambda c: c.execute("PRAGMA busy_timeout = 1"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RetryLater, match="locked"):
            await opened.run(note("now"))
        other.execute("ROLLBACK")
    await opened.run(note("later"))
    assert notes(path) == ["later"]


async def test_damage_met_at_work_stops(opened: Database) -> None:
    def damaged(_: Connection) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with pytest.raises(StateUnusable, match="malformed"):
        await opened.run(damaged)


async def test_a_caller_that_leaves_takes_nothing_back(opened: Database, path: Path) -> None:
    async with Gate(opened):
        task = asyncio.create_task(opened.run(note("kept")))
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await opened.run(lambda c: None)
    assert notes(path) == ["kept"]


async def test_close_finishes_what_was_handed_over(opened: Database, path: Path) -> None:
    tasks = [asyncio.create_task(opened.run(note(str(n)))) for n in range(200)]
    await asyncio.sleep(0)
    opened.close()
    await asyncio.gather(*tasks)
    assert len(notes(path)) == 200
    opened.close()  # a second time does no harm
    with pytest.raises(StateUnusable, match="closed"):
        await opened.run(note("late"))


async def test_durability_is_on(opened: Database) -> None:
    def pragmas(connection: Connection) -> Iterator[object]:
        for name in ("journal_mode", "synchronous", "secure_delete"):
            yield connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert await opened.run(lambda c: list(pragmas(c))) == ["wal", 2, 1]


async def test_only_the_owner_can_read_the_state(opened: Database, path: Path) -> None:
    await opened.run(note("x"))
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file.name


async def test_folders_are_made_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "state.db"
    open_database(path).close()
    assert path.parent.stat().st_mode & 0o077 == 0


async def test_the_last_words_are_committed_after_everything(opened: Database, path: Path) -> None:
    task = asyncio.create_task(opened.run(note("before")))
    await asyncio.sleep(0)
    opened.close(note("last"))
    await task
    assert notes(path) == ["before", "last"]


def test_the_group_is_bounded() -> None:
    assert 1 < database._GROUP <= 1000
