"""`/v2/calendar/events`, its upsert, and `/v2/me`."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from connector.simulator.salesloft.errors import Refused, invalid
from connector.simulator.salesloft.events import Row, iso
from connector.simulator.salesloft.front import Visit
from connector.simulator.salesloft.paging import (
    SORTING,
    check_known,
    descending,
    moment,
    page_of,
    paged,
)
from connector.simulator.salesloft.people import Team
from connector.simulator.salesloft.world import SalesloftWorld


def team_of(visit: Visit) -> Team:
    """The team whose key was sent; the front desk let nobody else pass."""
    assert visit.account is not None
    return visit.account.team


def json_object(world: SalesloftWorld, visit: Visit) -> dict[str, Any]:
    """The request's body, which must be a JSON object sent as such."""
    if visit.request.content_type != "application/json":
        raise Refused(415, {"error": "Unsupported Media Type: send application/json"})
    if not isinstance(visit.body, dict):
        raise invalid({"base": "must be a JSON object"}, world.switches, world.rng)
    return visit.body


async def upsert(world: SalesloftWorld, visit: Visit) -> web.Response:
    body = json_object(world, visit)
    return web.json_response(world.writers[team_of(visit).id].upsert(body), status=201)


async def list_events(world: SalesloftWorld, visit: Visit) -> web.Response:
    query, team = visit.request.query, team_of(visit)
    known = ("start_time", "end_time", "user_guid", "calendar_id", *SORTING)
    check_known(query, known)
    page = page_of(query)
    if query.get("sort_by", "start_time") != "start_time":
        raise Refused(422, {"errors": {"sort_by": ["must be one of start_time"]}})
    lower, upper = moment(query, "start_time"), moment(query, "end_time")
    rows = [
        row
        for row in _rows(world, team, query.get("calendar_id"), query.get("user_guid"))
        if (lower is None or row.event.end >= lower) and (upper is None or row.event.start < upper)
    ]
    rows.sort(key=lambda row: (row.event.start, row.event.id), reverse=descending(query))
    here, metadata = paged(rows, page, with_paging=world.switches.paging_metadata)
    writer = world.writers[team.id]
    return web.json_response({"metadata": metadata, "data": [writer.shown(row) for row in here]})


def _rows(
    world: SalesloftWorld, team: Team, calendar_id: str | None, user_guid: str | None
) -> list[Row]:
    calendars = set(team.calendars)
    if calendar_id is not None and world.switches.list_honours_calendar_id:
        calendars &= {calendar_id}
    if user_guid is not None:
        calendars &= {f"external_{user_guid}"}
    return [row for name in sorted(calendars) for row in team.calendars[name].values()]


async def me(world: SalesloftWorld, visit: Visit) -> web.Response:
    team, account = team_of(visit), visit.account
    created = iso(world.now())
    user = {
        "id": team.id,
        "guid": team.owner_guid,
        "name": "Integration",
        "first_name": "Integration",
        "last_name": "",
        "email": "integration@example.com",
        "active": True,
        "time_zone": "UTC",
        "team_admin": account is not None and account.manage_team,
        "team": {"id": team.id, "_href": "https://api.salesloft.com/v2/team"},
        "created_at": created,
        "updated_at": created,
    }
    return web.json_response({"data": user})
