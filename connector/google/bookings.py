"""Writes meetings that were booked in Salesloft to one user's calendar: the only writes to Google.

The event's id is chosen by the caller, so a request that may have been applied is safe to repeat: a second insert
answers 409, a second cancellation 410. The transport must have tokens of its own with `WRITE_SCOPE`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from connector.domain.errors import (
    NotFound,
    ParkReason,
    RequestRefused,
    RetryLater,
    UserParked,
    WriteScopeMissing,
)
from connector.domain.model import Event, EventId, Item, Malformed, Tombstone
from connector.google.auth import WRITE_SCOPE
from connector.google.limiter import Priority
from connector.google.requests import CalendarRequests
from connector.google.transport import GoogleTransport
from connector.google.wire import decode_event

T = TypeVar("T")
_NO_SCOPE = frozenset({ParkReason.SCOPE_MISSING, ParkReason.DELEGATION_MISSING})
_DUPLICATE = 409
_FORBIDDEN = 403
_REMEDIES = {
    "requiredAccessLevel": "give this account the right to change events of the calendar",
    "forbiddenForServiceAccounts": "set [google] subject: without it a service account cannot invite anybody",
}
"""403 of a write that speaks of the calendar or the account, never of one event → what a person must do."""
_OF_THE_EVENT = frozenset({"forbiddenForNonOrganizer"})
"""403 that waiting cannot cure."""


class GoogleBookings:
    """One user's calendar, for writing.

    Every method raises RetryLater for what passes, RequestRefused for what repeating cannot cure, UserParked when the
    calendar cannot be reached, and WriteScopeMissing when only the right to write lacks: the scope, or the role on the
    calendar. A refusal that is not in Google's own words (a proxy's page) passes: nothing is concluded from it.
    """

    def __init__(
        self, requests: CalendarRequests, transport: GoogleTransport, *, send_updates: str = "all"
    ) -> None:
        self._requests = requests
        self._transport = transport
        self._send_updates = send_updates

    async def insert(self, body: dict[str, Any]) -> Event | None:
        """Create an event; None if its id was taken before: look with `get` what became of it."""
        request = self._requests.insert_event(
            body, send_updates=self._send_updates, conference="conferenceData" in body
        )
        try:
            answer = await self._writing(
                self._transport.fetch(request, Priority.CHANGE, decode_event, about=body["id"]),
                creates=True,
            )
        except RequestRefused as refused:
            if refused.status == _DUPLICATE:
                return None
            raise
        return self._alive(answer.value)

    async def get(self, event_id: EventId) -> Event | None:
        """The living event; None if it is cancelled or gone."""
        request = self._requests.get_event(event_id)
        try:
            answer = await self._writing(
                self._transport.fetch(request, Priority.CHANGE, decode_event, about=event_id)
            )
        except NotFound:
            return None
        return self._alive(answer.value)

    async def move(self, event_id: EventId, times: dict[str, Any]) -> Event | None:
        """Give an event other times (`start` and `end` as in Google's resource); None if it is cancelled or gone."""
        request = self._requests.patch_event(event_id, times, send_updates=self._send_updates)
        try:
            answer = await self._writing(
                self._transport.fetch(request, Priority.CHANGE, decode_event, about=event_id)
            )
        except NotFound:
            return None
        return self._alive(answer.value)

    async def cancel(self, event_id: EventId) -> None:
        """Cancel an event; one that is cancelled or gone already is as it should be."""
        request = self._requests.delete_event(event_id, send_updates=self._send_updates)
        try:
            await self._writing(
                self._transport.fetch(request, Priority.CHANGE, _no_body, about=event_id)
            )
        except NotFound:
            return

    async def _writing(self, call: Awaitable[T], *, creates: bool = False) -> T:
        """The call, its refusals told apart. An unknown 403 says of a new event that none may be created at all."""
        try:
            return await call
        except UserParked as parked:
            if parked.reason in _NO_SCOPE:
                raise self._off(f"grant the scope {WRITE_SCOPE} to these credentials") from None
            if creates and parked.reason is ParkReason.FORBIDDEN:
                raise self._off(_REMEDIES["requiredAccessLevel"]) from None
            raise
        except RequestRefused as refused:
            if refused.status == _DUPLICATE or refused.reason in _OF_THE_EVENT:
                raise
            if refused.reason in _REMEDIES:
                raise self._off(_REMEDIES[refused.reason]) from None
            if creates and refused.status == _FORBIDDEN and refused.reason:
                raise self._off(
                    f"it answered 403 ({refused.reason}): ask the Workspace administrator"
                ) from None
            if refused.status == _FORBIDDEN or not refused.reason:
                raise RetryLater(
                    f"{self._transport.who}: Google, or a proxy before it, refused to change a calendar with "
                    f"{refused.status} and no word of the event; it is tried again",
                    status=refused.status,
                ) from None
            raise

    def _off(self, remedy: str) -> WriteScopeMissing:
        return WriteScopeMissing(
            f"{self._transport.who}: Google does not allow bookings: {remedy} "
            "(docs/bookings.md says how); reading goes on"
        )

    def _alive(self, item: Item | Malformed) -> Event | None:
        match item:
            case Event():
                return item
            case Tombstone():
                return None
            case Malformed(reason=reason):
                raise RetryLater(
                    f"{self._transport.who}: Google's answer about an event cannot be read ({reason}); "
                    "it is tried again"
                )


def _no_body(_: bytes) -> None:
    """204 has none; whatever else comes with a success says nothing either."""
