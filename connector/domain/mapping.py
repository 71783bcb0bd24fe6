"""Google event → Salesloft payload, and the fingerprint that tells whether a payload says anything new.

Source of the fields: Salesloft's "External Calendars" guide. A field that is left out of an update keeps its stored
value there, so a field is blanked by sending it empty.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import NewType
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, UnsetType

from connector.domain.erasure import NOBODY, Erased, without_erased
from connector.domain.model import AllDay, Attendee, Event, UserGuid
from connector.domain.policy import Disclosure, PolicyRules, Verdict, names_a_calendar
from connector.domain.window import span

Fingerprint = NewType("Fingerprint", str)
"""`<content>.<attendees>` in hex. Without `updated_at` and `canceled_at`: these alone are no news."""


class PayloadAttendee(msgspec.Struct, frozen=True, order=True):
    """One entry of `attendees`; `status` is one of Salesloft's four, spelled as Google spells them."""

    email: str
    name: str
    status: str
    organizer: bool


class Payload(msgspec.Struct, frozen=True):
    """The body of one upsert. `UNSET` fields are left out; times are ISO 8601 with an offset."""

    calendar_id: str
    id: str
    i_cal_uid: str
    start_time: str
    end_time: str
    status: str
    updated_at: str
    all_day: bool | UnsetType = UNSET
    transparency: str | UnsetType = UNSET
    recurring: bool | UnsetType = UNSET
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    location: str | UnsetType = UNSET
    organizer: str | UnsetType = UNSET
    attendees: tuple[PayloadAttendee, ...] | UnsetType = UNSET
    canceled_at: str | UnsetType | None = UNSET


class Text(msgspec.Struct, frozen=True, gc=False):
    """Everything about a meeting that is withheld unless the verdict is `full`.

    `attendees` None: Google cut the list off, so the one that Salesloft holds stays.
    """

    title: str
    description: str
    location: str
    organizer: str
    attendees: tuple[PayloadAttendee, ...] | None


class Content(msgspec.Struct, frozen=True, gc=False):
    """What Salesloft should hold of one living occurrence. `start` and `end` are aware and in UTC."""

    start: datetime
    end: datetime
    all_day: bool
    status: str
    transparent: bool
    recurring: bool
    text: Text | None
    """None: busy only."""


_encoder = msgspec.json.Encoder()


def calendar_id_of(user_guid: UserGuid) -> str:
    """Salesloft's id of a user's external calendar."""
    return f"external_{user_guid}"


def content_of(
    event: Event,
    verdict: Verdict,
    rules: PolicyRules,
    zone: ZoneInfo,
    *,
    attendees_known: bool = False,
    erased: Erased = NOBODY,
) -> Content:
    """What may be sent of a living event under a verdict of `full` or `busy_only`.

    `attendees_known`: Salesloft holds the complete list, which one that Google cut off must not replace. `erased`
    people are left out; the verdict was given on the whole event.
    """
    start, end = span(event.start, event.end, zone)
    text = None
    if verdict.disclosure is Disclosure.FULL:
        # Where what Google shows names somebody erased, the list that Salesloft holds must not stay.
        shown = without_erased(event, erased)
        keep = attendees_known and event.attendees_omitted and shown is event
        text = _text_of(shown, rules, keep_attendees=keep)
    return Content(
        start=start,
        end=end,
        all_day=isinstance(event.start, AllDay),
        status=event.status.value,
        transparent=verdict.transparent,
        recurring=event.series_id is not None,
        text=text,
    )


def _text_of(event: Event, rules: PolicyRules, *, keep_attendees: bool) -> Text:
    location = event.location
    if not location and rules.video_link_as_location:
        location = event.video_link
    organizer = (event.organizer.email if event.organizer else None) or ""
    attendees = None
    if not keep_attendees:
        attendees = tuple(
            _attendee(attendee, attendee.email, organizer)
            for attendee in event.attendees
            if attendee.email and not attendee.is_resource and not names_a_calendar(attendee.email)
        )
    return Text(event.summary, event.description, location, organizer, attendees)


def _attendee(attendee: Attendee, email: str, organizer: str) -> PayloadAttendee:
    return PayloadAttendee(
        email=email,
        name=attendee.name or "",
        status=attendee.response.value,
        organizer=attendee.is_organizer or (bool(organizer) and email.lower() == organizer.lower()),
    )


