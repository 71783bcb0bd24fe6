"""The state of a simulated Salesloft: teams, users, events, meetings, bulk jobs; what tests change and what they ask.

`app.py` is its HTTP side. Tests act on it as the people of a team would (`book_meeting`), as Salesloft's operators
would (`set_cost`, `switches`, `faults`), and read what arrived (`events`, `log`, `overlaps`, `window_peaks`,
`stale_writes`, `bulk_conflicts`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count

from connector.simulator.faults import FaultPlan
from connector.simulator.salesloft.bulk import BulkQueue
from connector.simulator.salesloft.events import StoredEvent
from connector.simulator.salesloft.journal import (
    BulkConflict,
    LogEntry,
    Overlap,
    StaleWrite,
)
from connector.simulator.salesloft.people import (
    ApiKey,
    Meeting,
    SalesloftUser,
    Team,
    made_up_guid,
    new_user,
)
from connector.simulator.salesloft.rate import TeamBudget
from connector.simulator.salesloft.switches import Switches
from connector.simulator.salesloft.writes import TeamWriter


class SalesloftWorld:
    """One simulated Salesloft with all its teams. Not thread-safe: use it on the loop that serves it."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        monotonic: Callable[[], float] | None = None,
        seed: int = 0,
        limit_per_minute: int = 600,
    ) -> None:
        self.now = now or _utc_now
        self.monotonic = monotonic or time.monotonic
        self.seed = seed
        self.limit_per_minute = limit_per_minute
        self.rng = random.Random(seed)
        self.switches = Switches()
        self.faults = FaultPlan(seed)
        self.costs: dict[str, int] = {}
        """Route → points, where it is not 1; paged lists cost more on deep pages."""
        self.keys: dict[str, ApiKey] = {}
        self.teams: list[Team] = []
        self.users: dict[str, SalesloftUser] = {}
        """By guid, of all teams."""
        self.writers: dict[int, TeamWriter] = {}
        self.log: list[LogEntry] = []
        self.overlaps: list[Overlap] = []
        self._numbers = count(1)
        self._job_ids = count(1)
        self._meeting_ids = count(1)

    # Who there is

    def add_team(
        self,
        key: str,
        *,
        limit_per_minute: int | None = None,
        name: str = "Scranton",
        manage_team: bool = True,
    ) -> Team:
        """Create a team with its first API key."""
        number = next(self._numbers)
        limit = self.limit_per_minute if limit_per_minute is None else limit_per_minute
        team = Team(number, name, made_up_guid(number, self.seed), TeamBudget(limit))
        self.teams.append(team)
        queue = BulkQueue(self._job_ids, self.switches, self.rng)
        clocks = (self.now, self.monotonic)
        self.writers[team.id] = TeamWriter(team, queue, self.switches, self.rng, clocks)
        self.add_key(team, key, manage_team=manage_team)
        return team

    def add_key(self, team: Team, key: str, *, manage_team: bool = True) -> ApiKey:
        self.keys[key] = ApiKey(key, team, manage_team=manage_team)
        return self.keys[key]

    def withdraw_key(self, key: str) -> None:
        """The key answers 401 from now on."""
        self.keys[key].withdrawn = True

    def restore_key(self, key: str) -> None:
        self.keys[key].withdrawn = False

    def deny(self, key: str, routes: str) -> None:
        """Take the scope for these routes (a glob) from a key: 403."""
        self.keys[key].denied.add(routes)

    def allow(self, key: str, routes: str) -> None:
        self.keys[key].denied.discard(routes)

    def add_user(
        self,
        team: Team | str,
        email: str,
        *,
        guid: str | None = None,
        name: str | None = None,
        calendar_type: str = "external",
        time_zone: str = "America/New_York",
    ) -> SalesloftUser:
        """Create a user with meeting settings."""
        number = next(self._numbers)
        user = new_user(
            number,
            email=email,
            guid=guid or made_up_guid(number, self.seed),
            name=name or email.partition("@")[0].replace(".", " ").title(),
            calendar_type=calendar_type,
            zone=time_zone,
            now=self.now(),
        )
        members = self._team(team)
        members.users[user.guid] = user
        members.calendars[user.calendar_id] = {}
        self.users[user.guid] = user
        return user

    def set_calendar_type(self, guid: str, calendar_type: str) -> None:
        """The user chooses another kind of calendar in Salesloft."""
        self.users[guid].connect(calendar_type, self.now())

    # What the operators do

    def set_cost(self, route: str, points: int) -> None:
        self.costs[route] = points

    def set_limit(self, team: Team | str, limit_per_minute: int) -> None:
        self._team(team).budget.limit = limit_per_minute

    def spend_elsewhere(self, team: Team | str, points: int) -> None:
        """Another integration of the team spends points now."""
        self._team(team).budget.charge(self.monotonic(), points, elsewhere=True)

    def refuse_field(self, name: str, message: str = "is not permitted") -> None:
        """Answer 422 to every upsert that carries this field."""
        self.switches.refused_fields[name] = message

    def refuse_event(self, event_id: str, message: str = "could not be processed") -> None:
        """Answer 422 to every upsert of this event, directly and in bulk."""
        self.switches.refused_events[event_id] = message

    def accept_event(self, event_id: str) -> None:
        self.switches.refused_events.pop(event_id, None)

    def block_bulk(self, team: Team | str, seconds: float = float("inf")) -> None:
        """Other tools' jobs hold the team's bulk queue for so long, or until `unblock_bulk`."""
        self.writers[self._team(team).id].queue.block(self.monotonic() + seconds)

    def unblock_bulk(self, team: Team | str) -> None:
        self.writers[self._team(team).id].queue.unblock(self.monotonic())

    # What the people do

    def book_meeting(
        self,
        guid: str,
        *,
        start: datetime,
        end: datetime,
        recipient_email: str,
        title: str = "Introduction",
        recipient_name: str | None = None,
        guests: Sequence[str] = (),
        location: str | None = None,
        description: str | None = None,
        all_day: bool = False,
        status: str = "pending",
    ) -> int:
        """A meeting is booked in Salesloft and waits for its calendar event; its id."""
        user, now = self.users[guid], self.now()
        meeting = Meeting(
            id=next(self._meeting_ids),
            user=user,
            title=title,
            start=start,
            end=end,
            recipient_email=recipient_email,
            recipient_name=recipient_name,
            location=location,
            description=description,
            guests=tuple(guests),
            all_day=all_day,
            created_at=now,
            updated_at=now,
            status=status,
        )
        self.team_of(guid).meetings[meeting.id] = meeting
        return meeting.id

    def reschedule_meeting(self, meeting_id: int, start: datetime, end: datetime) -> None:
        """The meeting gets another time; a booked one then waits to be moved on the calendar."""
        meeting = self.meeting(meeting_id)
        meeting.start, meeting.end, meeting.updated_at = start, end, self.now()
        if meeting.status == "booked":
            meeting.reschedule_status = "pending"

    def cancel_meeting(self, meeting_id: int) -> None:
        meeting = self.meeting(meeting_id)
        meeting.canceled_at = meeting.updated_at = self.now()

    # What tests ask

    def team_of(self, guid: str) -> Team:
        return next(team for team in self.teams if guid in team.users)

    def meeting(self, meeting_id: int) -> Meeting:
        return next(team.meetings[meeting_id] for team in self.teams if meeting_id in team.meetings)

    def events(self, calendar_id: str) -> dict[tuple[str, str], StoredEvent]:
        """What is stored for a calendar, by (id, i_cal_uid); empty for a calendar that does not exist."""
        self.advance()
        for team in self.teams:
            if calendar_id in team.calendars:
                return {key: row.event for key, row in team.calendars[calendar_id].items()}
        return {}

    def count(self, route: str) -> int:
        """How many requests to this route ended so far."""
        return sum(entry.route == route for entry in self.log)

    @property
    def stale_writes(self) -> list[StaleWrite]:
        """Upserts that were ignored, because something newer was stored."""
        self.advance()
        return [late for writer in self.writers.values() for late in writer.stale_writes]

    @property
    def bulk_conflicts(self) -> list[BulkConflict]:
        """Upserts that overtook a waiting bulk record without a strictly newer `updated_at`."""
        return [found for writer in self.writers.values() for found in writer.bulk_conflicts]

    def window_peaks(self, team: Team | str) -> int:
        """The largest number of points that clients of this simulator were charged within any 60 seconds."""
        return self._team(team).budget.peak()

    def advance(self) -> None:
        """Let the bulk jobs catch up with the clock; whatever looks at events does that first."""
        for writer in self.writers.values():
            writer.catch_up()

    def _team(self, team: Team | str) -> Team:
        """A team, itself or by one of its keys."""
        return self.keys[team].team if isinstance(team, str) else team


def _utc_now() -> datetime:
    return datetime.now(UTC)
