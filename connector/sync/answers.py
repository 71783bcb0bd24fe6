"""Read Salesloft's answer: a success that stored something else is an update that was ignored.

Salesloft ignores an update whose `updated_at` is earlier than the stored one, and answers with success all the same.
Its stored time may be its own rather than the one that was sent, so this happens to honest updates too; a blanking
that was ignored would be a leak. Compared is only what a service has no reason to rewrite: times, status, titles, and
whether a field that was sent blank is blank.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from connector.domain.mapping import from_millis, iso, to_millis
from connector.salesloft import StoredEvent

_TEXT = ("title", "description", "location", "organizer")


def ignored_because(payload: bytes, stored: StoredEvent) -> datetime | None:
    """The later `updated_at` that made Salesloft ignore this payload; None if it was applied (or nobody can tell)."""
    later = later_than_sent(payload, stored)
    if later is None or not stored.id:
        return None
    return later if _differs(msgspec.json.decode(payload), stored) else None


def later_than_sent(payload: bytes, stored: StoredEvent) -> datetime | None:
    """The time that Salesloft keeps, if it is later than the one that was sent: what comes next must be later still."""
    if stored.updated_at is None:
        return None
    sent: dict[str, Any] = msgspec.json.decode(payload)
    if "updated_at" not in sent:
        return None
    return (
        stored.updated_at
        if stored.updated_at > datetime.fromisoformat(sent["updated_at"])
        else None
    )


def with_time_above(payload: bytes, stored_at: datetime) -> bytes:
    """The same content with an `updated_at` just above Salesloft's."""
    sent: dict[str, Any] = msgspec.json.decode(payload)
    return msgspec.json.encode({**sent, "updated_at": iso(above(stored_at))})


def above(moment: datetime) -> datetime:
    """The next whole millisecond after a moment."""
    return from_millis(to_millis(moment) + 1)


def _differs(sent: dict[str, Any], stored: StoredEvent) -> bool:
    for field, held in (("start_time", stored.start_time), ("end_time", stored.end_time)):
        if held is not None and datetime.fromisoformat(sent[field]) != held:
            return True
    if stored.status is not None and stored.status != sent["status"]:
        return True
    if stored.transparency is not None and stored.transparency != sent.get(
        "transparency", stored.transparency
    ):
        return True
    if sent.get("title") and (stored.title or "").strip() != sent["title"].strip():
        return True
    if "attendees" in sent and not sent["attendees"] and stored.attendees:
        return True
    return any(sent.get(field) == "" and getattr(stored, field) for field in _TEXT)
