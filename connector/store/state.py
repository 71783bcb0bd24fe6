"""What the rest of the program asks of the state, as coroutines over the writer thread."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from connector.domain.errors import ParkReason
from connector.domain.mapping import from_millis, to_millis
from connector.domain.model import EventId, SyncToken, UserGuid, UserName
from connector.domain.plan import Key, Known
from connector.store import bulk, calendars, journal, nodes, outbox, rows
from connector.store import dead_letters as refused_rows
from connector.store import held as held_rows
from connector.store.bookings import purge_bookings
from connector.store.calendars import CalendarState as CalendarState
from connector.store.commit import Committed, Cycle, commit_cycle
from connector.store.connection import Connection
from connector.store.database import Database
from connector.store.held import Held, held_differences
from connector.store.line import Line
from connector.store.outbox import Spare
from connector.store.points import Points
from connector.store.recent import RecentRows
from connector.store.together import Together

T = TypeVar("T")


class _Accepted(msgspec.Struct, frozen=True, gc=False):
    rows: Sequence[outbox.Row]
    stored_at: datetime | None
    entry: journal.Entry | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many occurrences of the served calendars wait, were refused, or could not be read."""

    pending: int
    dead_letters: int
    set_aside: int
    held: int


class State:
    """The state of this process's calendars."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recent = RecentRows(database)
        self._points = Points()
        self._lines: dict[str, Line] = defaultdict(Line)
        self._version = 0
        self._accepted = Together(database, self._settle_accepted)
        self.holder: Callable[[], str | None] = lambda: None
        """The node that this process is, where several share the state."""

    def close(self) -> None:
        self._database.close(self._recent.close())

    async def run(self, function: Callable[[Connection], T]) -> T:
        """One transaction of a part of the state that has a module of its own (bookings, roster, erasures)."""
        self._recent.clear()
        return await self._change(function)

    async def ask(self, function: Callable[[Connection], T]) -> T:
        """The same for what changes neither a calendar's row nor who was erased."""
        return await self._change(function)

    async def look(self, function: Callable[[Connection], T]) -> T:
        """The same for what changes nothing at all."""
        return await self._database.run(function)

    async def _change(self, function: Callable[[Connection], T]) -> T:
        """One transaction that may change who is next in line."""
        self._version += 1
        return await self._database.run(function)

    async def start(self) -> None:
        """Put back in line what a dead process had in flight. For a process that holds the state alone."""

        def write(connection: Connection) -> None:
            nodes.clear(connection)
            outbox.release_all(connection)

        await self._database.run(write)

    async def calendar(self, guid: UserGuid, name: UserName) -> CalendarState:
        """The calendar of a user, made if it is new."""
        return await self._recent.read(guid, name)

    async def recent(self, guid: UserGuid, name: UserName) -> CalendarState:
        """The same, for polls: what other processes wrote is seen within half a second only."""
        return await self._recent.row(guid, name)

    def note_quiet(self, calendar: CalendarState, token: SyncToken, now: datetime) -> None:
        """A poll of a `recent` calendar found nothing; its token is stored with others in about a second."""
        self._recent.note_quiet(calendar, token, now)

    def look_again(self) -> None:
        """Another process decided something: what is remembered of rows counts no more."""
        self._recent.clear()

    def forget_recent(self) -> None:
        """Other nodes may hold what this process held: nothing that it remembers counts any more."""
        self._recent.forget()

    async def calendars_of(
        self, users: Mapping[UserGuid, UserName]
    ) -> dict[UserGuid, CalendarState]:
        """The calendars of several users, made where they are new; what was remembered of any counts no more."""
        self._recent.clear()

        def read(connection: Connection) -> dict[UserGuid, CalendarState]:
            return {guid: calendars.of_user(connection, guid, name) for guid, name in users.items()}

        return await self._database.run(read)

    async def known(
        self, calendar: int, events: Iterable[EventId], series: Iterable[EventId]
    ) -> list[Known]:
        """What is remembered of these event ids, of these series, and of the series that these events belong to."""
        event_ids, series_ids = set(events), set(series)

        def read(connection: Connection) -> list[Known]:
            found = {row.key: row for row in rows.known_of_events(connection, calendar, event_ids)}
            of_series = series_ids | {row.series_id for row in found.values() if row.series_id}
            for row in rows.known_of_series(connection, calendar, of_series):
                found[row.key] = row
            return list(found.values())

        return await self._database.run(read)

    async def known_since(self, calendar: int, since: datetime) -> list[Known]:
        """Everything remembered of a calendar that ends after `since`, or of which something waits."""
        return await self._database.run(lambda c: rows.known_since(c, calendar, since))

    async def commit(self, cycle: Cycle) -> Committed:
        """Store what a reading found: token, occurrences and outbox in one transaction."""
        self._recent.changes(cycle.calendar)
        return await self._change(lambda c: commit_cycle(c, cycle))

    async def park(
        self,
        calendar: int,
        reason: ParkReason,
        message: str,
        now: datetime,
        lost_after: timedelta,
    ) -> calendars.Parked:
        """Remember that a calendar cannot be read, and count what may mean that access is lost for good."""
        self._recent.changes(calendar)
        return await self._database.run(
            lambda c: calendars.park(c, calendar, reason, message, now, lost_after)
        )

    async def forget_token(self, calendar: int) -> None:
        """Google no longer accepts the token: the next reading is a full one."""
        self._recent.changes(calendar)
        await self._database.run(
            lambda c: c.execute("UPDATE calendars SET sync_token = NULL WHERE id = ?", (calendar,))
        )

    async def claim(
        self,
        calendars: Sequence[int],
        limit: int,
        now: datetime,
        *,
        spare: Spare = Spare.NOTHING,
        recent: Mapping[int, int] | None = None,
        spent: tuple[str, Sequence[tuple[datetime, float]]] | None = None,
    ) -> list[outbox.Row]:
        """What is to be sent next, marked as in flight; `spent`, a team's points, are kept in the same transaction."""
        holder, version = self.holder(), self._version
        line = self._lines[spent[0] if spent is not None else ""]

        def write(connection: Connection) -> list[outbox.Row]:
            claimed = line.claim(
                connection,
                calendars,
                limit,
                now,
                version=version,
                spare=spare,
                recent=recent,
                holder=holder,
            )
            if spent is not None and claimed:
                self._points.keep(connection, *spent)
            return claimed

        return await self._database.run(write)

    async def waiting(
        self,
        calendars: Sequence[int],
        now: datetime,
        most_attempts: int | None = None,
        *,
        spare: Spare = Spare.NOTHING,
    ) -> tuple[datetime | None, int]:
        """When the next row may be tried (None: none waits), and how many wait."""
        due, count = await self._database.run(
            lambda c: outbox.waiting(c, calendars, now, most_attempts, spare=spare)
        )
        return (from_millis(due) if due is not None else None), count

    async def unsettled(self, calendars: Sequence[int], now: datetime) -> list[outbox.Row]:
        return await self._database.run(lambda c: outbox.unsettled(c, calendars, now))

    async def settle_accepted(
        self,
        settled: Sequence[outbox.Row],
        stored_at: datetime | None = None,
        entry: journal.Entry | None = None,
    ) -> None:
        """Salesloft holds these contents; `stored_at` is the time that it keeps, if it is later than what was sent.

        What is settled at the same time is settled together.
        """
        await self._accepted.add(_Accepted(settled, stored_at, entry))

    def _settle_accepted(self, connection: Connection, answers: Sequence[_Accepted]) -> None:
        """On the writer's thread."""
        journal.write_all(connection, [(row, one.entry) for one in answers for row in one.rows])
        if outbox.settle_accepted(connection, [row for one in answers for row in one.rows]):
            for line in tuple(self._lines.values()):
                line.forget()
        for one in answers:
            if one.stored_at is not None:
                for row in one.rows:
                    outbox.note_stored_time(connection, row, one.stored_at)

    async def settle_ignored(
        self,
        row: outbox.Row,
        stored_at: datetime,
        payload: bytes,
        entry: journal.Entry | None = None,
    ) -> None:
        def write(connection: Connection) -> None:
            journal.write(connection, row, entry)
            outbox.settle_ignored(connection, row, stored_at, payload)

        await self._change(write)

    async def settle_later(
        self,
        row: outbox.Row,
        next_attempt: datetime,
        error: str,
        entry: journal.Entry | None = None,
    ) -> None:
        def write(connection: Connection) -> None:
            journal.write(connection, row, entry)
            outbox.settle_later(connection, row, next_attempt=next_attempt, error=error)

        await self._change(write)

    async def settle_refused(
        self,
        row: outbox.Row,
        status: int,
        reason: str,
        request_id: str,
        now: datetime,
        entry: journal.Entry | None = None,
    ) -> bool:
        def write(connection: Connection) -> bool:
            journal.write(connection, row, entry)
            return outbox.settle_refused(
                connection, row, status=status, reason=reason, request_id=request_id, now=now
            )

        return await self._change(write)

    async def put_off(
        self, row: outbox.Row, until: datetime, error: str, entry: journal.Entry | None = None
    ) -> None:
        """A whole calendar waits: Salesloft forbids it."""

        def write(connection: Connection) -> None:
            journal.write(connection, row, entry)
            outbox.put_off(connection, row, until, error)

        await self._change(write)

    async def retry_now(self, calendars: Sequence[int]) -> None:
        """What was put off may be tried at once: the service answers again."""
        await self._change(lambda c: outbox.retry_now(c, calendars))

    async def release(
        self, claimed: Sequence[outbox.Row], entry: journal.Entry | None = None
    ) -> None:
        def write(connection: Connection) -> None:
            for row in claimed:
                journal.write(connection, row, entry)
            outbox.release(connection, claimed)

        await self._change(write)

    async def bulkable(self, calendars: Sequence[int], now: datetime) -> int:
        """How many rows a bulk job could take now."""
        return await self._database.run(lambda c: bulk.bulkable(c, calendars, now))

    async def bulk_job(
        self, team: str, calendars: Sequence[int], running: Sequence[int] = ()
    ) -> bulk.LocalJob | None:
        return await self._database.run(lambda c: bulk.job_of(c, team, calendars, running))

    async def open_bulk_job(
        self, team: str, calendars: Sequence[int], name: str, now: datetime, most: int
    ) -> bulk.LocalJob:
        return await self._change(lambda c: bulk.open_job(c, team, calendars, name, now, most=most))

    async def note_bulk_remote(self, job: int, remote_id: int) -> None:
        await self._database.run(lambda c: bulk.note_remote(c, job, remote_id))

    async def note_bulk_ready(self, job: int, now: datetime) -> None:
        await self._database.run(lambda c: bulk.note_ready(c, job, now))

    async def bulk_items(self, job: int, limit: int) -> list[outbox.Row]:
        """The next records that Salesloft does not have yet."""
        return await self._database.run(
            lambda c: bulk.items(c, job, limit=limit, only_unloaded=True)
        )

    async def note_bulk_loaded(self, loaded: Sequence[outbox.Row]) -> None:
        await self._database.run(lambda c: bulk.note_loaded(c, loaded))

    async def hasten_bulk_items(self, job: int, now: datetime) -> int:
        return await self._change(lambda c: bulk.hasten(c, job, now))

    async def settle_bulk_job(
        self,
        job: int,
        refused: Mapping[tuple[int, Key], bulk.Refusal],
        ignored: Mapping[tuple[int, Key], tuple[datetime, bytes]],
        now: datetime,
    ) -> tuple[int, int]:
        return await self._change(lambda c: bulk.settle(c, job, refused, ignored, now))

    async def bulk_corrections(self, job: int) -> dict[tuple[int, Key], bytes]:
        """The bodies of a job that change what Salesloft holds."""
        return await self._database.run(lambda c: bulk.corrections(c, job))

    async def abandon_bulk_job(self, job: int) -> None:
        await self._change(lambda c: bulk.abandon(c, job))

    async def backlog(self, calendars: Sequence[int]) -> Backlog:
        def count(connection: Connection, table: str, having: str = "1 = 1") -> int:
            row = connection.execute(
                f"SELECT count(*) FROM {table} WHERE calendar_id IN"  # noqa: S608  # own names
                f" (SELECT CAST(value AS BIGINT) FROM json_each(?)) AND {having}",
                (json.dumps(list(calendars)),),
            ).fetchone()
            return int(row[0])

        return await self._database.run(
            lambda c: Backlog(
                pending=count(c, "outbox", "held_id IS NULL"),
                dead_letters=count(c, "dead_letters", "NOT discarded"),
                set_aside=count(c, "set_aside"),
                held=count(c, "outbox", "held_id IS NOT NULL"),
            )
        )

    async def held(self) -> list[Held]:
        """Differences that wait for a human."""
        return await self._database.run(held_differences)

    async def calendars(self) -> list[CalendarState]:
        """Every calendar that was ever read, by name: a hundred thousand take a second."""

        return await self._database.run(calendars.every_one)

    async def calendars_of_users(
        self, guids: Collection[UserGuid], settings_ids: Collection[str] = ()
    ) -> dict[UserGuid, CalendarState]:
        """The calendars of these users that there are, and those that settings of these ids belong to."""
        found = await self._database.run(lambda c: calendars.some(c, guids, settings_ids))
        return {row.user_guid: row for row in found}

    async def calendars_of_rows(self, ids: Collection[int]) -> dict[int, CalendarState]:
        """The calendars with these rows."""
        found = await self._database.run(lambda c: calendars.of_ids(c, ids))
        return {row.id: row for row in found}

    async def tracked(self, calendar: int) -> int:
        """How many living occurrences are remembered of a calendar."""

        def read(connection: Connection) -> int:
            return int(
                connection.execute(
                    "SELECT count(*) FROM occurrences WHERE calendar_id = ? AND alive", (calendar,)
                ).fetchone()[0]
            )

        return await self._database.run(read)

    async def oldest_pending(self, calendar: int) -> datetime | None:
        """Since when the longest-waiting change of a calendar waits."""

        def read(connection: Connection) -> datetime | None:
            row = connection.execute(
                "SELECT min(queued_ms) FROM outbox WHERE calendar_id = ? AND held_id IS NULL",
                (calendar,),
            ).fetchone()
            return from_millis(row[0]) if row[0] is not None else None

        return await self._database.run(read)

    async def dead_letters(self) -> list[refused_rows.DeadLetter]:
        """What Salesloft refused, of all calendars."""
        return await self._database.run(refused_rows.dead_letters)

    async def retry_dead_letters(
        self, letters: Sequence[refused_rows.DeadLetter], now: datetime
    ) -> None:
        await self._change(lambda c: refused_rows.retry(c, letters, now))

    async def discard_dead_letters(self, letters: Sequence[refused_rows.DeadLetter]) -> None:
        await self._change(lambda c: refused_rows.discard(c, letters))

    async def release_held(self, ids: Sequence[int]) -> int:
        """Let held differences go out; gives how many rows."""
        return await self._change(lambda c: held_rows.release(c, ids))

    async def discard_held(self, ids: Sequence[int]) -> int:
        """Drop held differences; Salesloft keeps what it holds. Gives how many rows."""
        return await self._change(lambda c: held_rows.discard(c, ids))

    async def spend(self, team: str, entries: Sequence[tuple[datetime, float]]) -> None:
        """Keep what a team spent in the last minute, replacing what was kept before."""
        await self._database.run(lambda c: self._points.keep(c, team, entries))

    async def spent(
        self, team: str, since: datetime, served: Sequence[str] = ()
    ) -> list[tuple[datetime, float]]:
        """What a team spent after `since`, oldest first.

        What teams spent that are none of `served` counts too: the same team's, under the key that it had before.
        """

        def read(connection: Connection) -> list[tuple[datetime, float]]:
            cursor = connection.execute(
                "SELECT at_ms, cost FROM points WHERE at_ms > ? AND"
                " (team = ? OR (? != '[]' AND team NOT IN (SELECT value FROM json_each(?)))) ORDER BY at_ms",
                (to_millis(since), team, *[json.dumps(list(served))] * 2),
            )
            return [(from_millis(at), cost) for at, cost in cursor]

        return await self._database.run(read)

    async def journal(self, calendar: int, event_id: EventId) -> list[journal.Entry]:
        """What Salesloft answered to everything that was sent of one event."""
        return await self._database.run(lambda c: journal.entries(c, calendar, event_id))

    async def purge_journal(self, now: datetime) -> None:
        await self._database.run(lambda c: journal.purge(c, now))

    async def purge(self, calendar: int, before: datetime) -> None:
        """Forget occurrences and bookings that ended long before the window; nothing is sent for these again."""

        def write(connection: Connection) -> None:
            connection.execute(
                """DELETE FROM occurrences WHERE calendar_id = :calendar AND end_ms < :before
                       AND NOT EXISTS (SELECT 1 FROM outbox b WHERE b.calendar_id = :calendar
                           AND b.event_id = occurrences.event_id AND b.ical_uid = occurrences.ical_uid)""",
                {"calendar": calendar, "before": to_millis(before)},
            )
            purge_bookings(connection, calendar, before)

        await self._change(write)


RETENTION = timedelta(days=60)
"""How long after leaving the window an occurrence is remembered."""
