"""The HTTP side of a simulated Salesloft: routes and their names, as faults, costs and the log use them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from connector.simulator.faults import fault_middleware
from connector.simulator.salesloft import bulk_api, calendar_api, meetings_api
from connector.simulator.salesloft.control import add_control_routes
from connector.simulator.salesloft.errors import Refused
from connector.simulator.salesloft.front import VISIT, FrontDesk, Visit
from connector.simulator.salesloft.world import SalesloftWorld

MAX_BODY_BYTES = 256 * 1024 * 1024
UNKNOWN_ROUTE = "unknown"

Endpoint = Callable[[SalesloftWorld, Visit], Awaitable[web.Response]]

ROUTES: tuple[tuple[str, str, str, Endpoint], ...] = (
    ("GET", "/v2/me", "me", calendar_api.me),
    ("POST", "/v2/calendar/events/upsert", "events.upsert", calendar_api.upsert),
    ("GET", "/v2/calendar/events", "events.list", calendar_api.list_events),
    ("GET", "/v2/bulk_jobs", "bulk.list", bulk_api.list_jobs),
    ("POST", "/v2/bulk_jobs", "bulk.create", bulk_api.create),
    ("GET", r"/v2/bulk_jobs/{id:\d+}", "bulk.get", bulk_api.get),
    ("PUT", r"/v2/bulk_jobs/{id:\d+}", "bulk.update", bulk_api.update),
    ("GET", r"/v2/bulk_jobs/{id:\d+}/job_data", "bulk.data.list", bulk_api.list_data),
    ("POST", r"/v2/bulk_jobs/{id:\d+}/job_data", "bulk.data.create", bulk_api.add_data),
    ("GET", r"/v2/bulk_jobs/{id:\d+}/results", "bulk.results", bulk_api.results),
    ("POST", "/v2/meetings/settings/searches", "settings.search", meetings_api.search_settings),
    ("PUT", r"/v2/meetings/settings/{id:\d+}", "settings.update", meetings_api.update_settings),
    ("GET", "/v2/meetings", "meetings.list", meetings_api.list_meetings),
    ("PUT", r"/v2/meetings/{id:\d+}", "meetings.update", meetings_api.update_meeting),
)


def make_salesloft_app(world: SalesloftWorld) -> web.Application:
    """The application that serves `world`; its control calls are below `/_sim/`."""
    names: dict[tuple[str, str], str] = {}

    def route_of(request: web.Request) -> str:
        if request.path.startswith("/_sim/"):
            return ""  # a control call: no key, no fault, no log
        resource = request.match_info.route.resource
        canonical = resource.canonical if resource is not None else ""
        return names.get((request.method, canonical), UNKNOWN_ROUTE)

    desk = FrontDesk(world, route_of)
    app = web.Application(
        middlewares=[desk.middleware(), fault_middleware(world.faults, route_of), _as_json],
        client_max_size=MAX_BODY_BYTES,
    )
    app.on_response_prepare.append(desk.add_headers)
    for method, path, name, endpoint in ROUTES:
        handler = _handler(world, endpoint)
        for form in (path, f"{path}.json"):
            route = app.router.add_route(method, form, handler)
            assert route.resource is not None
            names[method, route.resource.canonical] = name
    add_control_routes(app, world)
    return app


def _handler(world: SalesloftWorld, endpoint: Endpoint) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        world.advance()
        return await endpoint(world, request[VISIT])

    return handle


@web.middleware
async def _as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal below is an answer in JSON, so that the faults outside have an answer to spoil."""
    body: Any
    try:
        return await handler(request)
    except Refused as refusal:
        return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)
    except web.HTTPException as refusal:
        body = {"error": refusal.reason}
        return web.json_response(body, status=refusal.status)
