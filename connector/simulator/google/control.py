"""`/_sim/…`: lets a person (or a demo) act in the world over HTTP, and look behind it.

`POST /_sim/calendars` makes a calendar, `POST /_sim/calendars/{email}/{action}` does what a person
does, `GET /_sim/calendars/{email}/truth` tells what they see. Times are ISO strings or Google's
objects. None of this is part of Google.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from aiohttp import web

from connector.simulator.faults import Fault

from .calendar import Calendar
from .times import BadTimeError, When, parse, parse_instant
from .world import GoogleWorld

ACTIONS = frozenset(
    {
        "create",
        "create_all_day",
        "create_series",
        "invite",
        "invite_to_occurrence",
        "edit_one",
        "edit_all",
        "edit_following",
        "move_in_time",
        "cancel_one",
        "cancel_all",
        "cancel_following",
        "restore_one",
        "rsvp",
        "set_visibility",
        "add_guest",
        "remove_guest",
        "set_ical_uid",
        "set_reminders",
        "omit_attendees",
        "move_to",
        "set_time_zone",
        "set_role",
        "set_quirk",
        "tamper",
        "expire_tokens",
        "purge_tombstones",
        "delete",
    }
)
_TIMES = ("start", "end", "original", "created")
_WORLD = web.AppKey("google_world", GoogleWorld)


def add_control_routes(app: web.Application, world: GoogleWorld) -> None:
    """Serve the control API of a world."""
    app[_WORLD] = world
    app.router.add_post("/_sim/calendars", _add_calendar)
    app.router.add_post("/_sim/calendars/{email}/{action}", _act)
    app.router.add_get("/_sim/calendars/{email}/truth", _truth)
    app.router.add_post("/_sim/service_accounts", _service_account)
    app.router.add_post("/_sim/authorized_users", _authorized_user)
    app.router.add_post("/_sim/expire_tokens", _expire_tokens)
    app.router.add_post("/_sim/faults", _faults)
    app.router.add_get("/_sim/log", _log)
    app.router.add_get("/_sim/push", _push)
    app.router.add_post("/_sim/push", _adjust_push)


def _complaint(error: Exception) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=f"{type(error).__name__}: {error}")


async def _json(request: web.Request) -> dict[str, Any]:
    text = await request.text()
    body = await request.json() if text else {}
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="send a JSON object")
    return body


def _calendar(request: web.Request) -> Calendar:
    email = request.match_info["email"]
    calendar = request.app[_WORLD].calendars.get(email)
    if calendar is None:
        raise web.HTTPBadRequest(text=f"no calendar {email}: POST /_sim/calendars first")
    return calendar


def _moment(value: Any, calendar: Calendar) -> When:
    if isinstance(value, str) and len(value) > 10:
        return datetime.fromisoformat(value)
    return parse(value, calendar.zone)


async def _add_calendar(request: web.Request) -> web.Response:
    body = await _json(request)
    try:
        calendar = request.app[_WORLD].add_calendar(**body)
    except (TypeError, BadTimeError) as error:
        raise _complaint(error) from error
    return web.json_response({"id": calendar.id, "time_zone": calendar.time_zone})


async def _act(request: web.Request) -> web.Response:
    calendar, action = _calendar(request), request.match_info["action"]
    if action not in ACTIONS:
        known = ", ".join(sorted(ACTIONS))
        raise web.HTTPBadRequest(text=f"no action {action!r}; one of {known}")
    arguments = await _json(request)
    try:
        result = _call(request.app[_WORLD], calendar, action, arguments)
    except (TypeError, ValueError, LookupError) as error:
        raise _complaint(error) from error
    return web.json_response({"id": result})


def _call(world: GoogleWorld, calendar: Calendar, action: str, arguments: dict[str, Any]) -> Any:
    positional = arguments.pop("how", [])  # of tamper
    for name in _TIMES:
        if arguments.get(name) is not None:
            arguments[name] = _moment(arguments[name], calendar)
    if "other" in arguments:
        arguments["other"] = world.calendars[arguments["other"]]
    if action == "tamper":
        return calendar.tamper(arguments["event_id"], *positional)
    return getattr(calendar, action)(**arguments)


async def _truth(request: web.Request) -> web.Response:
    calendar = _calendar(request)
    try:
        low, high = (parse_instant(request.query[name]) for name in ("start", "end"))
    except (KeyError, BadTimeError) as error:
        raise _complaint(error) from error
    return web.json_response({"items": [_plain(asdict(one)) for one in calendar.truth(low, high)]})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, frozenset):
        return sorted(value)
    return value.isoformat() if isinstance(value, date) else value


async def _service_account(request: web.Request) -> web.Response:
    world = _reached(request)
    return web.json_response(world.add_service_account(**await _json(request)))


async def _authorized_user(request: web.Request) -> web.Response:
    world = _reached(request)
    return web.json_response(world.add_authorized_user(**await _json(request)))


def _reached(request: web.Request) -> GoogleWorld:
    """The world, which now knows where it can be reached."""
    world = request.app[_WORLD]
    world.base_url = str(request.url.origin())
    return world


async def _expire_tokens(request: web.Request) -> web.Response:
    world, email = request.app[_WORLD], (await _json(request)).get("email")
    world.expire_tokens(world.calendars[email] if email else None)
    return web.json_response({})


async def _faults(request: web.Request) -> web.Response:
    """`{"clear", "faults": [Fault…], "random": {share, kinds, routes}, "lists": [{kind, email, times}]}`."""
    world, body = request.app[_WORLD], await _json(request)
    try:
        if body.get("clear"):
            world.faults.clear()
            world.list_faults.clear()
        for fault in body.get("faults", ()):
            world.faults.add(Fault(**fault))
        if "random" in body:
            world.faults.random(**body["random"])
        for fault in body.get("lists", ()):
            world.list_faults.add(fault["kind"], fault.get("email"), fault.get("times", 1))
    except (TypeError, ValueError, KeyError) as error:
        raise _complaint(error) from error
    return web.json_response({})


async def _push(request: web.Request) -> web.Response:
    """The channels that notify now, without their secrets, and how many messages went out and were lost."""
    push = request.app[_WORLD].push
    live = [
        {
            "id": channel.id,
            "calendar": channel.calendar_id,
            "address": channel.address,
            "expires": channel.expires.isoformat(),
            "sent": channel.sent,
        }
        for channel in push.live()
    ]
    statuses = Counter(str(one.status) for one in push.sent)
    answer = {"channels": live, "sent": dict(statuses), "lost": len(push.dropped)}
    return web.json_response(answer)


async def _adjust_push(request: web.Request) -> web.Response:
    """`{"loss": 0.2, "late": 0.1, "unauthorized": ["https://…"]…}`: see `Push`."""
    try:
        request.app[_WORLD].push.adjust(**await _json(request))
    except (TypeError, ValueError) as error:
        raise _complaint(error) from error
    return web.json_response({})


async def _log(request: web.Request) -> web.Response:
    entries = [_plain(asdict(entry)) for entry in request.app[_WORLD].log]
    return web.json_response({"items": entries})
