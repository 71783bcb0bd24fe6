"""Push channels of the simulated Google, as reference 6 has them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from aiohttp import web

from connector.simulator.google.push import Message
from connector.simulator.processes import serve
from tests.simulator.google.conftest import PAM, Answer, Clock, Sim, at

STOP = "channels/stop"


@dataclass
class Receiver:
    """What a notification's receiver got; answers as it is told to."""

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        headers = {k.lower(): v for k, v in request.headers.items()}
        self.got.append((request.method, headers, await request.read()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)

    @property
    def numbers(self) -> list[int]:
        return [int(headers["x-goog-message-number"]) for _, headers, _ in self.got]

    @property
    def states(self) -> list[str]:
        return [headers["x-goog-resource-state"] for _, headers, _ in self.got]


@pytest.fixture
async def receiver(sim: Sim) -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.handle)
    async with serve(app) as url:
        made.url = f"{url}/hook"
        sim.world.push.allow_http = True
        sim.world.push.sync_first = 1.0
        sim.world.push.retry_seconds = 0.0
        yield made
        await sim.world.push.close()


async def watch(sim: Sim, address: str, channel: str = "one", **more: Any) -> Answer:
    body = {"id": channel, "type": "web_hook", "address": address, "token": "secret", **more}
    return await sim.call("POST", "calendars/primary/events/watch", body=body)


def meet(sim: Sim, title: str = "Pitch") -> str:
    return sim.calendar.create(title, at("2026-11-10T10:00"))


async def test_a_channel_is_answered_as_recorded(sim: Sim, clock: Clock) -> None:
    answer = await watch(sim, "https://calendar.example.com/hook")
    assert answer.status == 200
    expires = clock.at + timedelta(days=7, seconds=10)
    assert answer.body == {
        "kind": "api#channel",
        "id": "one",
        "resourceId": answer.body["resourceId"],
        "resourceUri": f"{sim.url}/calendar/v3/calendars/primary/events?alt=json",
        "expiration": str(round(expires.timestamp() * 1000)),
        "token": "secret",
    }
    again = await watch(sim, "https://calendar.example.com/hook", "two", params={"ttl": "3600"})
    assert again.body["resourceId"] == answer.body["resourceId"]
    hour = round((clock.at + timedelta(hours=1)).timestamp() * 1000)
    assert int(again.body["expiration"]) == hour
    most = await watch(sim, "https://calendar.example.com/hook", "three", expiration=str(10**14))
    assert most.body["expiration"] == answer.body["expiration"]


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"id": ""}, 400, "required"),
        ({"id": "ä" * 3}, 400, "invalid"),
        ({"id": "x" * 65}, 400, "invalid"),
        ({"type": "email"}, 400, "invalid"),
        ({"address": "http://calendar.example.com/hook"}, 400, "push.webhookUrlNotHttps"),
        ({"address": "http://127.0.0.1:1/hook"}, 400, "push.webhookUrlNotHttps"),
        ({"token": "t" * 257}, 400, "invalid"),
        ({"expiration": "1"}, 400, "invalid"),
        ({"params": {"ttl": "soon"}}, 400, "invalid"),
        ({"address": "https://foreign.example.net/hook"}, 401, "push.webhookUrlUnauthorized"),
    ],
)
async def test_a_channel_is_refused(
    sim: Sim, change: dict[str, Any], status: int, reason: str
) -> None:
    sim.world.push.unauthorized.add("https://foreign.example.net/hook")
    body = {"id": "one", "type": "web_hook", "address": "https://calendar.example.com/hook"}
    answer = await sim.call("POST", "calendars/primary/events/watch", body={**body, **change})
    assert answer.reason == (status, reason)
    assert sim.world.push.channels == {}


async def test_an_id_is_used_once_for_ever(sim: Sim, clock: Clock) -> None:
    first = await watch(sim, "https://calendar.example.com/hook")
    body = {"id": "one", "resourceId": first.body["resourceId"]}
    assert (await sim.call("POST", STOP, body=body)).status == 204
    clock.advance(days=30)
    answer = await watch(sim, "https://calendar.example.com/hook")
    assert answer.reason == (400, "channelIdNotUnique")


async def test_calendars_that_cannot_be_watched_say_so(sim: Sim) -> None:
    sim.world.push.unsupported.add(PAM)
    answer = await watch(sim, "https://calendar.example.com/hook")
    assert answer.reason == (400, "pushNotSupportedForRequestedResource")
    hidden = {"id": "two", "type": "web_hook", "address": "https://calendar.example.com/hook"}
    answer = await sim.call("POST", "calendars/jim%40example.com/events/watch", body=hidden)
    assert answer.reason == (404, "notFound")


async def test_notifications_have_headers_and_no_body(sim: Sim, receiver: Receiver) -> None:
    answer = await watch(sim, receiver.url)
    meet(sim)
    await sim.world.push.settled()
    (_, sync, _), (method, headers, body) = receiver.got
    assert (method, body, headers["content-length"]) == ("POST", b"", "0")
    assert (sync["x-goog-resource-state"], sync["x-goog-message-number"]) == ("sync", "1")
    assert headers["x-goog-resource-state"] == "exists"
    assert headers["x-goog-channel-id"] == "one"
    assert headers["x-goog-channel-token"] == "secret"
    assert headers["x-goog-resource-id"] == answer.body["resourceId"]
    assert headers["x-goog-resource-uri"] == answer.body["resourceUri"]
    assert headers["user-agent"].startswith("APIs-Google;")
    expires = parsedate_to_datetime(headers["x-goog-channel-expiration"])
    assert int(expires.timestamp()) == int(answer.body["expiration"]) // 1000


