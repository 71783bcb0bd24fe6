"""The daemon: everything put together, until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path

from connector.app.membership import Membership
from connector.app.observability import Observability, observability
from connector.app.opening import open_for, state_place
from connector.app.parts import Parts, Team, assemble
from connector.app.push import Push
from connector.app.reload import Reloading, on_hangup
from connector.app.roster import Rosters, connections_of, purge_gone
from connector.app.standing import Served
from connector.app.to_salesloft import team_of
from connector.domain.model import UserGuid, UserName
from connector.engines.local import LocalEngine
from connector.engines.rounds import Step
from connector.observe.systemd import ServiceManager
from connector.salesloft import SalesloftClient
from connector.settings.model import Settings, UserSettings
from connector.store import lock_state, open_database
from connector.sync.connection import Connections
from connector.sync.explain import explain
from connector.sync.explanation import as_json
from connector.sync.nightly import NightlyUser, NightlyVerifier
from connector.sync.reconcile import LastInLine
from connector.sync.seller import Seller
from connector.sync.upkeep import keep_small

Run = Callable[[asyncio.Event], Awaitable[None]]
"""Runs until the event is set."""
LOOK_UP_FIRST_SECONDS = 10.0
"""How long a start waits for Salesloft to say who is connected; then those are served who were the last time."""
BANNERS_EVERY = 5.0
VERIFY_LOOKS_EVERY = 60.0
UPKEEP_EVERY = timedelta(hours=1)


async def run_daemon(
    settings: Settings, stopping: asyncio.Event, config: Path | None = None
) -> int:
    """Poll and deliver until `stopping`; 0. Changes of the files at `config` take effect meanwhile."""
    if settings.process.engine == "distributed":
        from connector.app.nodes import run_node  # loads Procrastinate: only where it has work

        return await run_node(settings, stopping, config)
    path = state_place(settings)
    with lock_state(path):
        async with observability(settings, path, stopping) as shown:
            database, looked_up = await open_for(
                settings, open_database(path), stopping, patience=LOOK_UP_FIRST_SECONDS
            )
            async with assemble(looked_up.settings, database, observer=shown.observer) as parts:
                service = Service(parts, settings, looked_up.settings.users, config)
                service.show(shown)
                try:
                    await service.run(stopping)
                finally:
                    await service.push.close()
                    await shown.detach()
    return 0


class Service:
    """The running daemon: the engine, who is served, and what is done for each team again and again."""

    def __init__(
        self,
        parts: Parts,
        settings: Settings,
        served: tuple[UserSettings, ...],
        config: Path | None,
        holds: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """`holds` tells whether a team is to be served by this process at all."""
        self._holds = holds
        self.parts = parts
        self.settings = settings
        self._manager = ServiceManager()
        self._stopping = asyncio.Event()
        self._becoming = asyncio.Lock()
        self.engine = LocalEngine(
            parts.calendars, parts.cycle, parts.deliveries, parts.state, self._manager
        )
        files = {user.name for user in settings.users}
        self._fileless = {user.name: user for user in served if user.name not in files}
        self.rosters = Rosters(lambda: self.settings, parts.state, parts.live_clients, parts.clock)
        self._nightly = NightlyVerifier(parts.state, self._last_in_line, parts.clock)
        self._connections: dict[str, tuple[SalesloftClient, Connections]] = {}
        self.push = Push(
            parts,
            self.engine,
            lambda: self.settings,
            shares_port=settings.process.engine == "distributed",
        )
        self.membership = Membership(parts, self.engine, self._rounds_of)
        self.reloading = (
            Reloading(config, settings, self._become, self._tell_manager)
            if config is not None
            else None
        )

    def _tell_manager(self, begins: bool) -> None:
        """systemd counts a reload as under way until it hears that the service is ready again."""
        if begins:
            self._manager.reloading("reading the configuration")
        else:
            self._manager.ready(f"{len(self.parts.served)} users")

    def show(self, shown: Observability) -> None:
        """Let metrics, health and status page look at this service."""
        shown.attach(self._standing, self.engine.stuck, self._explain)

    def _standing(self) -> Served:
        """Whom this daemon serves now, as the status page shows it."""
        return Served(
            calendars={one.id: (one.seller.name, one.team) for one in self.parts.calendars},
            budgets=dict(self.parts.live_budgets),
            broken={one.name: str(one.mistakes[0]) for one in self.settings.broken},
        )

    async def _explain(self, user: str, event_id: str) -> object:
        """One event as `gcal-salesloft explain` tells it; None for a user who is not served."""
        served = self.parts.served.get(UserName(user))
        if served is None:
            return None
        found = await explain(
            event_id,
            served.calendar.seller,
            self.parts.state,
            now=self.parts.clock(),
            origins=served.settings.origins,
        )
        return as_json(found)

    async def run(self, stopping: asyncio.Event, engine: Run | None = None) -> None:
        """Until `stopping`. `engine` runs ours, and whatever is beside it."""
        run = engine or self.engine.run
        self._stopping = stopping
        self.membership.renew_rounds()
        await self.push.start()
        await self._become(self.settings)
        self.engine.rounds.every(UPKEEP_EVERY.total_seconds(), "upkeep", self._keep_up)
        self.engine.rounds.every(VERIFY_LOOKS_EVERY, "verify", self._verify)
        if self.reloading is None:
            await run(stopping)
            return
        reloading = asyncio.create_task(self.reloading.run(stopping), name="reload")
        reloading.add_done_callback(self.engine.watch)
        try:
            with on_hangup(self.reloading.ask):
                await run(stopping)
        finally:
            reloading.cancel()
            await asyncio.gather(reloading, return_exceptions=True)

    async def serve_held(self) -> None:
        """Other teams are to be served here than before."""
        await self._become(self.settings)

    async def let_go(self, team: str, *, at_once: bool) -> Collection[int]:
        """Serve a team no more; returns when nothing of it runs. `at_once` settles and writes nothing.

        Gives the calendars of which something may be left in flight.
        """
        if at_once:  # before anything else, which may have to wait for the state
            await self.engine.end_team(team, at_once=True)
        # A look-up of the roster waits for the lock itself, and a comparison could still mend what is another's soon.
        await self.membership.end_rounds(team, at_once=at_once)
        await self.engine.rounds.finish(("verify",), at_once=True)
        try:
            async with self._becoming:
                return await self.membership.let_go(team, at_once=at_once)
        finally:
            self.engine.rounds.every(VERIFY_LOOKS_EVERY, "verify", self._verify)

    async def _become(self, settings: Settings) -> None:
        """Serve whom these settings name, and whom Salesloft named besides."""
        self.settings = settings
        async with self._becoming:
            await self._serve_all(self.settings)  # while this waited there may have come newer ones

    async def _serve_all(self, settings: Settings) -> None:
        template = settings.template
        if template is None:
            self._fileless.clear()
        prototype = template.prototype if template is not None else None
        is_ours = prototype is not None and self._holds(team_of(prototype))
        await self.parts.keep_team(prototype if is_ours else None)
        files = {user.name for user in settings.users} | {one.name for one in settings.broken}
        guids = {user.salesloft.user_guid for user in settings.users}
        found = [
            user
            for name, user in self._fileless.items()
            if name not in files and user.salesloft.user_guid not in guids
        ]
        users = (*settings.users, *found)
        await self.membership.become([user for user in users if self._holds(team_of(user))])

    def _rounds_of(self, team: Team) -> Mapping[str, tuple[float, Step]]:
        """What is done for one team, and how often."""
        if not self._holds(team.name):
            return {}
        pause = self.rosters.teams().get(team.name)
        polls = [user.sync.poll_interval.total_seconds() for user in team.users.values()]
        banners = min(BANNERS_EVERY, *polls, BANNERS_EVERY)
        connections = self._connections_of(team)
        rounds: dict[str, tuple[float, Step]] = {"banners": (banners, connections.round)}
        if pause is not None:
            rounds["roster"] = (pause.total_seconds(), partial(self._look_up, team.name))
        enabled = [user.bookings for user in team.users.values() if user.bookings.enabled]
        if enabled:
            interval = min(bookings.interval for bookings in enabled).total_seconds()
            rounds["bookings"] = (interval, partial(team.bookings.round, self._stopping))
        return rounds

    async def _look_up(self, team: str) -> None:
        """Ask Salesloft who is connected, and serve accordingly."""
        served = await self.rosters.round(team)
        template = self.settings.template
        finds_users = template is not None and team_of(template.prototype) == team
        if finds_users and not (served.failed and self._fileless):
            files = {user.name for user in self.settings.users}
            self._fileless = {user.name: user for user in served.users if user.name not in files}
            await self._become(self.settings)
        if served.transitions or served.reconnected:
            await self.membership.obey()

    def _connections_of(self, team: Team) -> Connections:
        """The banners of one team; anew for a team that went and came back with another client."""
        client, known = self._connections.get(team.name, (None, None))
        if known is None or client is not team.client:
            guids = partial(self._guids, team.name)
            known = connections_of(
                team.name, team.client, self.parts.state, guids, self.parts.clock
            )
            self._connections[team.name] = (team.client, known)
        return known

    def _guids(self, team: str) -> set[UserGuid]:
        known = self.parts.teams.get(team)
        users = known.users.values() if known is not None else ()
        return {user.salesloft.user_guid for user in users}

    def _last_in_line(self, seller: Seller) -> LastInLine:
        return LastInLine(self.parts.clients[self.parts.served[seller.name].calendar.team])

    async def _verify(self) -> None:
        """Compare what is due tonight; what mends a difference goes out at once."""
        served = list(self.parts.served.values())
        users = [
            NightlyUser(one.calendar.seller, one.settings.sync.verify_repair)
            for one in served
            if one.settings.sync.verify == "nightly"
        ]
        mended = set(await self._nightly.run_due(users))
        for one in served:
            if one.calendar.id in mended and one.calendar.team in self.parts.teams:
                self.parts.delivery_of(one.calendar).wake()

    async def _keep_up(self) -> None:
        """Keep the state small; forget who left long ago."""
        clock, state = self.parts.clock, self.parts.state
        await keep_small(state, state_place(self.settings), clock(), self._stopping)
        users: dict[UserName, UserSettings] = {
            name: served.settings for name, served in self.parts.served.items()
        }
        # Other nodes' users count, too: it is asked of every calendar in the state.
        users |= {user.name: user for user in self.settings.users}
        if users:
            keep_for = max(user.roster.keep_state_for for user in users.values())
            await purge_gone(state, keep_for, clock())
