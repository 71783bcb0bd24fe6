"""The control calls below `/_sim/`, for a simulator that runs in a process of its own.

`GET /_sim/events?calendar_id=`, `GET /_sim/log`, `GET /_sim/state`, `POST /_sim/{action}` with a JSON object of the
action's arguments; teams are named by one of their keys. They need no key, and no fault touches them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Any

from aiohttp import web

from connector.simulator.faults import Fault
from connector.simulator.salesloft.events import StoredEvent, iso
from connector.simulator.salesloft.people import SalesloftUser, Team
from connector.simulator.salesloft.world import SalesloftWorld

Action = Callable[..., Any]


def add_control_routes(app: web.Application, world: SalesloftWorld) -> None:
    control = _Control(world)
    app.router.add_get("/_sim/events", control.events)
    app.router.add_get("/_sim/log", control.log)
    app.router.add_get("/_sim/state", control.state)
    app.router.add_post("/_sim/{action}", control.act)


class _Control:
    def __init__(self, world: SalesloftWorld) -> None:
        self._world = world

    async def events(self, request: web.Request) -> web.Response:
        found = self._world.events(request.query.get("calendar_id", ""))
        return web.json_response({"data": [_plain_event(event) for event in found.values()]})

    async def log(self, request: web.Request) -> web.Response:
        """What was asked of the simulator, without bodies, from entry number `after` on."""
        after = int(request.query.get("after", "0"))
        return web.json_response(
            {"data": [_plain(entry, without="body") for entry in self._world.log[after:]]}
        )

    async def state(self, request: web.Request) -> web.Response:
        """Users, meetings, and what the judges found."""
        world = self._world
        return web.json_response(
            {
                "users": [_plain_user(user) for user in world.users.values()],
                "meetings": [
                    meeting.shown(with_settings=True)
                    for team in world.teams
                    for meeting in team.meetings.values()
                ],
                "teams": [_plain_team(team, world) for team in world.teams],
                "overlaps": [_plain(one) for one in world.overlaps],
                "stale_writes": [_plain(one) for one in world.stale_writes],
                "bulk_conflicts": [_plain(one) for one in world.bulk_conflicts],
                "faults_fired": len(world.faults.fired),
            }
        )

    async def act(self, request: web.Request) -> web.Response:
        action = self._actions().get(request.match_info["action"])
        if action is None:
            raise web.HTTPNotFound
        raw = await request.read()
        arguments = (await request.json()) if raw else {}
        try:
            answer = action(**{name: _argument(name, arguments[name]) for name in arguments})
        except (TypeError, ValueError, KeyError, StopIteration) as mistake:
            reason = f"{type(mistake).__name__}: {mistake}"
            return web.json_response({"error": reason}, status=400)
        return web.json_response({"data": answer})

    def _actions(self) -> dict[str, Action]:
        world = self._world
        return {
            "add_team": lambda **given: _plain_team(world.add_team(**given), world),
            "add_user": self._add_user,
            "set_calendar_type": world.set_calendar_type,
            "withdraw_key": world.withdraw_key,
            "restore_key": world.restore_key,
            "deny": world.deny,
            "allow": world.allow,
            "set_cost": world.set_cost,
            "set_limit": world.set_limit,
            "spend_elsewhere": world.spend_elsewhere,
            "refuse_field": world.refuse_field,
            "refuse_event": world.refuse_event,
            "accept_event": world.accept_event,
            "block_bulk": world.block_bulk,
            "unblock_bulk": world.unblock_bulk,
            "book_meeting": world.book_meeting,
            "reschedule_meeting": world.reschedule_meeting,
            "cancel_meeting": world.cancel_meeting,
            "switches": self._switch,
            "fault": self._add_fault,
            "random_faults": self._random_faults,
            "clear_faults": world.faults.clear,
        }

    def _add_user(self, team: str, email: str, **given: Any) -> dict[str, Any]:
        return _plain_user(self._world.add_user(team, email, **given))

    def _switch(self, **values: Any) -> None:
        known = {one.name for one in dataclasses.fields(self._world.switches)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"unknown switch {name}")
            setattr(self._world.switches, name, value)

    def _add_fault(self, **given: Any) -> None:
        self._world.faults.add(Fault(**given))

    def _random_faults(self, share: float, kinds: list[Any], routes: str = "*") -> None:
        self._world.faults.random(share, kinds, routes)


def _argument(name: str, value: Any) -> Any:
    """An action's argument from JSON: `start` and `end` are times."""
    return datetime.fromisoformat(value) if name in ("start", "end") else value


def _plain(value: Any, *, without: str = "") -> Any:
    """A frozen record as JSON has it."""
    named = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    return {
        name: iso(item) if isinstance(item, datetime) else item
        for name, item in named.items()
        if name != without
    }


def _plain_event(event: StoredEvent) -> dict[str, Any]:
    return {
        name: iso(item) if isinstance(item, datetime) else item
        for name, item in dataclasses.asdict(event).items()
    }


def _plain_user(user: SalesloftUser) -> dict[str, Any]:
    return {
        "id": user.id,
        "guid": user.guid,
        "email": user.email,
        "calendar_id": user.calendar_id,
        "settings": user.shown_settings(),
    }


def _plain_team(team: Team, world: SalesloftWorld) -> dict[str, Any]:
    return {
        "id": team.id,
        "name": team.name,
        "limit_per_minute": team.budget.limit,
        "remaining": team.budget.remaining(world.monotonic(), fixed=world.switches.fixed_windows),
        "window_peak": world.window_peaks(team),
    }
