"""What a person sees: the judge of everything that a connector makes of a calendar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .rows import Row
from .state import CalendarState
from .times import When, instant, is_timed, of_micros


@dataclass(frozen=True, slots=True)
class Guest:
    """One attendee as the person sees them."""

    email: str | None
    response_status: str
    is_self: bool = False
    organizer: bool = False
    resource: bool = False
    optional: bool = False
    display_name: str | None = None


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One occurrence that a person sees; times are aware datetimes in the event's zone, or dates."""

    id: str
    ical_uid: str
    start: When
    end: When
    summary: str | None
    description: str | None
    location: str | None
    organizer: str | None
    creator: str | None
    attendees: tuple[Guest, ...]
    visibility: str
    transparency: str
    status: str
    event_type: str
    recurring: bool
    updated: datetime
    recurring_event_id: str | None
    original_start: When | None
    hangout_link: str | None
    video_link: str | None
    tampered: frozenset[str]
    """Faults that disfigure this event on the wire, so that a test can expect it elsewhere."""

    @property
    def all_day(self) -> bool:
        """Whether it covers whole days."""
        return not is_timed(self.start)


def truth(calendar: CalendarState, start: datetime, end: datetime) -> list[Occurrence]:
    """The occurrences that end after `start` and start before `end`, in the order of their start."""
    rows = sorted(
        calendar.occurrences(start, end),
        key=lambda row: (instant(row.start, calendar.zone), row.id),
    )
    return [_seen(row, calendar) for row in rows]


def _seen(row: Row, calendar: CalendarState) -> Occurrence:
    fields = row.fields
    host = fields.get("organizer", {}).get("email")
    updated = of_micros(row.stamp)
    return Occurrence(
        id=row.id,
        ical_uid=row.ical_uid,
        start=row.start,
        end=row.end,
        summary=fields.get("summary"),
        description=fields.get("description"),
        location=fields.get("location"),
        organizer=host,
        creator=fields.get("creator", {}).get("email"),
        attendees=tuple(_guest(g, host, calendar) for g in fields.get("attendees", ())),
        visibility=fields.get("visibility", "default"),
        transparency=fields.get("transparency", "opaque"),
        status=row.status,
        event_type=fields.get("eventType", "default"),
        recurring=row.series is not None,
        updated=updated.replace(microsecond=updated.microsecond // 1000 * 1000),
        recurring_event_id=row.series,
        original_start=row.original,
        hangout_link=fields.get("hangoutLink"),
        video_link=_video_link(fields),
        tampered=row.tampered,
    )


def _guest(guest: Mapping[str, Any], host: str | None, calendar: CalendarState) -> Guest:
    email = guest.get("email")
    return Guest(
        email=email,
        response_status=guest.get("responseStatus", "needsAction"),
        is_self=str(email).casefold() in calendar.own_addresses,
        organizer=email is not None and email == host,
        resource=bool(guest.get("resource")),
        optional=bool(guest.get("optional")),
        display_name=guest.get("displayName"),
    )


def _video_link(fields: Mapping[str, Any]) -> str | None:
    if fields.get("hangoutLink"):
        return str(fields["hangoutLink"])
    points = fields.get("conferenceData", {}).get("entryPoints", ())
    return next((p.get("uri") for p in points if p.get("entryPointType") == "video"), None)
