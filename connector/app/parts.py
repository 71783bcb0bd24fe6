"""Puts the parts together for the users of some settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
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
    RetryLater,
)
from connector.domain.mapping import calendar_id_of
from connector.engines.local import Calendar
from connector.observe.log import get_logger
from connector.observe.observer import NOBODY, Observer
from connector.settings.model import Settings, UserSettings
from connector.store import Database, State
from connector.store.commit import Hold
from connector.sync.bulk import TeamBulk
from connector.sync.compare import HeldBySalesloft
from connector.sync.cycle import CalendarCycle
from connector.sync.delivery import TeamDelivery
from connector.sync.progress import Progress
from connector.sync.seller import Seller
from connector.sync.summary import Summary as Summary

_log = get_logger(__name__)

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


@asynccontextmanager
async def assemble(
    settings: Settings, database: Database, clock: Clock = now, observer: Observer = NOBODY
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
        clients = await _clients(settings, state, to_salesloft, observer)
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
            seller = _seller(user, to_google, tokens, limiters[_project(user)], observer)
            row = await state.calendar(user.salesloft.user_guid, user.name)
            interval = user.sync.poll_interval.total_seconds()
            calendars.append(Calendar(seller, row.id, team, interval))
            delivery = deliveries.setdefault(
                team, _delivery(team, user, clients[team], state, clock)
            )
            delivery.calendars.add(row.id)
            delivery.observer = observer
            delivery.names[row.id] = user.name
            if delivery.bulk is not None:
                delivery.bulk.observer = observer
                delivery.bulk.names[calendar_id_of(user.salesloft.user_guid)] = row.id
            delivery.probe_every = min(delivery.probe_every, user.sync.poll_interval)
        cycle = CalendarCycle(state, lambda seller: sellers[seller.name], clock, observer)
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
    settings: Settings, state: State, session: aiohttp.ClientSession, observer: Observer
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
            session,
            users[0].salesloft.api_url,
            key.reveal,
            budget,
            None if observer is NOBODY else observer.salesloft_answered,
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
    observer: Observer,
) -> Seller:
    delegated = user.google.credentials.kind == "service_account"
    quota_user = google.quota_user(user.google.subject or user.name) if delegated else None
    transport = google.GoogleTransport(
        session,
        tokens,
        limiter,
        who=user.name,
        rate_key=quota_user,
        on_answer=None if observer is NOBODY else observer.google_answered,
    )
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
