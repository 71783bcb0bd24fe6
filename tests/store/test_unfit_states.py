"""A state that cannot be used is named with its remedy, and left exactly as it was."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from connector.domain.errors import StateUnusable
from connector.store import database, lock_state, open_copy, open_database, open_reader
from connector.store.migrations import HEAD
from connector.store.schema import metadata
from tests.store.world import add_calendar, an_empty_file_state

Files = dict[str, bytes]


def files(folder: Path) -> Files:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def made(path: Path) -> Path:
    open_database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        add_calendar(connection, 1)
        connection.commit()
    return path


def refused(path: Path, message: str) -> None:
    before = files(path.parent)
    for attempt in (open_database, open_copy):
        with pytest.raises(StateUnusable, match=message) as caught:
            attempt(path).close()
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert files(path.parent) == before


def test_a_log_that_a_full_disk_left_empty_does_not_keep_readers_away(path: Path) -> None:
    """SQLite would want to write a file of its own beside it, and there is no room."""
    made(path)
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).touch()
    before = files(path.parent)
    open_reader(path).close()
    assert files(path.parent) == before


def test_an_empty_file_becomes_a_state(path: Path) -> None:
    path.touch()
    open_database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        assert row == (HEAD,)


def test_opened_again_nothing_is_lost(path: Path) -> None:
    made(path)
    open_database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM calendars").fetchone() == (1,)


def test_no_database_at_all(path: Path) -> None:
    path.write_bytes(b"These are the voyages of the starship Enterprise. " * 100)
    refused(path, "not a database.*backup")


def test_another_programs_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    refused(path, "another program.*name another file")


def test_another_programs_alembic_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    refused(path, "another program")


@pytest.mark.parametrize("version", ["9999", None])
def test_a_newer_schema(path: Path, version: str | None) -> None:
    made(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("DELETE FROM alembic_version")
        if version is not None:
            connection.execute("INSERT INTO alembic_version VALUES (?)", (version,))
        connection.commit()
    refused(path, "newer gcal-salesloft.*upgrade")


def test_a_damaged_file(path: Path) -> None:
    made(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        root = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'outbox'"
        ).fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    refused(path, "damaged|malformed")


def test_a_file_cut_short(path: Path) -> None:
    made(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    refused(path, "damaged|malformed")


def test_a_folder(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StateUnusable, match="cannot be opened"):
        open_database(path)


def test_a_folder_that_cannot_be_made(path: Path) -> None:
    path.write_text("a file")
    with pytest.raises(StateUnusable, match=r"folder cannot be made.*create it"):
        open_database(path / "state.db")
    with pytest.raises(StateUnusable, match="cannot be locked"), lock_state(path / "state.db"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_read_only(path: Path, what: str) -> None:
    target = made(path) if what == "file" else path.parent
    target.chmod(0o500 if what == "folder" else 0o400)
    try:
        with pytest.raises(StateUnusable, match=r"cannot be (written|opened)"):
            open_database(path)
    finally:
        target.chmod(0o700)


@pytest.fixture
def unchangeable(path: Path) -> Iterator[Path]:
    """A state that even root cannot write, where the file system can do that."""
    made(path)
    done = subprocess.run(["chattr", "+i", str(path)], capture_output=True, check=False)
    if done.returncode != 0 or os.access(path, os.W_OK):
        subprocess.run(["chattr", "-i", str(path)], capture_output=True, check=False)
        pytest.skip("chattr does not work here")
    yield path
    subprocess.run(["chattr", "-i", str(path)], check=True)


def test_unchangeable(unchangeable: Path) -> None:
    with pytest.raises(StateUnusable, match=r"check the owner|cannot be (written|opened)"):
        open_database(unchangeable)
    open_copy(unchangeable).close()  # a dry run only reads


def test_locked_by_another_program(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(path)
    monkeypatch.setattr(database, "_BUSY_MS", 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StateUnusable, match="locked"):
            open_database(path)
        other.execute("ROLLBACK")
    open_database(path).close()


def test_a_failure_while_it_is_made_leaves_nothing_half(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = database._connect

    def on_a_small_disk(name: str) -> sqlite3.Connection:
        connection = plain(name)
        connection.execute("PRAGMA max_page_count = 6")
        return connection

    monkeypatch.setattr(database, "_connect", on_a_small_disk)
    with pytest.raises(StateUnusable, match="full"):
        open_database(path)
    monkeypatch.setattr(database, "_connect", plain)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    open_database(path).close()


def test_the_migrations_make_the_schema() -> None:
    with closing(an_empty_file_state()) as connection:
        engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
        with engine.connect() as wrapped:
            context = MigrationContext.configure(wrapped, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []


# A copy for dry runs


async def test_a_copy_leaves_the_file_as_it_is(path: Path) -> None:
    made(path)
    before = files(path.parent)
    copy = open_copy(path)
    await copy.run(lambda c: c.execute("DELETE FROM calendars"))
    assert files(path.parent) == before
    copy.close()
    assert files(path.parent) == before


async def test_a_copy_of_no_state_makes_none(path: Path) -> None:
    copy = open_copy(path)
    assert await copy.run(lambda c: c.execute("SELECT count(*) FROM calendars").fetchone()) == (0,)
    copy.close()
    assert list(path.parent.iterdir()) == []


def crashed(path: Path) -> Path:
    """What `kill -9` leaves behind: a write-ahead log that nobody has read."""
    open_database(path).close()
    script = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute(\"INSERT INTO calendars (user_guid, name) VALUES ('g', 'late')\")\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert path.with_name("state.db-wal").stat().st_size > 0
    return path


@pytest.mark.parametrize("with_shm", [True, False])
async def test_a_copy_after_a_crash_sees_all_and_writes_nothing(path: Path, with_shm: bool) -> None:
    crashed(path)
    if not with_shm:
        path.with_name("state.db-shm").unlink()
    before = files(path.parent)
    copy = open_copy(path)
    names = await copy.run(lambda c: c.execute("SELECT name FROM calendars").fetchall())
    copy.close()
    assert names == [("late",)]
    after = files(path.parent)
    after.pop("state.db-shm", None)  # an index of the log; SQLite makes it anew at each start
    before.pop("state.db-shm", None)
    assert after == before


async def test_a_copy_beside_a_running_process(path: Path) -> None:
    running = open_database(path)
    await running.run(lambda c: add_calendar(c, 1))
    before = {k: v for k, v in files(path.parent).items() if not k.endswith("-shm")}
    copy = open_copy(path)
    assert await copy.run(lambda c: c.execute("SELECT count(*) FROM calendars").fetchone()) == (1,)
    copy.close()
    assert {k: v for k, v in files(path.parent).items() if not k.endswith("-shm")} == before
    await running.run(lambda c: add_calendar(c, 2))
    running.close()


# One process on one state


def test_a_second_process_is_told_who_has_it(path: Path) -> None:
    with lock_state(path):
        for _ in range(2):
            with (
                pytest.raises(StateUnusable, match=f"process {os.getpid()};.*stop that one"),
                lock_state(path),
            ):
                pass
    with lock_state(path):
        pass


def test_the_lock_is_freed_by_any_death(path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from connector.store import lock_state\n"
        f"with lock_state(Path({str(path)!r})):\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with (
            pytest.raises(StateUnusable, match=f"process {holder.pid};"),
            lock_state(path),
        ):
            pass
        holder.kill()
        holder.wait()
    with lock_state(path):
        assert path.with_name("state.db.lock").read_text() == f"{os.getpid()}\n"


def test_an_error_inside_frees_the_lock(path: Path) -> None:
    with pytest.raises(LookupError), lock_state(path):
        raise LookupError
    with lock_state(path):
        pass
