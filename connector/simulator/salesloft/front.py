"""What every request passes first: its name, its key, its points, its place in the log.

Order, from outside: journal (request id, log, overlaps) → key and points (401, 403, 429) → faults → the handler. A
request that a fault breaks has cost its points all the same: at the door nobody knows what will become of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from fnmatch import fnmatchcase
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from connector.simulator.faults import FAULT_FIRED, RouteOf
from connector.simulator.salesloft.errors import Refused, forbidden
from connector.simulator.salesloft.journal import EventKey, LogEntry, Overlap
from connector.simulator.salesloft.people import ApiKey
from connector.simulator.salesloft.rate import page_cost
from connector.simulator.salesloft.world import SalesloftWorld

BROKEN_KINDS = frozenset({"reset_before", "reset_after", "hang"})
UPSERT = "events.upsert"
_PAGED = frozenset({"events.list", "meetings.list", "settings.search"})


@dataclass(slots=True, eq=False)
class Visit:
    """One request while it is in flight."""

    request_id: str
    at: float
    route: str
    body: Any
    in_flight: int
    request: web.Request
    key: EventKey | None = None
    account: ApiKey | None = None
    cost: int = 0
    headers: dict[str, str] = field(default_factory=dict)


VISIT = web.RequestKey("visit", Visit)


class FrontDesk:
    """Receives the requests of one world."""

    def __init__(self, world: SalesloftWorld, route_of: RouteOf) -> None:
        self.world = world
        self._route_of = route_of
        self._visits: set[Visit] = set()
        self._by_key: dict[EventKey, list[Visit]] = {}
        self._number = 0

    def middleware(self) -> Middleware:
        @web.middleware
        async def front(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not (route := self._route_of(request)):
                return await handler(request)
            visit = self._enter(request, route, _json(await request.read()))
            status = 0
            try:
                answer = await self._admit(visit, handler)
                status = answer.status
                return answer
            finally:
                self._leave(visit, status)

        return front

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """On every answer, a fault's too: the request id and the rate limit (a signal of the application)."""
        visit = request.get(VISIT)
        if visit is not None:
            response.headers["x-request-id"] = visit.request_id
            response.headers["Date"] = format_datetime(self.world.now(), usegmt=True)
            response.headers.update(visit.headers)

    async def _admit(self, visit: Visit, handler: Handler) -> web.StreamResponse:
        try:
            self._check_key(visit)
            self._charge(visit)
            return await handler(visit.request)
        except Refused as refusal:
            return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)

    def _enter(self, request: web.Request, route: str, body: Any) -> Visit:
        self._number += 1
        request_id = f"sim-{self.world.seed:04x}-{self._number:08x}"
        at = self.world.monotonic()
        visit = Visit(request_id, at, route, body, len(self._visits) + 1, request)
        request[VISIT] = visit
        self._visits.add(visit)
        if route == UPSERT and isinstance(body, dict):
            visit.key = _key(body)
            others = self._by_key.setdefault(visit.key, [])
            if any(not _has_left(other.request) for other in others):
                self.world.overlaps.append(Overlap(at, visit.key, request_id))
            others.append(visit)
        return visit

    def _leave(self, visit: Visit, status: int) -> None:
        self._visits.discard(visit)
        if visit.key is not None:
            others = self._by_key[visit.key]
            others.remove(visit)
            if not others:
                del self._by_key[visit.key]
        fault = visit.request.get(FAULT_FIRED)
        broken = fault is not None and fault.kind in BROKEN_KINDS
        self.world.log.append(
            LogEntry(
                at=visit.at,
                wall=self.world.now(),
                method=visit.request.method,
                path=visit.request.path,
                route=visit.route,
                team=visit.account.team.id if visit.account else None,
                key=visit.key,
                status=0 if broken else status,
                cost=visit.cost,
                request_id=visit.request_id,
                fault=fault.kind if fault else None,
                in_flight=visit.in_flight,
                body=visit.body if self.world.switches.keep_bodies else None,
                query=dict(visit.request.query),
            )
        )

    def _check_key(self, visit: Visit) -> None:
        scheme, _, token = visit.request.headers.get("Authorization", "").partition(" ")
        account = self.world.keys.get(token.strip())
        if scheme.lower() != "bearer" or account is None or account.withdrawn:
            raise Refused(401, {"error": "Invalid Bearer token"})
        visit.account = account

    def _charge(self, visit: Visit) -> None:
        """Take the request's points from its team, or refuse it with 429; what is refused costs nothing."""
        assert visit.account is not None
        budget, switches = visit.account.team.budget, self.world.switches
        cost = self.world.costs.get(visit.route, 1) * self._depth(visit)
        fits = budget.fits(visit.at, cost, fixed=switches.fixed_windows)
        if fits:
            budget.charge(visit.at, cost)
            visit.cost = cost
        remaining = budget.remaining(visit.at, fixed=switches.fixed_windows)
        visit.headers = _rate_headers(switches.ratelimit_headers, cost, remaining, budget.limit)
        if not fits:
            wait = budget.wait(visit.at, cost, fixed=switches.fixed_windows)
            headers = {"Retry-After": str(math.ceil(wait) or 1)} if switches.retry_after else {}
            raise Refused(429, {"error": "Rate limit exceeded"}, headers)
        for routes in visit.account.denied:
            if fnmatchcase(visit.route, routes):
                raise forbidden(f"scope for {visit.route}")

    def _depth(self, visit: Visit) -> int:
        if visit.route not in _PAGED:
            return 1
        given: Mapping[str, Any] = visit.request.query
        if visit.route == "settings.search" and isinstance(visit.body, dict):
            given = visit.body
        page = str(given.get("page", 1))
        return page_cost(int(page)) if page.isascii() and page.isdigit() else 1


def _rate_headers(names: str, cost: int, remaining: int, limit: int) -> dict[str, str]:
    if names == "none":
        return {}
    if names == "alternative":
        return {"X-RateLimit-Remaining": str(remaining), "X-RateLimit-Limit": str(limit)}
    return {
        "x-ratelimit-endpoint-cost": str(cost),
        "x-ratelimit-remaining-minute": str(remaining),
        "x-ratelimit-limit-minute": str(limit),
    }


def _json(raw: bytes) -> Any:
    """The body's JSON; None if it is empty or not JSON."""
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None


def _key(body: dict[str, Any]) -> EventKey:
    return EventKey(*(str(body.get(name)) for name in ("calendar_id", "id", "i_cal_uid")))


def _has_left(request: web.Request) -> bool:
    """Whether the client has closed the connection: then it waits for no answer, though the handler may still run."""
    return request.transport is None or request.transport.is_closing()
