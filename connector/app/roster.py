"""Who is served: the users' files and Salesloft's meeting settings put together, team by team.

`Rosters` has one `TeamRoster` a team and turns what it learns into the users to serve; `Connections` of a team shows
and takes down banners. The daemon calls both again and again; one-shots once each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from connector.app.clock import Clock, now
from connector.app.to_salesloft import clients_of, keep_spent, team_of
from connector.domain.errors import ConfigurationMistake, CredentialsRefused
from connector.domain.model import UserGuid, UserName
from connector.domain.roster import Change
from connector.observe.log import get_logger
from connector.salesloft import SalesloftClient, make_session
from connector.settings.model import Settings, UserSettings
from connector.settings.roster import user_without_file
from connector.store import Database, State
from connector.store import roster as rows
from connector.store.roster import Transition
from connector.sync.connection import Connections
from connector.sync.roster import Found, Member, RosterReport, TeamRoster

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NotServed:
    """A user who is not `external` in Salesloft: not read, nothing sent."""

    name: UserName
    calendar_type: str

    def __str__(self) -> str:
        return f"{self.name}: not served: calendar type in Salesloft is '{self.calendar_type}', not 'external'"


@dataclass(frozen=True, slots=True)
class Served:
    """What a round came to, for one team: all who are to be served now, and all who are not.

    `failed`: nothing was learnt this time; the users are those that were known before. `refused`: the key is refused.
    """

    team: str
    users: tuple[UserSettings, ...]
    not_served: tuple[NotServed, ...] = ()
    transitions: tuple[Transition, ...] = ()
    failed: bool = False
    refused: CredentialsRefused | None = None
    reconnected: bool = False
    """Somebody is served again because the files alone decide now."""


class Rosters:
    """The rosters of all teams. `settings` gives the settings as they are now; `clients` is by team.

    Teams come and go with the settings; a team needs its client in `clients` before its round.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        state: State,
        clients: Mapping[str, SalesloftClient],
        clock: Clock = now,
    ) -> None:
        self._settings = settings
        self._state = state
        self._clients = clients
        self._clock = clock
        self._rosters: dict[tuple[str, bool], tuple[SalesloftClient, TeamRoster]] = {}
        self._said: set[UserName] = set()
        self._grouped: tuple[Settings, dict[str, list[UserSettings]]] | None = None

    def teams(self) -> dict[str, timedelta]:
        """Every team with the pause between its rounds: the shortest `[roster] interval` of its users."""
        pauses: dict[str, timedelta] = {}
        for team, users in self._by_team().items():
            pauses[team] = min(user.roster.interval for user in users)
        return pauses

    def _by_team(self) -> dict[str, list[UserSettings]]:
        settings = self._settings()
        if self._grouped is None or self._grouped[0] is not settings:
            self._grouped = settings, _by_team(settings)
        return self._grouped[1]

    async def round(self, team: str) -> Served:
        """One look-up of a team, and who is to be served after it."""
        report = await self._roster(team).round()
        settings = self._settings()
        mine = [user for user in self._by_team().get(team, ()) if not self._is_prototype(user)]
        states = await self._state.calendars_of_users([one.salesloft.user_guid for one in mine])
        users, not_served = [], []
        for user in mine:
            row = states.get(user.salesloft.user_guid)
            if row is not None and row.disconnected_since is not None:
                not_served.append(NotServed(user.name, row.calendar_type or "unknown"))
            else:
                users.append(user)
        taken = {u.salesloft.user_guid for u in settings.users} if report.found else set()
        for found in report.found:
            # A user whose file is broken is parked, not served from what connector.toml says.
            broken = any(one.name == found.name for one in settings.broken)
            if broken or found.guid in taken:
                continue
            fileless = self._without_file(settings, found)
            if fileless is not None:
                users.append(fileless)
        return self._served(team, users, not_served, report)

    def _served(
        self,
        team: str,
        users: list[UserSettings],
        not_served: list[NotServed],
        report: RosterReport,
    ) -> Served:
        named = {user.name for user in users} | {one.name for one in not_served}
        not_served += [
            NotServed(one.name, one.calendar_type)
            for one in report.transitions
            if one.change is Change.LEFT and one.name not in named
        ]
        return Served(
            team,
            tuple(users),
            tuple(not_served),
            report.transitions,
            report.failed,
            report.refused,
            report.reconnected,
        )

    def _without_file(self, settings: Settings, found: Found) -> UserSettings | None:
        if settings.template is None:
            return None
        user = user_without_file(settings.template, found.name, found.guid, found.email)
        if not isinstance(user, ConfigurationMistake):
            return user
        if found.name not in self._said:
            self._said.add(found.name)
            _log.error("user_unfit", user=found.name, message=str(user))
        return None

    def _roster(self, team: str) -> TeamRoster:
        template = self._settings().template
        finds_users = template is not None and team_of(template.prototype) == team
        client = self._clients[team]
        known, roster = self._rosters.get((team, finds_users), (None, None))
        if roster is None or known is not client:  # the first, or the team went and came back
            roster = TeamRoster(
                team,
                client,
                self._state,
                partial(self._members, team),
                finds_users=finds_users,
                clock=self._clock,
            )
            self._rosters[team, finds_users] = (client, roster)
        return roster

    def _members(self, team: str) -> list[Member]:
        return [
            Member(user.salesloft.user_guid, user.name, user.roster.mode != "files")
            for user in self._by_team().get(team, ())
            if not self._is_prototype(user)
        ]

    def _is_prototype(self, user: UserSettings) -> bool:
        template = self._settings().template
        return template is not None and user is template.prototype


