"""`plan`: one reading of every calendar on a copy of the state in memory, and what would follow from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connector.app.clock import Clock, now
from connector.app.opening import state_place
from connector.app.parts import Parts, assemble
from connector.app.to_salesloft import team_of
from connector.domain.errors import CredentialsRefused, UserParked
from connector.domain.model import Event, EventId, Listing, SyncToken, Tombstone
from connector.engines.local import Calendar
from connector.salesloft import MOST_RECORDS
from connector.settings.model import Settings
from connector.store import CalendarState, open_copy
from connector.store.planned import PlannedRow, planned_rows
from connector.sync.bulk import MOST_IN_JOB
from connector.sync.cycle import CalendarCycle, NotAsked
from connector.sync.seller import CalendarReader

CALLS_OF_A_JOB = 4
"""Of one bulk job besides its data: made, made ready, asked once whether it is done, asked for errors."""


@dataclass(frozen=True, slots=True)
class UserPlan:
    """One user. `rows` would be new in line, `waiting` stand there already, `held` wait for a human."""

    name: str
    rows: tuple[PlannedRow, ...] = ()
    waiting: tuple[PlannedRow, ...] = ()
    held: tuple[PlannedRow, ...] = ()
    full: bool = False
    compared: bool = True
    """False: it was never compared with Salesloft's list; what that holds already would not be sent."""
    error: Exception | None = None
    skipped: str | None = None
    """Why a cycle would read and send nothing for this user."""


@dataclass(frozen=True, slots=True)
class TeamCost:
    """What one team's part of the plan costs; `minutes` at `points_per_minute`."""

    singles: int
    bulk_records: int
    points: int
    points_per_minute: float

    @property
    def minutes(self) -> float:
        return self.points / self.points_per_minute


@dataclass(frozen=True, slots=True)
class Plan:
    """`by_bulk` names the calendars and keys that a bulk job would carry."""

    users: tuple[UserPlan, ...]
    costs: tuple[TeamCost, ...]
    bulk_teams: frozenset[int]
    google_requests: int

    def goes_by_bulk(self, row: PlannedRow) -> bool:
        return row.bulkable and row.calendar in self.bulk_teams

    @property
    def exit_status(self) -> int:
        errors = [user.error for user in self.users if user.error is not None]
        if not errors:
            return 0
        refused = [one for one in errors if isinstance(one, UserParked | CredentialsRefused)]
        return 77 if len(refused) == len(self.users) else 1


async def make_plan(settings: Settings, clock: Clock = now) -> Plan:
    """Read every calendar as a cycle would, with the tokens of a copy of the state; nothing is stored or sent.

    Tokens are not used up by being used (google-calendar.md 2.4), so the daemon's next reading finds the same. Costs
    requests to Google and no points: Salesloft is not asked anything.
    """
    async with assemble(settings, open_copy(state_place(settings)), clock) as parts:
        counting = [_counting(calendar) for calendar in parts.calendars]
        cycle = CalendarCycle(parts.state, lambda _: NotAsked(), clock)
        before = await parts.state.run(lambda c: planned_rows(c, parts.ids, clock()))
        states = {row.id: row for row in await parts.state.calendars()}
        users = [
            await _planned(parts, cycle, calendar, states[calendar.id], before, clock())
            for calendar, _ in counting
        ]
        caps = {team_of(user): float(user.salesloft.points_per_minute) for user in settings.users}
        for user in settings.users:
            caps[team_of(user)] = min(caps[team_of(user)], user.salesloft.points_per_minute)
        costs, bulk = _costs(parts, users, caps)
        requests = sum(reader.requests for _, reader in counting)
        return Plan(tuple(users), tuple(costs), frozenset(bulk), requests)


async def _planned(
    parts: Parts,
    cycle: CalendarCycle,
    calendar: Calendar,
    state: CalendarState,
    before: Sequence[PlannedRow],
    at: datetime,
) -> UserPlan:
    if not state.is_served:
        return UserPlan(calendar.seller.name, skipped=_why_not_served(state))
    report = await cycle.run(calendar.seller)
    earlier = {(row.key, row.updated_ms) for row in before if row.calendar == calendar.id}
    after = await parts.state.run(lambda c: planned_rows(c, [calendar.id], at))
    return UserPlan(
        name=calendar.seller.name,
        rows=tuple(r for r in after if not r.held and (r.key, r.updated_ms) not in earlier),
        waiting=tuple(r for r in after if not r.held and (r.key, r.updated_ms) in earlier),
        held=tuple(r for r in after if r.held),
        full=report.full,
        compared=state.compared,
        error=report.error,
    )


def _why_not_served(state: CalendarState) -> str:
    if state.left_at is not None:
        return "offboarded: nothing is read or sent before `gcal-salesloft resume`"
    if state.disconnected_since is not None:
        return "not on an external calendar in Salesloft: nothing is read or sent"
    return "paused: nothing is read or sent before `gcal-salesloft resume`"


def _costs(
    parts: Parts, users: Sequence[UserPlan], caps: Mapping[str, float]
) -> tuple[list[TeamCost], set[int]]:
    """Points of each team, and the calendars of teams whose rows are many enough for a bulk job."""
    rows_of = {
        calendar.id: [*user.rows, *user.waiting]
        for calendar, user in zip(parts.calendars, users, strict=True)
    }
    teams: dict[str, list[int]] = defaultdict(list)
    for calendar in parts.calendars:
        teams[calendar.team].append(calendar.id)
    costs, bulk_calendars = [], set[int]()
    for team, ids in teams.items():
        rows = [row for calendar in ids for row in rows_of[calendar]]
        records = sum(row.bulkable for row in rows)
        bulk = parts.deliveries[team].bulk
        if bulk is None or records < bulk.threshold:
            records = 0
        else:
            bulk_calendars.update(ids)
        singles = len(rows) - records
        jobs = -(-records // MOST_IN_JOB)
        points = singles + jobs * CALLS_OF_A_JOB + -(-records // MOST_RECORDS)
        costs.append(TeamCost(singles, records, points, caps[team]))
    return costs, bulk_calendars


def _counting(calendar: Calendar) -> tuple[Calendar, _Counting]:
    reader = _Counting(calendar.seller.reader)
    calendar.seller = replace(calendar.seller, reader=reader)
    return calendar, reader


class _Counting:
    """A reader that counts its requests: a page each."""

    def __init__(self, reader: CalendarReader) -> None:
        self._reader = reader
        self.requests = 0

    @property
    def parameters_fingerprint(self) -> str:
        return self._reader.parameters_fingerprint

    @property
    def page_size(self) -> int:
        return self._reader.page_size

    @property
    def fields_fingerprint(self) -> str:
        return self._reader.fields_fingerprint

    async def list_changes(self, token: SyncToken) -> Listing:
        return self._counted(await self._reader.list_changes(token))

    async def list_all(self, time_min: datetime) -> Listing:
        return self._counted(await self._reader.list_all(time_min))

    async def list_window(self, start: datetime, end: datetime) -> Listing:
        return self._counted(await self._reader.list_window(start, end))

    async def list_occurrences(self, series_id: EventId, start: datetime, end: datetime) -> Listing:
        return self._counted(await self._reader.list_occurrences(series_id, start, end))

    async def get_event(self, event_id: EventId) -> Event | Tombstone:
        self.requests += 1
        return await self._reader.get_event(event_id)

    def _counted(self, listing: Listing) -> Listing:
        self.requests += listing.pages
        return listing
