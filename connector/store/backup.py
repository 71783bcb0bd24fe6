"""Copies of the state: made while a daemon writes, and put back so that nothing stale is ever sent from one.

A backup is one snapshot (SQLite's backup API inside one read transaction), checked before it gets its name. A restored
state is older than the world: Google's tokens were used since, Salesloft may hold newer content, whatever waited was
sent or replaced. So nothing that waited is kept, nothing counts as accepted any more, and every calendar is compared
with Salesloft's list and Google's full listing before it is trusted. What a human decided since (erasures, people who
left, pauses) and the banners that are up are taken from the replaced state where that can be read.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from connector.domain.errors import StateUnusable
from connector.domain.mapping import CANCELLED, CANCELLED_AND_BLANKED, UNCERTAIN
from connector.store import migrations
from connector.store.connection import Connection
from connector.store.database import (
    check_ours,
    is_at_rest,
    lock_state,
    migrate,
    no_state,
    schema_version,
    unusable,
)
from connector.store.schema import metadata
from connector.store.server import Server, copied

_BUSY_MS = 5000


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup: its size in bytes, its schema, and the rows of each table."""

    file: Path
    size: int
    schema: str
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. `kept` is where the replaced state is now (None: there was none).

    `dropped` counts rows of the outbox that the backup held and that are not resent; `decisions_kept` tells whether
    later decisions could be taken over from the replaced state.
    """

    calendars: int
    occurrences: int
    dropped: int
    jobs: int
    dead_letters: int
    kept: Path | None
    decisions_kept: bool


def write_backup(state: Path, target: Path, *, force: bool = False) -> Backup:
    """Write a checked copy of the state to `target`, mode 0600, all at once. Blocks; works beside a daemon.

    StateUnusable if there is no state, if `target` exists and not `force`, or if anything goes wrong: then `target` is
    as it was.
    """
    if not state.exists():
        raise no_state(state)
    _check_target(state, target, force=force)
    with _beside(target) as unfinished, unusable(state):
        rows, schema = _copy_snapshot(state, unfinished)
        _check_copy(unfinished, rows)
        size = unfinished.stat().st_size
        # Once more: what appeared meanwhile is nobody's to overwrite.
        _check_target(state, target, force=force)
        _place(unfinished, target)
    return Backup(target, size, schema, rows)


def restore_backup(source: Path, state: Path, now: datetime) -> Restored:
    """Put a backup in the place of the state; the old state stays beside it. Blocks.

    StateUnusable, with everything as it was, if a daemon holds the state, or if `source` is none of ours, newer than
    this program, or damaged.
    """
    if not source.is_file():
        raise StateUnusable(f"backup {source}: no such file; name one that `state backup` wrote")
    if state.exists() and source.samefile(state):
        raise StateUnusable(f"backup {source}: is the state itself; name a backup of it")
    with lock_state(state), _beside(state) as prepared:
        with _backup_unusable(source):
            _copy_checked(source, prepared)
        restored = _made_safe(prepared, state)
        kept = _set_aside(state, now)
        _place(prepared, state)
    return replace(restored, kept=kept)


def write_server_backup(server: Server, target: Path, *, force: bool = False) -> Backup:
    """The same of a server's state: as SQLite's file, which `state restore` and `state migrate` read."""
    if not server.exists():
        raise StateUnusable(f"state {server}: does not exist yet")
    with tempfile.TemporaryDirectory(prefix="gcal-salesloft-") as private:
        path = Path(private) / "state.db"
        with (
            contextlib.closing(copied(server)) as memory,
            contextlib.closing(sqlite3.connect(path)) as file,
        ):
            memory.backup(file)
        return write_backup(path, target, force=force)


# -- backup


def _check_target(state: Path, target: Path, *, force: bool) -> None:
    if target.is_dir():
        raise StateUnusable(f"backup {target}: is a folder; name a file in it")
    if not target.parent.is_dir():
        raise StateUnusable(f"backup {target}: there is no folder {target.parent}; make it first")
    if target.resolve() in {
        state.resolve().with_name(state.resolve().name + end) for end in ("", "-wal", "-shm")
    }:
        raise StateUnusable(f"backup {target}: is the state itself; name another file")
    if not force and os.path.lexists(target):
        raise StateUnusable(
            f"backup {target}: exists; name another file, or overwrite it with --force"
        )


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """An empty file of mode 0600 in the target's folder, gone at the end unless it was given a name."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise StateUnusable(
            f"{target}: cannot be written ({error.strerror}); check the folder's owner and mode, and its free space"
        ) from error
    os.close(handle)
    unfinished = Path(name)
    try:
        yield unfinished
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            unfinished.with_name(unfinished.name + end).unlink(missing_ok=True)


