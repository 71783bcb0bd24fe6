"""What Google tells about a calendar, as values: events, tombstones, listings.

Times are aware and in UTC inside `Instant`; an all-day boundary stays a date (`AllDay`) until the calendar's zone is
known. Field names follow Google's event resource; see the Calendar API reference for their meaning.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import NewType

import msgspec

UserName = NewType("UserName", str)
"""The stem of the user's file."""
UserGuid = NewType("UserGuid", str)
"""Salesloft's id of a user; the user's calendar there is `external_<guid>`."""
EventId = NewType("EventId", str)
"""Google's event id; every occurrence of a series has its own. Unique inside one calendar only."""
ICalUid = NewType("ICalUid", str)
SyncToken = NewType("SyncToken", str)


class Instant(msgspec.Struct, frozen=True, gc=False):
    """A moment. `at` is aware and in UTC."""

    at: datetime


class AllDay(msgspec.Struct, frozen=True, gc=False):
    """A day in the calendar's zone; as an end it is exclusive."""

    day: date


When = Instant | AllDay


class EventStatus(StrEnum):
    CONFIRMED = "confirmed"
    TENTATIVE = "tentative"
    CANCELLED = "cancelled"


class ResponseStatus(StrEnum):
    NEEDS_ACTION = "needsAction"
    DECLINED = "declined"
    TENTATIVE = "tentative"
    ACCEPTED = "accepted"


class EventType(StrEnum):
    """Google's event types; one that this version does not know decodes as `UNKNOWN`."""

    DEFAULT = "default"
    OUT_OF_OFFICE = "outOfOffice"
    FOCUS_TIME = "focusTime"
    FROM_GMAIL = "fromGmail"
    WORKING_LOCATION = "workingLocation"
    BIRTHDAY = "birthday"
    UNKNOWN = "unknown"


class Person(msgspec.Struct, frozen=True, gc=False):
    """An organizer or creator. `email` may be missing, and may name a calendar rather than a person."""

    email: str | None = None
    name: str | None = None
    is_self: bool = False


class Attendee(msgspec.Struct, frozen=True, gc=False):
    email: str | None
    name: str | None = None
    response: ResponseStatus = ResponseStatus.NEEDS_ACTION
    is_self: bool = False
    is_organizer: bool = False
    is_resource: bool = False


class Event(msgspec.Struct, frozen=True, gc=False):
    """A single event, an occurrence, an exception or the master of a series, alive or cancelled with its body.

    `series_id` is Google's `recurringEventId`, set on occurrences; `recurrence` is set on masters only.
    """

    id: EventId
    ical_uid: ICalUid
    status: EventStatus
    start: When
    end: When
    updated: datetime | None = None
    series_id: EventId | None = None
    original_start: When | None = None
    recurrence: tuple[str, ...] = ()
    event_type: EventType = EventType.DEFAULT
    private: bool = False
    """Visibility `private` or `confidential`."""
    transparent: bool = False
    summary: str = ""
    description: str = ""
    location: str = ""
    video_link: str = ""
    """The conference's video entry point (or `hangoutLink`), whoever provides it."""
    organizer: Person | None = None
    creator: Person | None = None
    attendees: tuple[Attendee, ...] = ()
    attendees_omitted: bool = False

    @property
    def is_series(self) -> bool:
        return bool(self.recurrence)


class Tombstone(msgspec.Struct, frozen=True, gc=False):
    """Something that was deleted, of which Google guarantees no more than the id.

    `series_id` is set for a cancelled exception of a live series. `body` is the event as Google still shows it, when it
    came with everything that an event needs.
    """

    id: EventId
    series_id: EventId | None = None
    original_start: When | None = None
    updated: datetime | None = None
    body: Event | None = None


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """An item that cannot be read. `reason` names the field and what is wrong, never its text. `id` may be empty."""

    id: str
    reason: str


Item = Event | Tombstone


class Listing(msgspec.Struct, frozen=True, gc=False):
    """All pages of one listing, complete. An item listed twice is here once, as it came last.

    `answered_at` is the `Date` header of the first page (UTC): Google's clock, no later than what the items show.
    `next_token` is set for syncable listings only. `access_role` and `time_zone` are the envelope's.
    """

    items: tuple[Item, ...]
    malformed: tuple[Malformed, ...]
    time_zone: str
    access_role: str
    answered_at: datetime
    updated: datetime | None = None
    """When the calendar last changed, by the envelope. None if that is not told, or changed between two pages."""
    next_token: SyncToken | None = None
    pages: int = 1
