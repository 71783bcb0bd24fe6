"""Events, attendees and rules with everything filled in that a test does not care about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connector.domain.mapping import Content, content_of
from connector.domain.model import (
    Attendee,
    Event,
    EventId,
    EventStatus,
    ICalUid,
    Instant,
    Person,
    ResponseStatus,
)
from connector.domain.plan import Ground
from connector.domain.policy import PolicyRules, classify
from connector.domain.window import window_at
from tests.values import replace

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ZONE = ZoneInfo("America/New_York")
RULES = PolicyRules(internal_domains=frozenset({"example.com"}))
CALENDAR = "external_00210d1a-df8a-459f-af75-89b953b618b0"
GROUND = Ground(CALENDAR, ZONE, window_at(NOW, ZONE, 30, 90), RULES, NOW)

ME = Attendee("pam@example.com", "Pam", ResponseStatus.ACCEPTED, is_self=True)
COLLEAGUE = Attendee("jim@example.com", "Jim")
PROSPECT = Attendee("dwight@customer.example.org", "Dwight", ResponseStatus.TENTATIVE)


def an_event(*attendees: Attendee, **changes: Any) -> Event:
    """An hour in three days' time, organized by the user."""
    plain = Event(
        id=EventId("e1"),
        ical_uid=ICalUid("e1@google.com"),
        status=EventStatus.CONFIRMED,
        start=Instant(NOW + timedelta(days=3)),
        end=Instant(NOW + timedelta(days=3, hours=1)),
        updated=NOW - timedelta(days=1),
        summary="Pitch",
        description="<b>Agenda</b>",
        location="Room 1",
        organizer=Person("pam@example.com", is_self=True),
        creator=Person("pam@example.com", is_self=True),
        attendees=attendees,
    )
    return replace(plain, **changes)


def content(event: Event, rules: PolicyRules = RULES, zone: ZoneInfo = ZONE) -> Content:
    return content_of(event, classify(event, rules), rules, zone)
