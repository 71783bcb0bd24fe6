"""What Salesloft already holds of a calendar that the state does not know, as if the state remembered it.

After a lost state, or where another installation wrote before, whatever stands in Salesloft and not in Google would
otherwise stay for ever, and `updated_at` could start below what Salesloft has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

from connector.domain.errors import RequestRefused
from connector.domain.mapping import (
    CANCELLED,
    Content,
    Fingerprint,
    PayloadAttendee,
    Text,
    calendar_id_of,
    fingerprint,
)
from connector.domain.model import EventId, ICalUid, UserGuid
from connector.domain.plan import Key, Known
from connector.observe.log import get_logger
from connector.salesloft import StoredEvent, TeamRefused

_log = get_logger(__name__)


class ListsEvents(Protocol):
    """Salesloft's list of events, page by page."""

    def list_events(
        self, calendar_id: str, start: datetime, end: datetime | None = None
    ) -> AsyncIterator[list[StoredEvent]]: ...


class HeldBySalesloft:
    """Reads a user's calendar back from Salesloft. Costs a point for every hundred events."""

    def __init__(self, client: ListsEvents) -> None:
        self._client = client

    async def held(self, user_guid: UserGuid, since: datetime) -> list[Known]:
        """What ends after `since`. Where the key may not list (403, 404), nothing: upserts repair what they meet."""
        found: dict[Key, Known] = {}
        try:
            async for page in self._client.list_events(calendar_id_of(user_guid), since):
                for stored in page:
                    known = known_of(stored)
                    mine = stored.calendar_id or stored.user_guid in (user_guid, "")
                    if known is not None and mine:
                        found[known.key] = known
        except TeamRefused as refused:
            if refused.status != 403:
                raise
            _log.warning("salesloft_not_listed", message=str(refused))
            return []
        except RequestRefused as refused:
            _log.warning("salesloft_not_listed", message=str(refused))
            return []
        return list(found.values())


def known_of(stored: StoredEvent) -> Known | None:
    """A stored event as an accepted occurrence; None if it lacks what an occurrence needs."""
    if (
        not stored.id
        or not stored.i_cal_uid
        or stored.start_time is None
        or stored.end_time is None
    ):
        return None
    text = _text_of(stored)
    cancelled = stored.status == "cancelled" or stored.canceled_at is not None
    content = Content(
        start=stored.start_time,
        end=stored.end_time,
        all_day=bool(stored.all_day),
        status=stored.status or "confirmed",
        transparent=stored.transparency == "transparent",
        recurring=bool(stored.recurring),
        text=text,
    )
    return Known(
        key=Key(EventId(stored.id), ICalUid(stored.i_cal_uid)),
        series_id=None,
        start=stored.start_time,
        end=stored.end_time,
        all_day=bool(stored.all_day),
        alive=not cancelled,
        accepted=CANCELLED if cancelled else _accepted(stored, content),
        exposed=text is not None,
        prospect=text is not None and not cancelled,
        updated_at=stored.updated_at,
        canceled_at=stored.canceled_at if cancelled else None,
    )


def _accepted(stored: StoredEvent, content: Content) -> Fingerprint:
    """What Salesloft holds, if its list says enough to tell; else something that nothing equals."""
    told = stored.status is not None and stored.transparency is not None
    return fingerprint(content) if told else Fingerprint("unread")


def _text_of(stored: StoredEvent) -> Text | None:
    title, description = stored.title or "", stored.description or ""
    location, organizer = stored.location or "", stored.organizer or ""
    attendees = tuple(
        PayloadAttendee(
            email=attendee.email or "",
            name=attendee.name or "",
            status=attendee.status or "needsAction",
            organizer=bool(attendee.organizer),
        )
        for attendee in stored.attendees
    )
    if not (title or description or location or organizer or attendees):
        return None
    return Text(title, description, location, organizer, attendees)
