"""Who of one Salesloft team is connected: its meeting settings, looked up again and again.

A round is one request where nothing changed: what was updated since the newest update seen, less an overlap; in full at
the start, once a day, and when a user is new here. Never filtered by calendar type, or who left would never show.
A key that may not look (403), a path that is not there, an answer that makes no sense: the files alone decide then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from connector.domain.errors import CredentialsRefused, RequestRefused, RetryLater
from connector.domain.model import UserGuid, UserName
from connector.domain.roster import OVERLAP, Change, full_is_due, later_cursor, name_for
from connector.observe.log import get_logger
from connector.salesloft import MeetingSettings, Urgency
from connector.store import CalendarState, State
from connector.store import roster as rows
from connector.store.calendars import names as every_name
from connector.store.connection import Connection as StateConnection
from connector.store.roster import Told, Transition

_log = get_logger(__name__)

REFUSED_FOR = timedelta(days=1)
"""How long a refused look-up is not repeated: somebody must grant something first."""
BACKOFF_FIRST, BACKOFF_MOST = timedelta(seconds=1), timedelta(seconds=60)


class SearchesSettings(Protocol):
    """Salesloft's search of meeting settings. Without the permission a RequestRefused of status 403."""

    async def search_settings(
        self,
        user_guids: Sequence[UserGuid] | None,
        updated_since: datetime | None = None,
        *,
        urgency: Urgency,
    ) -> list[MeetingSettings]: ...


@dataclass(frozen=True, slots=True)
class Member:
    """A user of the team who has a file. `confirmed`: Salesloft's settings decide whether they are served."""

    guid: UserGuid
    name: UserName
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """A connected user without a file; `email` is whom a service account acts for."""

    guid: UserGuid
    name: UserName
    email: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RosterReport:
    """How a round ended. `found` are all connected users without a file, as far as is known.

    `refused`: Salesloft refuses the key (401). `failed`: nothing was learnt this time, what was known still holds.
    """

    transitions: tuple[Transition, ...] = ()
    found: tuple[Found, ...] = ()
    failed: bool = False
    refused: CredentialsRefused | None = None
    reconnected: bool = False
    """Somebody is served again because the files alone decide now."""


