"""Who is connected: what follows for one user from what Salesloft's meeting settings say.

Only `external` is a calendar that this connector may feed (reference, "Which users are connected"). Anything else that
Salesloft says ends the sending at once; where it says nothing, nothing follows.
"""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import datetime, timedelta
from enum import StrEnum

from connector.domain.model import UserGuid, UserName

EXTERNAL = "external"
FULL_EVERY = timedelta(days=1)
"""A look-up of what was updated never shows a user whom Salesloft deleted; a full one does."""
OVERLAP = timedelta(minutes=5)
"""What was updated so long before the newest update seen is asked for again: rows may be stored out of order."""
_FURTHER_AHEAD = timedelta(hours=1)
_UNSAFE = re.compile(r"[^a-z0-9._-]+")
_LONGEST_STEM = 64


class Change(StrEnum):
    """What became of a user's connection."""

    JOINED = "joined"  # external, for the first time that this state hears of it
    RETURNED = "returned"  # external again: what Salesloft holds is compared first
    LEFT = "left"  # no longer external: nothing more is sent


def change_of(known_type: str | None, told: str, *, disconnected: bool) -> Change | None:
    """What follows from a calendar type that Salesloft told, given the one known before (None: none was)."""
    if told == EXTERNAL:
        if disconnected:
            return Change.RETURNED
        return Change.JOINED if known_type != EXTERNAL else None
    return Change.LEFT if told and not disconnected else None


def full_is_due(full_at: datetime | None, now: datetime) -> bool:
    """Once a day, at the start, and when the clock was set back behind the last one."""
    return full_at is None or not timedelta(0) <= now - full_at < FULL_EVERY


def later_cursor(
    cursor: datetime | None, updated: datetime | None, now: datetime
) -> datetime | None:
    """The newest of Salesloft's own times; one that lies far ahead would hide every later update and is ignored."""
    if updated is None or updated > now + _FURTHER_AHEAD:
        return cursor
    return updated if cursor is None else max(cursor, updated)


def name_for(email: str, guid: UserGuid, taken: Container[str]) -> UserName:
    """A name for a user without a file: a safe stem of the address's local part, made unique by the GUID."""
    stem = _UNSAFE.sub("-", email.partition("@")[0].lower()).strip("-._")[:_LONGEST_STEM] or "user"
    for name in (stem, f"{stem}-{guid[:8]}"):
        if name not in taken:
            return UserName(name)
    return UserName(f"{stem}-{guid}")
