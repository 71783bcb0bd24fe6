"""A state on a PostgreSQL server: opened, held by one process, copied, moved to, and through the server's absence."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from connector.domain.errors import RetryLater, StateUnusable
from connector.store import (
    Database,
    Server,
    is_locked,
    lock_state,
    open_copy,
    open_database,
    open_reader,
)
from connector.store.backup import restore_backup, write_server_backup
from connector.store.connection import Connection
from connector.store.moving import move_state
from connector.store.place import decisions
from connector.store.postgres import PostgresConnection, translated
from connector.store.server import UNFINISHED, copied, inspect_server
from tests.domain.builders import NOW
from tests.postgres import PostgresServer, postgres_server
from tests.store.world import add_calendar, dump

FOLDER = Path(__file__).parent


@pytest.fixture
def server() -> Server:
    """An empty database."""
    return Server(postgres_server().database())


@pytest.fixture
async def opened(server: Server) -> AsyncIterator[Database]:
    made = open_database(server)
    yield made
    made.close()


def names(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT name FROM calendars ORDER BY id")]


async def test_what_was_answered_is_there_for_everybody(server: Server, opened: Database) -> None:
    await opened.run(lambda c: add_calendar(c, 1))
    reader = open_reader(server)
    assert await reader.run(names) == ["user-1"]
    with pytest.raises(RetryLater, match="read-only"):
        await reader.run(lambda c: add_calendar(c, 2))
    reader.close()


async def test_a_failure_of_one_function_undoes_that_function_only(opened: Database) -> None:
    def fails(connection: Connection) -> None:
        add_calendar(connection, 2)
        raise LookupError

    done = await asyncio.gather(
        opened.run(lambda c: add_calendar(c, 1)),
        opened.run(fails),
        opened.run(lambda c: add_calendar(c, 1)),  # its key is taken
        opened.run(lambda c: add_calendar(c, 3)),
        return_exceptions=True,
    )
    assert [type(one) for one in done] == [
        type(None),
        LookupError,
        psycopg.errors.UniqueViolation,
        type(None),
    ]
    assert await opened.run(names) == ["user-1", "user-3"]


def test_one_process_holds_a_state_and_any_end_frees_it(server: Server) -> None:
    assert not is_locked(server)
    with lock_state(server):
        assert is_locked(server)
        message = r"already in use by gcal-salesloft .* process \d+"
        with pytest.raises(StateUnusable, match=message), lock_state(server):
            pass
        held = open_database(server)
        held.close()
    assert not is_locked(server)


async def test_commands_tell_the_holder_that_something_was_decided(server: Server) -> None:
    with lock_state(server):
        holder = open_database(server)
        try:
            before = await holder.run(decisions)
            await holder.run(lambda c: add_calendar(c, 1))
            assert await holder.run(decisions) == before
            command = open_database(server)
            await command.run(lambda c: add_calendar(c, 2))
            command.close()
            assert await holder.run(decisions) > before
        finally:
            holder.close()


async def test_a_command_waits_for_the_transaction_under_way_and_sees_it(server: Server) -> None:
    """Both read and then write: without one waiting for the other, one calendar would be lost."""

    def next_one(connection: Connection) -> None:
        [count] = connection.execute("SELECT count(*) FROM calendars").fetchone()
        add_calendar(connection, count + 1)

    with lock_state(server):
        holder, command = open_database(server), open_database(server)
        try:
            await asyncio.gather(
                *(one.run(next_one) for _ in range(20) for one in (holder, command))
            )
            assert len(await holder.run(names)) == 40
        finally:
            holder.close()
            command.close()


async def test_a_copy_can_be_written_and_the_state_stays_as_it_is(
    server: Server, opened: Database
) -> None:
    await opened.run(lambda c: add_calendar(c, 1))
    copy = open_copy(server)
    await copy.run(lambda c: add_calendar(c, 2))
    copy.close()
    assert await opened.run(names) == ["user-1"]


def test_a_state_that_was_never_made_is_no_copy_and_no_reader(server: Server) -> None:
    open_copy(server).close()
    with pytest.raises(StateUnusable, match="does not exist yet"):
        open_reader(server)
    assert not server.exists()
    assert inspect_server(server).schema == ""


def test_a_database_of_another_program_is_left_alone(server: Server) -> None:
    with psycopg.connect(server.url, autocommit=True) as raw:
        raw.execute("CREATE TABLE calendars (id int)")
    with pytest.raises(StateUnusable, match="another program"):
        open_database(server)


def test_a_newer_schema_is_left_alone(server: Server) -> None:
    open_database(server).close()
    with psycopg.connect(server.url, autocommit=True) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.execute("UPDATE cursors SET value = '9998' WHERE name = 'oldest fit'")
    for opening in (open_database, open_reader):
        with pytest.raises(StateUnusable, match="newer gcal-salesloft"):
            opening(server)


def test_a_newer_schema_that_only_adds_is_used(server: Server) -> None:
    """While nodes are upgraded one by one, those of the release before go on, and may be started again."""
    open_database(server).close()
    with psycopg.connect(server.url, autocommit=True) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.execute("ALTER TABLE calendars ADD COLUMN of_tomorrow TEXT")
    for opening in (open_database, open_reader):
        opening(server).close()
    with psycopg.connect(server.url, autocommit=True) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def test_an_absent_server_is_named_without_its_password() -> None:
    server = Server("postgresql://me:hunter2@localhost:1/calendar")
    with pytest.raises(
        StateUnusable, match=r"postgresql://localhost:1/calendar: .*check that"
    ) as told:
        open_database(server)
    assert "hunter2" not in str(told.value) + repr(server) + str(server)
    assert not is_locked(server)
    assert "hunter2" not in repr(inspect_server(server))


@pytest.fixture
def failing() -> PostgresServer:
    """The server of this process, for tests that stop it and start it again."""
    return postgres_server()


async def test_a_restart_of_the_server_loses_nothing(
    server: Server, failing: PostgresServer
) -> None:
    with lock_state(server):
        opened = open_database(server)
        try:
            await opened.run(lambda c: add_calendar(c, 1))
            failing.stop()
            try:
                with pytest.raises(RetryLater, match="nothing is lost"):
                    await opened.run(lambda c: add_calendar(c, 2))
            finally:
                failing.start()
            await opened.run(lambda c: add_calendar(c, 3))
            assert await opened.run(names) == ["user-1", "user-3"]
            assert is_locked(server)  # with the connection the lock came back
        finally:
            opened.close()


async def test_who_lost_the_state_to_another_process_writes_no_more(server: Server) -> None:
    with lock_state(server):
        slow = open_database(server)
        await slow.run(lambda c: add_calendar(c, 1))
        with psycopg.connect(server.url, autocommit=True) as raw:
            raw.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'gcal-salesloft%' AND datname = current_database()"
            )
        with lock_state(server):
            quick = open_database(server)
            with pytest.raises(RetryLater, match="already in use"):
                await slow.run(lambda c: add_calendar(c, 2))
            assert await quick.run(names) == ["user-1"]
            quick.close()
        slow.close()


# -- moving


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A state with rows in every table."""
    path = tmp_path / "state.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript((FOLDER / "v0001.sql").read_text())
    open_database(path).close()
    return path