def connections_of(
    team: str,
    client: SalesloftClient,
    state: State,
    guids: Callable[[], set[UserGuid]],
    clock: Clock = now,
) -> Connections:
    """The banners of one team, of the users that `guids` gives."""
    return Connections(team, client, state, guids, clock)


async def purge_gone(state: State, keep_for: timedelta, at: datetime) -> list[UserName]:
    """Forget the calendars of users who left Salesloft `keep_for` ago; for housekeeping. Gives their names."""
    gone = await state.run(lambda c: rows.purge_disconnected(c, at - keep_for))
    for name in gone:
        _log.info(
            "state_purged", user=name, message="no longer external since [roster] keep_state_for"
        )
    return gone


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What a one-shot knows before it begins: the settings with exactly the users to serve, and what it cost."""

    settings: Settings
    not_served: tuple[NotServed, ...] = ()
    points: float = 0.0
    refused: CredentialsRefused | None = None
    unknown: str | None = None
    """Set if users without a file could not be found."""


async def look_up_first(settings: Settings, database: Database, clock: Clock = now) -> LookedUp:
    """One round of every team's roster, before anything is read: whom a one-shot serves."""
    state = State(database)
    users = [user for members in _by_team(settings).values() for user in members]
    async with make_session() as session:
        clients = await clients_of(users, state, session)
        rosters = Rosters(lambda: settings, state, clients, clock)
        try:
            served = [await rosters.round(team) for team in rosters.teams()]
        finally:
            await keep_spent(clients)
    refused = next((one.refused for one in served if one.refused is not None), None)
    unknown = None
    if settings.template is not None:
        team = team_of(settings.template.prototype)
        if any(one.failed for one in served if one.team == team):
            unknown = (
                "users without a file are not served: Salesloft's meeting settings could not be looked up"
                ' ([roster] mode is "settings"; see the log)'
            )
    return LookedUp(
        replace(settings, users=tuple(user for one in served for user in one.users)),
        tuple(one for team in served for one in team.not_served),
        sum(client.budget.spent_in_all for client in clients.values()),
        refused,
        unknown,
    )


def _by_team(settings: Settings) -> dict[str, list[UserSettings]]:
    """The users of every team; of the team that needs no files also the prototype of its users."""
    teams: dict[str, list[UserSettings]] = defaultdict(list)
    if settings.template is not None:
        prototype = settings.template.prototype
        teams[team_of(prototype)].append(prototype)
    for user in settings.users:
        teams[team_of(user)].append(user)
    return dict(teams)
