"""Field by field: what Salesloft holds of one occurrence against what it should hold. Pure; gives names, never text.

Compared exactly as sent, but for what a service has no reason to keep: the order of attendees, white space at the end
of a text, `updated_at`. What Salesloft's answer leaves out (None) tells nothing and is no difference.
"""

from __future__ import annotations

from connector.domain.mapping import Content, PayloadAttendee, to_millis
from connector.salesloft import StoredEvent

TEXT_FIELDS = ("title", "description", "location", "organizer", "attendees")
CANCELLED = "cancelled"


def is_alive(stored: StoredEvent) -> bool:
    """True if Salesloft holds the slot; an event that says nothing of its status counts by `canceled_at`."""
    if stored.status is None:
        return stored.canceled_at is None
    return stored.status != CANCELLED


def text_fields(stored: StoredEvent) -> tuple[str, ...]:
    """The fields that hold text of the meeting: of one that is withheld, there may be none."""
    return tuple(name for name in TEXT_FIELDS if getattr(stored, name))


def differing_fields(wanted: Content, stored: StoredEvent) -> tuple[str, ...]:
    """The names of the fields that differ, in the order in which Salesloft documents them."""
    differs = {
        "start_time": stored.start_time is None
        or to_millis(stored.start_time) != to_millis(wanted.start),
        "end_time": stored.end_time is None or to_millis(stored.end_time) != to_millis(wanted.end),
        "all_day": stored.all_day is not None and stored.all_day != wanted.all_day,
        "status": stored.status is not None and stored.status != wanted.status,
        "canceled_at": stored.canceled_at is not None,
        "transparency": stored.transparency is not None
        and (stored.transparency == "transparent") != wanted.transparent,
        "recurring": stored.recurring is not None and stored.recurring != wanted.recurring,
    }
    return (*(name for name, found in differs.items() if found), *_differing_text(wanted, stored))


def _differing_text(wanted: Content, stored: StoredEvent) -> tuple[str, ...]:
    text = wanted.text
    if text is None:
        return text_fields(stored)
    found = [
        name
        for name in ("title", "description", "location", "organizer")
        if (getattr(stored, name) or "").rstrip() != getattr(text, name).rstrip()
    ]
    if text.attendees is not None and _held(stored) != {_plain(one) for one in text.attendees}:
        found.append("attendees")
    return tuple(found)


def _held(stored: StoredEvent) -> set[tuple[str, str, str, bool]]:
    return {
        (
            one.email or "",
            (one.name or "").rstrip(),
            one.status or "needsAction",
            bool(one.organizer),
        )
        for one in stored.attendees
    }


def _plain(one: PayloadAttendee) -> tuple[str, str, str, bool]:
    return (one.email, one.name.rstrip(), one.status, one.organizer)
