"""The whole simulated Google: calendars, accounts, quotas, faults and a log, under one clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from connector.simulator.faults import FaultPlan

from . import bodies
from .accounts import ALL_SCOPES, Accounts
from .calendar import Calendar
from .list_faults import ListFaultKind, ListFaults
from .push import Push
from .quota import Quota
from .state import Role
from .times import micros


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request as it was answered; status 0 means that the connection was broken."""

    method: str
    route: str
    status: int
    at: datetime
    subject: str | None
    calendar: str | None
    query: Mapping[str, str]
    asked_bytes: int = 0
    """Of the request's first line and headers."""
    answered_bytes: int = 0
    """Of the answer's body as it was sent, compressed or not."""
    compressed: bool = False


@dataclass(frozen=True, slots=True)
class Invitation:
    """One mail to the guests of an event, as `sendUpdates` asked: `what` is insert, patch, update or delete."""

    what: str
    event_id: str
    to: tuple[str, ...]


class GoogleWorld:
    """The state behind `make_google_app`; everything random comes from the seed."""

    def __init__(self, *, now: Callable[[], datetime] | None = None, seed: int = 0) -> None:
        self.now = now or (lambda: datetime.now(UTC))
        self.random = Random(seed)
        self.base_url = "http://127.0.0.1:8099"
        """Where the app listens, set once that is known: it goes into credentials files."""
        self.calendars: dict[str, Calendar] = {}
        self.accounts = Accounts(self.now, self.random, lambda: f"{self.base_url}/token")
        self.quota = Quota()
        self.faults = FaultPlan(seed)
        self.list_faults = ListFaults()
        self.push = Push(lambda: self.now(), Random(seed))
        self.log: list[LogEntry] = []
        self.invitations: list[Invitation] = []
        """Mails to guests, in the order of sending; changes by people (not through the API) send none here."""
        self.conferences_pending = False
        """A conference that is asked for is `pending` until `finish_conferences`."""
        self.writes_over_quota = False
        """Every write answers 403 `quotaExceeded`: the calendar was written to too often."""
        self.forbid_instead_of_hiding = False
        """Answer 403 `forbidden` instead of 404 for a calendar that is not shared."""
        self._last_tick = 0

    def tick(self) -> int:
        """Microseconds since the epoch, never the same twice."""
        self._last_tick = max(micros(self.now()), self._last_tick + 1)
        return self._last_tick

    # -- calendars -------------------------------------------------------------------------------

    def add_calendar(
        self,
        email: str,
        time_zone: str = "America/New_York",
        calendar_id: str | None = None,
        owner: str | None = None,
        summary: str | None = None,
    ) -> Calendar:
        """A calendar: a person's primary one, or with `calendar_id` a further one of theirs."""
        person = owner or email
        calendar = Calendar(
            calendar_id or email,
            person,
            time_zone,
            now=self.now,
            tick=self.tick,
            random=self.random,
            summary=summary,
        )
        calendar.changed = self.push.changed
        self.accounts.people.add(person)
        self.calendars[calendar.id] = calendar
        return calendar

    def delete_calendar(self, calendar: Calendar) -> None:
        """The calendar is gone: 404, and a tombstone in calendarLists."""
        calendar.delete()

    def set_role(self, calendar: Calendar, user: str, role: Role) -> None:
        """Share a calendar with a user, or not any more (`none`); its older sync tokens are void."""
        calendar.set_role(user, role)

    def expire_tokens(self, calendar: Calendar | None = None) -> None:
        """Sync tokens issued so far answer 410, of one calendar or of all."""
        for each in self.calendars.values() if calendar is None else (calendar,):
            each.expire_tokens()

    # -- accounts --------------------------------------------------------------------------------

    def add_service_account(
        self, name: str = "connector", *, scopes: Iterable[str] = ALL_SCOPES
    ) -> dict[str, str]:
        """A service account with domain-wide delegation; returns Google's key file."""
        return self.accounts.add_service_account(name, scopes=scopes)

    def add_authorized_user(
        self, email: str, *, scopes: Iterable[str] = ALL_SCOPES
    ) -> dict[str, str]:
        """A user's consent; returns Google's authorized_user file."""
        return self.accounts.add_authorized_user(email, scopes=scopes)

    def revoke(self, email: str) -> None:
        """A user's consent is withdrawn, or a service account (by its address) disabled."""
        self.accounts.revoke(email)

    def withdraw_delegation(self, client_email: str) -> None:
        """The administrator takes back the domain-wide delegation of a service account."""
        self.accounts.grant_scopes(client_email, ())

    def grant_scopes(self, email: str, scopes: Iterable[str]) -> None:
        """Exactly these scopes are granted to a service account or by a user from now on."""
        self.accounts.grant_scopes(email, scopes)

    def suspend(self, email: str, *, suspended: bool = True) -> None:
        """A user's account is suspended, or works again."""
        self.accounts.suspend(email, suspended=suspended)

    # -- faults and log --------------------------------------------------------------------------

    def faults_google(
        self, kind: ListFaultKind, calendar: Calendar | None = None, *, times: int = 1
    ) -> None:
        """Arm what goes wrong with lists in particular; see `list_faults`."""
        self.list_faults.add(kind, calendar.id if calendar else None, times)

    def finish_conferences(self) -> None:
        """Conferences that are pending come about."""
        for calendar in self.calendars.values():
            for row in list(calendar.rows.values()):
                request = row.fields.get("conferenceData", {}).get("createRequest")
                if row.live and request and request["status"]["statusCode"] == "pending":
                    calendar.edit_one(row.id, extra=bodies.made_conference(request))

    def requests(self, route: str | None = None, *, subject: str | None = None) -> list[LogEntry]:
        """The requests so far, of one route or of one subject."""
        return [
            entry
            for entry in self.log
            if route in (None, entry.route) and subject in (None, entry.subject)
        ]
