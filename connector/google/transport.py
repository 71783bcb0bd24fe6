"""Sends built requests on one shared session, and repeats them after passing failures, within bounds.

Each attempt takes a token, waits for its turn and reads the answer whole. What passes (rate limits, 5xx, time-outs,
resets, cut or unreadable bodies) is repeated here, the same page each time; what lasts is raised as the error that says
what happens next. A 401 renews the token once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, NoReturn, TypeVar
from weakref import WeakKeyDictionary

import aiohttp
import msgspec
from aiohttp import hdrs
from multidict import CIMultiDictProxy

from connector.domain.errors import RetryLater
from connector.google.auth import TokenSource
from connector.google.errors import (
    Action,
    Call,
    Refusal,
    http_date,
    lasting_error,
    read_refusal,
)
from connector.google.limiter import Priority, RequestLimiter
from connector.google.patience import Patience
from connector.google.requests import ApiRequest
from connector.google.retry import USUAL, RetryPolicy
from connector.google.wire import BrokenBody

T = TypeVar("T")
POLL_SECONDS = 30.0
"""The most that a poll's request may take in all, unless the session allows less."""
INLINE_BYTES = 600_000
"""A body up to this size (500 usual events) is decoded on the loop, a bigger one in a thread."""


def make_session(
    *,
    version: str,
    connect_seconds: float = 10.0,
    read_seconds: float = 30.0,
    total_seconds: float = 60.0,
    connections: int = 100,
    request_class: type[aiohttp.ClientRequest] = aiohttp.ClientRequest,
) -> aiohttp.ClientSession:
    """The one session for everything sent to Google; whoever makes it closes it."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=total_seconds, sock_connect=connect_seconds, sock_read=read_seconds
        ),
        # Google compresses only for a User-Agent that says "gzip" too.
        headers={"User-Agent": f"gcal-salesloft/{version} (gzip)", "Accept-Encoding": "gzip"},
        trust_env=False,
        request_class=request_class,
    )


class Answer(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A success, read. `date` is Google's clock when it answered, if it said so."""

    value: T
    date: datetime | None


@dataclass(frozen=True, slots=True)
class _Failure:
    """One attempt that failed for a passing cause; `cause` is for the message."""

    cause: str
    retry_after: float | None = None
    rate_limit: Refusal | None = None


