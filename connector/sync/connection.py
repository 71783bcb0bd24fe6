"""The red banner in Salesloft of users whose calendar cannot be read any more, and its end.

Level-triggered: each round compares what the state concluded with what is shown, so that a crash between a call and its
commit, or a Salesloft that fails, only delays it. Before a banner goes up the user's settings are looked up once more:
it is never shown to a user who left, and never set twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from connector.domain.connection import Standing, banner_wanted
from connector.domain.errors import CredentialsRefused, RequestRefused, RetryLater
from connector.domain.model import UserGuid
from connector.domain.roster import EXTERNAL
from connector.observe.log import get_logger
from connector.salesloft import MeetingSettings, Urgency
from connector.store import CalendarState, State
from connector.store import roster as rows
from connector.store.connection import Connection as StateConnection
from connector.store.roster import Told

_log = get_logger(__name__)

BACKOFF_FIRST, BACKOFF_MOST = timedelta(seconds=1), timedelta(seconds=60)
REFUSED_FOR = timedelta(days=1)
"""How long a refused call is not repeated for a user: somebody must grant something first."""


class ShowsBanners(Protocol):
    """What the banner needs of Salesloft."""

    async def search_settings(
        self,
        user_guids: Sequence[UserGuid] | None,
        updated_since: datetime | None = None,
        *,
        urgency: Urgency,
    ) -> list[MeetingSettings]: ...

    async def update_settings(
        self, settings_id: str, *, primary_calendar_connection_failed: bool
    ) -> MeetingSettings: ...


@dataclass(slots=True)
class _Pause:
    """When a user's banner is tried again, and how long was waited before."""

    until: datetime
    length: timedelta


class Connections:
    """The banners of one team. `guids` gives the users who are served, or would be if their calendar could be read."""

    def __init__(
        self,
        team: str,
        client: ShowsBanners,
        state: State,
        guids: Callable[[], Collection[UserGuid]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._team = team
        self._client = client
        self._state = state
        self._guids = guids
        self._clock = clock
        self._pauses: dict[int, _Pause] = {}
        self._said: set[int] = set()

    async def round(self) -> bool:
        """Put up and take down what is due; False if something is left for a later round. Never raises for Salesloft.

        Raises RetryLater if the state cannot be written; the next round sees what was done.
        """
        found = await self._state.calendars_of_users(set(self._guids()))
        done = True
        for calendar in found.values():
            if not calendar.is_served:
                continue
            wanted = banner_wanted(_standing(calendar), self._clock())
            if wanted is not None:
                done = await self._try(calendar, up=wanted) and done
        return done

    async def _try(self, calendar: CalendarState, *, up: bool) -> bool:
        pause, now = self._pauses.get(calendar.id), self._clock()
        if pause is not None and now < pause.until <= now + pause.length:
            return False
        try:
            done = await (self._put_up(calendar) if up else self._take_down(calendar))
        except RetryLater as later:
            asked = later.after_seconds
            length = pause.length * 2 if pause is not None else BACKOFF_FIRST
            self._wait(calendar, timedelta(seconds=asked) if asked else min(length, BACKOFF_MOST))
            _log.warning("banner_put_off", user=calendar.name, message=str(later))
            return False
        except (RequestRefused, CredentialsRefused) as refused:
            if isinstance(refused, RequestRefused) and refused.status == 404:
                await self._state.run(lambda c: rows.forget_settings(c, calendar.id))
            self._wait(calendar, REFUSED_FOR)
            self._say(calendar, f"the banner cannot be changed, other work goes on: {refused}")
            return False
        if done:
            self._pauses.pop(calendar.id, None)
            self._said.discard(calendar.id)
        return done

    async def _put_up(self, calendar: CalendarState) -> bool:
        row = await self._settings_of(calendar)
        if row is None:
            return False
        now = self._clock()
        if row.calendar_type != EXTERNAL:
            self._wait(calendar, BACKOFF_MOST)  # the roster concludes what follows
            return False
        if not row.primary_calendar_connection_failed:
            if not await self._is_still_lost(calendar):
                return True  # a good listing came meanwhile
            await self._client.update_settings(row.id, primary_calendar_connection_failed=True)
            _log.error(
                "banner_shown",
                user=calendar.name,
                message="access is lost: Salesloft now shows this user that the calendar's connection failed."
                f" {calendar.parked_message or ''}".strip(),
            )
        told = Told(calendar.user_guid, calendar.name, row.id, "", None)

        def keep(connection: StateConnection) -> None:
            rows.note(connection, [told], now)
            rows.banner_up(connection, calendar.id, now)

        await self._state.run(keep)
        return True

    async def _settings_of(self, calendar: CalendarState) -> MeetingSettings | None:
        """The user's settings as they are now; None, said once, if Salesloft has none."""
        found = await self._client.search_settings(
            [calendar.user_guid], urgency=Urgency.BANNER_AND_BOOKINGS
        )
        mine = [
            row
            for row in found
            if row.id
            and (row.user_guid.lower() == calendar.user_guid or row.id == calendar.settings_id)
        ] or [row for row in found if len(found) == 1 and row.id and not row.user_guid]
        if mine:
            return mine[0]
        self._wait(calendar, REFUSED_FOR)
        self._say(
            calendar,
            "Salesloft has no meeting settings for [salesloft] user_guid, so its banner cannot be changed;"
            " correct the GUID in the user's file",
        )
        return None

    async def _is_still_lost(self, calendar: CalendarState) -> bool:
        fresh = (await self._state.calendars_of_rows([calendar.id])).get(calendar.id)
        return fresh is not None and fresh.lost_since is not None and fresh.is_served

    async def _take_down(self, calendar: CalendarState) -> bool:
        settings_id = calendar.settings_id
        if settings_id is None:
            row = await self._settings_of(calendar)
            if row is None or row.calendar_type != EXTERNAL:
                return False
            settings_id = row.id
        await self._client.update_settings(settings_id, primary_calendar_connection_failed=False)
        await self._state.run(lambda c: rows.banner_up(c, calendar.id, None))
        _log.info("banner_taken_down", user=calendar.name)
        return True

    def _wait(self, calendar: CalendarState, length: timedelta) -> None:
        length = min(length, REFUSED_FOR)
        self._pauses[calendar.id] = _Pause(self._clock() + length, length)

    def _say(self, calendar: CalendarState, message: str) -> None:
        """Once, until it works again."""
        if calendar.id not in self._said:
            self._said.add(calendar.id)
            _log.error("banner_refused", user=calendar.name, message=message)


def _standing(calendar: CalendarState) -> Standing:
    return Standing(
        calendar.lost_since, calendar.parked_since, calendar.last_success, calendar.banner_since
    )
