"""Channels over the wire: what is asked of Google, and what its answers mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from connector.domain.errors import NotFound, ParkReason, RequestRefused, RetryLater, UserParked
from connector.google import (
    CalendarRequests,
    GoogleChannels,
    GoogleTransport,
    Priority,
    RequestLimiter,
    Watched,
)
from connector.google.channels import ADDRESS_REFUSED, NOT_UNIQUE, UNSUPPORTED
from tests.google.conftest import FakeGoogle, answer, refusal, refusal_body

ADDRESS = "https://calendar.example.com/google/notifications"
RECORDED = {
    "kind": "api#channel",
    "id": "watch-1",
    "resourceId": "5tQ-hRd11vSoCaUPkuibThYg2kE",
    "resourceUri": "https://www.googleapis.com/calendar/v3/calendars/primary/events?alt=json",
    "expiration": "1773905359000",
}
UNTIL = datetime.fromtimestamp(1773905359, UTC)


@pytest.fixture
def channels(google: FakeGoogle, transport: GoogleTransport) -> GoogleChannels:
    return GoogleChannels(CalendarRequests(google.url, "pam@example.com"), transport)


async def test_a_channel_is_asked_for_and_stopped_as_the_reference_has_it(
    google: FakeGoogle, channels: GoogleChannels
) -> None:
    bodies: list[Any] = []

    async def watch(request: web.Request) -> web.Response:
        bodies.append(json.loads(await request.text()))
        return web.json_response(RECORDED)

    async def stop(request: web.Request) -> web.Response:
        bodies.append(json.loads(await request.text()))
        return web.Response(status=204)

    google.queue(watch, stop)
    assert await channels.watch("one", ADDRESS, "secret") == Watched(RECORDED["resourceId"], UNTIL)
    await channels.stop("one", RECORDED["resourceId"])
    assert [
        (request.method, request.raw_path.partition("?")[0]) for request in google.requests
    ] == [
        ("POST", "/calendar/v3/calendars/pam%40example.com/events/watch"),
        ("POST", "/calendar/v3/channels/stop"),
    ]
    assert bodies == [
        {"id": "one", "type": "web_hook", "address": ADDRESS, "token": "secret"},
        {"id": "one", "resourceId": RECORDED["resourceId"]},
    ]


@pytest.mark.parametrize(
    ("expiration", "until"), [(1773905359000, UNTIL), ("1773905359000", UNTIL), (None, None)]
)
async def test_the_end_is_read_however_it_is_written(
    google: FakeGoogle, channels: GoogleChannels, expiration: Any, until: datetime | None
) -> None:
    google.queue({**RECORDED, "expiration": expiration})
    assert (await channels.watch("one", ADDRESS, "secret")).expires == until


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"resourceId": 5}', b'{"resourceId": "r", "expiration": "soon"}']
)
async def test_an_answer_that_describes_no_channel_is_asked_for_again(
    google: FakeGoogle, channels: GoogleChannels, body: bytes
) -> None:
    google.queue(answer(body), RECORDED)
    assert (await channels.watch("one", ADDRESS, "secret")).expires == UNTIL


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "push.webhookUrlUnauthorized"),
        (400, "push.webhookUrlUnauthorized"),
        (400, "push.webhookUrlNotHttps"),
        (400, NOT_UNIQUE),
        (400, UNSUPPORTED),
    ],
)
async def test_a_refusal_is_told_by_its_reason_and_costs_no_token(
    google: FakeGoogle, channels: GoogleChannels, status: int, reason: str
) -> None:
    google.queue(refusal(status, reason))
    with pytest.raises(RequestRefused) as refused:
        await channels.watch("one", ADDRESS, "secret")
    assert refused.value.reason == reason
    assert len(google.requests) == len(google.token_forms) == 1
    assert {"push.webhookUrlUnauthorized", "push.webhookUrlNotHttps"} == ADDRESS_REFUSED


async def test_a_calendar_that_is_gone_is_no_matter_of_its_channel(
    google: FakeGoogle, channels: GoogleChannels
) -> None:
    google.queue(refusal(404, "notFound"))
    with pytest.raises(UserParked) as parked:
        await channels.watch("one", ADDRESS, "secret")
    assert parked.value.reason is ParkReason.CALENDAR_GONE


async def test_an_unknown_channel_is_told_by_google_alone(
    google: FakeGoogle, channels: GoogleChannels
) -> None:
    google.queue(answer(refusal_body(404, "notFound"), status=404))
    with pytest.raises(NotFound, match="does not know that channel"):
        await channels.stop("one", "resource")
    google.queue(answer(b"<html>404</html>", status=404))  # a proxy's page proves nothing
    with pytest.raises(RetryLater):
        await channels.stop("one", "resource")


class Noting(RequestLimiter):
    """Notes in which order of urgency its turns were asked for."""

    def __init__(self) -> None:
        super().__init__(100_000)
        self.asked: list[Priority] = []

    def try_acquire(self, user: str) -> bool:
        return False

    async def acquire(self, user: str, priority: Priority) -> None:
        self.asked.append(priority)
        await super().acquire(user, priority)


async def test_channels_wait_behind_every_reading(
    google: FakeGoogle, transport: GoogleTransport
) -> None:
    """Which of two waiting ones goes first is the limiter's promise."""
    limiter = transport._limiter = Noting()
    channels = GoogleChannels(CalendarRequests(google.url, "primary"), transport)
    google.queue(RECORDED, answer(b"", status=204))
    await channels.watch("one", ADDRESS, "secret")
    await channels.stop("one", "resource")
    assert limiter.asked == [Priority.SWEEP, Priority.SWEEP]
