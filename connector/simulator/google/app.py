"""The HTTP application: routes, middlewares, and the answer's form."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable, Mapping
from email.utils import format_datetime
from functools import lru_cache, partial
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from connector.simulator.faults import FAULT_FIRED, fault_middleware

from . import reading, watching, writing
from .call import (
    CALENDAR,
    READ_CALENDAR_LIST,
    READ_CALENDARS,
    READ_EVENTS,
    SUBJECT,
    WRITE_EVENTS,
    Call,
    authorised,
)
from .control import add_control_routes
from .errors import GoogleRefusal, not_found
from .known_fields import check_selection
from .selector import Selection, parse_fields, select
from .token_endpoint import grant
from .world import GoogleWorld, LogEntry

Method = Callable[[Call], Awaitable[dict[str, Any] | None]]

_SECRET = frozenset({"access_token", "oauth_token", "key", "assertion", "refresh_token"})
_ERROR_HEADERS = {
    "Cache-Control": "no-cache, no-store, max-age=0, must-revalidate",
    "Pragma": "no-cache",
    "Expires": "Mon, 01 Jan 1990 00:00:00 GMT",
    "Vary": "Origin, X-Origin, Referer",
}
_EVENTS = "/calendar/v3/calendars/{calendar}/events"
_MINIMUM_GZIP = 150
_METHODS: tuple[tuple[str, str, str, frozenset[str], Method], ...] = (
    ("GET", _EVENTS, "events.list", READ_EVENTS, reading.list_events),
    ("POST", _EVENTS, "events.insert", WRITE_EVENTS, writing.insert_event),
    ("POST", _EVENTS + "/watch", "events.watch", READ_EVENTS, watching.watch_events),
    (
        "POST",
        "/calendar/v3/channels/stop",
        "channels.stop",
        READ_EVENTS | READ_CALENDAR_LIST,
        watching.stop_channel,
    ),
    ("GET", _EVENTS + "/{event}", "events.get", READ_EVENTS, reading.get_event),
    ("PATCH", _EVENTS + "/{event}", "events.patch", WRITE_EVENTS, writing.patch_event),
    ("PUT", _EVENTS + "/{event}", "events.update", WRITE_EVENTS, writing.update_event),
    ("DELETE", _EVENTS + "/{event}", "events.delete", WRITE_EVENTS, writing.delete_event),
    ("POST", _EVENTS + "/{event}/move", "events.move", WRITE_EVENTS, writing.move_event),
    (
        "GET",
        _EVENTS + "/{event}/instances",
        "events.instances",
        READ_EVENTS,
        reading.list_instances,
    ),
    (
        "GET",
        "/calendar/v3/calendars/{calendar}",
        "calendars.get",
        READ_CALENDARS,
        reading.get_calendar,
    ),
    (
        "GET",
        "/calendar/v3/users/me/calendarList",
        "calendarList.list",
        READ_CALENDAR_LIST,
        reading.list_calendars,
    ),
    (
        "GET",
        "/calendar/v3/users/me/calendarList/{calendar}",
        "calendarList.get",
        READ_CALENDAR_LIST,
        reading.get_list_entry,
    ),
)


def make_google_app(world: GoogleWorld) -> web.Application:
    """The application that serves one world; set `world.base_url` once its port is known."""
    names: dict[int, str] = {}

    def route_of(request: web.Request) -> str:
        return names.get(id(request.match_info.route), "")

    app = web.Application(
        middlewares=[
            _log(world, route_of),
            fault_middleware(world.faults, route_of),
            _refusals(),
        ]
    )
    for verb, path, name, scopes, method in _METHODS:
        handler = partial(_serve, world, name, scopes, method)
        names[id(app.router.add_route(verb, path, handler))] = name
    names[id(app.router.add_post("/token", partial(_token, world)))] = "token"
    add_control_routes(app, world)
    app.on_response_prepare.append(partial(_date, world))
    app.on_shutdown.append(partial(_silence, world))
    return app


async def _serve(
    world: GoogleWorld, name: str, scopes: frozenset[str], method: Method, request: web.Request
) -> web.StreamResponse:
    resource, verb = name.split(".")
    dotted = f"{resource[0].upper()}{resource[1:]}.{verb.capitalize()}"
    call = authorised(world, request, scopes, dotted)
    selection = _selection(request.query.get("fields") or "", name)
    answer = await method(call)
    if answer is None:
        return web.Response(status=204)
    return json_answer(request, select(answer, selection))


@lru_cache(maxsize=256)
def _selection(selector: str, name: str) -> Selection:
    """What `fields` selects of a method's answer; a client asks with few different ones, again and again."""
    selection = parse_fields(selector) if selector else {}
    check_selection(selection, name)
    return selection


def json_answer(
    request: web.Request,
    value: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """JSON as Google sends it; compressed only for who asks for it in both headers."""
    pretty = request.query.get("prettyPrint") == "true"
    body = json.dumps(value, ensure_ascii=False, indent=1 if pretty else None).encode()
    shown = {"Content-Type": "application/json; charset=UTF-8", **(headers or {})}
    wants = "gzip" in request.headers.get("Accept-Encoding", "")
    if wants and "gzip" in request.headers.get("User-Agent", "") and len(body) >= _MINIMUM_GZIP:
        body = gzip.compress(body, compresslevel=1)
        shown["Content-Encoding"] = "gzip"
    return web.Response(body=body, status=status, headers=shown)


async def _token(world: GoogleWorld, request: web.Request) -> web.StreamResponse:
    form = {name: str(value) for name, value in (await request.post()).items()}
    token_uri = str(request.url.origin() / "token")
    answer = grant(world.accounts, form, world.now(), token_uri)
    return json_answer(request, answer)


def _refusals() -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except GoogleRefusal as refused:
            return _refused(request, refused)
        except web.HTTPNotFound:
            return _refused(request, not_found())

    return middleware


def _refused(request: web.Request, refused: GoogleRefusal) -> web.Response:
    return json_answer(
        request, dict(refused.body), refused.status, {**_ERROR_HEADERS, **refused.headers}
    )


def _log(world: GoogleWorld, route_of: Callable[[web.Request], str]) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        route, status, size, compressed = route_of(request), 0, 0, False
        if not route:
            return await handler(request)
        try:
            answer = await handler(request)
            fault = request.get(FAULT_FIRED)
            broken = fault is not None and fault.kind in ("hang", "reset_before", "reset_after")
            status = 0 if broken else answer.status
            body = answer.body if isinstance(answer, web.Response) else None
            size = len(body) if isinstance(body, bytes) else 0
            compressed = answer.headers.get("Content-Encoding") == "gzip"
            return answer
        finally:
            shown = {k: v for k, v in request.query.items() if k not in _SECRET}
            world.log.append(
                LogEntry(
                    method=request.method,
                    route=route,
                    status=status,
                    at=world.now(),
                    subject=request.get(SUBJECT),
                    calendar=request.get(CALENDAR) or request.match_info.get("calendar"),
                    query=shown,
                    asked_bytes=_head_bytes(request),
                    answered_bytes=size,
                    compressed=compressed,
                )
            )

    return middleware


def _head_bytes(request: web.Request) -> int:
    """The request without its body, as HTTP/1.1 writes it."""
    first = len(f"{request.method} {request.raw_path} HTTP/1.1\r\n")
    return first + sum(len(n) + len(v) + 4 for n, v in request.raw_headers) + 2


async def _silence(world: GoogleWorld, _: web.Application) -> None:
    await world.push.close()


async def _date(world: GoogleWorld, request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Date"] = format_datetime(world.now(), usegmt=True)
