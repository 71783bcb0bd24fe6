"""The rows of calendars as this process last saw them: a quiet poll needs no transaction.

A row is good until something is handed over that may change it, or another process wrote to the state, which is looked
for every `LOOK_EVERY` seconds. The writer works in the order of asking, so a reading that was asked for later sees what
was handed over before; one that was asked for earlier is answered, and not kept.

What a quiet poll finds, a newer sync token and that it succeeded, is noted here and stored with that of others within
`STORE_AFTER` seconds. Nothing was derived from an empty page, so a crash loses no more than the note: the older token
asks for the same, and for what came since. A note counts only while the row holds the token that it followed upon.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec
from msgspec.structs import replace

from connector.domain.errors import RetryLater
from connector.domain.mapping import to_millis
from connector.domain.model import SyncToken, UserGuid, UserName
from connector.domain.window import Window
from connector.store import calendars
from connector.store.calendars import CalendarState
from connector.store.connection import Connection
from connector.store.database import Database
from connector.store.place import decisions

LOOK_EVERY = 0.5
STORE_AFTER = 1.0

_QUIET = """UPDATE calendars SET sync_token = ?, last_success = ?
            WHERE id = ? AND sync_token = ?"""


class Note(msgspec.Struct, frozen=True, gc=False):
    """A quiet poll with the token `before`, which gave `token`."""

    calendar: int
    before: SyncToken
    token: SyncToken
    at_ms: int


class RecentRows:
    """Rows of calendars, and notes that wait to be stored."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._rows: dict[UserGuid, CalendarState] = {}
        self._changed: set[int] = set()
        self._clearings = 0
        self._look_at = 0.0
        self._decisions: int | None = None
        self._notes: dict[int, Note] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._storing: asyncio.Task[None] | None = None
        self._listed: Window | None = None
        self._failure: Exception | None = None
        self._closed = False

    async def row(self, guid: UserGuid, name: UserName) -> CalendarState:
        """The calendar of a user, made if it is new. Raises RetryLater if the state cannot be read or written."""
        if self._failure is not None:
            raise self._failure
        if self._monotonic() >= self._look_at:
            await self._look()
        row = self._rows.get(guid)
        if row is not None and row.id not in self._changed and row.name == name:
            return row
        return await self.read(guid, name)

    async def read(self, guid: UserGuid, name: UserName) -> CalendarState:
        """The same as it is in the state now."""
        before, clearings = self._rows.pop(guid, None), self._clearings
        if before is not None:
            self._changed.discard(before.id)
        row = await self._database.run(lambda c: calendars.of_user(c, guid, name))
        row = self._sharing(row, guid, name)
        if row.id in self._changed:
            self._changed.discard(row.id)
        elif clearings == self._clearings:
            self._rows[guid] = row
        return row

    def _sharing(self, row: CalendarState, guid: UserGuid, name: UserName) -> CalendarState:
        """The same, of parts that others have already: it stays for long, and there are many."""
        words = (row.time_zone, row.access_role, row.token_fingerprint)
        zone, role, worth = (None if word is None else sys.intern(word) for word in words)
        listed = row.listed
        if listed is not None:
            if listed == self._listed:
                listed = self._listed
            self._listed = listed
        return replace(
            row,
            user_guid=guid,
            name=name,
            time_zone=zone,
            access_role=role,
            token_fingerprint=worth,
            listed=listed,
        )

    def changes(self, calendar: int) -> None:
        """Something is handed over that may change this calendar's row."""
        self._changed.add(calendar)

    def clear(self) -> None:
        """Something is handed over that may change any row."""
        self._rows.clear()
        self._changed.clear()
        self._clearings += 1

    def note_quiet(self, row: CalendarState, token: SyncToken, now: datetime) -> None:
        """A poll with the row's token found nothing, and got `token`."""
        assert row.token is not None
        noted = self._notes.get(row.id)
        follows = noted is not None and noted.token == row.token
        before = noted.before if noted is not None and follows else row.token
        self._notes[row.id] = Note(row.id, before, token, to_millis(now))
        if self._rows.get(row.user_guid) is row:
            self._rows[row.user_guid] = replace(row, token=token, last_success=now)
        if self._timer is None and self._storing is None:
            self._store_later()

    def forget(self) -> None:
        """Keep nothing, not even notes: others may have the calendars now."""
        self.clear()
        self._notes.clear()

    def close(self) -> Callable[[Connection], object] | None:
        """Take no more time. Gives what is still to be stored, if anything."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        notes, self._notes = list(self._notes.values()), {}
        return (lambda c: _store(c, notes)) if notes else None

    async def _look(self) -> None:
        """Forget all rows if another process wrote. Others go on with what they have meanwhile."""
        self._look_at = self._monotonic() + LOOK_EVERY
        try:
            found = await self._database.run(decisions)
        except RetryLater:
            self._look_at = 0.0
            raise
        if found != self._decisions:
            self._decisions = found
            self.clear()

    def _store_soon(self) -> None:
        self._timer = None
        self._storing = asyncio.create_task(self._store_notes(), name="store quiet polls")

    async def _store_notes(self) -> None:
        """Store what was noted. A failure is told to the next poll, and this is tried again."""
        notes, self._notes = self._notes, {}
        try:
            overtaken = await self._database.run(lambda c: _store(c, notes.values()))
        except Exception as error:
            self._failure = error
            for note in notes.values():
                newer = self._notes.get(note.calendar)
                self._notes[note.calendar] = replace(newer, before=note.before) if newer else note
        else:
            self._failure = None
            self._changed.update(overtaken)
        finally:
            self._storing = None
        if self._notes and not self._closed:
            self._store_later()

    def _store_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(STORE_AFTER, self._store_soon)


def _store(connection: Connection, notes: Iterable[Note]) -> list[int]:
    """Gives the calendars whose row meanwhile holds another token: somebody else changed it."""
    return [
        note.calendar
        for note in notes
        if not connection.execute(
            _QUIET, (note.token, note.at_ms, note.calendar, note.before)
        ).rowcount
    ]
