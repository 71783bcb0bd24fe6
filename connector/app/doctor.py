"""Looks at the real connections of some settings, one by one, and lets `sync/checks` judge what it saw.

Beside a running daemon: reads the state's file only, stores nothing, and spends a handful of points (`DoctorReport`
says how many). What hangs is given up and named. Everything is asked at the same time and handed out in order.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp

import connector
from connector import google, salesloft
from connector.app.clock import Clock, now
from connector.app.doctor_push import pushing
from connector.app.opening import state_place
from connector.app.to_salesloft import team_of
from connector.domain.errors import (
    ConfigurationInvalid,
    ConfigurationMistake,
    ConnectorError,
    RetryLater,
)
from connector.domain.model import UserGuid
from connector.salesloft.headers import RateHeaders
from connector.settings.model import Settings, UserSettings
from connector.store import Server, StatePlace
from connector.store.inspection import inspect_state
from connector.store.server import inspect_server
from connector.sync.checks import Check, Verdict, failed, ok
from connector.sync.checks import google as of_google
from connector.sync.checks import salesloft as of_salesloft
from connector.sync.checks.process import (
    PROCESS,
    judge_clock,
    judge_server,
    judge_share,
    judge_state,
)

PATIENCE_SECONDS = 20.0
"""For one check; what takes longer is named and given up."""
DEFAULT_POINTS = 600
MOST_ASKED_ALONE = 20
"""Users of a team whose settings are looked up one by one, a point each."""
_AT_ONCE = 16


@dataclass(slots=True)
class DoctorReport:
    """What the look came to, complete once every check was handed out."""

    checks: list[Check] = field(default_factory=list)
    points: int = 0

    @property
    def failures(self) -> int:
        return sum(check.verdict is Verdict.FAILED for check in self.checks)

    @property
    def warnings(self) -> int:
        return sum(check.verdict is Verdict.WARNING for check in self.checks)

    @property
    def is_refused(self) -> bool:
        """Salesloft refuses the key of every team, or Google every user."""
        by_kind = (
            [check for check in self.checks if check.what == "Salesloft key"],
            [check for check in self.checks if check.what in ("Google token", "Google reachable")],
        )
        return any(checks and all(check.refused for check in checks) for checks in by_kind)


@dataclass(slots=True)
class _Told:
    """What headers of answers told on the way: clocks by service, and the points of each team's address."""

    clock: Clock
    skews: dict[str, timedelta] = field(default_factory=dict)
    rates: dict[str, RateHeaders] = field(default_factory=dict)

    def listen(self, session: aiohttp.ClientSession, service: str) -> None:
        """Note the headers of every answer of a session."""
        trace = aiohttp.TraceConfig(trace_config_ctx_factory=SimpleNamespace)
        trace.on_request_start.append(self._begin)
        trace.on_request_end.append(partial(self._end, service))
        trace.freeze()
        session.trace_configs.append(trace)

    async def _begin(self, _: aiohttp.ClientSession, context: Any, __: Any) -> None:
        context.began = self.clock()

    async def _end(
        self,
        service: str,
        _: aiohttp.ClientSession,
        context: Any,
        end: aiohttp.TraceRequestEndParams,
    ) -> None:
        rates = RateHeaders.read(end.response.headers)
        if rates.limit is not None:
            # A team is told by its key, which is hashed nowhere but in `team_of`: here by the header that carried it.
            self.rates[end.headers.get("Authorization", "")] = rates
        try:
            date = parsedate_to_datetime(end.response.headers.get("Date", ""))
        except ValueError:
            return
        arrived = self.clock()
        # The header was written between sending and arriving, and cuts off its fraction of a second.
        earliest, latest = context.began - timedelta(seconds=1), arrived
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date
        skew = timedelta()
        if date < earliest:
            skew = date - earliest
        elif date > latest:
            skew = date - latest
        before = self.skews.get(service)
        if before is None or abs(skew) < abs(before):
            self.skews[service] = skew


@dataclass(slots=True)
class _Team:
    """One team's look: its checks, and what its users' checks need of it."""

    checks: list[Check]
    client: salesloft.SalesloftClient | None = None
    """None where Salesloft refuses the key or does not answer."""
    settings: list[salesloft.MeetingSettings] | None = None
    asked_alone: int = 0


def check_mistakes(mistakes: Sequence[ConfigurationMistake]) -> list[Check]:
    """The configuration's mistakes as checks."""
    return [
        failed(
            PROCESS,
            "configuration",
            f"{one.file}{': ' + one.key if one.key else ''}: found {one.found}",
            f"expected {one.expected}",
        )
        for one in mistakes
    ]


