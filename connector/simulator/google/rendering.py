"""Writes rows as Google's JSON: the response's zone, defaults omitted, details withheld by role."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from .rows import Row, instance_id
from .times import of_micros, plus, render, rfc3339

_MINUTES_30 = [{"method": "popup", "minutes": 30}]
_OMITTED_WHEN = {
    "visibility": "default",
    "transparency": "opaque",
    "guestsCanInviteOthers": True,
    "guestsCanModify": False,
    "guestsCanSeeOtherGuests": True,
    "attendees": [],
    "locked": False,
    "privateCopy": False,
}
_LEADING = ("summary", "description", "location", "colorId")
_PRIVATE = ("private", "confidential")
DEFAULT_REMINDERS = _MINUTES_30


@dataclass(frozen=True, slots=True)
class View:
    """For whom and how a row is written."""

    calendar_id: str
    own_addresses: frozenset[str]
    """The calendar's own addresses: what makes an attendee or organizer `self`."""
    zone: ZoneInfo
    role: str = "owner"
    max_attendees: int | None = None
    full_tombstones: bool = False
    """Cancelled events with all that is known of them (get, showDeleted), not as in a feed."""
    extra: Mapping[str, Any] = field(default_factory=dict)


def write_event(row: Row, view: View) -> dict[str, Any]:
    """The JSON of one row for one reader."""
    if not row.live and (row.bare or not view.full_tombstones):
        shown = _tombstone(row, view)
    elif view.role == "freeBusyReader" or (
        view.role in ("reader", "writerWithoutPrivateAccess")
        and row.fields.get("visibility") in _PRIVATE
    ):
        shown = _busy_only(row, view)
    else:
        shown = _whole(row, view)
    return _tampered(shown, row, view) if row.tampered else shown


def _tombstone(row: Row, view: View) -> dict[str, Any]:
    """Exactly the keys recorded: four, or six for an exception of a living series."""
    shown: dict[str, Any] = {
        "kind": "calendar#event",
        "etag": row.etag,
        "id": row.id,
        "status": "cancelled",
    }
    if row.series is not None and row.original is not None and not row.bare:
        shown["recurringEventId"] = row.series
        shown["originalStartTime"] = render(row.original, view.zone)
    return shown


def _head(row: Row, view: View) -> dict[str, Any]:
    return {
        "kind": "calendar#event",
        "etag": row.etag,
        "id": row.id,
        "status": row.status,
        "htmlLink": html_link(row, view.calendar_id),
    }


def _times(row: Row, view: View) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "start": render(row.start, view.zone, show_zone=row.show_zone),
        "end": render(row.end, view.zone, show_zone=row.show_zone),
    }
    if row.recurrence:
        shown["recurrence"] = list(row.recurrence)
    if row.series is not None and row.original is not None:
        shown["recurringEventId"] = row.series
        shown["originalStartTime"] = render(row.original, view.zone)
    return shown


def _busy_only(row: Row, view: View) -> dict[str, Any]:
    shown = {**_head(row, view), "updated": rfc3339(of_micros(row.stamp)), **_times(row, view)}
    if row.fields.get("transparency") == "transparent":
        shown["transparency"] = "transparent"
    return {**shown, "visibility": "private", "iCalUID": row.ical_uid}


def _whole(row: Row, view: View) -> dict[str, Any]:
    fields = {
        name: value
        for name, value in row.fields.items()
        if name not in _OMITTED_WHEN or value != _OMITTED_WHEN[name]
    }
    attendees = fields.pop("attendees", None)
    shown: dict[str, Any] = {
        **_head(row, view),
        "created": rfc3339(row.created, whole_seconds=True),
        "updated": rfc3339(of_micros(row.stamp)),
    }
    shown |= {name: fields.pop(name) for name in _LEADING if name in fields}
    for person in ("creator", "organizer"):
        shown[person] = _person(fields.pop(person, {}), view)
    shown |= _times(row, view)
    event_type = fields.pop("eventType", "default")
    reminders = fields.pop("reminders", {"useDefault": True})
    shown |= {"iCalUID": row.ical_uid, "sequence": row.sequence}
    if attendees:
        shown |= _attendees(attendees, row, view)
    shown |= fields
    return {**shown, "reminders": reminders, "eventType": event_type}


def _person(person: Mapping[str, Any], view: View) -> dict[str, Any]:
    shown = dict(person)
    if str(shown.get("email", "")).casefold() in view.own_addresses:
        shown["self"] = True
    return shown


def _attendees(attendees: list[dict[str, Any]], row: Row, view: View) -> dict[str, Any]:
    organizer = row.fields.get("organizer", {}).get("email")
    shown = []
    for attendee in attendees:
        guest = _person(attendee, view)
        if organizer and guest.get("email") == organizer:
            guest["organizer"] = True
        shown.append({k: v for k, v in guest.items() if v is not False and v is not None})
    omitted = row.omit_attendees or (
        view.max_attendees is not None and len(shown) > view.max_attendees
    )
    if not omitted:
        return {"attendees": shown}
    own = [guest for guest in shown if guest.get("self")]
    return {**({"attendees": own} if own else {}), "attendeesOmitted": True}


def html_link(row: Row, calendar_id: str) -> str:
    """The link to the event; a series is shown by its first instance."""
    shown_id = row.id
    if row.is_series:
        first = row.starts.first(1)
        shown_id = instance_id(row, first[0] if first else row.start)
    for long, short in (("@gmail.com", "@m"), ("@group.calendar.google.com", "@g")):
        calendar_id = calendar_id.replace(long, short)
    eid = base64.urlsafe_b64encode(f"{shown_id} {calendar_id}".encode()).decode().rstrip("=")
    return f"https://www.google.com/calendar/event?eid={eid}"


def _tampered(shown: dict[str, Any], row: Row, view: View) -> dict[str, Any]:
    """The item as a faulty Google would send it (reference 2.12, 9 and 11.9)."""
    if "unknown_event_type" in row.tampered and "eventType" in shown:
        shown["eventType"] = "hologram"
    if "unknown_field" in row.tampered:
        shown["holographicProperties"] = {"depth": [1, {"unit": "m"}]}
    if "null_summary" in row.tampered:
        shown["summary"] = None
    if "missing_end" in row.tampered:
        shown.pop("end", None)
    if "end_before_start" in row.tampered and "start" in shown:
        earlier = plus(row.start, -max(row.length, type(row.length)(days=1)))
        shown["end"] = render(earlier, view.zone)
    if "malformed" in row.tampered:
        return {"kind": "calendar#event", "id": row.id, "status": 7, "start": "tomorrow"}
    return shown


def write_calendar_envelope(
    *, email: str, summary: str, stamp: int, zone: ZoneInfo, role: str
) -> dict[str, Any]:
    """The head of a list of events; `items` and one token are the caller's."""
    return {
        "kind": "calendar#events",
        "etag": f'"p{stamp:015x}"',
        "summary": summary or email,
        "description": "",
        "updated": rfc3339(of_micros(stamp)),
        "timeZone": zone.key,
        "accessRole": role,
        "defaultReminders": list(DEFAULT_REMINDERS) if role == "owner" else [],
    }
