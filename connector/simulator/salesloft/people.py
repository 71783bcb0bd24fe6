"""Who is in a simulated team: its keys, its users with their meeting settings, the meetings booked with them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connector.simulator.salesloft.events import Row, iso
from connector.simulator.salesloft.rate import TeamBudget


@dataclass(slots=True)
class ApiKey:
    """`denied` holds globs of routes that answer 403 for lack of a scope."""

    key: str
    team: Team
    withdrawn: bool = False
    manage_team: bool = True
    denied: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Team:
    id: int
    name: str
    owner_guid: str
    """Of the user to whom its keys belong, as `GET /v2/me` answers."""
    budget: TeamBudget
    users: dict[str, SalesloftUser] = field(default_factory=dict)
    """By guid."""
    calendars: dict[str, dict[tuple[str, str], Row]] = field(default_factory=dict)
    meetings: dict[int, Meeting] = field(default_factory=dict)


@dataclass(slots=True)
class SalesloftUser:
    """`settings` is the user's record as `meetings/settings/searches` shows it, but for its times."""

    id: int
    guid: str
    email: str
    name: str
    settings: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @property
    def calendar_id(self) -> str:
        return f"external_{self.guid}"

    @property
    def settings_id(self) -> int:
        return int(self.settings["id"])

    @property
    def calendar_type(self) -> str:
        return str(self.settings["calendar_type"])

    @property
    def connection_failed(self) -> bool:
        """Whether the user sees the red banner."""
        return bool(self.settings["primary_calendar_connection_failed"])

    def shown_settings(self) -> dict[str, Any]:
        return {
            **self.settings,
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
        }

    def connect(self, calendar_type: str, now: datetime) -> None:
        """Choose a calendar type, as the user does in Salesloft."""
        external = calendar_type == "external"
        self.settings["calendar_type"] = calendar_type
        self.settings["primary_calendar_id"] = self.calendar_id if external else self.email
        self.updated_at = now


def new_user(
    number: int, *, email: str, guid: str, name: str, calendar_type: str, zone: str, now: datetime
) -> SalesloftUser:
    settings = {
        "id": 50_000 + number,
        "calendar_type": calendar_type,
        "email_address": email,
        "primary_calendar_id": None,
        "primary_calendar_name": "Calendar",
        "primary_calendar_connection_failed": False,
        "enable_calendar_sync": True,
        "time_zone": zone,
        "default_meeting_length": 30,
        "user": {"id": number, "_href": f"https://api.salesloft.com/v2/users/{number}"},
        "user_slug": name.lower().replace(" ", "-"),
        "user_details": {"email": email, "name": name},
    }
    user = SalesloftUser(number, guid, email, name, settings, now, now)
    user.connect(calendar_type, now)
    return user


def made_up_guid(number: int, seed: int) -> str:
    """A guid that is the same in every run with this seed."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://example.com/{seed}/users/{number}"))


@dataclass(slots=True)
class Meeting:
    """A meeting booked in Salesloft, with the calendar event that somebody made for it."""

    id: int
    user: SalesloftUser
    title: str
    start: datetime
    end: datetime
    recipient_email: str
    recipient_name: str | None
    location: str | None
    description: str | None
    guests: tuple[str, ...]
    all_day: bool
    created_at: datetime
    updated_at: datetime
    status: str = "pending"
    reschedule_status: str | None = None
    event_id: str | None = None
    i_cal_uid: str | None = None
    canceled_at: datetime | None = None
    no_show: bool = False

    def shown(self, *, with_settings: bool) -> dict[str, Any]:
        """As the definition's `Meeting`."""
        record: dict[str, Any] = {
            "id": self.id,
            "title": self.title,
            "start_time": iso(self.start),
            "end_time": iso(self.end),
            "calendar_id": self.user.settings["primary_calendar_id"],
            "calendar_type": self.user.calendar_type,
            "meeting_type": None,
            "recipient_name": self.recipient_name,
            "recipient_email": self.recipient_email,
            "location": self.location,
            "description": self.description,
            "event_id": self.event_id,
            "i_cal_uid": self.i_cal_uid,
            "event_source": "internal",
            "guests": list(self.guests),
            "attendees": self._attendees(),
            "canceled_at": iso(self.canceled_at),
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
            "all_day": self.all_day,
            "no_show": self.no_show,
            "status": self.status,
            "reschedule_status": self.reschedule_status,
        }
        if with_settings:
            owner = {"email_address": self.user.settings["email_address"]}
            record["owned_by_meetings_settings"] = owner
            record["booked_by_meetings_settings"] = owner
        return record

    def shown_oddly(self, *, with_settings: bool) -> dict[str, Any]:
        """The same as no document forbids it: ids as text, null for what is empty, and fields that nobody knows."""
        record = self.shown(with_settings=with_settings)
        odd = {name: value if value or value is False else None for name, value in record.items()}
        return odd | {
            "id": str(self.id),
            "no_show": None,
            "attendees": None,
            "all_day": self.all_day or None,
            "crm_references": [{"id": 1, "nested": {"deep": [None]}}],
            "meeting_url": None,
        }

    def _attendees(self) -> list[dict[str, Any]]:
        people = [(self.user.email, self.user.name, True)]
        people.append((self.recipient_email, self.recipient_name or "", False))
        people.extend((guest, "", False) for guest in self.guests)
        return [
            {
                "email": email,
                "name": name or None,
                "status": "needsAction",
                "organizer": organizer,
                "deleted_at": None,
            }
            for email, name, organizer in people
        ]
