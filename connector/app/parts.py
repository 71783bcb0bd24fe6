"""Puts the parts together for the users of some settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

import connector
from connector import google, salesloft
from connector.app.bookings import booker_of
from connector.app.clock import Clock, now
from connector.app.gate import gated
from connector.app.to_google import limits_of, project_of, seller_of
from connector.app.to_salesloft import client_of, keep_spent, team_of
from connector.domain.model import UserGuid, UserName
from connector.engines.local import Calendar
from connector.observe.log import get_logger
from connector.observe.observer import NOBODY, Observer
from connector.settings.model import Settings, UserSettings
from connector.store import CalendarState, Database, State
from connector.store.fence import Fence
from connector.store.sharing import loan_of
from connector.sync.bookings import Booker, TeamBookings
from connector.sync.bulk import TeamBulk
from connector.sync.compare import HeldBySalesloft
from connector.sync.cycle import CalendarCycle
from connector.sync.delivery import TeamDelivery
from connector.sync.progress import Progress
from connector.sync.seller import Seller
from connector.sync.sharing import Lender

_log = get_logger(__name__)

ROWS_AT_ONCE = 500
"""Rows of calendars that are looked up in one transaction."""


@dataclass(slots=True)
class Team:
    """One Salesloft team, that is one key at one address: its client with the budget, and its delivery."""

    name: str
    client: salesloft.SalesloftClient
    delivery: TeamDelivery
    bookings: TeamBookings
    held: HeldBySalesloft
    users: dict[UserName, UserSettings] = field(default_factory=dict)

    def agree(self) -> None:
        """Settle what users of one team may set differently: the smallest cap and the shortest interval count."""
        users = self.users.values()
        if not users:
            return
        self.client.budget.set_cap(
            min(user.salesloft.points_per_minute for user in users),
            reserve=max(user.salesloft.reserve for user in users),
        )
        self.delivery.probe_every = min(user.sync.poll_interval for user in users)


@dataclass(slots=True)
class Served:
    """One user who is served, with what is theirs alone."""

    settings: UserSettings
    calendar: Calendar
    tokens: google.TokenSource
    booker: Booker | None
    """What books this user's meetings, if that is wanted."""
    writing: google.TokenSource | None
    project: str
    """What shares one quota at Google."""

    async def close(self) -> None:
        """Give up renewals of tokens."""
        await self.tokens.close()
        if self.writing is not None:
            await self.writing.close()


