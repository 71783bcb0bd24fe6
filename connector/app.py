"""The composition root: the only module that knows every part, and the three things the connector does with them.

`run_daemon`, `run_once` (one-shots) and `run_dry` take validated settings and give an exit status.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path

import aiohttp

import connector
from connector import google, salesloft
from connector.domain.errors import (
    ConfigurationInvalid,
    ConfigurationMistake,
    CredentialsRefused,
    RetryLater,
    UserParked,
)
from connector.domain.mapping import calendar_id_of
from connector.engines.local import Calendar, LocalEngine
from connector.observe.log import get_logger
from connector.observe.systemd import ServiceManager
from connector.settings.model import Settings, UserSettings
from connector.store import Database, State, lock_state, open_copy, open_database
from connector.store.commit import Hold
from connector.store.dead_letters import DeadLetter
from connector.store.state import Backlog
from connector.sync.bulk import TeamBulk
from connector.sync.compare import HeldBySalesloft
from connector.sync.cycle import CalendarCycle, Report
from connector.sync.delivery import TeamDelivery, until_drained
from connector.sync.progress import Progress, telling
from connector.sync.seller import Seller
from connector.sync.summary import RefusedEvent, user_result
from connector.sync.summary import Summary as Summary

_log = get_logger(__name__)

ONE_SHOT_ROUNDS = 3
"""How often a one-shot reads a calendar that could not be read for a passing reason."""
_READINGS_AT_ONCE = 16

Clock = Callable[[], datetime]


def now() -> datetime:
    """The wall clock, aware and in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything put together, for the calendars of these settings."""

    state: State
    cycle: CalendarCycle
    calendars: tuple[Calendar, ...]
    deliveries: dict[str, TeamDelivery]
    clients: Mapping[str, salesloft.SalesloftClient]

    def delivery_of(self, calendar: Calendar) -> TeamDelivery:
        return self.deliveries[calendar.team]

    @property
    def ids(self) -> list[int]:
        """The calendars' rows in the state."""
        return [calendar.id for calendar in self.calendars]

    @property
    def points(self) -> int:
        """What this process spent so far, in all teams."""
        return round(sum(client.budget.spent_in_all for client in self.clients.values()))

    async def progress(self, read: int) -> Progress:
        """How far a one-shot is that has read so many calendars."""
        waiting = (await self.state.backlog(self.ids)).pending
        settled = 0
        for delivery in self.deliveries.values():
            settled += delivery.tally.accepted + delivery.tally.refused
            if delivery.bulk is not None:
                # In line until the job is settled as a whole, which may take Salesloft long.
                settled += delivery.bulk.processed
                waiting = max(0, waiting - delivery.bulk.processed)
        return Progress(len(self.calendars), read, settled, waiting, self.points)


def state_file(settings: Settings) -> Path:
    """The SQLite file that the settings name."""
    url = settings.process.state_url
    if not url.startswith("sqlite:///"):
        raise ConfigurationInvalid(
            (
                ConfigurationMistake(
                    Path("connector.toml"),
                    "state.url",
                    "a postgresql:// address",
                    "sqlite:////path/to/state.db (PostgreSQL is not supported yet)",
                ),
            )
        )
    return Path(url.removeprefix("sqlite:///"))


async def run_daemon(settings: Settings, stopping: asyncio.Event) -> int:
    """Poll and deliver until `stopping`; 0."""
    path = state_file(settings)
    with lock_state(path):
        async with assemble(settings, open_database(path)) as parts:
            engine = LocalEngine(
                parts.calendars, parts.cycle, parts.deliveries, parts.state, ServiceManager()
            )
            await engine.run(stopping)
    return 0


