"""Takes a person out of a payload that was made before the person was erased."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec import UNSET

from connector.domain.erasure import Erased
from connector.domain.mapping import (
    Content,
    Fingerprint,
    Payload,
    Text,
    encode,
    fingerprint,
    hides,
    iso,
)

_decoder = msgspec.json.Decoder(Payload)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A body that names the person no more, and its fingerprint, as the next reading will find it."""

    payload: bytes
    fingerprint: Fingerprint


def names(body: bytes, erased: Erased) -> bool:
    """True if somebody who was erased is an attendee or the organizer of this body."""
    return _names(_decoder.decode(body), erased)


def without(
    body: bytes, old: Fingerprint, erased: Erased, updated_at: datetime
) -> Rewritten | None:
    """The body without those people, at `updated_at`; None if it names none of them. `old` is its fingerprint."""
    payload = _decoder.decode(body)
    if not _names(payload, erased):
        return None
    organizer, attendees = payload.organizer, payload.attendees
    if organizer is not UNSET and erased.has(organizer):
        organizer = ""
    if attendees is not UNSET:
        attendees = tuple(guest for guest in attendees if not erased.has(guest.email))
    changed = msgspec.structs.replace(
        payload, organizer=organizer, attendees=attendees, updated_at=iso(updated_at)
    )
    return Rewritten(encode(changed), _fingerprint(changed, old))


def _names(payload: Payload, erased: Erased) -> bool:
    guests = payload.attendees if payload.attendees is not UNSET else ()
    organizer = payload.organizer if payload.organizer is not UNSET else ""
    return erased.has(organizer) or any(erased.has(guest.email) for guest in guests)


def _fingerprint(payload: Payload, old: Fingerprint) -> Fingerprint:
    """As the mapping would give it; where the list of attendees was cut off, the old one's part for it stays."""
    if "." not in old or hides(old):
        return old  # cancelled or withheld: it says nothing of people
    text = Text(
        title=payload.title if payload.title is not UNSET else "",
        description=payload.description if payload.description is not UNSET else "",
        location=payload.location if payload.location is not UNSET else "",
        organizer=payload.organizer if payload.organizer is not UNSET else "",
        attendees=payload.attendees if payload.attendees is not UNSET else None,
    )
    made = fingerprint(
        Content(
            start=datetime.fromisoformat(payload.start_time),
            end=datetime.fromisoformat(payload.end_time),
            all_day=payload.all_day is True,
            status=payload.status,
            transparent=payload.transparency == "transparent",
            recurring=payload.recurring is True,
            text=text,
        )
    )
    if text.attendees is None:
        return Fingerprint(f"{made.partition('.')[0]}.{old.partition('.')[2]}")
    return made