def fingerprint(content: Content) -> Fingerprint:
    """Equal for contents that Salesloft would hold as equal; the order of attendees does not count."""
    text = content.text
    facts = (
        int(content.start.timestamp() * 1000),
        int(content.end.timestamp() * 1000),
        content.all_day,
        content.status,
        content.transparent,
        content.recurring,
        (text.title, text.description, text.location, text.organizer) if text else None,
    )
    attendees = sorted(text.attendees) if text and text.attendees is not None else None
    known = "-" if text and text.attendees is None else _digest(attendees)
    return Fingerprint(f"{_digest(facts)}.{known}")


CANCELLED = Fingerprint("cancelled")
CANCELLED_AND_BLANKED = Fingerprint("cancelled+blank")
UNCERTAIN = Fingerprint("uncertain")
"""Salesloft may hold one of several contents: nothing equals it."""


def same(desired: Fingerprint, held: Fingerprint | None) -> bool:
    """True if what Salesloft holds needs no change. An unknown list of attendees (`-`) is never a difference."""
    if held is None:
        return False
    if desired == held:
        return True
    return desired.endswith(".-") and desired.partition(".")[0] == held.partition(".")[0]


def without_list(fingerprint: Fingerprint) -> Fingerprint:
    """The same content where Google cut off the list of attendees."""
    return Fingerprint(f"{fingerprint.partition('.')[0]}.-")


def hides(fingerprint: Fingerprint | None) -> bool:
    """True if this is the content of something living whose text is withheld."""
    return fingerprint is not None and fingerprint.endswith(_WITHHELD)


def _digest(facts: object) -> str:
    return blake2b(_encoder.encode(facts), digest_size=12).hexdigest()


_WITHHELD = f".{_digest(None)}"


def payload_of(
    content: Content,
    *,
    calendar_id: str,
    event_id: str,
    ical_uid: str,
    updated_at: datetime,
    zone: ZoneInfo,
    blank: bool,
    revived: bool,
) -> Payload:
    """The upsert of a living occurrence.

    `blank`: Salesloft may hold text of it, so what is withheld is sent empty instead of being left out.
    `revived`: Salesloft holds it as cancelled, so `canceled_at` is taken back.
    """
    text = content.text
    if text is None and blank:
        text = Text("", "", "", "", ())
    return Payload(
        calendar_id=calendar_id,
        id=event_id,
        i_cal_uid=ical_uid,
        start_time=_time(content.start, content.all_day, zone),
        end_time=_time(content.end, content.all_day, zone),
        status=content.status,
        updated_at=iso(updated_at),
        all_day=content.all_day,
        transparency="transparent" if content.transparent else "opaque",
        recurring=content.recurring,
        title=text.title if text else UNSET,
        description=text.description if text else UNSET,
        location=text.location if text else UNSET,
        organizer=text.organizer if text else UNSET,
        attendees=text.attendees if text and text.attendees is not None else UNSET,
        canceled_at=None if revived else UNSET,
    )


def cancellation_of(
    *,
    calendar_id: str,
    event_id: str,
    ical_uid: str,
    start: datetime,
    end: datetime,
    all_day: bool,
    zone: ZoneInfo,
    updated_at: datetime,
    canceled_at: datetime,
    blank: bool,
) -> Payload:
    """The upsert of a cancelled occurrence: ids and last known times; `blank` if its text is now withheld."""
    return Payload(
        calendar_id=calendar_id,
        id=event_id,
        i_cal_uid=ical_uid,
        start_time=_time(start, all_day, zone),
        end_time=_time(end, all_day, zone),
        status="cancelled",
        updated_at=iso(updated_at),
        title="" if blank else UNSET,
        description="" if blank else UNSET,
        location="" if blank else UNSET,
        organizer="" if blank else UNSET,
        attendees=() if blank else UNSET,
        canceled_at=iso(canceled_at),
    )


def encode(payload: Payload) -> bytes:
    """The JSON body."""
    return _encoder.encode(payload)


def _time(at: datetime, all_day: bool, zone: ZoneInfo) -> str:
    """A timed end in UTC; an all-day one as midnight with the calendar's offset, so that its date can be read off."""
    return iso(at.astimezone(zone)) if all_day else iso(at)


def iso(at: datetime) -> str:
    """ISO 8601 with an offset, to the millisecond where there is one."""
    timespec = "milliseconds" if at.microsecond else "seconds"
    return at.isoformat(timespec=timespec)


_EPOCH = datetime.fromtimestamp(0, UTC)


def to_millis(at: datetime) -> int:
    """Milliseconds since the epoch, the unit in which the state keeps moments."""
    return round(at.timestamp() * 1000)


def from_millis(millis: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=millis)
