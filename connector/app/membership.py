"""Who is served while the daemon runs: applies the difference between the users that are wanted and those that are.

Three things change it: the files (`reload`), Salesloft's settings (the roster), and what an admin decides in another
process (`pause`, `resume`, `resync`, `offboard`), which reaches this one through the state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping

from connector.app.parts import Parts, Team
from connector.app.to_salesloft import team_of
from connector.domain.model import UserName
from connector.engines.local import LocalEngine
from connector.engines.rounds import Step
from connector.observe.log import get_logger
from connector.settings.model import UserSettings
from connector.store import CalendarState, leaving
from connector.store.place import decisions

_log = get_logger(__name__)

SPREAD_SECONDS = 0.05
"""First readings of users that come together are spread by this much for each."""
LOOK_EVERY = 1.0
"""Seconds between two looks at what other processes decided."""

TeamRounds = Callable[[Team], Mapping[str, tuple[float, Step]]]
"""What is done for a team again and again: by kind, every so many seconds."""


class Membership:
    """Keeps parts and engine in step with who is wanted, one change at a time."""

    def __init__(self, parts: Parts, engine: LocalEngine, rounds: TeamRounds) -> None:
        self._parts = parts
        self._engine = engine
        self._rounds_of = rounds
        self._kinds: dict[str, set[str]] = {}
        self._version: int | None = None
        self._changing = asyncio.Lock()
        engine.rounds.every(LOOK_EVERY, "decisions", self.look)

    def renew_rounds(self) -> None:
        """Have the rounds of every team as they are wanted now."""
        self._keep_rounds()

    async def become(self, users: Iterable[UserSettings]) -> None:
        """Serve exactly these users from now on. Who is unchanged notices nothing."""
        async with self._changing:
            await self._become(users)

    async def _become(self, users: Iterable[UserSettings]) -> None:
        wanted = {user.name: user for user in users}
        served = self._parts.served
        gone = [name for name in served if name not in wanted]
        changed = [n for n, one in served.items() if n in wanted and one.settings != wanted[n]]
        new = [name for name in wanted if name not in served]
        # All go before any comes: a name or a calendar may have passed from one to another.
        for calendar in await self._parts.remove_all((*gone, *changed)):
            self._engine.drop(calendar.id)
        coming = {team_of(user) for user in wanted.values()}
        for one in await self._parts.add_all([wanted[n] for n in (*changed, *new)], coming):
            calendar = one.calendar
            self._engine.serve_team(calendar.team, self._parts.delivery_of(calendar))
            self._engine.serve(calendar, within=(len(changed) + len(new)) * SPREAD_SECONDS)
        busy = await self._send_last_words()
        for team in await self._parts.drop_empty_teams(busy):
            self._engine.drop_team(team)
        self._keep_rounds()
        for name in new:
            _log.info("user_added", user=name)
        for name in changed:
            _log.info("user_changed", user=name)
        for name in gone:
            _log.info("user_removed", user=name)

    async def let_go(self, team: str, *, at_once: bool) -> Collection[int]:
        """Serve nobody of a team any more; returns when nothing of it runs. `at_once` settles and writes nothing.

        Gives the calendars of which something may be left in flight that was not answered in time.
        """
        async with self._changing:
            names = [n for n, one in self._parts.served.items() if one.calendar.team == team]
            readings = [self._engine.drop(self._parts.served[name].calendar.id) for name in names]
            await asyncio.gather(
                *(one for one in readings if one is not None),
                self.end_rounds(team, at_once=at_once),
                self._engine.end_team(team, at_once=at_once),
                return_exceptions=True,
            )
            calendars = self._parts.sends_for(team)
            await self._parts.remove_all(names)
            await self._parts.drop_team(team, keep=not at_once)
            return calendars

    async def end_rounds(self, team: str, *, at_once: bool) -> None:
        """Do nothing more for a team again and again; returns when nothing of that runs."""
        rounds = [f"{kind} {team}" for kind in self._kinds.pop(team, ())]
        await self._engine.rounds.finish(rounds, at_once=at_once)

    def _keep_rounds(self) -> None:
        """Every team has its rounds, at the pace that its users ask for; a team that is gone has none."""
        rounds = self._engine.rounds
        before, self._kinds = self._kinds, {}
        for name, team in self._parts.teams.items():
            wanted = self._rounds_of(team)
            self._kinds[name] = set(wanted)
            for kind, (seconds, step) in wanted.items():
                rounds.every(seconds, f"{kind} {name}", step)
        for name, kinds in before.items():
            for kind in kinds - self._kinds.get(name, set()):
                rounds.drop(f"{kind} {name}")

    async def look(self) -> None:
        """Do what other processes decided, if any of them wrote to the state since the last look."""
        version = await self._parts.state.look(decisions)
        if version != self._version:
            self._version = version
            await self.obey()

    async def obey(self) -> None:
        """Bring readings and deliveries in step with the rows of the calendars."""
        # Before anything is hastened: a reading that still sees the row as it was would not come again.
        self._parts.state.look_again()
        rows = await self._parts.state.calendars_of_rows(self._parts.ids)
        for served in tuple(self._parts.served.values()):
            row = rows.get(served.calendar.id)
            if row is not None:
                self._obey(served.settings.name, row)
        await self._send_last_words()

    async def _send_last_words(self) -> set[str]:
        """Cancellations of users who left go out, also of those whose file is gone. Gives the teams that do it."""
        busy = set()
        served = {one.calendar.id for one in self._parts.served.values()}
        words = await self._parts.state.look(leaving.last_words)
        rows = await self._parts.state.calendars_of_rows(words) if words else {}
        for calendar, name in words.items():
            team = self._parts.teams.get(name)
            row = rows.get(calendar)
            if team is None or row is None or calendar in served:
                continue
            if row.paused_since is None and row.disconnected_since is None:
                busy.add(name)
                team.delivery.calendars.add(calendar)
                if team.delivery.bulk is not None:
                    team.delivery.bulk.members.add(calendar)
            else:
                team.delivery.calendars.discard(calendar)
        return busy

    def _obey(self, name: UserName, row: CalendarState) -> None:
        calendar = self._parts.served[name].calendar
        self._parts.admit(calendar, row)
        if not row.is_served:
            return
        if row.resync_is_due or not self._engine.is_in_line(calendar):
            self._engine.hasten(calendar.id)
