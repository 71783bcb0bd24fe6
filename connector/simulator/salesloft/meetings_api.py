"""`/v2/meetings` and `/v2/meetings/settings`: who is connected, and what was booked in Salesloft."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from connector.simulator.salesloft.calendar_api import json_object, team_of
from connector.simulator.salesloft.errors import forbidden, invalid, not_found
from connector.simulator.salesloft.front import Visit
from connector.simulator.salesloft.paging import (
    SORTING,
    bad,
    boolean,
    check_known,
    descending,
    page_of,
    paged,
    several,
)
from connector.simulator.salesloft.people import Meeting
from connector.simulator.salesloft.validation import Mistakes, instant
from connector.simulator.salesloft.world import SalesloftWorld

PROGRESS = ("pending", "booked", "failed", "retry")
_COMPARISONS: dict[str, Callable[[datetime, datetime], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_SORT_KEYS = ("start_time", "created_at", "updated_at")
_MEETING_PARAMETERS = (
    *("ids", "status", "person_id", "account_id", "person_ids", "event_ids", "i_cal_uids"),
    *("task_ids", "include_meetings_settings", "start_time", "user_guids", "show_deleted"),
    *SORTING,
)
_SEARCH_FIELDS = frozenset(
    {"calendar_type", "user_guids", "updated_at", "page", "per_page"}
    | {"include_paging_counts", "limit_paging_counts"}
)
_SETTINGS_TYPES: dict[str, type] = {
    **dict.fromkeys(
        ("allow_booking_on_behalf", "allow_booking_overtime", "allow_event_overlap"), bool
    ),
    **dict.fromkeys(
        ("availability_limit_enabled", "enable_calendar_sync", "enable_dynamic_location"), bool
    ),
    **dict.fromkeys(
        ("primary_calendar_connection_failed", "schedule_buffer_enabled", "share_event_detail"),
        bool,
    ),
    **dict.fromkeys(("availability_limit", "buffer_time_duration", "schedule_delay"), int),
    **dict.fromkeys(("default_meeting_length",), int),
    **dict.fromkeys(("calendar_type", "description", "location", "title", "time_zone"), str),
    **dict.fromkeys(("primary_calendar_id", "primary_calendar_name"), str),
    "times_available": dict,
}


async def search_settings(world: SalesloftWorld, visit: Visit) -> web.Response:
    """The filters and the page are read from the JSON body; parameters of the query are not looked at."""
    if visit.account is None or not visit.account.manage_team:
        raise forbidden("manage_team")
    body = json_object(world, visit)
    for name in sorted(body.keys() - _SEARCH_FIELDS):
        raise bad(name, "is not permitted")
    page = page_of(body)
    guids, calendar_type = body.get("user_guids"), body.get("calendar_type")
    if guids is not None and not isinstance(guids, list):
        raise bad("user_guids", "must be a list")
    given = body.get("updated_at", {})
    if not isinstance(given, dict):
        raise bad("updated_at", "must be an object of comparisons")
    bounds = _bounds(given, "updated_at")
    users = sorted(team_of(visit).users.values(), key=lambda user: user.settings_id)
    found = [
        user.shown_settings()
        for user in users
        if (guids is None or user.guid in guids)
        and (calendar_type is None or user.calendar_type == calendar_type)
        and _within(user.updated_at, bounds)
    ]
    here, metadata = paged(found, page, with_paging=world.switches.paging_metadata)
    return web.json_response({"metadata": metadata, "data": list(here)})


async def update_settings(world: SalesloftWorld, visit: Visit) -> web.Response:
    body, number = json_object(world, visit), int(visit.request.match_info["id"])
    users = team_of(visit).users.values()
    user = next((user for user in users if user.settings_id == number), None)
    if user is None:
        raise not_found()
    mistakes: Mistakes = {}
    for name, value in body.items():
        wanted = _SETTINGS_TYPES.get(name)
        if wanted is None:
            mistakes[name] = "is not permitted"
        elif value is not None and type(value) is not wanted:
            mistakes[name] = f"must be of type {wanted.__name__}"
    if mistakes:
        raise invalid(mistakes, world.switches, world.rng)
    user.settings.update(body)
    user.updated_at = world.now()
    return web.json_response({"data": user.shown_settings()})


async def list_meetings(world: SalesloftWorld, visit: Visit) -> web.Response:
    query = visit.request.query
    check_known(query, _MEETING_PARAMETERS)
    sort_by = query.get("sort_by", "start_time")
    if sort_by not in _SORT_KEYS:
        raise bad("sort_by", f"must be one of {', '.join(_SORT_KEYS)}")
    if query.get("status", "pending") not in PROGRESS:
        raise bad("status", f"must be one of {', '.join(PROGRESS)}")
    bounds = _bounds(_start_comparisons(query), "start_time")
    found = [
        meeting
        for meeting in team_of(visit).meetings.values()
        if _is_asked_for(world, visit, meeting) and _within(meeting.start, bounds)
    ]
    attribute = "start" if sort_by == "start_time" else sort_by
    found.sort(key=lambda one: (getattr(one, attribute), one.id), reverse=descending(query))
    page = page_of(query)
    here, metadata = paged(found, page, with_paging=world.switches.paging_metadata)
    with_settings = boolean(query, "include_meetings_settings")
    data = [_shown(world, one, with_settings=with_settings) for one in here]
    return web.json_response({"metadata": metadata, "data": data})


def _is_asked_for(world: SalesloftWorld, visit: Visit, meeting: Meeting) -> bool:
    query = visit.request.query
    status = query.get("status")
    to_be_moved = (
        world.switches.pending_includes_reschedules
        and status == "pending"
        and meeting.reschedule_status == "pending"
    )
    if status is not None and meeting.status != status and not to_be_moved:
        return False
    filters = {
        "ids": str(meeting.id),
        "user_guids": meeting.user.guid,
        "event_ids": meeting.event_id,
        "i_cal_uids": meeting.i_cal_uid,
    }
    wanted = {name: several(query, name) for name in filters}
    return all(asked is None or filters[name] in asked for name, asked in wanted.items())


def _start_comparisons(query: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix("start_time[").removesuffix("]"): value
        for name, value in query.items()
        if name.startswith("start_time[")
    }


async def update_meeting(world: SalesloftWorld, visit: Visit) -> web.Response:
    body = json_object(world, visit)
    meeting = team_of(visit).meetings.get(int(visit.request.match_info["id"]))
    if meeting is None:
        raise not_found()
    mistakes = _meeting_mistakes(body)
    if body.get("status") == "booked" and not (body.get("event_id") or meeting.event_id):
        mistakes["event_id"] = "is missing"
    if mistakes:
        raise invalid(mistakes, world.switches, world.rng)
    for name, value in body.items():
        setattr(meeting, name, value)
    meeting.updated_at = world.now()
    return web.json_response({"data": _shown(world, meeting, with_settings=False)})


def _shown(world: SalesloftWorld, meeting: Meeting, *, with_settings: bool) -> dict[str, Any]:
    odd = world.switches.odd_meetings
    return (meeting.shown_oddly if odd else meeting.shown)(with_settings=with_settings)


def _meeting_mistakes(body: Mapping[str, Any]) -> Mistakes:
    mistakes: Mistakes = {}
    for name, value in body.items():
        if name in ("status", "reschedule_status"):
            if value not in PROGRESS:
                mistakes[name] = f"must be one of {', '.join(PROGRESS)}"
        elif name in ("event_id", "i_cal_uid"):
            if not isinstance(value, str) or not value:
                mistakes[name] = "must be a string"
        elif name != "no_show":
            mistakes[name] = "is not permitted"
        elif not isinstance(value, bool):
            mistakes[name] = "must be a boolean"
    return mistakes


def _bounds(given: Mapping[str, Any], name: str) -> dict[str, datetime]:
    """Comparisons such as `{"gt": …}` as times."""
    bounds = {}
    for comparison, text in given.items():
        bound = instant(text)
        if comparison not in _COMPARISONS or bound is None:
            raise bad(name, f"must compare ({', '.join(_COMPARISONS)}) with an ISO 8601 timestamp")
        bounds[comparison] = bound
    return bounds


def _within(moment: datetime, bounds: Mapping[str, datetime]) -> bool:
    return all(_COMPARISONS[name](moment, bound) for name, bound in bounds.items())
