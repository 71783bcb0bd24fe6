"""Google's event resource, and how it becomes the domain's `Event` or `Tombstone`. Pure.

Tolerant where the meaning stays clear, and on the safe side where it does not: an unknown visibility is private, an
unknown transparency blocks the slot. What an event cannot do without is demanded here and named when it is missing.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import msgspec

from connector.domain.model import (
    AllDay,
    Attendee,
    Event,
    EventId,
    EventStatus,
    EventType,
    ICalUid,
    Instant,
    Item,
    Person,
    ResponseStatus,
    Tombstone,
    When,
)

# Looked up rather than called: an enum's call is slow, and slower still for what it does not know.
_STATUSES: dict[str | None, EventStatus] = {one.value: one for one in EventStatus}
_RESPONSES: dict[str | None, ResponseStatus] = {one.value: one for one in ResponseStatus}
_EVENT_TYPES: dict[str | None, EventType] = {
    one.value: one for one in EventType if one is not EventType.UNKNOWN
}


class WireTime(msgspec.Struct, rename="camel", frozen=True, gc=False):
    date: str | None = None
    date_time: str | None = None
    time_zone: str | None = None


class WirePerson(msgspec.Struct, rename="camel", frozen=True, gc=False):
    email: str | None = None
    display_name: str | None = None
    is_self: bool | None = msgspec.field(default=None, name="self")


class WireAttendee(msgspec.Struct, rename="camel", frozen=True, gc=False):
    email: str | None = None
    display_name: str | None = None
    response_status: str | None = None
    is_self: bool | None = msgspec.field(default=None, name="self")
    organizer: bool | None = None
    resource: bool | None = None


class WireEntryPoint(msgspec.Struct, rename="camel", frozen=True, gc=False):
    entry_point_type: str | None = None
    uri: str | None = None


class WireConference(msgspec.Struct, rename="camel", frozen=True):
    entry_points: list[WireEntryPoint | None] | None = None


class WireEvent(msgspec.Struct, rename="camel", frozen=True):
    """The event resource; everything may be missing or null, as Google leaves out what is default."""

    id: str | None = None
    status: str | None = None
    i_cal_uid: str | None = msgspec.field(default=None, name="iCalUID")
    updated: str | None = None
    start: WireTime | None = None
    end: WireTime | None = None
    recurring_event_id: str | None = None
    original_start_time: WireTime | None = None
    recurrence: list[str | None] | None = None
    event_type: str | None = None
    visibility: str | None = None
    transparency: str | None = None
    summary: str | None = None
    description: str | None = None
    location: str | None = None
    hangout_link: str | None = None
    conference_data: WireConference | None = None
    organizer: WirePerson | None = None
    creator: WirePerson | None = None
    attendees: list[WireAttendee | None] | None = None
    attendees_omitted: bool | None = None


class Unreadable(Exception):
    """An item that cannot be read; the message names the field and what is wrong, never its text."""


def to_item(wire: WireEvent) -> Item:
    """An event, or the tombstone of one; raises Unreadable."""
    if not wire.id:
        raise Unreadable("id: missing")
    if wire.status == EventStatus.CANCELLED:
        return _tombstone(wire, EventId(wire.id))
    if not wire.status:
        raise Unreadable("status: missing")
    return _event(wire, EventId(wire.id))


def to_moment(text: str | None) -> datetime | None:
    """A timestamp that nothing depends on: None if it is missing, unreadable or without a zone."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _tombstone(wire: WireEvent, event_id: EventId) -> Tombstone:
    # Google guarantees no more than the id, so nothing else may be demanded.
    try:
        body = _event(wire, event_id)
    except Unreadable:
        body = None
    return Tombstone(
        id=event_id,
        series_id=_series_id(wire),
        original_start=_original_start(wire),
        updated=to_moment(wire.updated),
        body=body,
    )


