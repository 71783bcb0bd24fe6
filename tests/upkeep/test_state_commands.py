"""`state backup`, `restore` and `check`: complete copies, and nothing lost, stale or doubled after one is put back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner, Result

from connector.cli.commands import app
from connector.domain.errors import StateUnusable
from connector.store import lock_state, open_database
from connector.store.backup import restore_backup, write_backup
from connector.store.integrity import check_state
from tests.daemon import Requests, daemon_of
from tests.office import Office
from tests.people import fill, random_edit

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)


async def command(*arguments: object) -> Result:
    """A command in a thread: the simulators live on this loop."""
    words = [str(one) for one in arguments]
    return await asyncio.to_thread(CliRunner().invoke, app, words)


def soon(hours: float = 26) -> datetime:
    return (datetime.now(UTC) + timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)


def rows(path: Path, statement: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def names(folder: Path, pattern: str) -> list[str]:
    return [file.name for file in folder.glob(pattern)]


def contents(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}


def unsound(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [f"{one.name}: {one.evidence}" for one in check_state(connection) if not one.ok]


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["held", "list"],
        ["dead-letters", "list"],
        ["explain", "--user", "pam", "nothing"],
        ["plan"],
        ["doctor"],
        ["state", "check"],
        ["state", "backup", "--to", "backup.db"],
        ["support-bundle", "--to", "bundle.tar.gz"],
    ],
    ids=" ".join,
)
async def test_asking_leaves_a_state_at_rest_as_it_is(
    office: Office, words: list[str], tmp_path: Path
) -> None:
    office.hire("pam").create("Pitch", soon(), attendees=[{"email": "a@customer.example.org"}])
    await office.once()
    made = {"backup.db", "bundle.tar.gz"}
    before = contents(tmp_path)
    assert "state.db-wal" not in before
    words = [str(tmp_path / word) if word in made else word for word in words]
    ended = await command(*words, "--config", office.config)
    assert "unexpected" not in ended.stderr
    after = contents(tmp_path)
    assert {name: data for name, data in after.items() if name not in made} == before


# Backup


async def test_a_backup_beside_a_daemon_is_complete(office: Office, tmp_path: Path) -> None:
    calendar = office.hire("pam")
    fill(calendar, Random(1), datetime.now(UTC), singles=20, series=3)
    requests = Requests(office)
    target = tmp_path / "backup.db"
    async with daemon_of(office) as daemon:
        await daemon.start()
        await requests.until(lambda: len(office.alive("pam")) > 30)
        done = await command("state", "backup", "--config", office.config, "--to", target)
        assert done.exit_code == 0, done.output
        assert await daemon.end() == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert rows(target, "PRAGMA integrity_check") == [("ok",)]
    assert rows(target, "SELECT name FROM calendars") == [("pam",)]
    [(count,)] = rows(target, "SELECT count(*) FROM occurrences")
    assert f"{count} occurrences" in done.stdout
    assert names(tmp_path, ".backup*") == []


async def test_a_backup_overwrites_nothing_unasked(office: Office, tmp_path: Path) -> None:
    office.hire("pam")
    await office.once(full=True)
    target = tmp_path / "backup.db"
    target.write_text("somebody's")
    refused = await command("state", "backup", "--config", office.config, "--to", target)
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert target.read_text() == "somebody's"
    forced = await command("state", "backup", "--config", office.config, "--to", target, "--force")
    assert forced.exit_code == 0
    assert rows(target, "SELECT name FROM calendars") == [("pam",)]


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_backup_never_replaces_the_state(tmp_path: Path, suffix: str) -> None:
    state = tmp_path / "state.db"
    open_database(state).close()
    before = state.read_bytes()
    with pytest.raises(StateUnusable, match="is the state itself"):
        write_backup(state, tmp_path / f"state.db{suffix}", force=True)
    assert state.read_bytes() == before


@pytest.mark.parametrize(
    ("target", "message"), [("missing/backup.db", "make it first"), (".", "is a folder")]
)
def test_where_a_backup_cannot_go(tmp_path: Path, target: str, message: str) -> None:
    open_database(tmp_path / "state.db").close()
    with pytest.raises(StateUnusable, match=message):
        write_backup(tmp_path / "state.db", tmp_path / target)


def test_without_a_state_there_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(StateUnusable, match="does not exist yet"):
        write_backup(tmp_path / "state.db", tmp_path / "backup.db")
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_process_left_in_its_log_is_in_the_backup(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    open_database(state).close()
    with contextlib.closing(sqlite3.connect(state, isolation_level=None)) as connection:
        connection.execute("INSERT INTO calendars (user_guid, name) VALUES ('g', 'late')")
        crashed = tmp_path / "crashed"
        crashed.mkdir()
        for file in tmp_path.glob("state.db*"):
            shutil.copy(file, crashed)
    write_backup(crashed / "state.db", tmp_path / "backup.db")
    assert rows(tmp_path / "backup.db", "SELECT name FROM calendars") == [("late",)]


# Restore, and what follows


@pytest.mark.parametrize("seed", range(4))
async def test_after_a_restore_everything_converges(
    office: Office, tmp_path: Path, seed: int
) -> None:
    rng = Random(seed)
    for name in ("pam", "jim"):
        fill(office.hire(name), rng, datetime.now(UTC), singles=15, series=4)
    await office.once(full=True)
    edit_all(office, rng, 10)
    await office.once()
    backup = tmp_path / "backup.db"
    write_backup(office.state, backup)
    for _ in range(3):
        edit_all(office, rng, 8)
        await office.once()
    assert office.differences() == []
    edit_all(office, rng, 8)  # never seen by any state

    restored = await command("state", "restore", "--config", office.config, "--from", backup)
    assert restored.exit_code == 0, restored.output
    assert unsound(office.state) == []
    summary = await office.once()
    assert summary.exit_status == 0
    assert office.differences() == []
    assert office.salesloft.stale_writes == []
    assert unsound(office.state) == []

    sent = len(office.upserts())
    await office.once()
    assert len(office.upserts()) == sent, "a second cycle after a restore is silent"


async def test_after_a_restore_only_differences_are_sent(office: Office, tmp_path: Path) -> None:
    fill(office.hire("pam"), Random(3), datetime.now(UTC), singles=20, series=3)
    await office.once(full=True)
    write_backup(office.state, tmp_path / "backup.db")
    sent = len(office.upserts())
    restore_backup(tmp_path / "backup.db", office.state, NOW)
    await office.once()
    assert len(office.upserts()) == sent
    assert office.differences() == []


async def test_what_the_backup_was_about_to_send_is_not_sent(
    office: Office, tmp_path: Path
) -> None:
    calendar = office.hire("pam")
    event = calendar.create("Pitch", soon(), attendees=[{"email": "dwight@customer.example.org"}])
    office.salesloft.refuse_event(event, "passing")
    await office.once(full=True)  # a dead letter, with the old title
    office.salesloft.accept_event(event)
    write_backup(office.state, tmp_path / "backup.db")
    calendar.edit_one(event, summary="Second pitch")
    await office.once()
    restore_backup(tmp_path / "backup.db", office.state, NOW)
    before = len(office.upserts())
    await office.once()
    assert [body["title"] for body in office.upserts()[before:]] in ([], ["Second pitch"])
    assert office.differences() == []
    assert rows(office.state, "SELECT count(*) FROM dead_letters") == [(0,)]


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "list forbidden"])
async def test_an_event_that_came_back_and_went_is_cancelled(
    office: Office, tmp_path: Path, listed: bool
) -> None:
    calendar = office.hire("pam")
    gone, revived = (calendar.create(title, soon()) for title in ("Gone", "Revived"))
    await office.once(full=True)
    calendar.cancel_one(revived)
    await office.once()
    write_backup(office.state, tmp_path / "backup.db")
    calendar.edit_one(revived, status="confirmed")
    await office.once()
    assert len(office.alive("pam")) == 2
    calendar.cancel_one(gone)
    calendar.cancel_one(revived)
    if listed:
        restore_backup(tmp_path / "backup.db", office.state, NOW)
    else:
        office.salesloft.deny("simulated-key", "events.list")
        await office.once()
        restore_backup(tmp_path / "backup.db", office.state, NOW)
    await office.once()
    assert office.alive("pam") == {}


async def test_bulk_jobs_of_a_backup_are_forgotten(office: Office, tmp_path: Path) -> None:
    office.hire("pam", extra="bulk_threshold = 5")
    fill(office.sellers["pam"], Random(5), datetime.now(UTC), singles=30, series=0)
    await office.once(full=True)
    with contextlib.closing(sqlite3.connect(office.state, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO bulk_jobs (id, team, name, remote_id, ready, created_ms) VALUES (7, 't', 'old', 999, 1, 0)"
        )
    write_backup(office.state, tmp_path / "backup.db")
    restored = restore_backup(tmp_path / "backup.db", office.state, NOW)
    assert restored.jobs == 1
    summary = await office.once()
    assert summary.exit_status == 0
    assert office.differences() == []


async def test_a_held_difference_of_a_backup_is_found_again(office: Office, tmp_path: Path) -> None:
    calendar = office.hire("pam", extra="[sync]\nhold_minimum = 3\n")
    events = [calendar.create(f"Meeting {n}", soon(24 + n)) for n in range(6)]
    await office.once(full=True)
    for event in events[:4]:
        del calendar.rows[event]  # gone from Google without a word
    calendar.expire_tokens()
    assert (await office.once()).held == 4
    write_backup(office.state, tmp_path / "backup.db")
    restore_backup(tmp_path / "backup.db", office.state, NOW)
    assert unsound(office.state) == []
    assert (await office.once()).held == 4


async def test_later_decisions_outlive_a_restore(office: Office, tmp_path: Path) -> None:
    office.hire("pam")
    await office.once(full=True)
    write_backup(office.state, tmp_path / "backup.db")
    with contextlib.closing(sqlite3.connect(office.state, isolation_level=None)) as connection:
        connection.execute("UPDATE calendars SET paused_ms = 1, left_ms = 2, banner_ms = 3")
        connection.execute("INSERT INTO erased VALUES ('digest', 4)")
        connection.execute(
            "INSERT INTO cursors VALUES ('erasure', 'key', 'k'), ('team', 'c', 'v'),"
            " ('offboard:1', 'team', 't')"
        )
        connection.execute("DELETE FROM points")
        connection.execute("INSERT INTO points (team, at_ms, cost) VALUES ('t', 5, 6.0)")
    assert restore_backup(tmp_path / "backup.db", office.state, NOW).decisions_kept
    assert rows(office.state, "SELECT paused_ms, left_ms, banner_ms FROM calendars") == [(1, 2, 3)]
    assert rows(office.state, "SELECT * FROM erased") == [("digest", 4)]
    kept = "SELECT scope FROM cursors WHERE scope IN ('erasure', 'team') OR scope LIKE 'offboard:%'"
    assert sorted(rows(office.state, kept)) == [("erasure",), ("offboard:1",)]
    assert rows(office.state, "SELECT team, cost FROM points") == [("t", 6.0)]


async def test_a_damaged_state_is_kept_aside_and_said(office: Office, tmp_path: Path) -> None:
    office.hire("pam")
    await office.once(full=True)
    backup = tmp_path / "backup.db"
    write_backup(office.state, backup)
    office.state.write_bytes(b"no database at all " * 500)
    done = await command("state", "restore", "--config", office.config, "--from", backup)
    assert done.exit_code == 0
    assert "repeat `erase`, `offboard` and `pause`" in done.stderr
    [kept] = names(tmp_path, "state.db.before-restore-*Z")
    assert (tmp_path / kept).read_bytes().startswith(b"no database at all")
    assert (await office.once()).exit_status == 0


def test_the_state_of_before_is_whole(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    open_database(state).close()
    write_backup(state, tmp_path / "backup.db")
    with contextlib.closing(sqlite3.connect(state, isolation_level=None)) as connection:
        connection.execute("INSERT INTO calendars (user_guid, name) VALUES ('g', 'later')")
    first = restore_backup(tmp_path / "backup.db", state, NOW).kept
    second = restore_backup(tmp_path / "backup.db", state, NOW).kept
    assert first is not None
    assert second is not None
    assert first.name == "state.db.before-restore-20261125T030000Z"
    assert first != second
    assert rows(first, "SELECT name FROM calendars") == [("later",)]
    assert rows(state, "SELECT name FROM calendars") == []
    assert stat.S_IMODE(state.stat().st_mode) == 0o600


def as_newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def as_foreign(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


def as_damaged(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def as_text(path: Path) -> None:
    path.write_bytes(b"minutes of a meeting " * 100)


def as_empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (as_newer, "newer gcal-salesloft"),
        (as_foreign, "another program"),
        (as_damaged, "damaged|malformed"),
        (as_text, "not a database"),
        (as_empty, "empty"),
        (Path.unlink, "no such file"),
    ],
)
def test_an_unfit_backup_changes_nothing(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    state, folder = tmp_path / "state.db", tmp_path / "elsewhere"
    folder.mkdir()
    open_database(state).close()
    write_backup(state, folder / "backup.db")
    spoil(folder / "backup.db")
    kept = {file: file.read_bytes() for file in folder.iterdir()}
    before = state.read_bytes()
    with pytest.raises(StateUnusable, match=message) as caught:
        restore_backup(folder / "backup.db", state, NOW)
    assert str(folder / "backup.db") in str(caught.value)
    assert state.read_bytes() == before
    beside = {f"state.db{end}" for end in ("-wal", "-shm", ".lock")}
    assert set(names(tmp_path, "*")) - beside == {"elsewhere", "state.db"}
    assert {file: file.read_bytes() for file in folder.iterdir()} == kept


def test_no_restore_under_a_daemon(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    open_database(state).close()
    write_backup(state, tmp_path / "backup.db")
    with lock_state(state), pytest.raises(StateUnusable, match="stop that one"):
        restore_backup(tmp_path / "backup.db", state, NOW)


def test_no_restore_under_another_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state.db"
    open_database(state).close()
    write_backup(state, tmp_path / "backup.db")
    monkeypatch.setattr("connector.store.backup._BUSY_MS", 1)
    with contextlib.closing(sqlite3.connect(state, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM calendars").fetchone()
        with pytest.raises(StateUnusable, match="another gcal-salesloft command"):
            restore_backup(tmp_path / "backup.db", state, NOW)
    assert restore_backup(tmp_path / "backup.db", state, NOW).kept is not None


# Check


async def test_a_sound_state_passes(office: Office) -> None:
    fill(office.hire("pam"), Random(2), datetime.now(UTC), singles=15, series=3)
    await office.once(full=True)
    done = await command("state", "check", "--config", office.config, "--json")
    assert done.exit_code == 0, done.stdout
    answer = json.loads(done.stdout)
    assert answer["ok"]
    assert answer["rows"]["occurrences"] > 15
    assert answer["bytes"]["file"] > 0


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("DELETE FROM occurrences", "belongs to an occurrence"),
        ("UPDATE occurrences SET accepted = 'x', alive = 0", "last content|cancellation"),
        ("UPDATE occurrences SET updated_ms = 1", "last content"),
        ("UPDATE outbox SET payload = 'no json'", "can be sent"),
        ("UPDATE outbox SET held_id = 9", "held difference"),
        ("DROP INDEX journal_by_time", "schema"),
        ("ALTER TABLE journal ADD COLUMN stranger TEXT", "schema"),
        ("UPDATE outbox SET calendar_id = 99", "foreign keys"),
    ],
)
async def test_contradictions_are_found(office: Office, statement: str, name: str) -> None:
    calendar = office.hire("pam")
    calendar.create("Pitch", soon())
    await office.once(full=True)
    calendar.create("Another", soon(30))
    office.salesloft.withdraw_key("simulated-key")
    await office.once()
    assert unsound(office.state) == []
    with contextlib.closing(sqlite3.connect(office.state, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        if "alive = 0" in statement:
            connection.execute("DELETE FROM outbox")
        connection.execute(statement)
    done = await command("state", "check", "--config", office.config)
    assert done.exit_code == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert any(one in line for line in failed for one in name.split("|")), done.stdout
    assert "→" in done.stdout


async def test_damage_is_found(office: Office) -> None:
    office.hire("pam")
    await office.once(full=True)
    with office.state.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)
    done = await command("state", "check", "--config", office.config)
    assert done.exit_code == 1
    assert "state restore" in done.output


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://user:secret@localhost:1/db", "postgresql://localhost:1/db: "),
        ("mysql://user:secret@localhost/db", "moves a SQLite state to --to postgresql://"),
        ("state.db", "nothing was changed"),
    ],
)
async def test_a_state_that_cannot_be_moved_stays_and_the_reason_is_said(
    office: Office, url: str, words: str
) -> None:
    office.hire("pam")
    await office.once(full=True)
    done = await command("state", "migrate", "--config", office.config, "--to", url)
    assert done.exit_code == 1
    assert words in done.stderr
    assert "secret" not in done.output
    await office.once()


def edit_all(office: Office, rng: Random, count: int) -> None:
    for name, calendar in office.sellers.items():
        for _ in range(count):
            random_edit(calendar, rng, datetime.now(UTC), office.window(name))
