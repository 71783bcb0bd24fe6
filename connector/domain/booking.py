"""A meeting booked in Salesloft → what to do for it, and the Google event it becomes. Pure.

The event's id is derived from the user and the meeting, so that a crash at any point books once: Google answers 409 to
a second insert of an id. The derivation must never change: `sl`, then 26 characters of base32hex (Google takes a-v and
0-9) of a 16-byte BLAKE2b of `<user guid in lower case> <meeting id>`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum, auto
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from connector.domain.model import AllDay, Event, EventId, Instant, UserGuid

WAITING = frozenset({"pending", "retry"})
ATTEMPTED = frozenset({"booking", "inserted", "booked", "moving"})
"""States of a booking after which there may be an event with its id."""
MEETING_PROPERTY = "salesloft_meeting_id"
"""The event's private property that names the meeting."""


@dataclass(frozen=True, slots=True)
class BookedMeeting:
    """A meeting as Salesloft tells it; texts are kept out of the repr. `time_zone` is the owner's, or empty."""

    id: str
    calendar_id: str
    status: str
    reschedule_status: str
    start: datetime | None
    end: datetime | None
    all_day: bool
    event_id: str
    canceled: bool
    updated_at: datetime | None = None
    time_zone: str = ""
    title: str = field(default="", repr=False)
    description: str = field(default="", repr=False)
    location: str = field(default="", repr=False)
    recipient: tuple[str, str] = field(default=("", ""), repr=False)
    """Address and name."""
    guests: tuple[str, ...] = field(default=(), repr=False)
    owner: str = field(default="", repr=False)


class Step(Enum):
    """What to do for a meeting now."""

    NOTHING = auto()
    BOOK = auto()
    MOVE = auto()
    CANCEL = auto()


class Unbookable(Exception):
    """A meeting that no event can be made of; the message says why, without its text."""


def event_id_of(guid: UserGuid, meeting_id: str) -> EventId:
    """The id of a meeting's event, for ever the same."""
    digest = blake2b(f"{guid.lower()} {meeting_id}".encode(), digest_size=16).digest()
    return EventId("sl" + base64.b32hexencode(digest).decode().rstrip("=").lower())


def next_step(meeting: BookedMeeting, ours: EventId, known: str | None) -> Step:
    """What to do; `known` is what the state remembers: booking, inserted, booked, moving, cancelled or failed.

    `moving` is a booked meeting whose event must still get the times that Salesloft has, whatever its other fields say.

    Only the event with our id is ever cancelled. A meeting that was cancelled before any attempt to book it is left.
    """
    if meeting.canceled:
        attempted = known in ATTEMPTED or meeting.event_id == ours
        return Step.CANCEL if attempted and known != "cancelled" else Step.NOTHING
    if meeting.status in WAITING:
        return Step.BOOK
    to_be_moved = meeting.reschedule_status in WAITING or known == "moving"
    if meeting.status == "booked" and to_be_moved:
        return Step.MOVE
    return Step.NOTHING


def event_body(
    meeting: BookedMeeting,
    event_id: EventId,
    *,
    own_addresses: Iterable[str] = (),
    conference: bool = False,
) -> dict[str, Any]:
    """The Google event of a meeting. Text goes exactly as Salesloft has it. Raises Unbookable."""
    body: dict[str, Any] = {
        "id": event_id,
        "summary": meeting.title,
        **event_times(meeting),
        "extendedProperties": {"private": {MEETING_PROPERTY: meeting.id}},
    }
    if meeting.description:
        body["description"] = meeting.description
    if meeting.location:
        body["location"] = meeting.location
    attendees = _attendees(meeting, {*own_addresses, meeting.owner})
    if attendees:
        body["attendees"] = attendees
    if conference:
        # One request id for ever: a repeated insert asks for the same conference.
        body["conferenceData"] = {
            "createRequest": {
                "requestId": event_id,
                "conferenceSolutionKey": {"type": "hangoutsMeet"},
            }
        }
    return body


def moved_times(meeting: BookedMeeting) -> dict[str, Any]:
    """`start` and `end` for a patch: null takes away the other kind of time. Raises Unbookable."""
    other = {"date": None, "dateTime": None, "timeZone": None}
    return {name: {**other, **when} for name, when in event_times(meeting).items()}


def event_times(meeting: BookedMeeting) -> dict[str, dict[str, str]]:
    """`start` and `end` of the event. Raises Unbookable."""
    if meeting.start is None or meeting.end is None:
        raise Unbookable("the meeting has no start or no end")
    if meeting.end < meeting.start:
        raise Unbookable("the meeting ends before it starts")
    zone = _zone(meeting.time_zone)
    if meeting.all_day:
        first, last = _days(meeting, zone)
        return {"start": _on(first), "end": _on(last)}
    return {"start": _at(meeting.start, zone), "end": _at(meeting.end, zone)}


def is_at(event: Event, meeting: BookedMeeting) -> bool:
    """Whether an event has the meeting's times."""
    if meeting.start is None or meeting.end is None:
        return True
    match event.start, event.end:
        case Instant(at=start), Instant(at=end):
            # Google keeps whole seconds.
            return not meeting.all_day and (start, end) == (
                meeting.start.replace(microsecond=0),
                meeting.end.replace(microsecond=0),
            )
        case AllDay(day=first), AllDay(day=last):
            return meeting.all_day and (first, last) == _days(meeting, _zone(meeting.time_zone))
    return False


def _days(meeting: BookedMeeting, zone: ZoneInfo) -> tuple[date, date]:
    """The first day and the day after the last."""
    assert meeting.start is not None
    assert meeting.end is not None
    first, last = _day(meeting.start, zone), _day(meeting.end, zone)
    return first, max(last, first + timedelta(days=1))


def _day(moment: datetime, zone: ZoneInfo) -> date:
    """The day that a boundary names: midnight UTC is a bare date, anything else midnight of the owner's zone."""
    in_utc = moment.astimezone(UTC)
    bare = (in_utc.hour, in_utc.minute, in_utc.second) == (0, 0, 0)
    return in_utc.date() if bare else moment.astimezone(zone).date()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ValueError, LookupError, OSError):
        return ZoneInfo("UTC")


def _at(moment: datetime, zone: ZoneInfo) -> dict[str, str]:
    local = moment.astimezone(zone).replace(microsecond=0)
    return {"dateTime": local.isoformat(), "timeZone": zone.key}


def _on(day: date) -> dict[str, str]:
    return {"date": day.isoformat()}


def _attendees(meeting: BookedMeeting, own: Iterable[str]) -> list[dict[str, str]]:
    """Recipient and guests, each once, without the seller, who organises."""
    seen = {address.strip().casefold() for address in own}
    attendees = []
    for email, name in (meeting.recipient, *((guest, "") for guest in meeting.guests)):
        address = email.strip()
        if "@" not in address or address.casefold() in seen:
            continue
        seen.add(address.casefold())
        attendees.append({"email": address, **({"displayName": name} if name else {})})
    return attendees
