"""Sending: on real sockets where they matter, with virtual time for the waits."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aioresponses import CallbackResult, aioresponses

from connector.domain.errors import ParkReason, RequestRefused, RetryLater, UserParked
from connector.domain.model import EventId
from connector.google import (
    CalendarRequests,
    GoogleTransport,
    Priority,
    RequestLimiter,
    RetryPolicy,
    TokenSource,
    make_session,
)
from connector.google.transport import INLINE_BYTES
from connector.google.wire import BrokenBody
from tests.google.conftest import FakeGoogle, Sleeps, answer, refusal

CALENDAR = "en.usa#holiday@group.v.calendar.google.com"


def decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise BrokenBody("no JSON") from None


@pytest.fixture
def fetch(google: FakeGoogle, transport: GoogleTransport) -> Callable[[], Awaitable[Any]]:
    requests = CalendarRequests(google.url, CALENDAR, quota_user="q1")

    async def call() -> Any:
        request = requests.get_event(EventId("e1"))
        return (await transport.fetch(request, Priority.CHANGE, decode, about="e1")).value

    return call


Fetch = Callable[[], Awaitable[Any]]


async def test_what_goes_over_the_wire(google: FakeGoogle, fetch: Fetch) -> None:
    google.queue({"id": "e1"})
    assert await fetch() == {"id": "e1"}
    sent = google.requests[0]
    assert sent.raw_path.startswith(
        "/calendar/v3/calendars/en.usa%23holiday%40group.v.calendar.google.com/events/e1?"
    )
    assert sent.query["quotaUser"] == "q1"
    assert sent.headers["Authorization"] == "Bearer token-1"
    assert sent.headers.getall("Accept-Encoding") == ["gzip"]
    assert sent.headers.getall("User-Agent") == ["gcal-salesloft/0 (gzip)"]
    assert "Cookie" not in sent.headers


async def test_cookies_are_not_kept(google: FakeGoogle, fetch: Fetch) -> None:
    google.queue(answer({}, headers={"Set-Cookie": "a=b"}), {})
    await fetch()
    await fetch()
    assert "Cookie" not in google.requests[1].headers


async def test_compressed_answers_are_read(google: FakeGoogle, fetch: Fetch) -> None:
    body = gzip.compress(b'{"id":"zipped"}')
    google.queue(answer(body, headers={"Content-Encoding": "gzip"}))
    assert await fetch() == {"id": "zipped"}


async def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def truncated(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"id":')
    assert request.transport is not None
    request.transport.close()
    return response


@pytest.mark.parametrize(
    "fault",
    [
        reset,
        truncated,
        answer(b'{"id":'),
        answer(b"<html>Bad Gateway</html>"),
        answer(b"", status=204),
        answer(b"not gzip", headers={"Content-Encoding": "gzip"}),
        answer(b"<html>", status=502),
        answer(b"", status=302, headers={"Location": "https://elsewhere.example.com/"}),
        refusal(500, "backendError"),
        refusal(429, "rateLimitExceeded"),
        refusal(403, "userRateLimitExceeded"),
    ],
)
async def test_what_passes_is_tried_again(
    google: FakeGoogle, fetch: Fetch, sleeps: Sleeps, fault: Any
) -> None:
    google.queue(fault, fault, {"id": "e1"})
    assert await fetch() == {"id": "e1"}
    assert (
        sleeps.seconds
    )  # one only after resets: aiohttp repeats a GET on a kept connection by itself
    assert len(google.requests) == 3
    assert google.requests[0].raw_path == google.requests[-1].raw_path


async def test_attempts_are_bounded(google: FakeGoogle, fetch: Fetch, sleeps: Sleeps) -> None:
    google.queue(*[refusal(503, "backendError")] * 9)
    with pytest.raises(RetryLater, match="failed 5 times") as caught:
        await fetch()
    assert len(google.requests) == 5
    assert "event e1" in str(caught.value)
    assert all(0 <= wait <= 0.5 * 2**n for n, wait in enumerate(sleeps.seconds))


async def test_retry_after_is_honoured(google: FakeGoogle, fetch: Fetch, sleeps: Sleeps) -> None:
    google.queue(answer({}, status=503, headers={"Retry-After": "20"}), {"id": "e1"})
    await fetch()
    assert len(sleeps.seconds) == 1
    assert 20 <= sleeps.seconds[0] <= 20.5


async def test_a_retry_after_beyond_the_deadline_is_handed_on(
    google: FakeGoogle, fetch: Fetch, sleeps: Sleeps
) -> None:
    google.queue(answer({}, status=429, headers={"Retry-After": "61"}))
    with pytest.raises(RetryLater) as caught:
        await fetch()
    assert caught.value.after_seconds == 61
    assert sleeps.seconds == []


async def test_a_long_retry_after_does_not_hold_later_calls_in_the_queue(
    google: FakeGoogle, fetch: Fetch, sleeps: Sleeps
) -> None:
    google.queue(answer({}, status=429, headers={"Retry-After": "7200"}), {"id": "e1"})
    with pytest.raises(RetryLater):
        await fetch()
    sleeps.now += 61
    async with asyncio.timeout(10):
        assert await fetch() == {"id": "e1"}


async def test_the_deadline_ends_the_attempts(
    google: FakeGoogle, fetch: Fetch, sleeps: Sleeps
) -> None:
    google.queue(*[answer({}, status=503, headers={"Retry-After": "25"})] * 9)
    with pytest.raises(RetryLater):
        await fetch()
    assert len(google.requests) == 3


async def test_refusals_that_last_are_not_repeated(google: FakeGoogle, fetch: Fetch) -> None:
    google.queue(refusal(403, "quotaExceeded"), refusal(400, "neverSeenBefore"))
    with pytest.raises(RetryLater) as caught:
        await fetch()
    assert caught.value.after_seconds == 3600
    with pytest.raises(RequestRefused):
        await fetch()
    assert len(google.requests) == 2


async def test_a_401_renews_the_token_once(google: FakeGoogle, fetch: Fetch) -> None:
    google.queue(refusal(401, "authError"), {"id": "e1"})
    assert await fetch() == {"id": "e1"}
    assert google.bearers == ["Bearer token-1", "Bearer token-2"]


async def test_a_401_that_a_fresh_token_does_not_cure_parks(
    google: FakeGoogle, fetch: Fetch
) -> None:
    google.queue(refusal(401, "authError"), refusal(401, "authError"), {"id": "e1"})
    with pytest.raises(UserParked) as caught:
        await fetch()
    assert caught.value.reason is ParkReason.UNAUTHENTICATED
    assert await fetch() == {"id": "e1"}
    assert google.bearers[-1] == "Bearer token-3", "a probe begins with a new token"


async def test_concurrent_401s_renew_one_token_once(google: FakeGoogle, fetch: Fetch) -> None:
    valid = "Bearer token-2"

    async def checked(request: web.Request) -> web.StreamResponse:
        good = request.headers["Authorization"] == valid
        return await (answer({"id": "e1"}) if good else refusal(401, "authError"))(request)

    google.queue(*[checked] * 20)
    await asyncio.gather(*(fetch() for _ in range(10)))
    assert len(google.token_forms) == 2


async def test_a_token_that_cannot_be_had_now_is_tried_again(
    google: FakeGoogle, fetch: Fetch, sleeps: Sleeps
) -> None:
    google.queue_token(answer(b"oops", status=503))
    google.queue({"id": "e1"})
    assert await fetch() == {"id": "e1"}
    assert len(sleeps.seconds) == 1


async def test_a_hanging_answer_times_out_and_is_counted(
    google: FakeGoogle, tokens: TokenSource, sleeps: Sleeps
) -> None:
    release = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    google.queue(hang, {"id": "e1"})
    async with make_session(version="0", read_seconds=0.05) as session:
        transport = GoogleTransport(
            session, tokens, RequestLimiter(1000), who="pam", sleep=sleeps, clock=sleeps.clock
        )
        request = CalendarRequests(google.url, CALENDAR).get_event(EventId("e1"))
        found = await transport.fetch(request, Priority.CHANGE, decode)
    release.set()
    assert found.value == {"id": "e1"}
    assert transport.timeouts == 1


async def test_nobody_listening_is_passing(
    session: aiohttp.ClientSession, tokens: TokenSource, sleeps: Sleeps, unused_tcp_port: int
) -> None:
    transport = GoogleTransport(
        session,
        tokens,
        RequestLimiter(1000),
        who="pam",
        sleep=sleeps,
        clock=sleeps.clock,
        policy=RetryPolicy(attempts=2),
    )
    requests = CalendarRequests(f"http://127.0.0.1:{unused_tcp_port}", CALENDAR)
    with pytest.raises(RetryLater, match="broken connection"):
        await transport.fetch(requests.get_event(EventId("e1")), Priority.CHANGE, decode)


async def test_cancelling_ends_the_wait_at_once(
    google: FakeGoogle, session: aiohttp.ClientSession, tokens: TokenSource
) -> None:
    waiting = asyncio.Event()

    async def forever(_: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    google.queue(refusal(503, "backendError"))
    transport = GoogleTransport(session, tokens, RequestLimiter(1000), who="pam", sleep=forever)
    request = CalendarRequests(google.url, CALENDAR).get_event(EventId("e1"))
    task = asyncio.create_task(transport.fetch(request, Priority.CHANGE, decode))
    await asyncio.wait_for(waiting.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_every_attempt_takes_its_turn(
    google: FakeGoogle, session: aiohttp.ClientSession, tokens: TokenSource, sleeps: Sleeps
) -> None:
    limiter = RequestLimiter(1000, clock=sleeps.clock)
    turns: list[tuple[str, Priority | None]] = []
    acquire = limiter.acquire

    async def counting(user: str, priority: Priority) -> None:
        turns.append((user, priority))
        await acquire(user, priority)

    def trying(user: str) -> bool:
        """The second attempt finds others waiting."""
        turns.append((user, None))
        return len(turns) == 1

    limiter.acquire = counting  # type: ignore[method-assign]
    limiter.try_acquire = trying  # type: ignore[method-assign]
    google.queue(refusal(503, "backendError"), {"id": "e1"})
    transport = GoogleTransport(
        session, tokens, limiter, who="pam", rate_key="q1", sleep=sleeps, clock=sleeps.clock
    )
    request = CalendarRequests(google.url, CALENDAR).get_event(EventId("e1"))
    await transport.fetch(request, Priority.SWEEP, decode)
    assert turns[:3] == [("q1", None), ("q1", None), ("q1", Priority.SWEEP)]


async def test_big_bodies_are_decoded_off_the_loop(
    google: FakeGoogle, transport: GoogleTransport
) -> None:
    google.queue(answer(b"[]"), answer(b"[" + b" " * INLINE_BYTES + b"]"))
    request = CalendarRequests(google.url, CALENDAR).get_event(EventId("e1"))
    here = threading.get_ident()
    threads = [
        (await transport.fetch(request, Priority.CHANGE, lambda _: threading.get_ident())).value
        for _ in range(2)
    ]
    assert threads[0] == here
    assert threads[1] != here


async def test_an_answer_without_length_or_type_is_read(transport: GoogleTransport) -> None:
    requests = CalendarRequests("https://www.googleapis.com", "primary")
    request = requests.get_event(EventId("e1"))
    seen: list[str] = []

    def called(url: Any, **kwargs: Any) -> CallbackResult:
        seen.append(kwargs["headers"]["Authorization"])
        return CallbackResult(status=200, body=b'{"id":"e1"}', content_type="")

    with aioresponses(passthrough=["http://127.0.0.1"]) as mocked:
        mocked.get(request.url, callback=called)
        found = await transport.fetch(request, Priority.CHANGE, decode)
    assert (found.value, found.date, seen) == ({"id": "e1"}, None, ["Bearer token-1"])