async def test_numbers_rise_with_gaps_and_nothing_is_sent_for_no_change(
    sim: Sim, receiver: Receiver
) -> None:
    await watch(sim, receiver.url)
    event = meet(sim)
    await sim.events()
    for title in "abcdefgh":
        sim.calendar.edit_one(event, summary=title)
    await sim.world.push.settled()
    numbers = sorted(receiver.numbers)
    assert len(set(numbers)) == len(numbers) == 10
    assert numbers[-1] > 10


async def test_writes_of_the_client_notify_too(sim: Sim, receiver: Receiver) -> None:
    await watch(sim, receiver.url)
    moments = {"dateTime": "2026-11-10T10:00:00Z"}
    body = {"summary": "Booked", "start": moments, "end": {"dateTime": "2026-11-10T11:00:00Z"}}
    assert (await sim.call("POST", "calendars/primary/events", body=body)).status == 200
    await sim.world.push.settled()
    assert receiver.states == ["sync", "exists"]


async def test_a_deleted_calendar_is_told_of_as_not_there(sim: Sim, receiver: Receiver) -> None:
    await watch(sim, receiver.url)
    sim.calendar.delete()
    await sim.world.push.settled()
    assert receiver.states == ["sync", "not_exists"]


async def test_expired_and_stopped_channels_are_silent(
    sim: Sim, receiver: Receiver, clock: Clock
) -> None:
    first = (await watch(sim, receiver.url, params={"ttl": "3600"})).body
    second = (await watch(sim, receiver.url, "two")).body
    stopped = {"id": "two", "resourceId": second["resourceId"]}
    assert (await sim.call("POST", STOP, body=stopped)).status == 204
    clock.advance(hours=2)
    meet(sim)
    await sim.world.push.settled()
    assert receiver.states == ["sync", "sync"]
    for gone in (stopped, {"id": "one", "resourceId": first["resourceId"]}):
        assert (await sim.call("POST", STOP, body=gone)).reason == (404, "notFound")


async def test_only_the_same_client_stops_a_channel_that_it_knows(sim: Sim) -> None:
    sim.world.add_calendar("jim@example.com")
    made = (await watch(sim, "https://calendar.example.com/hook")).body
    body = {"id": "one", "resourceId": made["resourceId"]}
    for wrong in ({**body, "resourceId": "other"}, {**body, "id": "other"}):
        assert (await sim.call("POST", STOP, body=wrong)).reason == (404, "notFound")
    other = await sim.call("POST", STOP, body=body, user="jim@example.com")
    assert other.reason == (404, "notFound")
    assert (await sim.call("POST", STOP, body={"id": "one"})).reason == (400, "required")
    stopped = await sim.call("POST", STOP, body=body)
    assert (stopped.status, stopped.body) == (204, None)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_receiver_in_trouble_is_told_again(
    sim: Sim, receiver: Receiver, status: int
) -> None:
    await watch(sim, receiver.url)
    receiver.statuses = [status, status, 204]
    meet(sim)
    await sim.world.push.settled()
    assert len(set(receiver.numbers[1:])) == 1
    assert len(receiver.numbers) == 4


@pytest.mark.parametrize("status", [200, 201, 202, 204, 404, 403, 301])
async def test_any_other_answer_is_the_end_of_it(sim: Sim, receiver: Receiver, status: int) -> None:
    await watch(sim, receiver.url)
    receiver.statuses = [status]
    meet(sim)
    await sim.world.push.settled()
    assert len(receiver.got) == 2


async def test_messages_get_lost_come_twice_and_out_of_order(sim: Sim, receiver: Receiver) -> None:
    await watch(sim, receiver.url)
    push = sim.world.push
    push.loss, push.duplicate, push.late = 0.3, 0.3, 0.3
    event = meet(sim)
    for number in range(60):
        sim.calendar.edit_one(event, summary=f"Edit {number}")
        await push.settled()
    numbers = receiver.numbers[1:]
    assert push.dropped != []
    assert len(set(numbers)) < len(numbers)
    assert numbers != sorted(numbers)


async def test_the_sync_message_may_come_after_the_answer_or_never(
    sim: Sim, receiver: Receiver
) -> None:
    push = sim.world.push
    push.lose_sync = True
    await watch(sim, receiver.url)
    assert receiver.got == []
    assert [message.state for message in push.dropped] == ["sync"]


async def test_a_message_can_be_forged_by_a_test(sim: Sim, receiver: Receiver) -> None:
    await watch(sim, receiver.url)
    push = sim.world.push
    push.send(Message(push.channels["one"], 7, "exists"))
    await push.settled()
    assert receiver.numbers == [1, 7]


async def test_a_certificate_that_nobody_vouches_for_is_not_called(sim: Sim) -> None:
    push = sim.world.push
    push.trust = ssl.create_default_context()
    push.sync_first = 1.0
    await watch(sim, "https://localhost:1/hook")
    assert [one.status for one in push.sent] == [0]
    await push.close()