def _copy_snapshot(state: Path, copy: Path) -> tuple[dict[str, int], str]:
    """Copy one snapshot of the state; gives its rows by table, and its schema."""
    if is_at_rest(state):  # SQLite would leave a log beside the file
        with contextlib.suppress(sqlite3.Error):
            found = _copied(state, copy, "ro&immutable=1")
            if is_at_rest(state):
                return found
    return _copied(
        state, copy, "ro"
    )  # what was copied of a file that somebody opened meanwhile may be torn


def _copied(state: Path, copy: Path, mode: str) -> tuple[dict[str, int], str]:
    with (
        contextlib.closing(_open(state, mode)) as source,
        contextlib.closing(_open(copy, "rw")) as target,
    ):
        source.execute("BEGIN")  # the counts and the copy are of the same moment
        check_ours(source, state)
        rows, schema = row_counts(source), schema_version(source)
        if not rows:
            raise StateUnusable(f"state {state}: is empty; there is nothing to back up yet")
        source.backup(target)
        source.execute("ROLLBACK")
        target.execute("PRAGMA journal_mode = DELETE")  # one file, no log beside it
    return rows, schema or ""


def _check_copy(copy: Path, rows: Mapping[str, int]) -> None:
    with contextlib.closing(_open(copy, "ro")) as connection:
        verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != "ok":
            raise StateUnusable(
                f"backup: the copy is damaged ({' '.join(verdict.split())}) and was not kept. Check the disk, then"
                " the state with `gcal-salesloft state check`"
            )
        if row_counts(connection) != rows:
            raise StateUnusable(
                "backup: the copy lacks rows of the state and was not kept; try again, and report it if it lasts"
            )


def row_counts(connection: Connection) -> dict[str, int]:
    """How many rows each table has, by name."""
    names = (
        connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        ).fetchall()
        if isinstance(connection, sqlite3.Connection)
        else [(name,) for name in sorted(metadata.tables)]
    )
    return {
        name: int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])  # noqa: S608  # its own tables
        for (name,) in names
    }


# -- restore


@contextlib.contextmanager
def _backup_unusable(source: Path) -> Iterator[None]:
    """The messages about a state, said of a backup."""
    try:
        with unusable(source):
            yield
    except StateUnusable as error:
        raise StateUnusable(
            str(error)
            .replace(f"state {source}", f"backup {source}", 1)
            .replace("; name another file in [state] url", "; name one that `state backup` wrote")
            .replace("upgrade, or restore a backup of before", "upgrade, then restore")
            .partition(" Restore a backup")[0]
            + ". The state is as it was"
        ) from error


def _copy_checked(source: Path, copy: Path) -> None:
    with contextlib.ExitStack() as stack:
        # Read as it lies: nothing is made beside a backup.
        uri = f"file:{quote(str(source))}?immutable=1"
        has_log = source.with_name(source.name + "-wal").exists()
        backup = stack.enter_context(
            contextlib.closing(
                _open(source, "ro")
                if has_log
                else sqlite3.connect(uri, uri=True, isolation_level=None)
            )
        )
        check_ours(backup, source)
        if schema_version(backup) is None:
            raise StateUnusable(f"backup {source}: is empty; name one that `state backup` wrote")
        verdict = backup.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != "ok":
            raise StateUnusable(f"backup {source}: damaged ({' '.join(verdict.split())})")
        target = stack.enter_context(contextlib.closing(_open(copy, "rw")))
        backup.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
        migrate(target)


def _made_safe(prepared: Path, state: Path) -> Restored:
    """Nothing in it may be sent as it is, nothing counts as known for sure; what was decided since is kept."""
    with unusable(prepared), contextlib.closing(_open(prepared, "rw")) as connection:
        later = _attach_replaced(connection, state)
        connection.execute("BEGIN IMMEDIATE")
        calendars = _count(connection, "calendars")
        occurrences = _count(connection, "occurrences")
        jobs = _count(connection, "bulk_jobs")
        dropped, letters = distrust(connection)
        if later:
            _keep_decisions(connection)
        connection.execute("COMMIT")
        if later:
            connection.execute("DETACH replaced")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(
            "VACUUM"
        )  # takes what was dropped out of the file, and makes the setting hold
    return Restored(calendars, occurrences, dropped, jobs, letters, None, later)


