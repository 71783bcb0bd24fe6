"""What a person may paste to name an event: an id, an iCalUID, a link of Google's web page, or words of a title."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

_EID = re.compile(r"[?&#]eid=([A-Za-z0-9_\-=%]+)|/eventedit/([A-Za-z0-9_\-=%]+)")
_ID = re.compile(r"[A-Za-z0-9_]{5,1100}")
_SHORT = {"@m": "@gmail.com", "@g": "@group.calendar.google.com"}


@dataclass(frozen=True, slots=True)
class Asked:
    """`event_id` is set where the text can be one; `calendar` is what a link names; `words` are lower-case."""

    text: str
    event_id: str | None = None
    ical_uid: str | None = None
    calendar: str | None = None
    words: tuple[str, ...] = ()


def asked_for(text: str) -> Asked:
    """What a person means by a text (google-calendar.md 2.11: `eid` is base64 of `<event id> <calendar id>`)."""
    text = text.strip()
    link = _EID.search(text)
    if link is not None:
        event_id, _, calendar = _decoded(link[1] or link[2]).partition(" ")
        return Asked(text, event_id=event_id or None, calendar=_long(calendar) or None)
    if "@" in text and " " not in text:
        return Asked(text, event_id=_native(text), ical_uid=text)
    return Asked(
        text,
        event_id=text if _ID.fullmatch(text) else None,
        words=tuple(text.casefold().split()),
    )


def _native(uid: str) -> str | None:
    """Google's own iCalUIDs hold the event's id."""
    local, _, domain = uid.partition("@")
    return local if domain == "google.com" and _ID.fullmatch(local) else None


def _decoded(eid: str) -> str:
    eid = eid.replace("%3D", "=").replace("%3d", "=").rstrip("=")
    try:
        return base64.urlsafe_b64decode(eid + "=" * (-len(eid) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""


def _long(calendar: str) -> str:
    for short, full in _SHORT.items():
        if calendar.endswith(short):
            return calendar.removesuffix(short) + full
    return calendar
