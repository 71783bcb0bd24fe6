"""One thread that writes the state, many small transactions grouped into few commits; and SQLite's files.

Every access to the state is a function of a connection, run on the writer thread inside a savepoint of its own; what
waits while a commit is under way is committed together next (group commit: an `fsync` for many). WAL and
`synchronous=FULL`: what was answered is on the disk. A failure of one function undoes that function only.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import queue
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from connector.domain.errors import ConnectorError, RetryLater, StateUnusable
from connector.store import migrations
from connector.store.connection import Connection

T = TypeVar("T")
_GROUP = 64
_BUSY_MS = 5000


class Owned(Connection, Protocol):
    """A connection that a `Database` owns: it begins, commits and closes."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a driver's errors are told apart, and what opens a transaction."""

    begin: Callable[[Any], object]
    """Begins a transaction on a connection."""
    error: type[Exception]
    """What all of the driver's errors are."""
    undoes_all: Callable[[Exception], bool]
    """True of errors that concern everybody (disk, lock, connection), not the statement."""
    failure: Callable[[str, Exception], ConnectorError]


class Database:
    """A connection owned by a thread of its own. `run` is the only way to it."""

    def __init__(
        self,
        connection: Owned,
        name: str,
        dialect: Dialect | None = None,
    ) -> None:
        self._connection = connection
        self._dialect = dialect or WRITING
        self._name = name
        self._work: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="state-writer", daemon=True)
        self._thread.start()
        self._closed = False

    async def run(self, function: Callable[[Connection], T]) -> T:
        """Run `function` in a transaction; its result is durable when this returns."""
        if self._closed:
            raise StateUnusable(f"state {self._name}: already closed")
        job = _Job(function, asyncio.get_running_loop())
        self._work.put(job)
        result: T = await asyncio.shield(job.future)
        return result

    def close(self, last: Callable[[Connection], object] | None = None) -> None:
        """Finish what was handed over, and `last` after it, then close the connection."""
        if not self._closed:
            self._closed = True
            if last is not None:
                self._work.put(_Job(last, None))
            self._work.put(None)
            self._thread.join()

    def _serve(self) -> None:
        while True:
            job = self._work.get()
            jobs = []
            while job is not None:
                jobs.append(job)
                if len(jobs) == _GROUP or self._work.empty():
                    break
                job = self._work.get()
            if jobs:
                self._commit_together(jobs)
            if job is None:
                self._connection.close()
                return

    def _commit_together(self, jobs: list[_Job]) -> None:
        outcomes: list[tuple[_Job, Any, BaseException | None]] = []
        try:
            self._dialect.begin(self._connection)
            if len(jobs) == 1:
                outcomes.append((jobs[0], *self._run_alone(jobs[0])))
            else:
                outcomes.extend((job, *self._run_one(job)) for job in jobs)
                self._connection.execute("COMMIT")
        except self._dialect.error as error:
            with contextlib.suppress(self._dialect.error):
                self._connection.execute("ROLLBACK")
            failure = self._dialect.failure(self._name, error)
            outcomes = [(job, None, failure) for job in jobs]
        except (
            ConnectorError
        ) as error:  # the connection could not be made again, or this is no node any more
            with contextlib.suppress(self._dialect.error, ConnectorError):
                self._connection.execute("ROLLBACK")
            outcomes = [(job, None, error) for job in jobs]
        _tell(outcomes)

    def _run_alone(self, job: _Job) -> tuple[Any, BaseException | None]:
        """The only one of its group needs no savepoint: on a server, those are two more exchanges."""
        try:
            result = job.function(self._connection)
        except Exception as error:  # handed to the caller that asked
            if isinstance(error, self._dialect.error) and self._dialect.undoes_all(error):
                raise
            self._connection.execute("ROLLBACK")
            return None, error
        self._connection.execute("COMMIT")
        return result, None

    def _run_one(self, job: _Job) -> tuple[Any, BaseException | None]:
        self._connection.execute("SAVEPOINT job")
        try:
            result = job.function(self._connection)
        except Exception as error:  # handed to the caller that asked
            if isinstance(error, self._dialect.error) and self._dialect.undoes_all(error):
                raise  # disk full, locked, I/O, damage, connection: the whole group is undone
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            return None, error
        self._connection.execute("RELEASE job")
        return result, None