async def run_once(
    settings: Settings,
    stopping: asyncio.Event,
    *,
    full: bool,
    clock: Clock = now,
    progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """One full (`full`) or incremental reading of every calendar, everything delivered; `progress` is told how far."""
    path = state_file(settings)
    with lock_state(path):
        async with assemble(settings, open_database(path), clock) as parts:
            before = await parts.state.dead_letters()
            reports: list[Report] = []
            async with telling(progress, lambda: parts.progress(len(reports))):
                await _read_unless(stopping, parts, reports, full=full)
                draining = [
                    asyncio.create_task(delivery.drain(stopping), name=f"delivery {team}")
                    for team, delivery in parts.deliveries.items()
                ]
                await until_drained(draining, stopping)
            summary = _summary(parts, reports, await parts.state.backlog(parts.ids))
            return replace(summary, refusals=await _refusals(parts, before))


async def run_dry(
    settings: Settings,
    stopping: asyncio.Event,
    *,
    full: bool,
    show: Callable[[str, bytes, str], None],
) -> Summary:
    """Like `run_once`, on a copy of the state in memory, showing each upsert instead of sending it.

    `show` gets the user's name, the JSON body and the rule that decided. Nothing is written anywhere.
    """
    async with assemble(settings, open_copy(state_file(settings))) as parts:
        reports: list[Report] = []
        await _read_unless(stopping, parts, reports, full=full)
        names = {calendar.id: calendar.seller.name for calendar in parts.calendars}
        for row in await parts.state.unsettled(sorted(names), datetime.now(UTC)):
            rules = await parts.state.known(row.calendar, [row.key.event_id], [])
            rule = next((known.rule for known in rules if known.key == row.key), None)
            show(names[row.calendar], row.payload, rule.value if rule else "cancelled")
        backlog = await parts.state.backlog(sorted(names))
        return _summary(parts, reports, replace(backlog, pending=0))


async def _read_unless(
    stopping: asyncio.Event, parts: Parts, reports: list[Report], *, full: bool
) -> None:
    """Read every calendar; at a stop drop the readings under way: nothing of them was stored."""
    reading = asyncio.create_task(_read_all(parts, reports, full=full), name="read all")
    stopped = asyncio.create_task(stopping.wait(), name="stop")
    try:
        await asyncio.wait((reading, stopped), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not reading.done():
            reading.cancel()
        await asyncio.gather(stopped, return_exceptions=True)
    try:
        await reading
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise
    read = {report.calendar for report in reports}
    reports += [
        Report(calendar.id, error=RetryLater("stopped before it was read; the next run reads it"))
        for calendar in parts.calendars
        if calendar.id not in read
    ]


async def _read_all(parts: Parts, reports: list[Report], *, full: bool) -> None:
    """Read every calendar, and add each one's report as it comes."""
    gate = asyncio.Semaphore(_READINGS_AT_ONCE)

    async def one(calendar: Calendar) -> None:
        async with gate:
            report = await parts.cycle.run(calendar.seller, full=full)
            for _ in range(ONE_SHOT_ROUNDS - 1):
                if not isinstance(report.error, RetryLater):
                    break
                report = await parts.cycle.run(calendar.seller, full=full)
            reports.append(report)

    async with asyncio.TaskGroup() as group:
        for calendar in parts.calendars:
            group.create_task(one(calendar), name=f"read {calendar.seller.name}")


async def _refusals(parts: Parts, before: Sequence[DeadLetter]) -> tuple[RefusedEvent, ...]:
    """What became a dead letter since `before`, of these calendars."""
    older = {(letter.calendar, letter.key, letter.at) for letter in before}
    return tuple(
        RefusedEvent(letter.user, letter.key.event_id, letter.reason)
        for letter in await parts.state.dead_letters()
        if letter.calendar in parts.ids and (letter.calendar, letter.key, letter.at) not in older
    )


def _summary(parts: Parts, reports: Sequence[Report], backlog: Backlog) -> Summary:
    names = {calendar.id: calendar.seller.name for calendar in parts.calendars}
    refusals = [
        str(delivery.tally.refusal)
        for delivery in parts.deliveries.values()
        if delivery.tally.refusal is not None
    ]
    refusals += [str(r.error) for r in reports if isinstance(r.error, CredentialsRefused)]
    return Summary(
        users=tuple(
            user_result(names[report.calendar], report)
            for report in sorted(reports, key=lambda report: names[report.calendar])
        ),
        accepted=sum(delivery.tally.accepted for delivery in parts.deliveries.values()),
        refused=backlog.dead_letters,
        pending=backlog.pending,
        held=backlog.held,
        points=parts.points,
        key_refused=refusals[0] if refusals else None,
        nobody_served=bool(reports) and all(isinstance(r.error, UserParked) for r in reports),
    )


@asynccontextmanager
async def assemble(
    settings: Settings, database: Database, clock: Clock = now
) -> AsyncIterator[Parts]:
    """Build every part for the users of the settings; close all of them at the end."""
    async with AsyncExitStack() as stack:
        state = State(database)
        stack.callback(state.close)
        await state.start()
        to_google = await stack.enter_async_context(
            google.make_session(version=connector.__version__)
        )
        to_salesloft = await stack.enter_async_context(salesloft.make_session())
        pool = google.RefreshPool(to_google)
        stack.push_async_callback(pool.close)
        clients = await _clients(settings, state, to_salesloft)
        stack.push_async_callback(_keep_spent, clients)
        limiters = _limiters(settings)
        sellers: dict[str, HeldBySalesloft] = {}
        calendars: list[Calendar] = []
        deliveries: dict[str, TeamDelivery] = {}
        for user in settings.users:
            tokens = google.TokenSource(
                user.google.credentials.info,
                pool,
                kind=user.google.credentials.kind,
                subject=user.google.subject,
                who=user.name,
            )
            stack.push_async_callback(tokens.close)
            team = team_of(user)
            sellers[user.name] = HeldBySalesloft(clients[team])
            seller = _seller(user, to_google, tokens, limiters[_project(user)])
            row = await state.calendar(user.salesloft.user_guid, user.name)
            interval = user.sync.poll_interval.total_seconds()
            calendars.append(Calendar(seller, row.id, team, interval))
            delivery = deliveries.setdefault(
                team, _delivery(team, user, clients[team], state, clock)
            )
            delivery.calendars.add(row.id)
            if delivery.bulk is not None:
                delivery.bulk.names[calendar_id_of(user.salesloft.user_guid)] = row.id
            delivery.probe_every = min(delivery.probe_every, user.sync.poll_interval)
        cycle = CalendarCycle(state, lambda seller: sellers[seller.name], clock)
        yield Parts(state, cycle, tuple(calendars), deliveries, clients)


def _delivery(
    team: str,
    user: UserSettings,
    client: salesloft.SalesloftClient,
    state: State,
    clock: Clock,
) -> TeamDelivery:
    """The delivery of a team; where its users differ, the first one's bulk settings count."""
    bulk = TeamBulk(
        team,
        client,
        state,
        clock,
        threshold=user.salesloft.bulk_threshold,
        patience=user.salesloft.bulk_patience,
    )
    return TeamDelivery(team, client, state, user.sync.poll_interval, clock, bulk)


def team_of(user: UserSettings) -> str:
    """A one-way name of key and address: users that share both share one budget."""
    address = sha256(user.salesloft.api_url.encode()).hexdigest()[:8]
    return f"{user.salesloft.api_key.digest()}-{address}"


async def _clients(
    settings: Settings, state: State, session: aiohttp.ClientSession
) -> dict[str, salesloft.SalesloftClient]:
    """One client and one budget a team; of differing `points_per_minute` the smallest counts."""
    teams: dict[str, list[UserSettings]] = defaultdict(list)
    for user in settings.users:
        teams[team_of(user)].append(user)
    clients = {}
    since = datetime.now(UTC) - timedelta(minutes=2)
    for team, users in teams.items():
        budget = salesloft.TeamBudget(
            min(u.salesloft.points_per_minute for u in users),
            reserve=max(u.salesloft.reserve for u in users),
        )
        budget.restore(await state.spent(team, since, served=list(teams)))
        budget.keeper = partial(state.spend, team)
        key = users[0].salesloft.api_key
        clients[team] = salesloft.SalesloftClient(
            session, users[0].salesloft.api_url, key.reveal, budget
        )
    return clients


async def _keep_spent(clients: dict[str, salesloft.SalesloftClient]) -> None:
    """At the end, what the last answers told of costs."""
    for team, client in clients.items():
        try:
            await client.budget.keep()
        except RetryLater as later:
            _log.warning("state_busy", team=team, message=str(later))


def _limiters(settings: Settings) -> dict[str, google.RequestLimiter]:
    """One limiter a Google project; of differing `requests_per_minute` the smallest counts."""
    limits: dict[str, int] = {}
    for user in settings.users:
        project = _project(user)
        limit = user.google.requests_per_minute
        limits[project] = min(limits.get(project, limit), limit)
    return {project: google.RequestLimiter(limit) for project, limit in limits.items()}


def _project(user: UserSettings) -> str:
    return f"{user.google.api_url} {user.google.credentials.project}"


def _seller(
    user: UserSettings,
    session: aiohttp.ClientSession,
    tokens: google.TokenSource,
    limiter: google.RequestLimiter,
) -> Seller:
    delegated = user.google.credentials.kind == "service_account"
    quota_user = google.quota_user(user.google.subject or user.name) if delegated else None
    transport = google.GoogleTransport(session, tokens, limiter, who=user.name, rate_key=quota_user)
    requests = google.CalendarRequests(
        user.google.api_url, user.google.calendar_id, quota_user=quota_user
    )
    return Seller(
        name=user.name,
        user_guid=user.salesloft.user_guid,
        rules=user.policy,
        past_days=user.sync.past_days,
        future_days=user.sync.future_days,
        reader=google.GoogleCalendar(requests, transport),
        hold=Hold(user.sync.hold_share, user.sync.hold_minimum),
        source=f"{user.google.calendar_id} {user.google.subject} {user.google.credentials.identity}",
    )
