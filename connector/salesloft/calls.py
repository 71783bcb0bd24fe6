"""How the calls read: one object, one list, or page after page, repeated a little for passing failures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import msgspec
import stamina

from connector.domain.errors import RequestRefused, RetryLater
from connector.salesloft import wire
from connector.salesloft.budget import Urgency
from connector.salesloft.errors import Answer
from connector.salesloft.transport import Params, Transport

T = TypeVar("T")

PER_PAGE = 100
MOST_PAGES = 1000
READ_ATTEMPTS = 3
PATIENCE = 10.0
"""A read is not repeated if Salesloft asks for a longer pause than this; the caller has better things to do."""


def page_cost(page: int) -> float | None:
    """What a list's page costs by its depth, by Salesloft's guide; None for an ordinary one."""
    if page > 500:
        return 30.0
    if page > 250:
        return 10.0
    if page > 150:
        return 8.0
    return 3.0 if page > 100 else None


class Calls:
    """Reads and small writes over one team's transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, path: str, route: str, urgency: Urgency, params: Params = ()) -> Answer:
        return await self._transport.attempt(
            "GET", path, route=route, urgency=urgency, params=params
        )

    async def put(
        self, path: str, its_id: str, fields: dict[str, Any], urgency: Urgency
    ) -> wire.Fields:
        answer = await self._transport.attempt(
            "PUT",
            f"{path}/{its_id}",
            route=f"{path}/{{id}}",
            urgency=urgency,
            body=msgspec.json.encode(fields),
        )
        return wire.one(answer)

    async def rows(
        self, path: str, route: str, params: Params, urgency: Urgency
    ) -> list[wire.Fields]:
        async def read() -> list[wire.Fields]:
            answer = await self.get(path, route, urgency, params)
            return wire.rows(wire.envelope(answer), answer)

        return await patiently(read)

    async def pages(
        self,
        method: str,
        path: str,
        urgency: Urgency,
        *,
        params: Params = (),
        filters: dict[str, Any] | None = None,
        per_page: int = PER_PAGE,
    ) -> AsyncIterator[list[wire.Fields]]:
        """Every page of a list, to an empty one, one called the last, or a short one where Salesloft does not say."""
        for page in range(1, MOST_PAGES + 1):
            read = partial(self._page, method, path, urgency, params, filters, page, per_page)
            rows, following = await patiently(read)
            if rows:
                yield rows
            is_short = following is False and len(rows) < per_page
            if not rows or following is None or is_short:
                return
        raise RequestRefused(
            f"Salesloft lists more than {MOST_PAGES} pages for {method} {path};"
            " ask for a smaller window, and tell Salesloft if the filter is ignored",
            status=200,
            reason="too many pages",
        )

    async def _page(
        self,
        method: str,
        path: str,
        urgency: Urgency,
        params: Params,
        filters: dict[str, Any] | None,
        page: int,
        per_page: int,
    ) -> tuple[list[wire.Fields], int | bool | None]:
        paging = {"per_page": per_page, "page": page}
        answer = await self._transport.attempt(
            method,
            path,
            urgency=urgency,
            params=[*params, *((name, str(value)) for name, value in paging.items())]
            if filters is None
            else (),
            body=None if filters is None else msgspec.json.encode({**filters, **paging}),
            cost=page_cost(page),
        )
        whole = wire.envelope(answer)
        return wire.rows(whole, answer), wire.next_page(whole)


def _again(error: Exception) -> bool | float:
    """Whether a read is repeated, and after how many seconds if Salesloft said so."""
    if not isinstance(error, RetryLater):
        return False
    if error.after_seconds is None:
        return True
    return error.after_seconds if error.after_seconds <= PATIENCE else False


async def patiently(read: Callable[[], Awaitable[T]]) -> T:
    """A read, repeated for passing failures."""
    attempts = stamina.retry_context(
        on=_again, attempts=READ_ATTEMPTS, timeout=None, wait_initial=0.2, wait_max=2.0
    )
    async for attempt in attempts:
        with attempt:
            return await read()
    raise AssertionError("stamina ends with a result or an error")