class Parts:
    """Everything put together. Users come, change and go while it works; teams and limits follow them."""

    def __init__(
        self,
        state: State,
        to_google: aiohttp.ClientSession,
        to_salesloft: aiohttp.ClientSession,
        pool: google.RefreshPool,
        clock: Clock,
        observer: Observer = NOBODY,
    ) -> None:
        """Limits of Google projects are shared with other nodes by `google_share`, the part that is this one's."""
        self.elsewhere: Collection[str] = ()
        """Teams that other nodes serve, or may serve."""
        self.google_share: Callable[[str], float] = lambda _: 1.0
        self.state = state
        self.observer = observer
        self.clock = clock
        self.to_google = to_google
        self.to_salesloft = to_salesloft
        self.pool = pool
        self.teams: dict[str, Team] = {}
        self.live_clients: dict[str, salesloft.SalesloftClient] = {}
        self.live_budgets: dict[str, salesloft.TeamBudget] = {}
        """By team, as they are at any moment: for those who keep hold of them."""
        self.limiters: dict[str, google.RequestLimiter] = {}
        self.served: dict[UserName, Served] = {}
        self.cycle = CalendarCycle(state, self._held_by, clock, self._planned_anew, observer)
        self._projects: Counter[str] = Counter()
        self._halted: set[int] = set()
        self._kept: str | None = None
        self._jobs: set[int] = set()
        self._gone: list[salesloft.SalesloftClient] = []

    @property
    def calendars(self) -> tuple[Calendar, ...]:
        return tuple(served.calendar for served in self.served.values())

    @property
    def deliveries(self) -> dict[str, TeamDelivery]:
        return {name: team.delivery for name, team in self.teams.items()}

    @property
    def bookings(self) -> dict[str, TeamBookings]:
        """Of the teams for which meetings are booked at all."""
        booking = {one.calendar.team for one in self.served.values() if one.booker is not None}
        return {name: self.teams[name].bookings for name in sorted(booking)}

    @property
    def clients(self) -> dict[str, salesloft.SalesloftClient]:
        return {name: team.client for name, team in self.teams.items()}

    def delivery_of(self, calendar: Calendar) -> TeamDelivery:
        return self.teams[calendar.team].delivery

    @property
    def ids(self) -> list[int]:
        """The calendars' rows in the state."""
        return [calendar.id for calendar in self.calendars]

    @property
    def points(self) -> int:
        """What this process spent so far, in all teams."""
        clients = [*self._gone, *self.clients.values()]
        return round(sum(client.budget.spent_in_all for client in clients))

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

    async def add_all(
        self, users: Sequence[UserSettings], coming: Collection[str] = ()
    ) -> list[Served]:
        """Serve several users: all of them, or, if the state cannot be asked now, none.

        Nobody of these names or calendars may be served already. `coming` are all teams served then.
        """
        rows: dict[UserGuid, CalendarState] = {}
        for start in range(0, len(users), ROWS_AT_ONCE):
            some = users[start : start + ROWS_AT_ONCE]
            names = {user.salesloft.user_guid: user.name for user in some}
            rows |= await self.state.calendars_of(names)
        coming = coming or {team_of(user) for user in users}
        teams = {team_of(user): user for user in users}
        for name, user in teams.items():
            if name not in self.teams:
                await self._new_team(name, user, coming)
        added = [self._add(user, rows[user.salesloft.user_guid]) for user in users]
        self._settle(teams)
        return added

    def _settle(self, teams: Iterable[str]) -> None:
        """Users of these teams came or went: agree on what they may set differently."""
        for name in teams:
            if name in self.teams:
                self.teams[name].agree()
        self.share_google()

    def _add(self, user: UserSettings, row: CalendarState) -> Served:
        team = self.teams[team_of(user)]
        team.users[user.name] = user
        team.delivery.names[row.id] = user.name
        team.delivery.look_for_jobs()
        tokens = google.TokenSource(
            user.google.credentials.info,
            self.pool,
            kind=user.google.credentials.kind,
            subject=user.google.subject,
            who=user.name,
        )
        seller = seller_of(user, self.to_google, tokens, self._limiter(user), self.observer)
        interval = user.sync.poll_interval.total_seconds()
        idle = user.sync.poll_interval_idle
        calendar = Calendar(
            seller, row.id, team.name, interval, idle.total_seconds() if idle is not None else None
        )
        booker, writing = None, None
        if user.bookings.enabled:
            booker, writing = booker_of(
                user, row.id, self.to_google, self.pool, self._limiter(user)
            )
        served = Served(user, calendar, tokens, booker, writing, project_of(user))
        self.served[user.name] = served
        self._projects[served.project] += 1
        if team.delivery.bulk is not None:
            team.delivery.bulk.members.add(row.id)
        self.admit(calendar, row)
        return served

    def admit(self, calendar: Calendar, row: CalendarState) -> None:
        """Deliver for a calendar, or not, as its row says.

        What was planned under another policy waits until the calendar was read under the present one.
        """
        delivers = self.delivery_of(calendar).calendars
        is_planned_anew = row.token_fingerprint is None or calendar.seller.judged_alike(
            row.token_fingerprint
        )
        booker, bookings = (
            self.served[calendar.seller.name].booker,
            self.teams[calendar.team].bookings,
        )
        if booker is not None and row.is_served:
            bookings.add(booker)
        else:
            bookings.remove(row.user_guid)
        sends = row.paused_since is None and row.disconnected_since is None
        (self._halted.discard if sends else self._halted.add)(calendar.id)
        if sends and (is_planned_anew or row.left_at is not None):
            delivers.add(calendar.id)
        else:
            delivers.discard(calendar.id)

    def _held_by(self, seller: Seller) -> HeldBySalesloft:
        return self.teams[self.served[seller.name].calendar.team].held

    def _planned_anew(self, seller: Seller) -> None:
        """A reading under the present policy was committed: what waits may go."""
        served = self.served.get(seller.name)
        if served is not None and served.calendar.id not in self._halted:
            self.delivery_of(served.calendar).calendars.add(served.calendar.id)

    async def remove_all(self, names: Iterable[UserName]) -> list[Calendar]:
        """Serve users no longer. What waits stays in the state; teams without users stay for `drop_empty_teams`."""
        removed = [self._remove(name) for name in names]
        self._settle({served.calendar.team for served in removed})
        for served in removed:
            await served.close()
        return [served.calendar for served in removed]

    def _remove(self, name: UserName) -> Served:
        served = self.served.pop(name)
        self._projects[served.project] -= 1
        team = self.teams[served.calendar.team]
        del team.users[name]
        team.delivery.calendars.discard(served.calendar.id)
        team.delivery.names.pop(served.calendar.id, None)
        guid = served.settings.salesloft.user_guid
        if team.delivery.bulk is not None:
            team.delivery.bulk.members.discard(served.calendar.id)
        team.bookings.remove(guid)
        return served

    def sends_for(self, name: str) -> set[int]:
        """The calendars (rows) for which a team may have something in flight."""
        team = self.teams.get(name)
        return set() if team is None else team.delivery.calendars | team.delivery.names.keys()

    async def drop_empty_teams(self, busy: Collection[str] = ()) -> list[str]:
        """Let go of teams that nobody belongs to any more, but of none of the `busy`; gives their names."""
        kept = {self._kept, *busy}
        empty = [t for t in self.teams.values() if not t.users and t.name not in kept]
        for team in empty:
            await self.drop_team(team.name)
        return [team.name for team in empty]

    async def drop_team(self, name: str, *, keep: bool = True) -> None:
        """Let go of a team; `keep` stores what it spent lately."""
        team = self.teams.pop(name, None)
        if team is None:
            return
        del self.live_clients[name], self.live_budgets[name]
        if self.elsewhere:  # another node may spend this team's points from now on
            team.client.budget.close()
        self._gone.append(team.client)
        if keep:
            await keep_spent({name: team.client})

    async def keep_team(self, prototype: UserSettings | None) -> None:
        """Have the team of this user, served or not: its roster finds users without a file. None: no such team."""
        name = None if prototype is None else team_of(prototype)
        self._kept = name
        if prototype is not None and name is not None and name not in self.teams:
            await self._new_team(name, prototype, ())

    async def close(self) -> None:
        """Give up renewals, and keep what the last answers told of costs."""
        for served in self.served.values():
            await served.close()
        await keep_spent(self.clients)

    async def _new_team(self, name: str, user: UserSettings, coming: Collection[str]) -> Team:
        teams = [*(coming or self.teams), name, *self.elsewhere]
        client = await client_of(
            name, [user], self.state, self.to_salesloft, teams, self.observer, self.clock
        )
        loan = await self.state.look(lambda c: loan_of(c, name))
        if loan is not None and not loan.is_over(self.clock()):
            # Granted, perhaps, by the node that held this team before: it holds from our first request on.
            client.budget.lend(loan.points)
        delivery = _delivery(name, user, client, self.state, self.clock)
        delivery.observer = self.observer
        if delivery.bulk is not None:
            delivery.bulk.observer = self.observer
            delivery.bulk.running = self._jobs
        bookings = TeamBookings(name, client, self.state, self.clock)
        team = Team(name, client, delivery, bookings, HeldBySalesloft(client))
        self.teams[name], self.live_clients[name] = team, client
        self.live_budgets[name] = client.budget
        return team

    def _limiter(self, user: UserSettings) -> google.RequestLimiter:
        """One limiter a Google project; what it allows is settled when all users are known."""
        project, limit = project_of(user), user.google.requests_per_minute
        limiter = self.limiters.get(project)
        if limiter is None:
            limiter = self.limiters[project] = google.RequestLimiter(limit)
        return limiter

    def share_google(self) -> None:
        """Set the limit of each project: the smallest that its users ask for, and of that this node's share."""
        for project, limit in limits_of(one.settings for one in self.served.values()).items():
            mine = max(1, int(limit * self.google_share(project)))
            self.limiters[project].set_requests_per_minute(mine)

    def projects(self) -> dict[str, int]:
        """How many calendars are read, by Google project."""
        return {project: count for project, count in self._projects.items() if count}