class TeamRoster:
    """The roster of one team. `members` gives the users with files as they are now.

    `finds_users`: users need no file; the whole team is looked up.
    """

    def __init__(
        self,
        team: str,
        client: SearchesSettings,
        state: State,
        members: Callable[[], Sequence[Member]],
        *,
        finds_users: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._team = team
        self._client = client
        self._state = state
        self._members = members
        self._finds_users = finds_users
        self._clock = clock
        self._found: dict[UserGuid, Found] = {}
        self._full_at: datetime | None = None
        self._asked: frozenset[UserGuid] = frozenset()
        self._not_before: datetime | None = None
        self._failures = 0
        self._said: set[str] = set()

    async def round(self) -> RosterReport:
        """One look-up and what follows from it. Never raises for what Salesloft answers; RetryLater for the state."""
        members = self._members()
        reconnected = await self._serve_unconfirmed(members)
        report = await self._round(members)
        return replace(report, reconnected=reconnected)

    async def _round(self, members: Sequence[Member]) -> RosterReport:
        confirmed = {member.guid: member for member in members if member.confirmed}
        if not self._may_look(confirmed):
            return self._report(failed=self._not_before is not None)
        try:
            return await self._look_up(confirmed)
        except RetryLater as later:
            self._failures += 1
            pause = later.after_seconds
            self._wait(
                timedelta(seconds=pause)
                if pause is not None
                else min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** min(self._failures, 10))
            )
            _log.warning("roster_unread", team=self._team, message=str(later))
            return self._report(failed=True)
        except RequestRefused as refused:
            self._wait(REFUSED_FOR)
            self._say_refused(refused)
            return self._report(failed=True)
        except CredentialsRefused as refused:
            self._failures += 1
            self._wait(BACKOFF_MOST)
            return self._report(failed=True, refused=refused)

    def _may_look(self, confirmed: dict[UserGuid, Member]) -> bool:
        if not confirmed and not self._finds_users:
            return False
        until, now = self._not_before, self._clock()
        # Further ahead than any pause, it was set before the clock went back.
        return until is None or now >= until or until - now > REFUSED_FOR

    def _wait(self, pause: timedelta) -> None:
        self._not_before = self._clock() + min(pause, REFUSED_FOR)

    def _report(
        self,
        transitions: Iterable[Transition] = (),
        *,
        failed: bool = False,
        refused: CredentialsRefused | None = None,
    ) -> RosterReport:
        found = tuple(sorted(self._found.values(), key=lambda one: one.name))
        return RosterReport(tuple(transitions), found, failed, refused)

    async def _serve_unconfirmed(self, members: Sequence[Member]) -> bool:
        """Where the files alone decide, what Salesloft said once no longer counts. True if that changed anything."""
        guids = [member.guid for member in members if not member.confirmed]
        if not guids:
            return False
        again = await self._state.run(lambda c: rows.reconnect(c, guids))
        for _, name in again:
            _log.info("user_served_again", user=name, message="[roster] mode is files")
        return bool(again)

    async def _look_up(self, confirmed: dict[UserGuid, Member]) -> RosterReport:
        now = self._clock()
        guids = frozenset(confirmed)
        cursor = await self._state.look(lambda c: rows.cursor(c, self._team))
        full = full_is_due(self._full_at, now) or cursor is None or not guids <= self._asked
        seen = await self._client.search_settings(
            None if self._finds_users else sorted(guids),
            None if full or cursor is None else cursor - OVERLAP,
            urgency=Urgency.BANNER_AND_BOOKINGS,
        )
        known = await self._state.look(lambda c: rows.members(c, self._team))
        calendars = await self._state.calendars_of_users(
            guids | known | self._found.keys() | {UserGuid(row.user_guid.lower()) for row in seen},
            [row.id for row in seen],
        )
        by_guid = await self._identified(seen, confirmed, calendars, full=full)
        names = await self._state.look(every_name) if self._finds_users else {}
        told = self._told(by_guid, confirmed, calendars, known, names)
        if full and self._finds_users:
            told += await self._vanished(by_guid, confirmed, calendars, known)
        for row in seen:
            cursor = later_cursor(cursor, row.updated_at, now)
        found = frozenset(self._found)
        forgotten = {one.guid for one in told if one.calendar_type != "external"}

        def keep(connection: StateConnection) -> list[Transition]:
            if cursor is not None:
                rows.keep_cursor(connection, self._team, cursor)
            if self._finds_users:
                kept = found | known if not full else found
                rows.keep_members(connection, self._team, kept - forgotten - guids)
            return rows.note(connection, told, now)

        transitions = await self._state.run(keep)
        self._failures, self._not_before = 0, None
        if full:
            self._full_at, self._asked = now, guids
            self._say_missing(guids - by_guid.keys(), confirmed)
        self._said.discard("refused")
        for transition in transitions:
            self._tell(transition)
        return self._report(transitions)

    async def _identified(
        self,
        seen: Sequence[MeetingSettings],
        confirmed: dict[UserGuid, Member],
        calendars: dict[UserGuid, CalendarState],
        *,
        full: bool,
    ) -> dict[UserGuid, MeetingSettings]:
        """The settings by user. Only an external calendar's id tells the GUID; others are known by their settings' id.

        Settings that are not known either are asked for user by user, once: with one GUID in the filter, the answer is
        that user's.
        """
        of_settings = {row.settings_id: guid for guid, row in calendars.items() if row.settings_id}
        by_guid: dict[UserGuid, MeetingSettings] = {}
        nameless = 0
        for row in seen:
            guid = UserGuid(row.user_guid.lower()) or of_settings.get(row.id)
            if guid:
                by_guid[guid] = row
            else:
                nameless += 1
        if full and nameless:
            for guid in sorted(confirmed.keys() - by_guid.keys()):
                alone = await self._alone(guid)
                if alone is not None:
                    by_guid[guid] = alone
        return by_guid

    async def _alone(self, guid: UserGuid) -> MeetingSettings | None:
        """The settings of one user; None if there are none, or the filter was not heeded."""
        found = await self._client.search_settings([guid], urgency=Urgency.BANNER_AND_BOOKINGS)
        mine = [row for row in found if row.user_guid.lower() in ("", guid)]
        return mine[0] if len(found) == 1 and mine else None

    def _told(
        self,
        by_guid: dict[UserGuid, MeetingSettings],
        confirmed: dict[UserGuid, Member],
        calendars: dict[UserGuid, CalendarState],
        known: frozenset[UserGuid],
        names: Mapping[UserGuid, UserName],
    ) -> list[Told]:
        """What concerns users who are served, or will be."""
        named = {member.guid for member in self._members()}
        taken = {member.name for member in self._members()}
        taken |= {name for guid, name in names.items() if guid not in named}
        told = []
        for guid, row in sorted(by_guid.items()):
            if guid in confirmed:
                name = confirmed[guid].name
            elif not self._finds_users or guid in named:
                continue
            elif row.is_external and guid in self._found and not row.email_address:
                name = self._found[guid].name
            elif row.is_external and row.email_address:
                held = calendars.get(guid)
                name = held.name if held is not None else name_for(row.email_address, guid, taken)
                taken.add(name)
                self._found[guid] = Found(guid, name, row.email_address)
            elif guid in known or guid in self._found:
                self._found.pop(guid, None)
                name = calendars[guid].name if guid in calendars else UserName(guid)
            else:
                continue
            told.append(_told(guid, name, row))
        for guid in named & self._found.keys():
            del self._found[guid]  # they have a file by now
        return told

    async def _vanished(
        self,
        by_guid: dict[UserGuid, MeetingSettings],
        confirmed: dict[UserGuid, Member],
        calendars: dict[UserGuid, CalendarState],
        known: frozenset[UserGuid],
    ) -> list[Told]:
        """Users without a file whom a full look-up lacks, asked for once more: pages may shift while they are read."""
        told = []
        for guid in sorted((known | self._found.keys()) - by_guid.keys() - confirmed.keys()):
            alone = await self._alone(guid)
            name = calendars[guid].name if guid in calendars else UserName(guid)
            if alone is not None and alone.is_external and alone.email_address:
                self._found[guid] = Found(guid, name, alone.email_address)
                told.append(_told(guid, name, alone))
                continue
            self._found.pop(guid, None)
            kind = alone.calendar_type if alone is not None else "none"
            told.append(Told(guid, name, alone.id if alone else "", kind))
        return told

    def _tell(self, transition: Transition) -> None:
        match transition.change:
            case Change.JOINED:
                _log.info("user_connected", user=transition.name)
            case Change.RETURNED:
                _log.info(
                    "user_connected_again",
                    user=transition.name,
                    message="external again: compared with Salesloft's list first, only what differs is sent",
                )
            case Change.LEFT:
                dropped = transition.dropped
                recalled = (
                    f"; {dropped.in_job} in a running bulk job cannot be recalled"
                    if dropped.in_job
                    else ""
                )
                _log.warning(
                    "user_disconnected",
                    user=transition.name,
                    calendar_type=transition.calendar_type,
                    dropped=dropped.rows,
                    dropped_cancellations=dropped.cancels,
                    in_bulk_job=dropped.in_job,
                    message=f"no longer external in Salesloft: nothing more is sent; {dropped.rows} waiting"
                    f" changes dropped, {dropped.cancels} of them cancellations{recalled}",
                )

    def _say_missing(self, missing: Iterable[UserGuid], confirmed: dict[UserGuid, Member]) -> None:
        for guid in sorted(missing):
            if guid not in self._said:
                self._said.add(guid)
                _log.warning(
                    "user_without_settings",
                    user=confirmed[guid].name,
                    message="Salesloft has no meeting settings for [salesloft] user_guid; served from the file",
                )

    def _say_refused(self, refused: RequestRefused) -> None:
        """Once, until a look-up succeeds again."""
        if "refused" not in self._said:
            self._said.add("refused")
            _log.warning(
                "roster_refused",
                team=self._team,
                message=f"who is connected cannot be looked up, the users' files alone decide: {refused}",
            )


def _told(guid: UserGuid, name: UserName, row: MeetingSettings) -> Told:
    return Told(guid, name, row.id, row.calendar_type, row.primary_calendar_connection_failed)
