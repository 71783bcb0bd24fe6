"""Says which calls of a simulator go wrong, and makes them go wrong: one plan for both services.

Read `FaultPlan` first (what fails, when), then `fault_middleware` (how it fails). Everything random is seeded, so a
failing storm can be run again.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Literal, assert_never, get_args

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

FaultKind = Literal["status", "html", "truncate", "slow", "hang", "reset_before", "reset_after"]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

RouteOf = Callable[[web.Request], str]

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Fault:
    """One way for a call to go wrong.

    `status`: that status with `body` as JSON. `html`: that status with a proxy's HTML page. `truncate`: the true
    answer, announced whole, cut in half. `slow`: the call is done, and its answer comes after `seconds`. `hang`:
    nothing is done and nothing answered until the client leaves or the server stops. `reset_before`: the connection
    breaks and nothing was done. `reset_after`: it was done, and the answer never arrives.
    """

    route: str = "*"
    """A glob over the simulator's route names, for example "events.*"."""
    kind: FaultKind = "status"
    status: int = 500
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)
    seconds: float = 0.2
    skip: int = 0
    """So many matching calls pass first."""
    times: int | None = 1
    """So many matching calls fail then; None: all of them, until the plan is cleared."""

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise ValueError(
                f"unknown kind of fault {self.kind!r}; one of {', '.join(FAULT_KINDS)}"
            )


FAULT_FIRED = web.RequestKey("fault_fired", Fault)
"""Where the middleware leaves the fault that a request met."""


@dataclass(frozen=True, slots=True)
class FiredFault:
    """A call that was made to fail: the `number`-th call of the plan."""

    number: int
    route: str
    fault: Fault


@dataclass(slots=True)
class _Armed:
    fault: Fault
    to_skip: int
    left: int | None


@dataclass(frozen=True, slots=True)
class _RandomShare:
    share: float
    faults: tuple[Fault, ...]
    routes: str


class FaultPlan:
    """Which calls fail. Faults added first are considered first; random shares come after all of them."""

    def __init__(self, seed: int = 0) -> None:
        self.fired: list[FiredFault] = []
        self._random = random.Random(seed)
        self._armed: list[_Armed] = []
        self._shares: list[_RandomShare] = []
        self._calls = 0

    def add(self, fault: Fault) -> FaultPlan:
        """Arm one fault; returns the plan, so that calls chain."""
        self._armed.append(_Armed(fault, fault.skip, fault.times))
        return self

    def random(
        self, share: float, kinds: Sequence[FaultKind | Fault], routes: str = "*"
    ) -> FaultPlan:
        """Let a seeded share (0 to 1) of all calls to `routes` fail, in one of `kinds` each.

        A kind may also be a whole `Fault`, for another status or delay than the default; its `route` and counts do not
        matter.
        """
        if not 0.0 <= share <= 1.0 or not kinds:
            raise ValueError("a random fault needs a share from 0 to 1 and at least one kind")
        faults = tuple(
            kind if isinstance(kind, Fault) else Fault(routes, kind, 503, times=None)
            for kind in kinds
        )
        self._shares.append(_RandomShare(share, faults, routes))
        return self

    def clear(self) -> None:
        """Disarm everything; `fired` stays."""
        self._armed.clear()
        self._shares.clear()

    def draw(self, route: str) -> Fault | None:
        """The fault for this call, if any; counts the call, so ask once a call."""
        self._calls += 1
        fault = self._draw_armed(route) or self._draw_random(route)
        if fault is not None:
            self.fired.append(FiredFault(self._calls, route, fault))
        return fault

    def _draw_armed(self, route: str) -> Fault | None:
        for armed in self._armed:
            if not fnmatchcase(route, armed.fault.route) or armed.left == 0:
                continue
            if armed.to_skip > 0:
                armed.to_skip -= 1
                continue
            if armed.left is not None:
                armed.left -= 1
            return armed.fault
        return None

    def _draw_random(self, route: str) -> Fault | None:
        for share in self._shares:
            if fnmatchcase(route, share.routes) and self._random.random() < share.share:
                return self._random.choice(share.faults)
        return None


HTML_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>{status}</title></head>"
    "<body><h1>{status}</h1><p>The proxy could not reach its upstream.</p></body></html>\n"
)


def fault_middleware(plan: FaultPlan, route_of: RouteOf) -> Middleware:
    """The middleware that applies `plan`; `route_of` names a request's route, as the globs do.

    An empty name is never drawn for (the simulator's own control calls). The fault that fired is left in
    `request[FAULT_FIRED]`. Put it outside of what does the work: then a truncated answer is the whole answer, and
    `reset_after` follows everything that was to be done.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = route_of(request)
        fault = plan.draw(route) if route else None
        if fault is None:
            return await handler(request)
        request[FAULT_FIRED] = fault
        return await _apply(fault, request, handler)

    return middleware


async def _apply(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    match fault.kind:
        case "status":
            body = fault.body if fault.body is not None else {"error": "simulated fault"}
            return web.json_response(dict(body), status=fault.status, headers=fault.headers)
        case "html":
            page = HTML_PAGE.format(status=fault.status)
            return web.Response(
                text=page, status=fault.status, headers=fault.headers, content_type="text/html"
            )
        case "slow":
            answer = await handler(request)
            await asyncio.sleep(fault.seconds)
            return answer
        case "hang":
            await _hang_until_left(request)
            return break_connection(request)
        case "reset_before":
            return break_connection(request)
        case "reset_after":
            await handler(request)
            return break_connection(request)
        case "truncate":
            return await _truncate(request, await handler(request))
    assert_never(fault.kind)


async def _hang_until_left(request: web.Request) -> None:
    """Wait until the client has left; a stopping server cancels the handler, so nothing is left behind."""
    # Polled: aiohttp tells a handler of a lost connection only by the transport's state.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def break_connection(request: web.Request) -> web.StreamResponse:
    """Close the connection abruptly, with RST where the socket allows; the answer returned goes nowhere."""
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            # Linger of zero seconds: the kernel sends RST instead of FIN.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=500)


async def _truncate(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """Announce the whole length, send half of the body, then close."""
    body = answer.body if isinstance(answer, web.Response) else None
    if not isinstance(body, bytes | bytearray) or len(body) < 2:
        return break_connection(request)
    cut = web.StreamResponse(status=answer.status, headers=answer.headers.copy())
    cut.content_length = len(body)
    cut.force_close()
    await cut.prepare(request)
    await cut.write(bytes(body[: len(body) // 2]))
    transport = request.transport
    if transport is not None:
        transport.close()  # flushes what was written, unlike abort()
    return cut
