"""One attempt at one request: takes points, sends, reads, and turns whatever went wrong into the tree's errors."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

import aiohttp
from yarl import URL

import connector
from connector.domain.errors import ConnectorError
from connector.salesloft.budget import Lease, TeamBudget, Urgency
from connector.salesloft.errors import Answer, no_answer, refusal, retry_later

TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
UPLOAD_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=10)
"""For thousands of records in one request."""
MOST_BYTES = 64 * 1024 * 1024
STREAMED_FROM = 512 * 1024
"""Bodies from this size on are handed to aiohttp as files, which it sends in pieces."""

Params = Sequence[tuple[str, str]]
OnAnswer = Callable[[str, int, float], None]
"""Told of each request: its route without ids, the status (0: no answer), the seconds it took."""


def make_session(
    *, connections: int = 100, request_class: type[aiohttp.ClientRequest] = aiohttp.ClientRequest
) -> aiohttp.ClientSession:
    """A session for one upstream: no cookies, no proxies from the environment, bounded connections and waits."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=TIMEOUT,
        headers={"User-Agent": f"gcal-salesloft/{connector.__version__}"},
        trust_env=False,
        request_class=request_class,
    )
    # aiohttp silently repeats a GET or PUT whose kept connection broke: a request that no budget knows of.
    session._retry_connection = False
    return session


class Transport:
    """Sends for one team. The key is asked for at each request, and kept nowhere."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        api_url: str,
        api_key: Callable[[], str],
        budget: TeamBudget,
        on_answer: OnAnswer | None = None,
    ) -> None:
        self._on_answer = on_answer
        self._session = session
        self._api_url = api_url.rstrip("/")
        self._api_key = api_key
        self._budget = budget

    async def attempt(
        self,
        method: str,
        path: str,
        *,
        urgency: Urgency,
        route: str | None = None,
        params: Params = (),
        body: bytes | None = None,
        cost: float | None = None,
        lease: Lease | None = None,
        timeout: aiohttp.ClientTimeout = TIMEOUT,  # noqa: ASYNC109  # aiohttp's own, one for each kind of request
    ) -> Answer:
        """The answer if it is a success; raises the table's error otherwise. `route` is the path without ids."""
        if lease is None:
            lease = await self._budget.acquire(f"{method} {route or path}", urgency, cost)
            await self._keep(lease)
        with lease:
            failure: ConnectorError
            answered: aiohttp.ClientResponse | None = None
            began = time.monotonic()
            try:
                async with self._session.request(
                    method,
                    _url(self._api_url, path, tuple(params)),
                    data=io.BytesIO(body) if body and len(body) >= STREAMED_FROM else body,
                    headers=self._headers(body),
                    allow_redirects=False,
                    timeout=timeout,
                ) as response:
                    answered = response
                    lease.settle(response.headers, status=response.status)
                    said = await _read(response)
                answer = Answer(method, path, answered.status, answered.headers, said, lease.cost)
                if 200 <= answer.status < 300:
                    return answer
                failure = refusal(answer, body or b"")
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                lease.refund()
                failure = no_answer(method, path, error)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if answered is None:
                    failure = no_answer(method, path, error)
                else:
                    status = answered.status
                    answer = Answer(method, path, status, answered.headers, b"", lease.cost)
                    failure = retry_later(answer, f"sent a cut-off {status} answer")
            finally:
                if self._on_answer is not None:
                    status = answered.status if answered is not None else 0
                    self._on_answer(f"{method} {route or path}", status, time.monotonic() - began)
        # Outside of the handlers, so that aiohttp's error, which holds the request's headers, is no part of the chain.
        raise failure

    async def _keep(self, lease: Lease) -> None:
        """What is spent must outlive a crash before it is spent."""
        try:
            await self._budget.keep()
        except BaseException:
            lease.refund()
            raise

    def _headers(self, body: bytes | None) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {self._api_key().strip()}",
            "Accept": "application/json",
        }
        return headers if body is None else {**headers, "Content-Type": "application/json"}


@lru_cache(maxsize=256)  # nearly all requests are upserts, to one address
def _url(api_url: str, path: str, params: tuple[tuple[str, str], ...]) -> URL:
    return URL(api_url + path).with_query(list(params))


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = response.content
    piece = await content.readany()
    if content.at_eof():  # nearly every answer comes in one piece
        return piece
    pieces = bytearray()
    while piece:
        pieces += piece
        if len(pieces) > MOST_BYTES:
            raise aiohttp.ClientPayloadError("answer larger than 64 MiB")
        piece = await content.readany()
    return bytes(pieces)