class _Job:
    """`loop` is None where nobody waits for the outcome."""

    def __init__(
        self, function: Callable[[Connection], Any], loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self.function = function
        self.loop = loop
        if loop is not None:
            self.future: asyncio.Future[Any] = loop.create_future()

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Called on the loop."""
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
            self.future.exception()  # whoever asked may have been cancelled: then nobody is to be told
        else:
            self.future.set_result(result)


def _tell(outcomes: list[tuple[_Job, Any, BaseException | None]]) -> None:
    """Hand outcomes to whoever waits for them: each loop is woken once for all of its own."""
    loops = {job.loop for job, _, _ in outcomes if job.loop is not None}
    for loop in loops:
        own = [outcome for outcome in outcomes if outcome[0].loop is loop]
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits
            loop.call_soon_threadsafe(_settle_all, own)


def _settle_all(outcomes: list[tuple[_Job, Any, BaseException | None]]) -> None:
    for job, result, error in outcomes:
        try:
            job.settle(result, error)
        except TypeError as unfit:  # an error that no future takes (StopIteration): the others are told all the same
            # Without its words, which may quote what was being written.
            job.settle(None, RuntimeError(f"{type(error).__name__}: {unfit}"))


def _failure(name: str, error: Exception) -> RetryLater | StateUnusable:
    if type(error) is sqlite3.DatabaseError:
        return StateUnusable(
            f"state {name}: damaged ({error}); nothing more is written. Restore a backup, or move the file"
            " away: the next start builds it anew from Google and Salesloft"
        )
    return RetryLater(
        f"state {name}: cannot be written now ({error}); nothing is lost, it is tried again."
        " Check the disk's free space and that no other program holds the file."
    )


def _undoes_all(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def begin_with(statement: str) -> Callable[[Connection], object]:
    """Begin a transaction with this statement."""
    return lambda connection: connection.execute(statement)


WRITING = Dialect(begin_with("BEGIN IMMEDIATE"), sqlite3.Error, _undoes_all, _failure)
READING = replace(WRITING, begin=begin_with("BEGIN"))


def open_database(path: Path) -> Database:
    """Open the state for writing, create or migrate it. Anything unfit is left as it is: StateUnusable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StateUnusable(
            f"state {path}: its folder cannot be made ({error.strerror}); create it, owned by"
            f" the user that runs gcal-salesloft"
        ) from error
    with _umask(0o077), unusable(path):
        connection = _connect(str(path))
        try:
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            check_ours(connection, path)
            # Of a new file only; an older one gets it from `state restore`, and reuses its free pages until then.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(
                "PRAGMA secure_delete = ON"
            )  # what was withheld since leaves the file
            migrate(connection)
            # Only a write tells that it can be written: in WAL mode a lock is given on a read-only file, too.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE alembic_version SET version_num = version_num")
            connection.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
    return Database(connection, str(path))


def open_reader(path: Path) -> Database:
    """Open the state for reading only, beside a daemon that has it open. StateUnusable if there is none."""
    if not path.exists():
        raise no_state(path)
    if is_at_rest(path):
        # SQLite would make its log beside the file, and leave it there: a reader may not remove it.
        return open_copy(path)
    with unusable(path):
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            # A daemon that holds it looked through it at its start: not again for each look at a large state.
            check_ours(connection, path, looked_through=is_locked(path))
            is_older = schema_version(connection) != migrations.HEAD
        except BaseException:
            connection.close()
            raise
    if is_older:
        # An upgrade was installed and the daemon not started yet: the file stays as it is.
        connection.close()
        return open_copy(path)
    return Database(connection, str(path), READING)


def no_state(path: Path) -> StateUnusable:
    """The error of commands that need one that was made already."""
    return StateUnusable(
        f"state {path}: does not exist yet; it is made by the first `gcal-salesloft run`"
    )


def is_at_rest(path: Path) -> bool:
    """True if no process has the state open, and none left a log beside it: the file alone is all of it."""
    return _has_no_log(path) and not is_locked(path)


def _has_no_log(path: Path) -> bool:
    """Also where a full disk let a process make its log and write nothing to it."""
    log = path.with_name(path.name + "-wal")
    return not log.exists() or log.stat().st_size == 0