def content(place: Path | Server) -> dict[str, list[tuple[object, ...]]]:
    if isinstance(place, Server):
        with contextlib.closing(copied(place)) as memory:
            return dump(memory)
    with contextlib.closing(sqlite3.connect(place)) as connection:
        return dump(connection)


def test_every_row_is_moved_and_new_ones_get_new_ids(file: Path, server: Server) -> None:
    moved = move_state(file, server)
    assert content(server) == content(file)
    assert moved.copied == sum(moved.rows.values()) > 10
    with contextlib.closing(PostgresConnection(server.url)) as connection:
        used = connection.execute("SELECT max(id) FROM calendars").fetchone()
        connection.execute("INSERT INTO calendars (user_guid, name) VALUES ('new', 'new')")
        [made] = connection.execute("SELECT id FROM calendars WHERE name = 'new'").fetchone() or ()
        assert used is not None
        assert made > used[0]


def test_an_interrupted_move_goes_on_and_removes_what_the_file_lost_since(
    file: Path, server: Server
) -> None:
    move_state(file, server)
    with contextlib.closing(PostgresConnection(server.url)) as connection:
        connection.execute(
            "INSERT INTO cursors (scope, name, value) VALUES (?, ?, '1')", UNFINISHED
        )
        connection.execute("DELETE FROM journal")
        connection.execute("UPDATE occurrences SET end_ms = end_ms + 1")
        add_calendar(connection, 77)
    for opening in (open_database, open_reader):
        with pytest.raises(StateUnusable, match="interrupted"):
            opening(server)
    moved = move_state(file, server)
    assert content(server) == content(file)
    assert 0 < moved.copied < sum(moved.rows.values())
    open_database(server).close()


def test_a_state_that_is_there_already_is_not_overwritten(file: Path, server: Server) -> None:
    move_state(file, server)
    with pytest.raises(StateUnusable, match="holds a state already"):
        move_state(file, server)


def test_the_state_of_a_running_daemon_is_not_moved(file: Path, server: Server) -> None:
    with lock_state(file), pytest.raises(StateUnusable, match="stop the daemon first"):
        move_state(file, server)
    assert not server.exists()


def test_a_backup_of_a_server_is_a_file_that_can_be_restored(
    file: Path, server: Server, tmp_path: Path
) -> None:
    move_state(file, server)
    target = tmp_path / "backup.db"
    done = write_server_backup(server, target)
    assert done.rows["calendars"] == len(content(file)["calendars"])
    assert content(target) == content(file)
    other = tmp_path / "other.db"
    restore_backup(target, other, NOW)
    assert len(content(other)["calendars"]) == done.rows["calendars"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("SELECT ? WHERE a = :name_of", "SELECT %s WHERE a = %(name_of)s"),
        ("SELECT 'a?:b%' || x::text", "SELECT 'a?:b%%' || x::text"),
        (
            "IN (SELECT value FROM json_each(:ids))",
            "IN (SELECT value FROM jsonb_array_elements_text(CAST(%(ids)s AS jsonb)) AS listed(value))",
        ),
        (
            "(SELECT value FROM json_each(?) WHERE key = 1)",
            "(SELECT value FROM jsonb_each_text(CAST(%s AS jsonb)) AS listed(key, value) WHERE key = 1)",
        ),
        ("a CROSS JOIN b ON a.x = b.x", "a JOIN b ON a.x = b.x"),
    ],
)
def test_a_statement_says_the_same_to_both(ours: str, theirs: str) -> None:
    assert translated(ours).as_string(None) == theirs
