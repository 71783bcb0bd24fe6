"""One authorised request: who asks, for which calendar, in which role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from .accounts import AUTH, Principal
from .calendar import Calendar
from .errors import auth_error, calendar_limits, not_found, refusal, scope_insufficient
from .parameters import whole_number, zone
from .rendering import View, write_event
from .rows import Row
from .state import Role
from .world import GoogleWorld

READ_EVENTS = frozenset(
    AUTH + name
    for name in (
        "calendar",
        "calendar.app.created",
        "calendar.events",
        "calendar.events.freebusy",
        "calendar.events.owned",
        "calendar.events.owned.readonly",
        "calendar.events.public.readonly",
        "calendar.events.readonly",
        "calendar.readonly",
    )
)
WRITE_EVENTS = frozenset(
    AUTH + name
    for name in ("calendar", "calendar.app.created", "calendar.events", "calendar.events.owned")
)
READ_CALENDARS = frozenset(
    AUTH + name
    for name in (
        "calendar",
        "calendar.app.created",
        "calendar.calendars",
        "calendar.calendars.readonly",
        "calendar.readonly",
    )
)
READ_CALENDAR_LIST = frozenset(
    AUTH + name
    for name in (
        "calendar",
        "calendar.calendarlist",
        "calendar.calendarlist.readonly",
        "calendar.readonly",
    )
)
_WRITERS = ("owner", "writer", "writerWithoutPrivateAccess")

SUBJECT = web.RequestKey("google_subject", str)
CALENDAR = web.RequestKey("google_calendar", str)


@dataclass(frozen=True, slots=True)
class Call:
    """An authorised request against a world."""

    world: GoogleWorld
    request: web.Request
    principal: Principal

    @property
    def query(self) -> Any:
        """The query string, multi-valued."""
        return self.request.query

    def calendar(self, *, write: bool = False) -> tuple[Calendar, Role]:
        """The calendar of the path and the caller's role in it; refused if it is not theirs to see."""
        wanted = self.request.match_info["calendar"]
        calendar_id = self.principal.subject if wanted == "primary" else wanted
        self.request[CALENDAR] = calendar_id
        calendar = self.world.calendars.get(calendar_id)
        role: Role = "none" if calendar is None else calendar.role_of(self.principal.subject)
        if calendar is None or calendar.dead:
            raise not_found()
        if role == "none":
            raise _hidden(self.world)
        if write and role not in _WRITERS:
            message = "You need to have writer access to this calendar."
            raise refusal(403, "requiredAccessLevel", message, domain="calendar")
        if write and self.world.writes_over_quota:
            raise calendar_limits()
        return calendar, role

    def view(self, calendar: Calendar, role: Role, *, full_tombstones: bool = False) -> View:
        """How the caller sees the calendar's rows."""
        most = None
        if "maxAttendees" in self.query:
            most = whole_number(self.query, "maxAttendees", 1)
        return View(
            calendar_id=calendar.id,
            own_addresses=calendar.own_addresses,
            zone=zone(self.query, calendar.zone),
            role=role,
            max_attendees=most,
            full_tombstones=full_tombstones,
        )

    def event_json(self, calendar: Calendar, role: Role, row: Row) -> Mapping[str, Any]:
        """One event by itself, cancelled ones with all that is known of them."""
        return write_event(row, self.view(calendar, role, full_tombstones=True))


def _hidden(world: GoogleWorld) -> Exception:
    if world.forbid_instead_of_hiding:
        return refusal(403, "forbidden", "Forbidden")
    return not_found()


def authorised(world: GoogleWorld, request: web.Request, scopes: frozenset[str], name: str) -> Call:
    """Check token, scope and quota, in this order; the method's `name` is as in `Events.List`."""
    header = request.headers.get("Authorization", "")
    kind, _, token = header.partition(" ")
    principal = world.accounts.principal_of(token) if kind.casefold() == "bearer" else None
    if principal is None:
        raise auth_error()
    request[SUBJECT] = principal.subject
    if not principal.scopes & scopes:
        raise scope_insufficient(name)
    user = (
        request.query.get("quotaUser")
        or request.headers.get("x-goog-quota-user")
        or principal.account
    )
    world.quota.spend(principal.project, user[:40], world.now())
    return Call(world, request, principal)
