"""What Salesloft tells, as values. Every field may be missing; text of the calendar is kept out of every repr."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from connector.domain.model import UserGuid

EXTERNAL = "external_"


def calendar_id_of(user_guid: UserGuid) -> str:
    """A user's external calendar."""
    return EXTERNAL + user_guid


class StoredAttendee(msgspec.Struct, frozen=True, gc=False):
    email: str | None = None
    name: str | None = None
    status: str | None = None
    organizer: bool | None = None

    def __repr__(self) -> str:
        return f"StoredAttendee(status={self.status!r}, organizer={self.organizer!r})"


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as Salesloft holds it (or, in a bulk result, as it was sent). Times are aware; None where unreadable."""

    id: str = ""
    i_cal_uid: str = ""
    calendar_id: str = ""
    user_guid: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    all_day: bool | None = None
    title: str | None = None
    description: str | None = None
    location: str | None = None
    organizer: str | None = None
    attendees: tuple[StoredAttendee, ...] = ()
    status: str | None = None
    transparency: str | None = None
    recurring: bool | None = None
    canceled_at: datetime | None = None
    updated_at: datetime | None = None

    def __repr__(self) -> str:
        shown = (
            f"{name}={getattr(self, name)!r}"
            for name in self.__struct_fields__
            if name not in _TEXT
        )
        return f"StoredEvent({', '.join(shown)})"


_TEXT = frozenset({"title", "description", "location", "organizer", "attendees"})
"""What is kept out of every repr."""
NOTHING_STORED = StoredEvent()


class UpsertAnswer(msgspec.Struct, frozen=True, gc=False):
    """`upsert_type` is `create` or `update`; `changed_attributes` is None where Salesloft does not tell."""

    upsert_type: str
    data: StoredEvent
    changed_attributes: frozenset[str] | None
    request_id: str
    cost: float


@dataclass(frozen=True, slots=True)
class BulkJob:
    """`state` is open, executing or done (or a word that this version does not know)."""

    id: int
    state: str
    name: str = ""
    type: str = ""
    total: int = 0
    processed: int = 0
    errors: int = 0
    created_at: datetime | None = None

    @property
    def is_done(self) -> bool:
        return self.state == "done"


@dataclass(frozen=True, slots=True)
class BulkResult:
    """One record of a job. `record` is what was sent; `error` is redacted, `fields` are those it names."""

    id: int
    status: str
    """success, error, pending or retrying."""
    error: str = ""
    fields: frozenset[str] = frozenset()
    record: StoredEvent = NOTHING_STORED
    resource: StoredEvent = NOTHING_STORED


@dataclass(frozen=True, slots=True)
class Me:
    """Whose key it is."""

    id: str = ""
    guid: str = ""
    team_id: str = ""


@dataclass(frozen=True, slots=True)
class MeetingSettings:
    id: str = ""
    calendar_type: str = ""
    email_address: str = field(default="", repr=False)
    primary_calendar_id: str = ""
    primary_calendar_name: str = field(default="", repr=False)
    primary_calendar_connection_failed: bool | None = None
    time_zone: str = ""
    updated_at: datetime | None = None
    user_id: str = ""
    user_guid: str = ""
    """Where Salesloft tells it, or the calendar's id does; empty for a user on another type of calendar."""

    @property
    def is_external(self) -> bool:
        return self.calendar_type == "external"


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting booked in Salesloft. `status` and `reschedule_status`: pending, booked, failed, retry."""

    id: str = ""
    title: str = field(default="", repr=False)
    start_time: datetime | None = None
    end_time: datetime | None = None
    all_day: bool | None = None
    calendar_id: str = ""
    calendar_type: str = ""
    recipient_name: str = field(default="", repr=False)
    recipient_email: str = field(default="", repr=False)
    location: str = field(default="", repr=False)
    description: str = field(default="", repr=False)
    event_id: str = ""
    i_cal_uid: str = ""
    guests: tuple[str, ...] = field(default=(), repr=False)
    attendees: tuple[StoredAttendee, ...] = field(default=(), repr=False)
    canceled_at: datetime | None = None
    updated_at: datetime | None = None
    status: str = ""
    reschedule_status: str = ""
    owned_by: MeetingSettings | None = None
    booked_by: MeetingSettings | None = None