@asynccontextmanager
async def assemble(
    settings: Settings,
    database: Database,
    clock: Clock = now,
    observer: Observer = NOBODY,
    fence: Fence | None = None,
) -> AsyncIterator[Parts]:
    """Build every part for the users of the settings; close all of them at the end.

    With a `fence`, other nodes share the state, and nothing is sent that it does not allow.
    """
    async with AsyncExitStack() as stack:
        state = State(database)
        stack.callback(state.close)
        if fence is None:
            await state.start()
        else:
            state.holder = lambda: fence.node
        to_google = await stack.enter_async_context(
            google.make_session(
                version=connector.__version__,
                request_class=aiohttp.ClientRequest if fence is None else gated(fence, reads=True),
            )
        )
        # There, reading costs the team's points, which another node may spend.
        to_salesloft = await stack.enter_async_context(
            salesloft.make_session(
                request_class=aiohttp.ClientRequest if fence is None else gated(fence, reads=False)
            )
        )
        pool = google.RefreshPool(to_google)
        stack.push_async_callback(pool.close)
        parts = Parts(state, to_google, to_salesloft, pool, clock, observer)
        stack.push_async_callback(parts.close)
        await parts.add_all(settings.users)
        await stack.enter_async_context(Lender(state, parts.live_budgets).lending())
        yield parts


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
