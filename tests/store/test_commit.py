"""The one transaction: token, occurrences and outbox together, whatever happens in its middle."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.domain.errors import RetryLater
from connector.domain.model import EventId, ICalUid, Malformed, SyncToken, Tombstone
from connector.domain.plan import Finding, Gone, Key, Seen
from connector.store import State, open_database, outbox
from connector.store.commit import Cycle, commit_cycle
from connector.store.database import Database
from tests.domain.builders import ME, NOW, PROSPECT, an_event
from tests.store.world import a_cycle, add_calendar, an_empty_file_state, commit, count, dump, take
from tests.values import replace

Dump = dict[str, list[tuple[Any, ...]]]


def events(title: str) -> list[Finding]:
    """Five events, the last one with another iCalUID than before."""
    found: list[Finding] = []
    for number in range(5):
        uid = f"u{number}-{title}" if number == 4 else f"u{number}"
        event = an_event(ME, PROSPECT, id=EventId(f"e{number}"), ical_uid=ICalUid(uid))
        found.append(Seen(replace(event, summary=title)))
    return found


def second_cycle() -> Cycle:
    """Edits, a cancellation, an item set aside, a new token."""
    findings = [
        *events("Two")[1:],
        Gone(Key(EventId("e0"), ICalUid("u0")), Tombstone(EventId("e0"))),
    ]
    return a_cycle(
        *findings,
        token=SyncToken("token-2"),
        malformed=(Malformed("m1", "end before start"),),
        now=NOW + timedelta(minutes=1),
    )


def prepare(connection: sqlite3.Connection) -> None:
    """A state after a first cycle, of which some was accepted."""
    add_calendar(connection, 1)
    commit(connection, *events("One"))
    outbox.settle_accepted(connection, take(connection, [1], 4, NOW + timedelta(days=9)))


def expected() -> tuple[Dump, Dump]:
    with closing(an_empty_file_state()) as connection:
        connection.execute("DELETE FROM calendars")
        prepare(connection)
        before = dump(connection)
        commit_cycle(connection, second_cycle())
        return before, dump(connection)


class Failing(sqlite3.Connection):
    """Breaks at the n-th statement that is run through it."""

    left = 10**9

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise sqlite3.OperationalError("disk I/O error")

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self._count()
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        self._count()
        return super().executemany(*arguments)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    path = tmp_path / "state.db"
    open_database(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        prepare(connection)
    return path


@pytest.fixture
def failing(prepared: Path) -> Iterator[tuple[Failing, State]]:
    connection = sqlite3.connect(
        prepared, isolation_level=None, check_same_thread=False, factory=Failing
    )
    connection.execute("PRAGMA synchronous = OFF")
    state = State(Database(connection, "state"))
    yield connection, state
    state.close()


async def test_a_failure_at_any_statement_changes_nothing(
    prepared: Path, failing: tuple[Failing, State]
) -> None:
    connection, state = failing
    before, after = expected()
    for number in range(1, 10_000):
        connection.left = number
        try:
            await state.commit(second_cycle())
        except RetryLater:
            with closing(sqlite3.connect(prepared)) as reader:
                assert dump(reader) == before, f"after statement {number}"
        else:
            break
    assert number > 15
    with closing(sqlite3.connect(prepared)) as reader:
        assert dump(reader) == after


async def test_a_crash_at_any_statement_leaves_nothing_or_everything(
    prepared: Path, tmp_path: Path
) -> None:
    """The files as they are at each statement are what a crash there leaves behind."""
    images: list[Path] = []
    connection = sqlite3.connect(prepared, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA cache_size = 1")  # pages are written long before the commit
    connection.execute("PRAGMA cache_spill = 1")

    def keep(_: str) -> None:
        image = tmp_path / f"crash-{len(images)}"
        image.mkdir()
        for file in prepared.parent.glob("state.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, image)
        images.append(image / "state.db")

    state = State(Database(connection, "state"))
    connection.set_trace_callback(keep)
    await state.commit(second_cycle())
    keep("")
    connection.set_trace_callback(None)
    before, after = expected()
    seen = []
    for image in images:
        with closing(sqlite3.connect(image)) as reader:
            found = dump(reader)
        assert found in (before, after)
        seen.append(found == after)
    assert seen == sorted(seen)
    assert seen[-1]
    assert not seen[0]
    state.close()


def test_the_token_and_the_ledger_are_stored_with_the_rows(state: sqlite3.Connection) -> None:
    commit(state, *events("One"), full=True, compared=True)
    row = state.execute(
        "SELECT sync_token, token_fingerprint, time_zone, access_role, listed_from < listed_until,"
        " last_success = last_full, compared FROM calendars"
    ).fetchone()
    assert row == ("token-1", "parameters", "America/New_York", "owner", 1, 1, 1)
    commit(state, token=SyncToken("token-2"), now=NOW + timedelta(minutes=1))
    row = state.execute("SELECT sync_token, last_success > last_full, compared FROM calendars")
    assert row.fetchone() == ("token-2", 1, 1)


def test_a_cycle_ends_the_park(state: sqlite3.Connection) -> None:
    state.execute(
        "UPDATE calendars SET parked_reason='forbidden', parked_message='', parked_since=1"
    )
    commit(state)
    assert state.execute(
        "SELECT parked_reason, parked_message, parked_since FROM calendars"
    ).fetchone() == (None, None, None)


def test_what_google_shows_wins_over_any_tombstone(state: sqlite3.Connection) -> None:
    event = an_event(ME, PROSPECT)
    outbox_before = commit(state, Seen(event))
    assert outbox_before.sends == 1
    done = commit(state, Gone(Key(event.id, event.ical_uid)), Seen(event))
    assert (done.cancels, done.withdrawn, done.unchanged) == (0, 0, 1)


def test_set_aside_until_it_is_readable_or_a_full_listing_lacks_it(
    state: sqlite3.Connection,
) -> None:
    bad = (Malformed("e1", "end before start"), Malformed("", "id: missing"))
    assert commit(state, malformed=bad).set_aside == 2
    assert count(state, "set_aside") == 2
    commit(state, malformed=bad[:1])
    assert count(state, "set_aside") == 2  # an increment does not tell of the others
    commit(state, Seen(an_event(ME)))
    assert count(state, "set_aside") == 1
    commit(state, full=True)
    assert count(state, "set_aside") == 0


def test_backfill_is_last_until_a_change_makes_it_urgent(state: sqlite3.Connection) -> None:
    event = an_event(ME, PROSPECT)
    commit(state, Seen(event), backfill=frozenset({event.id}))
    assert state.execute("SELECT backfill FROM outbox").fetchone() == (1,)
    commit(state, Seen(replace(event, summary="Now")))
    assert state.execute("SELECT backfill FROM outbox").fetchone() == (0,)
    commit(state, Seen(replace(event, summary="Later")), backfill=frozenset({event.id}))
    assert state.execute("SELECT backfill FROM outbox").fetchone() == (0,)


def test_counts(state: sqlite3.Connection) -> None:
    done = commit(state, *events("One"))
    assert (done.sends, done.cancels, done.withdrawn, done.unchanged) == (5, 0, 0, 0)
    outbox.settle_accepted(state, take(state, [1], 9, NOW + timedelta(days=9)))
    done = commit_cycle(state, second_cycle())
    assert (done.sends, done.cancels, done.set_aside) == (4, 2, 1)
    done = commit_cycle(state, second_cycle())
    assert (done.sends, done.cancels, done.unchanged) == (0, 0, 5)