def open_copy(path: Path | None) -> Database:
    """A copy of the state in memory, for dry runs: whatever is written to it, the file stays as it is."""
    memory = _connect(":memory:")
    if path is not None and path.exists():
        with unusable(path):
            log = path.with_name(path.name + "-wal")
            # Nobody has the file open: read it as it lies, touching nothing beside it.
            if (not log.exists() or is_at_rest(path)) and _copied_at_rest(path, memory):
                pass
            elif is_locked(path) or not log.exists():
                _copy(path, memory, "mode=ro")  # the daemon's; what SQLite needs beside it exists
            else:
                # A dead process left its log, and reading it would make a file beside it: read it elsewhere.
                with tempfile.TemporaryDirectory(prefix="gcal-salesloft-") as private:
                    shutil.copy(path, private)
                    shutil.copy(log, private)
                    _copy(Path(private) / path.name, memory, "mode=rw")
            check_ours(memory, path)
    migrate(memory)
    return Database(memory, "in memory")


def _copied_at_rest(path: Path, memory: sqlite3.Connection) -> bool:
    """False if somebody opened the file meanwhile: what was read may be torn."""
    before = path.stat().st_mtime_ns
    try:
        _copy(path, memory, "immutable=1")
    except sqlite3.Error:
        if is_at_rest(path):
            raise
    return _has_no_log(path) and path.stat().st_mtime_ns == before


def _copy(path: Path, memory: sqlite3.Connection, mode: str) -> None:
    source = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True)
    try:
        source.backup(memory)
    finally:
        source.close()


def is_locked(path: Path) -> bool:
    """True while a process holds the state (a daemon or a one-shot runs); makes no file."""
    try:
        handle = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)


@contextlib.contextmanager
def lock_state(path: Path) -> Iterator[None]:
    """Hold the state for this process. Any death frees it; a second process is told who holds it."""
    lock = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateUnusable(f"state {path}: cannot be locked ({error.strerror}: {lock})") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            raise StateUnusable(
                f"state {path}: already in use by gcal-salesloft, process {holder};"
                " stop that one first (one process on one state)"
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _connect(name: str) -> sqlite3.Connection:
    return sqlite3.connect(
        name, isolation_level=None, check_same_thread=False, cached_statements=256
    )


def check_ours(connection: sqlite3.Connection, path: Path, *, looked_through: bool = False) -> None:
    """Refuse what is not ours, newer than we are, or damaged, before anything is written."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if not tables:
        return
    if "alembic_version" not in tables or "calendars" not in tables:
        raise StateUnusable(
            f"state {path}: is a database of another program; name another file in [state] url"
        )
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is None or row[0] not in migrations.KNOWN:
        raise StateUnusable(
            f"state {path}: was written by a newer gcal-salesloft (schema {row and row[0]}, this"
            f" one knows up to {migrations.HEAD}); upgrade, or restore a backup of before"
        )
    if looked_through:
        return
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StateUnusable(
            f"state {path}: damaged ({' '.join(verdict.split())}); nothing was changed. Restore a backup, or move"
            " the file away: the next start builds it anew from Google and Salesloft"
        )


def schema_version(connection: sqlite3.Connection) -> str | None:
    """The schema's; None of an empty file."""
    tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'")
    if not tables.fetchone():
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def migrate(connection: sqlite3.Connection) -> None:
    if schema_version(connection) == migrations.HEAD:
        return
    from connector.store.upgrade import upgrade  # loads alembic: only where there is work for it

    upgrade(connection)


@contextlib.contextmanager
def unusable(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        hint = {
            "database disk image is malformed": "it is damaged; restore a backup, or move it away: the next start"
            " builds it anew from Google and Salesloft. Nothing was changed",
            "file is not a database": "it is no SQLite file or damaged; move it away or restore a"
            " backup, nothing was changed",
            "attempt to write a readonly database": "it cannot be written; check the owner and the"
            " mode of the file and its folder",
            "disk I/O error": "the disk is full, or failing: make room (`df`), then try again; nothing is lost",
            "database or disk is full": "make room on its disk (`df`), then try again; nothing is lost",
            "unable to open database file": "it cannot be opened; check that the path exists and"
            " belongs to the user that runs gcal-salesloft",
        }.get(str(error), "check the disk, the owner and the mode of the file")
        raise StateUnusable(f"state {path}: {error}; {hint}") from error


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
