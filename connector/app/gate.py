"""Requests that change or cost something leave a node only while nobody can have taken over what it holds."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientRequest, ClientResponse

from connector.domain.errors import RetryLater
from connector.store.fence import Fence

_READS = frozenset({"GET", "HEAD"})


def gated(fence: Fence, *, reads: bool) -> type[ClientRequest]:
    """Requests that ask the fence when their connection is there, right before they are written to it.

    A process may have been stopped since it decided to send, also while it waited for a connection. `reads`: whether
    reading is allowed all the same, because it costs nobody anything.
    """

    class Gated(ClientRequest):
        async def send(self, conn: Any) -> ClientResponse:
            is_free = reads and self.method in _READS
            if not is_free and not fence.is_valid():
                raise RetryLater(
                    "this node lost touch with the database: nothing is sent until it is back"
                )
            return await super().send(conn)

    return Gated
