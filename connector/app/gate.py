"""Requests that change or cost something leave a node only while nobody can have taken over what it holds."""

from __future__ import annotations

from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse

from connector.domain.errors import RetryLater
from connector.store.fence import Fence

_READS = frozenset({"GET", "HEAD"})


def gate_of(fence: Fence, *, reads: bool) -> ClientMiddlewareType:
    """What a session asks at the last moment before it sends. A process may have been stopped since it decided to.

    `reads`: whether reading is allowed all the same, because it costs nobody anything.
    """

    async def gate(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        is_free = reads and request.method in _READS
        if not is_free and not fence.is_valid():
            raise RetryLater(
                "this node lost touch with the database: nothing is sent until it is back"
            )
        return await send(request)

    return gate