async def examine(
    config: Path,
    settings: Settings,
    report: DoctorReport,
    *,
    only: str | None = None,
    patience: float = PATIENCE_SECONDS,
    clock: Clock = now,
) -> AsyncIterator[Check]:
    """Every check in order, as soon as it and all before it are known; `report` collects them."""
    users = [user for user in settings.users if only in (None, user.name)]
    teams: dict[str, list[UserSettings]] = defaultdict(list)
    for user in users:
        teams[team_of(user)].append(user)
    told = _Told(clock)
    async with AsyncExitStack() as stack:
        look = await stack.enter_async_context(_sessions(told, patience, clock))
        # A key's clients count their points together, also where users differ.
        looks = {
            team: asyncio.create_task(look.team(team, members), name=f"team {team}")
            for team, members in teams.items()
        }
        stack.push_async_callback(_give_up, looks.values())
        of_users = [
            asyncio.create_task(look.user(user, looks[team_of(user)]), name=f"user {user.name}")
            for user in users
        ]
        stack.push_async_callback(_give_up, of_users)
        for check in await _process(config, settings, report, patience):
            yield check
        for check in await pushing(settings, users, patience, clock):
            report.checks.append(check)
            yield check
        for task in looks.values():
            for check in (await task).checks:
                report.checks.append(check)
                yield check
        for of_user in of_users:
            for check in await of_user:
                report.checks.append(check)
                yield check
        if users:
            # Last: the clocks are told by all the answers above.
            check = judge_clock(told.skews)
            report.checks.append(check)
            yield check
        report.points = look.points


async def _process(
    config: Path, settings: Settings, report: DoctorReport, patience: float
) -> list[Check]:
    mistakes = [mistake for broken in settings.broken for mistake in broken.mistakes]
    checks = check_mistakes(mistakes)
    if not mistakes:
        checks.append(ok(PROCESS, "configuration", f"{len(settings.users)} users, no mistake"))
    try:
        path = state_place(settings)
        async with asyncio.timeout(patience * 3):
            checks += await asyncio.to_thread(_seen, path)
    except ConfigurationInvalid as invalid:
        checks += check_mistakes(invalid.mistakes)
    except TimeoutError:
        remedy = "is the disk overloaded, or a network disk away? Then `gcal-salesloft state check`"
        checks.append(failed(PROCESS, "state", f"not read within {patience * 3:g} s", remedy))
    default = all(user.salesloft.points_per_minute == DEFAULT_POINTS for user in settings.users)
    share = judge_share(config.name, _instances(config), default_points=default)
    checks += [share] if share else []
    report.checks += checks
    return checks


def _seen(place: StatePlace) -> list[Check]:
    if isinstance(place, Server):
        return judge_server(place, inspect_server(place))
    return judge_state(place, inspect_state(place))


def _instances(config: Path) -> int:
    """How many users' files lie beside the one that is served alone; 1 for a directory."""
    folder = config.absolute().parent
    if not config.is_file() or folder.name != "users":
        return 1
    return sum(not file.name.startswith(".") for file in folder.glob("*.toml"))


async def _give_up(tasks: Any) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _sessions(told: _Told, patience: float, clock: Clock) -> AsyncIterator[_Look]:
    async with (
        google.make_session(
            version=connector.__version__,
            connect_seconds=patience / 2,
            read_seconds=patience,
            total_seconds=patience,
        ) as to_google,
        salesloft.make_session() as to_salesloft,
    ):
        told.listen(to_google, "Google")
        told.listen(to_salesloft, "Salesloft")
        pool = google.RefreshPool(to_google, timeout_seconds=patience)
        try:
            yield _Look(to_google, to_salesloft, pool, told, patience, clock)
        finally:
            await pool.close()