def distrust(connection: sqlite3.Connection) -> tuple[int, int]:
    """Keep what is remembered, trust none of it; gives the waiting rows and the dead letters that were dropped.

    An occurrence that was accepted, or may have been sent, has an unknown content at Salesloft (`UNCERTAIN`), unless
    it was cancelled. All count as alive, so that whatever Google no longer shows is judged again: what Salesloft holds
    as cancelled already is not cancelled twice.
    """
    connection.execute(
        """UPDATE occurrences SET accepted = ? WHERE
               (accepted IS NOT NULL AND accepted NOT IN (?, ?)) OR EXISTS (
                   SELECT 1 FROM outbox b WHERE b.calendar_id = occurrences.calendar_id
                   AND b.event_id = occurrences.event_id AND b.ical_uid = occurrences.ical_uid)""",
        (UNCERTAIN, CANCELLED, CANCELLED_AND_BLANKED),
    )
    connection.execute("UPDATE occurrences SET alive = 1 WHERE accepted IS NOT NULL")
    connection.execute("DELETE FROM bulk_items")
    connection.execute("DELETE FROM bulk_jobs")
    dropped = connection.execute("DELETE FROM outbox").rowcount
    connection.execute("DELETE FROM held")
    # What was refused is sent, and refused, once more; what a human discarded stays discarded.
    letters = connection.execute("DELETE FROM dead_letters WHERE NOT discarded").rowcount
    connection.execute("UPDATE calendars SET sync_token = NULL, compared = FALSE")
    # Channels were stopped and made since: each is stopped, as far as Google still has it, and made anew.
    connection.execute("UPDATE channels SET stopping_ms = coalesce(stopping_ms, created_ms)")
    return dropped, letters


def _attach_replaced(connection: sqlite3.Connection, state: Path) -> bool:
    """Attach the state that is being replaced as `replaced`; False if it is missing, damaged, or of another schema."""
    if not state.exists():
        return False
    try:
        with unusable(state), contextlib.closing(_open(state, "ro")) as present:
            check_ours(present, state)
            if schema_version(present) != migrations.HEAD:
                return False
        connection.execute("ATTACH ? AS replaced", (f"file:{quote(str(state))}?mode=ro",))
    except (StateUnusable, sqlite3.Error):
        return False
    return True


def _keep_decisions(connection: sqlite3.Connection) -> None:
    """Who was erased, who left or paused, which banners are up, and what was spent: as the replaced state has it."""
    connection.execute(
        """UPDATE calendars SET (paused_ms, left_ms, banner_ms, settings_id) =
               (SELECT p.paused_ms, coalesce(p.left_ms, calendars.left_ms), p.banner_ms,
                       coalesce(p.settings_id, calendars.settings_id)
                FROM replaced.calendars p WHERE p.user_guid = calendars.user_guid)
           WHERE EXISTS (SELECT 1 FROM replaced.calendars p WHERE p.user_guid = calendars.user_guid)"""
    )
    # The hashes are worth something only with the key that made them.
    keys = "SELECT value FROM {}.cursors WHERE scope = 'erasure' AND name = 'key'"
    mine = connection.execute(keys.format("main")).fetchone()
    theirs = connection.execute(keys.format("replaced")).fetchone()
    if mine is not None and theirs is not None and mine != theirs:
        connection.execute("DELETE FROM erased")
    connection.execute("INSERT OR IGNORE INTO erased SELECT * FROM replaced.erased")
    connection.execute(
        "INSERT OR REPLACE INTO cursors SELECT * FROM replaced.cursors WHERE scope = 'erasure'"
    )
    # How a leaving went: by the calendar's row, which is the same in both unless the state was made anew in between.
    connection.execute(
        """INSERT OR REPLACE INTO cursors SELECT l.* FROM replaced.cursors l
           JOIN replaced.calendars p ON l.scope = 'offboard:' || p.id
           JOIN calendars c ON c.id = p.id AND c.user_guid = p.user_guid"""
    )
    connection.execute("DELETE FROM points")
    connection.execute(
        "INSERT INTO points (team, at_ms, cost) SELECT team, at_ms, cost FROM replaced.points"
    )


def _set_aside(state: Path, now: datetime) -> Path | None:
    """Keep the present state under another name. What waits in its log goes into it first, or along with it."""
    if not state.exists():
        return None
    kept = state.with_name(f"{state.name}.before-restore-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    number = 1
    while os.path.lexists(kept):
        number += 1
        kept = kept.with_name(f"{kept.name.partition('~')[0]}~{number}")
    if _merged_log(state):
        os.link(state, kept)  # the state's name is given to the backup in one step
    else:
        for end in ("", "-wal"):
            part = state.with_name(state.name + end)
            if part.exists():
                part.rename(kept.with_name(kept.name + end))
    state.with_name(state.name + "-shm").unlink(missing_ok=True)
    return kept


def _merged_log(state: Path) -> bool:
    """Bring the log into the file and remove it; False if the file cannot be opened. Refuses while it is in use."""
    try:
        with contextlib.closing(_open(state, "rw")) as connection:
            # Given only to who is alone: a log that belongs to another file would be read into this one.
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise StateUnusable(
                f"state {state}: another gcal-salesloft command has it open; nothing was changed, try again"
            ) from error
        return False
    except sqlite3.DatabaseError:
        return False
    return True


def _place(file: Path, target: Path) -> None:
    """Give a finished file its name, durably."""
    try:
        _sync(file)
        file.replace(target)
        _sync(target.parent)
    except OSError as error:
        raise StateUnusable(f"{target}: cannot be written ({error.strerror})") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _open(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    return connection


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608  # own names