def _event(wire: WireEvent, event_id: EventId) -> Event:
    if not wire.i_cal_uid:
        raise Unreadable("iCalUID: missing")
    start, end = _when(wire.start, "start"), _when(wire.end, "end")
    _check_order(start, end)
    return Event(
        id=event_id,
        ical_uid=ICalUid(wire.i_cal_uid),
        status=_STATUSES.get(wire.status, EventStatus.CONFIRMED),
        start=start,
        end=end,
        updated=to_moment(wire.updated),
        series_id=_series_id(wire),
        original_start=_original_start(wire),
        recurrence=tuple(line for line in wire.recurrence or () if line),
        event_type=_event_type(wire.event_type),
        private=wire.visibility not in (None, "", "default", "public"),
        transparent=wire.transparency == "transparent",
        summary=wire.summary or "",
        description=wire.description or "",
        location=wire.location or "",
        video_link=_video_link(wire),
        organizer=_person(wire.organizer),
        creator=_person(wire.creator),
        attendees=tuple(_attendee(one) for one in wire.attendees or () if one is not None),
        attendees_omitted=bool(wire.attendees_omitted),
    )


def _when(wire: WireTime | None, name: str) -> When:
    """A boundary: a day, or a moment in UTC by its offset, or by the zone's rules if it has none."""
    if wire is None:
        raise Unreadable(f"{name}: missing")
    try:
        if wire.date_time:
            return Instant(_instant(wire.date_time, wire.time_zone, name))
        if wire.date:
            return AllDay(date.fromisoformat(wire.date))
    except (ValueError, OverflowError):
        raise Unreadable(f"{name}: not a date or time") from None
    raise Unreadable(f"{name}: neither date nor dateTime")


def _instant(text: str, zone: str | None, name: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        if not zone:
            raise Unreadable(f"{name}: neither offset nor timeZone")
        try:
            # An hour that happens twice is the first of the two (fold=0).
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        except (ValueError, LookupError, OSError):  # the last two: unknown name, or one of a folder
            raise Unreadable(f"{name}: unknown timeZone") from None
    return moment.astimezone(UTC)


def _check_order(start: When, end: When) -> None:
    """Zero length is fine; an end before the start is not, and a day cannot be compared with a moment."""
    match start, end:
        case Instant(at=first), Instant(at=last):
            backwards = last < first
        case AllDay(day=first_day), AllDay(day=last_day):
            backwards = last_day < first_day
        case _:
            raise Unreadable("end: not of the kind of start")
    if backwards:
        raise Unreadable("end before start")


def _series_id(wire: WireEvent) -> EventId | None:
    return EventId(wire.recurring_event_id) if wire.recurring_event_id else None


def _original_start(wire: WireEvent) -> When | None:
    """Seen missing and unreadable in the wild, and the event is known without it."""
    try:
        return _when(wire.original_start_time, "originalStartTime")
    except Unreadable:
        return None


def _event_type(text: str | None) -> EventType:
    return _EVENT_TYPES.get(text, EventType.UNKNOWN) if text else EventType.DEFAULT


def _video_link(wire: WireEvent) -> str:
    """The conference's video entry point: add-ons such as Zoom have no `hangoutLink`."""
    if wire.conference_data is not None:
        for point in wire.conference_data.entry_points or ():
            if point is not None and point.entry_point_type == "video" and point.uri:
                return point.uri
    return wire.hangout_link or ""


def _person(wire: WirePerson | None) -> Person | None:
    if wire is None:
        return None
    return Person(wire.email or None, wire.display_name, bool(wire.is_self))


def _attendee(wire: WireAttendee) -> Attendee:
    # By position: the most frequent call of a page, and keywords cost a fifth of it.
    return Attendee(
        wire.email or None,
        wire.display_name,
        _RESPONSES.get(wire.response_status, ResponseStatus.NEEDS_ACTION),
        bool(wire.is_self),
        bool(wire.organizer),
        bool(wire.resource),
    )