class GoogleTransport:
    """Sends one user's requests. `who` names the user in messages, `rate_key` whom Google counts them for."""

    __slots__ = (
        "_clock",
        "_limiter",
        "_on_answer",
        "_on_fields_refused",
        "_partial",
        "_policy",
        "_rate_key",
        "_session",
        "_sleep",
        "_tokens",
        "timeouts",
        "who",
    )

    def __init__(
        self,
        session: aiohttp.ClientSession,
        tokens: TokenSource,
        limiter: RequestLimiter,
        *,
        who: str,
        rate_key: str | None = None,
        policy: RetryPolicy = USUAL,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        on_answer: Callable[[str, int, float], None] | None = None,
        on_fields_refused: Callable[[str], None] | None = None,
    ) -> None:
        """`on_answer` is told of each request: what it asked for, the status (0: no answer), the seconds it took.

        `on_fields_refused` is told `who` once if the server does not take `fields`: it is asked without from then on.
        """
        self.who = who
        self.timeouts = 0
        """Attempts that timed out, ever: the calendar asks for smaller pages when this grows."""
        self._session = session
        self._tokens = tokens
        self._limiter = limiter
        self._rate_key = rate_key if rate_key is not None else who
        self._policy = policy
        self._sleep = sleep
        self._clock = clock
        self._on_answer = on_answer
        self._on_fields_refused = on_fields_refused
        self._partial = True

    async def fetch(
        self,
        request: ApiRequest,
        priority: Priority,
        decode: Callable[[bytes], T],
        *,
        about: str = "",
    ) -> Answer[T]:
        """Send a request and decode its answer. `about` names the event in messages."""
        who = f"{self.who}, event {about}" if about else self.who
        attempts = _Attempts(self._policy, request, who, self._clock)
        while True:
            result = await self._attempt(request, priority, decode, attempts)
            if isinstance(result, Answer):
                return result
            if result is not None:
                await self._back_off(result, attempts)

    async def _attempt(
        self,
        request: ApiRequest,
        priority: Priority,
        decode: Callable[[bytes], T],
        attempts: _Attempts,
    ) -> Answer[T] | _Failure | None:
        """One attempt; None asks for another at once, with a new token or without `fields`."""
        try:
            token = self._tokens.ready() or await self._tokens.token()
        except RetryLater as error:
            return _Failure(str(error), error.after_seconds)
        if not self._limiter.try_acquire(self._rate_key):
            await self._limiter.acquire(self._rate_key, priority)
        attempts.begin()
        partial = self._partial
        try:
            status, headers, body = await self._send(
                request if partial else request.for_all_fields(), token
            )
        except TimeoutError:
            self.timeouts += 1
            return _Failure("time-out")
        except (aiohttp.ClientError, OSError) as error:
            return _Failure(f"broken connection ({type(error).__name__})")
        if 200 <= status < 300:
            try:
                is_small = len(body) <= INLINE_BYTES
                value = decode(body) if is_small else await asyncio.to_thread(decode, body)
                return Answer(value, http_date(headers.get(hdrs.DATE)))
            except BrokenBody as error:
                return _Failure(str(error))
        refusal = read_refusal(status, headers, body, now=datetime.now(UTC))
        if partial and refusal.is_of_fields:
            self._ask_for_all_fields()
            return None
        return self._judge(refusal, request, token, attempts)

    async def _send(
        self, request: ApiRequest, token: str
    ) -> tuple[int, CIMultiDictProxy[str], bytes]:
        began, status = self._clock(), 0
        try:
            if request.call is Call.CHANGES:
                answer = await self._poll(request, token)
            else:
                answer = await self._exchange(request, token, self._session.timeout)
            status = answer[0]
            return answer
        finally:
            if self._on_answer is not None:
                self._on_answer(request.call.name.lower(), status, self._clock() - began)

    async def _poll(
        self, request: ApiRequest, token: str
    ) -> tuple[int, CIMultiDictProxy[str], bytes]:
        """The request that is sent more often than all others together. Raises TimeoutError as the others do."""
        task = asyncio.current_task()
        assert task is not None
        patience, untimed = _patience_of(self._session)
        cancelling, is_cancelled = task.cancelling(), False
        patience.begin(task)
        try:
            return await self._exchange(request, token, untimed)
        except asyncio.CancelledError:
            is_cancelled = True
            raise
        finally:
            # As asyncio.timeout() does it: whoever else cancelled the task meanwhile must not be overheard.
            if patience.end(task) and task.uncancel() <= cancelling and is_cancelled:
                raise TimeoutError

    async def _exchange(
        self, request: ApiRequest, token: str, limits: aiohttp.ClientTimeout
    ) -> tuple[int, CIMultiDictProxy[str], bytes]:
        async with self._session.request(
            request.method,
            request.url,
            data=request.body,
            headers={**dict(request.headers), "Authorization": f"Bearer {token}"},
            allow_redirects=False,
            timeout=limits,
        ) as response:
            return response.status, response.headers, await response.read()

    def _ask_for_all_fields(self) -> None:
        if self._partial and self._on_fields_refused is not None:
            self._on_fields_refused(self.who)
        self._partial = False

    def _judge(
        self, refusal: Refusal, request: ApiRequest, token: str, attempts: _Attempts
    ) -> _Failure | None:
        match refusal.meaning:
            case Action.REFRESH if not attempts.refreshed:
                attempts.refreshed = True
                self._tokens.reject(token)
                return None
            case Action.REFRESH:
                self._tokens.reject(token)  # the next probe begins with a new one
            case Action.RETRY:
                return _Failure(str(refusal), refusal.retry_after)
            case Action.SLOW_DOWN:
                return _Failure(str(refusal), refusal.retry_after, rate_limit=refusal)
        raise lasting_error(refusal, request.call, attempts.who)

    async def _back_off(self, failure: _Failure, attempts: _Attempts) -> None:
        """Wait before the next attempt, or give up with RetryLater."""
        wait = attempts.next_wait(failure)
        if failure.rate_limit is not None:
            # Not longer than the deadline, or other calls would hang in the queue instead of being told to come later.
            quiet = min(wait, self._policy.deadline_seconds)
            self._limiter.refused(
                self._rate_key, quiet, whole_project=failure.rate_limit.whole_project
            )
        if attempts.exhausted(wait):
            attempts.give_up(failure, wait)
        await self._sleep(wait)


class _Attempts:
    """The attempts at one request so far."""

    __slots__ = ("_clock", "_deadline", "_failures", "_policy", "_request", "refreshed", "who")

    def __init__(
        self, policy: RetryPolicy, request: ApiRequest, who: str, clock: Callable[[], float]
    ) -> None:
        self.who = who
        self.refreshed = False
        self._policy = policy
        self._request = request
        self._clock = clock
        self._failures = 0
        self._deadline: float | None = None

    def begin(self) -> None:
        """The time runs from the first sending: waiting for the first turn is no failure."""
        if self._deadline is None:
            self._deadline = self._clock() + self._policy.deadline_seconds

    def next_wait(self, failure: _Failure) -> float:
        """Count a failure; how long to wait after it."""
        self.begin()
        self._failures += 1
        return self._policy.wait_seconds(self._failures, failure.retry_after)

    def exhausted(self, wait: float) -> bool:
        assert self._deadline is not None
        return self._failures >= self._policy.attempts or self._clock() + wait >= self._deadline

    def give_up(self, failure: _Failure, wait: float) -> NoReturn:
        raise RetryLater(
            f"{self.who}: the {self._request.call.value} failed {self._failures} times, "
            f"lastly: {failure.cause}; nothing is lost, it is tried again later",
            after_seconds=failure.retry_after if failure.retry_after is not None else wait,
        )


def _patience_of(session: aiohttp.ClientSession) -> tuple[Patience, aiohttp.ClientTimeout]:
    """What ends the polls of a session, and aiohttp's own time-outs beside it: to connect only."""
    found = _patiences.get(session)
    if found is None:
        own = session.timeout
        limits = [one for one in (own.total, own.sock_read, POLL_SECONDS) if one]
        untimed = aiohttp.ClientTimeout(sock_connect=own.sock_connect)
        found = _patiences[session] = (Patience(min(limits)), untimed)
    return found


_patiences: WeakKeyDictionary[aiohttp.ClientSession, tuple[Patience, aiohttp.ClientTimeout]] = (
    WeakKeyDictionary()
)
