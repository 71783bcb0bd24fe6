"""Runs google-auth's `refresh()` in a few threads, with its one POST handed to the loop's aiohttp session.

google-auth signs and parses; it cannot refresh on asyncio (its `aio` package has no refresh at all). Of it only
`refresh()` is called: `before_request()` would start a background thread for another look-up.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from connector.google.errors import retry_after_seconds
from connector.google.token_errors import TokenRefusal, read_token_refusal

REFRESH_TIMEOUT_SECONDS = 20.0


class TokenRefused(Exception):
    """The token endpoint answered with something else than a token.

    Raised through google-auth, which would otherwise retry some answers with sleeps of its own and lose the status.
    """

    def __init__(self, refusal: TokenRefusal) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal


class TokenUnreachable(Exception):
    """The token endpoint could not be asked: time-out, broken connection, or the pool is being closed."""


@dataclass(frozen=True, slots=True)
class _Response:
    """What google-auth wants to see of an answer."""

    status: int
    headers: Mapping[str, str]
    data: bytes


T = TypeVar("T")


class RefreshPool:
    """The threads in which credentials are refreshed, and the session that carries their requests."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        workers: int = 16,
        timeout_seconds: float = REFRESH_TIMEOUT_SECONDS,
    ) -> None:
        self._session = session
        self._timeout_seconds = timeout_seconds
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="google-token")
        self._in_flight: set[concurrent.futures.Future[_Response]] = set()
        self._closed = False

    async def run(self, work: Callable[[Any], T]) -> T:
        """Call `work` in a thread with a google-auth transport; TokenRefused or TokenUnreachable if that fails."""
        if self._closed:
            raise TokenUnreachable("closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, work, _Transport(self, loop))

    async def close(self) -> None:
        """Give up what is in flight and end the threads; the session stays its owner's."""
        self._closed = True
        for future in tuple(self._in_flight):
            future.cancel()
        # The threads are let go by the cancelled futures, so this waits for a signature at most.
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    def post(
        self, loop: asyncio.AbstractEventLoop, url: str, body: bytes, headers: Mapping[str, str]
    ) -> _Response:
        """Send one POST on the loop and wait for its answer; called in a thread."""
        if self._closed:
            raise TokenUnreachable("closed")
        future = asyncio.run_coroutine_threadsafe(self._send(url, body, headers), loop)
        self._in_flight.add(future)
        try:
            self._cancel_if_closed(future)
            # The request has the same time-out on the loop; the second more is for a busy loop.
            return future.result(self._timeout_seconds + 1.0)
        except (concurrent.futures.CancelledError, TimeoutError) as error:
            future.cancel()
            raise TokenUnreachable(type(error).__name__) from error
        finally:
            self._in_flight.discard(future)

    def _cancel_if_closed(self, future: concurrent.futures.Future[_Response]) -> None:
        """close() may have looked through `_in_flight` just before this one was added."""
        if self._closed:
            future.cancel()

    async def _send(self, url: str, body: bytes, headers: Mapping[str, str]) -> _Response:
        timeout = aiohttp.ClientTimeout(total=self._timeout_seconds)
        try:
            async with self._session.post(
                URL(url), data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                data = await response.read()
                return _Response(response.status, dict(response.headers), data)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TokenUnreachable(type(error).__name__) from error


class _Transport:
    """A `google.auth.transport.Request`: what google-auth calls to send its POST.

    Anything but a token is raised here, as `TokenRefused`: google-auth would sleep and retry in the thread, and break
    with a TypeError on a body that is no JSON object.
    """

    def __init__(self, pool: RefreshPool, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._loop = loop

    def __call__(
        self,
        url: str,
        method: str = "POST",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> _Response:
        if method != "POST":
            raise TokenUnreachable(f"google-auth wanted to send {method}")
        response = self._pool.post(self._loop, url, body, headers or {})
        if response.status != 200 or not _has_token(response.data):
            wait = retry_after_seconds(CIMultiDict(response.headers), now=datetime.now(UTC))
            raise TokenRefused(read_token_refusal(response.status, response.data, wait))
        return response


def _has_token(body: bytes) -> bool:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return False
    token = document.get("access_token") if isinstance(document, dict) else None
    return isinstance(token, str) and token.isascii() and token.isprintable() and token != ""