class _Look:
    """The looking itself: each method asks, and hands what it saw to the judges."""

    def __init__(
        self,
        to_google: aiohttp.ClientSession,
        to_salesloft: aiohttp.ClientSession,
        pool: google.RefreshPool,
        told: _Told,
        patience: float,
        clock: Clock,
    ) -> None:
        self._to_google = to_google
        self._to_salesloft = to_salesloft
        self._pool = pool
        self._told = told
        self._patience = patience
        self._clock = clock
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._budgets: list[salesloft.TeamBudget] = []

    @property
    def points(self) -> int:
        return round(sum(budget.spent_in_all for budget in self._budgets))

    async def team(self, team: str, users: Sequence[UserSettings]) -> _Team:
        """Key, permissions and points of one team."""
        scope = f"team {team[:8]}"
        first = users[0].salesloft
        configured = min(user.salesloft.points_per_minute for user in users)
        budget = salesloft.TeamBudget(configured)
        self._budgets.append(budget)
        client = salesloft.SalesloftClient(
            self._to_salesloft, first.api_url, first.api_key.reveal, budget
        )
        me, error = await self._tried("GET /v2/me", client.me)
        who = f"accepted by {first.api_url}"
        if me is not None and me.team_id:
            who += f", team {me.team_id}"
        checks = [of_salesloft.judge_key(scope, error, who)]
        if error is not None:
            return _Team(checks)
        guids = [user.salesloft.user_guid for user in users]
        found, error = await self._tried(
            "the search of meeting settings", partial(client.search_settings, guids)
        )
        checks.append(of_salesloft.judge_permission(scope, _manage_team(users), error))
        _, error = await self._tried(
            "the list of meetings", partial(_one_page, client.list_meetings(status="pending"))
        )
        checks.append(of_salesloft.judge_permission(scope, _meetings(users), error))
        at = self._clock()
        events = client.list_events(salesloft.calendar_id_of(guids[0]), at, at + timedelta(hours=1))
        _, error = await self._tried("the list of events", partial(_one_page, events))
        checks.append(of_salesloft.judge_permission(scope, _EVENTS, error))
        rates = self._told.rates.get(f"Bearer {first.api_key.reveal().strip()}", RateHeaders())
        checks.append(of_salesloft.judge_points(scope, configured, rates.limit, rates.remaining))
        return _Team(checks, client, found)

    async def user(self, user: UserSettings, team: asyncio.Task[_Team]) -> list[Check]:
        """Google for one user, and the user's calendar in Salesloft."""
        scope = f"user {user.name}"
        async with self._gate:
            checks = await self._google(scope, user)
        of_team = await team
        if of_team.client is not None:
            checks += await self._connected(scope, user.salesloft.user_guid, of_team)
        return checks

    async def _connected(self, scope: str, guid: UserGuid, team: _Team) -> list[Check]:
        """The user's calendar in Salesloft; whose settings are not told by their records is asked for alone."""
        if team.settings is None or of_salesloft.settings_of(guid, team.settings) is not None:
            return of_salesloft.judge_user(scope, guid, team.settings)
        found = None
        if team.client is not None and team.asked_alone < MOST_ASKED_ALONE:
            team.asked_alone += 1
            search = partial(team.client.search_settings, [guid])
            found, _ = await self._tried("the search of meeting settings", search)
        return of_salesloft.judge_user(scope, guid, found or [], alone=True)

    async def _google(self, scope: str, user: UserSettings) -> list[Check]:
        account = of_google.Account(
            delegated=user.google.credentials.kind == "service_account",
            info=user.google.credentials.info,
            source=user.google.credentials.source,
            subject=user.google.subject,
            calendar_id=user.google.calendar_id,
            bookings=user.bookings.enabled,
        )
        reading = self._tokens(user, google.READ_SCOPE)
        writing = self._tokens(user, google.WRITE_SCOPE)
        try:
            seen, error = await self._tried(
                "Google's calendar", partial(self._calendar, user, reading)
            )
            checks = of_google.judge_google(scope, account, seen, error)
            if account.bookings and seen is not None:
                _, error = await self._tried("Google's token endpoint", writing.token)
                granted = writing.granted_scopes
                checks.append(of_google.judge_writing(scope, account, granted, error))
            return checks
        finally:
            await reading.close()
            await writing.close()

    async def _calendar(
        self, user: UserSettings, tokens: google.TokenSource
    ) -> google.CalendarSeen:
        delegated = user.google.credentials.kind == "service_account"
        quota_user = google.quota_user(user.google.subject or user.name) if delegated else None
        transport = google.GoogleTransport(
            self._to_google,
            tokens,
            google.RequestLimiter(user.google.requests_per_minute),
            who=user.name,
            policy=google.RetryPolicy(attempts=2, deadline_seconds=self._patience),
        )
        requests = google.CalendarRequests(
            user.google.api_url, user.google.calendar_id, quota_user=quota_user
        )
        return await google.probe_calendar(requests, transport, self._clock())

    def _tokens(self, user: UserSettings, scope: str) -> google.TokenSource:
        return google.TokenSource(
            user.google.credentials.info,
            self._pool,
            kind=user.google.credentials.kind,
            subject=user.google.subject,
            scopes=(scope,),
            who=user.name,
        )

    async def _tried(
        self, what: str, call: Callable[[], Awaitable[Any]]
    ) -> tuple[Any, ConnectorError | None]:
        """The result of one question, or why there is none; what hangs is given up."""
        try:
            async with asyncio.timeout(self._patience):
                return await call(), None
        except ConnectorError as error:
            return None, error
        except TimeoutError:
            return None, RetryLater(f"{what} did not answer within {self._patience:g} s")


async def _one_page(pages: AsyncIterator[Any]) -> None:
    async with aclosing(pages) as walk:  # type: ignore[type-var]  # an async generator
        async for _ in walk:
            return


_EVENTS = of_salesloft.Permission(
    "permission to list events",
    "give the API key the scope to read calendar events, or use a key that has it",
    "a lost state cannot be compared, and `verify` cannot look",
)


def _manage_team(users: Sequence[UserSettings]) -> of_salesloft.Permission:
    return of_salesloft.Permission(
        "permission manage_team",
        "give the API key's owner a role with manage_team (Salesloft: Settings, Roles), or use an administrator's key",
        "who is connected cannot be looked up; the files alone decide who is served, and no banner is put up",
        needed=any(user.roster.mode == "settings" for user in users),
    )


def _meetings(users: Sequence[UserSettings]) -> of_salesloft.Permission:
    return of_salesloft.Permission(
        "permission to list meetings",
        "give the API key the scope to read and update meetings, or set [bookings] enabled = false",
        "meetings booked in Salesloft do not get to Google"
        if any(user.bookings.enabled for user in users)
        else "not needed while bookings are off",
    )
