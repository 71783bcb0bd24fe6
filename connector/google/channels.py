"""Push channels of one calendar at Google: made and stopped here, nothing else. And how a notification is read.

Google has no list of channels. Whoever makes one keeps its id before asking, or it notifies for a week and nobody can
stop it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from connector.domain.push import MessageState, Notification, secret_digest
from connector.google.limiter import Priority
from connector.google.requests import CalendarRequests
from connector.google.transport import GoogleTransport
from connector.google.wire import BrokenBody

UNSUPPORTED = "pushNotSupportedForRequestedResource"
NOT_UNIQUE = "channelIdNotUnique"
ADDRESS_REFUSED = frozenset({"push.webhookUrlUnauthorized", "push.webhookUrlNotHttps"})
"""Reasons of a RequestRefused that speak of the calendar, of the id, and of the address."""
LONGEST_ID, LONGEST_NUMBER, LONGEST_RESOURCE = 64, 18, 256


@dataclass(frozen=True, slots=True)
class Watched:
    """Google's answer. `expires`: None if it names no end."""

    resource: str
    expires: datetime | None


class _WireChannel(msgspec.Struct, rename="camel", frozen=True):
    resource_id: str
    expiration: str | int | None = None  # a text in recordings, a number in the guide


_decoder = msgspec.json.Decoder(_WireChannel)


class GoogleChannels:
    """One user's channels. Both methods let changes of calendars go first, and raise RetryLater, UserParked or
    RequestRefused.
    """

    def __init__(self, requests: CalendarRequests, transport: GoogleTransport) -> None:
        self._requests = requests
        self._transport = transport

    async def watch(self, channel: str, address: str, token: str) -> Watched:
        """Have Google call `address` at each change. RequestRefused has one of the reasons above, or another.

        After a RetryLater, and after `NOT_UNIQUE`, the channel may have been made: an answer was lost.
        """
        body = {"id": channel, "type": "web_hook", "address": address, "token": token}
        answer = await self._transport.fetch(
            self._requests.watch_events(body), Priority.SWEEP, _decode
        )
        return answer.value

    async def stop(self, channel: str, resource: str) -> None:
        """Have Google forget a channel. NotFound if it did already, or if it is another client's."""
        request = self._requests.stop_channel({"id": channel, "resourceId": resource})
        await self._transport.fetch(request, Priority.SWEEP, lambda _: None)


def _decode(body: bytes) -> Watched:
    try:
        wire = _decoder.decode(body)
        until = None if wire.expiration is None else int(wire.expiration)
        expires = None if until is None else datetime.fromtimestamp(until / 1000, UTC)
    except (msgspec.DecodeError, ValueError, OverflowError, OSError):
        raise BrokenBody("an answer that describes no channel") from None
    return Watched(wire.resource_id, expires)


def read_notification(headers: Mapping[str, Any]) -> Notification | None:
    """What the headers of a POST say; None if it is no notification of Google's. The body is empty and not read.

    The expiration (an HTTP date here, milliseconds in the answer to `watch`) and the URI say nothing that is not known.
    """
    channel, number = headers.get("X-Goog-Channel-ID", ""), headers.get("X-Goog-Message-Number", "")
    state = headers.get("X-Goog-Resource-State", "")
    if not channel or len(channel) > LONGEST_ID or state not in tuple(MessageState):
        return None
    if not (number.isascii() and number.isdigit()) or len(number) > LONGEST_NUMBER:
        return None
    return Notification(
        channel=_storable(channel),
        resource=_storable(headers.get("X-Goog-Resource-ID", "")[:LONGEST_RESOURCE]),
        secret=secret_digest(headers.get("X-Goog-Channel-Token", "")),
        number=int(number),
        state=MessageState(state),
    )


def _storable(text: str) -> str:
    """A header's text as any database takes it: bytes that are no text, and NUL, become question marks."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")
