"""The events that Salesloft stores: one upsert applied to what is there, and how an event is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

NEVER = datetime.min.replace(tzinfo=UTC)

UpsertType = Literal["create", "update"]


@dataclass(frozen=True, slots=True)
class StoredAttendee:
    email: str
    name: str | None = None
    status: str | None = None
    organizer: bool = False


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One occurrence as Salesloft holds it; blank text is None, instants are in UTC."""

    calendar_id: str
    id: str
    i_cal_uid: str
    start: datetime
    end: datetime
    all_day: bool = False
    title: str | None = None
    description: str | None = None
    location: str | None = None
    organizer: str | None = None
    attendees: tuple[StoredAttendee, ...] = ()
    status: str | None = None
    transparency: str | None = None
    recurring: bool = False
    recurrence: tuple[str, ...] = ()
    canceled_at: datetime | None = None
    updated_at: datetime = NEVER


@dataclass(frozen=True, slots=True)
class Row:
    """An event with what only Salesloft knows of it."""

    event: StoredEvent
    created_at: datetime
    written_at: datetime
    changed: tuple[str, ...] = ()
    status_changed: frozenset[str] = frozenset()
    removed: tuple[tuple[StoredAttendee, datetime], ...] = ()
    """Attendees that an update left out, and when."""


@dataclass(frozen=True, slots=True)
class Applied:
    row: Row
    upsert_type: UpsertType
    stale: bool = False


# Wire name → attribute; what is not here is named alike.
_ATTRIBUTES = {"start_time": "start", "end_time": "end"}
_BOOLEANS = ("all_day", "recurring")


def apply_upsert(
    row: Row | None, fields: dict[str, Any], now: datetime, *, own_time: bool
) -> Applied:
    """One validated upsert on what is stored: fields left out keep their value; strictly earlier ones are ignored."""
    sent_at: datetime | None = fields.get("updated_at")
    if row is not None and sent_at is not None and sent_at < row.event.updated_at:
        unchanged = replace(row, changed=(), status_changed=frozenset())
        return Applied(unchanged, "update", stale=True)
    values = {_ATTRIBUTES.get(name, name): value for name, value in fields.items()}
    values.pop("upsert_key", None)
    for name in _BOOLEANS:
        if name in values and values[name] is None:
            values[name] = False
    values["updated_at"] = now if own_time or sent_at is None else sent_at
    if row is None:
        return Applied(Row(StoredEvent(**values), now, now, tuple(sorted(fields))), "create")
    event = replace(row.event, **values)
    changed = tuple(
        name
        for name in sorted(fields)
        if name != "updated_at" and _value(event, name) != _value(row.event, name)
    )
    return Applied(_updated(row, event, changed, now), "update")


def _updated(row: Row, event: StoredEvent, changed: tuple[str, ...], now: datetime) -> Row:
    before = {attendee.email: attendee for attendee in row.event.attendees}
    present = {attendee.email for attendee in event.attendees}
    moved = frozenset(
        attendee.email
        for attendee in event.attendees
        if attendee.email in before and before[attendee.email].status != attendee.status
    )
    gone = [(attendee, now) for email, attendee in before.items() if email not in present]
    removed = tuple([entry for entry in row.removed if entry[0].email not in present] + gone)
    return Row(event, row.created_at, now, changed, moved, removed)


def _value(event: StoredEvent, name: str) -> object:
    return getattr(event, _ATTRIBUTES.get(name, name), None)


def iso(moment: datetime | None) -> str | None:
    """As Salesloft writes times: UTC with microseconds."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def busy(event: StoredEvent) -> bool:
    return event.status != "cancelled" and event.transparency != "transparent"


def shown(
    row: Row,
    *,
    user_guid: str,
    tenant_id: int,
    own_time: bool = False,
    stringly: bool = False,
    keep_removed: bool = False,
) -> dict[str, Any]:
    """The event as an answer shows it (the definition's `CalendarEvent`)."""
    event = row.event
    return {
        "id": event.id,
        "i_cal_uid": event.i_cal_uid,
        "calendar_id": event.calendar_id,
        "user_guid": user_guid,
        "tenant_id": tenant_id,
        "provider": "external",
        "title": event.title,
        "description": event.description,
        "body_html": None,
        "location": event.location,
        "organizer": event.organizer,
        "creator": None,
        "attendees": _shown_attendees(row, keep_removed),
        "start_time": iso(event.start),
        "end_time": iso(event.end),
        "all_day": _boolean(event.all_day, stringly),
        "recurring": _boolean(event.recurring, stringly),
        "recurrence": list(event.recurrence) or None,
        "status": event.status,
        "transparency": event.transparency,
        "busy": busy(event),
        "canceled_at": iso(event.canceled_at),
        "conference_data": None,
        "html_link": None,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.written_at if own_time else event.updated_at),
        "extended_properties": {"changed_attributes": list(row.changed)},
    }


def _boolean(value: bool, stringly: bool) -> bool | str:
    return str(value).lower() if stringly else value


def _shown_attendees(row: Row, keep_removed: bool) -> list[dict[str, Any]]:
    here: list[tuple[StoredAttendee, datetime | None]] = [
        (attendee, None) for attendee in row.event.attendees
    ]
    if keep_removed:
        here.extend(row.removed)
    return [
        {
            "email": attendee.email,
            "name": attendee.name,
            "status": attendee.status,
            "organizer": attendee.organizer,
            "deleted_at": iso(deleted_at),
            "status_changed": attendee.email in row.status_changed,
        }
        for attendee, deleted_at in here
    ]
