"""Judges the body of an upsert as Salesloft's documents describe it, strictly: every mistake, each with its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connector.simulator.salesloft.events import StoredAttendee

REQUIRED = ("calendar_id", "id", "i_cal_uid", "start_time", "end_time")
_TEXTS = ("title", "description", "location")
_FLAGS = ("all_day", "recurring")
_TIMES = ("start_time", "end_time", "canceled_at", "updated_at")
_CHOICES = {
    "status": ("confirmed", "tentative", "cancelled"),
    "transparency": ("opaque", "transparent"),
}
_ATTENDEE_STATUSES = ("needsAction", "accepted", "tentative", "declined")
_ATTENDEE_FIELDS = frozenset({"name", "email", "status", "organizer"})
KNOWN = frozenset(
    {*REQUIRED, *_TEXTS, *_FLAGS, *_TIMES, *_CHOICES}
    | {"organizer", "attendees", "recurrence", "upsert_key"}
)

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")

Mistakes = dict[str, str]


def instant(value: object) -> datetime | None:
    """The instant of an ISO 8601 text with an offset, in UTC; None if it is not one."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def read_upsert(
    body: Mapping[str, Any], *, refused: Mapping[str, str], refuse_unknown: bool
) -> tuple[dict[str, Any], Mistakes]:
    """The body's fields as values (blank text is None), and what is wrong with it, by field."""
    mistakes: Mistakes = {}
    for name in REQUIRED:
        if body.get(name) in (None, ""):
            mistakes[name] = "is missing"
    fields: dict[str, Any] = {}
    for name, value in body.items():
        if name in refused:
            mistakes[name] = refused[name]
        elif name not in KNOWN:
            if refuse_unknown:
                mistakes[name] = "is not permitted"
        elif name not in mistakes:
            read, mistake = _read_field(name, value)
            if mistake is None:
                fields[name] = read
            else:
                mistakes[name] = mistake
    start, end = fields.get("start_time"), fields.get("end_time")
    if start is not None and end is not None and end < start:
        mistakes["end_time"] = "must not be before start_time"
    if fields.get("updated_at", ...) is None:
        del fields["updated_at"]
    return fields, mistakes


def _read_field(name: str, value: object) -> tuple[Any, str | None]:
    """One known field: its value, or what is wrong with it. None is a blank."""
    if name == "upsert_key":
        known = isinstance(value, list) and set(map(str, value)) in ({"id"}, {"id", "i_cal_uid"})
        return value, None if known else "must be [id] or [id, i_cal_uid]"
    if value is None:
        return (() if name in ("attendees", "recurrence") else None), None
    if name in _TIMES:
        moment = instant(value)
        return moment, None if moment else "must be ISO 8601 with a time zone offset"
    if name in _FLAGS:
        return value, None if isinstance(value, bool) else "must be a boolean"
    if name == "attendees":
        return _read_attendees(value)
    if name == "recurrence":
        listed = isinstance(value, list) and all(isinstance(rule, str) for rule in value)
        return (
            (tuple(value), None) if isinstance(value, list) and listed else (None, "must be a list")
        )
    if not isinstance(value, str):
        return None, "must be a string"
    return _read_text(name, value)


def _read_text(name: str, value: str) -> tuple[Any, str | None]:
    if name in _CHOICES and value not in _CHOICES[name]:
        return None, f"must be one of {', '.join(_CHOICES[name])}"
    if name == "organizer" and value and not _ADDRESS.fullmatch(value):
        return None, "must be an e-mail address"
    return value or None, None


def _read_attendees(value: object) -> tuple[Any, str | None]:
    if not isinstance(value, list):
        return None, "must be a list"
    attendees = []
    for position, entry in enumerate(value):
        mistake = _attendee_mistake(entry)
        if mistake is not None:
            return None, f"[{position}] {mistake}"
        attendees.append(
            StoredAttendee(
                entry["email"],
                entry.get("name") or None,
                entry.get("status") or "needsAction",
                bool(entry.get("organizer")),
            )
        )
    return tuple(attendees), None


def _attendee_mistake(entry: object) -> str | None:
    if not isinstance(entry, dict):
        return "must be an object"
    unknown = sorted(entry.keys() - _ATTENDEE_FIELDS)
    if unknown:
        return f"{unknown[0]} is not permitted"
    email = entry.get("email")
    if not isinstance(email, str) or not _ADDRESS.fullmatch(email):
        return "email must be an e-mail address"
    if not isinstance(entry.get("name"), str | None):
        return "name must be a string"
    if entry.get("status") not in (None, *_ATTENDEE_STATUSES):
        return f"status must be one of {', '.join(_ATTENDEE_STATUSES)}"
    if not isinstance(entry.get("organizer"), bool | None):
        return "organizer must be a boolean"
    return None
