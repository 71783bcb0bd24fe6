"""events.list, events.get, events.instances, calendars.get and the calendarList."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from .calendar import Calendar
from .call import Call
from .errors import deleted, full_sync_required, invalid, not_found, refusal
from .listing import Page, list_page
from .parameters import (
    boolean,
    events_query,
    listing_checksum,
    time,
    time_range_empty,
    whole_number,
)
from .recurrence import EXPANSION_LIMIT
from .rendering import DEFAULT_REMINDERS, View, write_calendar_envelope, write_event
from .rows import Row
from .state import BEGINNING, END, Role
from .times import BadTimeError, instant, micros, parse, same_moment
from .tokens import BadTokenError, PageToken, SyncToken, read_page_token, read_sync_token

_ROLES = ("freeBusyReader", "reader", "writerWithoutPrivateAccess", "writer", "owner")


async def list_events(call: Call) -> dict[str, Any]:
    """events.list."""
    calendar, role = call.calendar()
    query = events_query(call.query, calendar.id)
    feed = query.sync_token is not None
    view = call.view(calendar, role, full_tombstones=query.show_deleted and not feed)
    page = list_page(
        calendar, query, role=role, now=call.world.now(), faults=call.world.list_faults
    )
    return _envelope(calendar, role, view, page)


async def get_event(call: Call) -> dict[str, Any]:
    """events.get: cancelled events too, and occurrences that nobody touched."""
    calendar, role = call.calendar()
    row = calendar.find(call.request.match_info["event"])
    if row is None:
        raise not_found()
    return dict(call.event_json(calendar, role, row))


async def list_instances(call: Call) -> dict[str, Any]:
    """events.instances: by start, exceptions in their place; `timeMin` includes its instant."""
    calendar, role = call.calendar()
    series = calendar.find(call.request.match_info["event"])
    if series is None:
        raise not_found()
    show_deleted = boolean(call.query, "showDeleted")
    if not series.live and not show_deleted:
        raise deleted()
    rows = _instances(call, calendar, series) if series.is_series else []
    rows = [row for row in rows if row.live or show_deleted]
    view = call.view(calendar, role, full_tombstones=True)
    page = _instances_page(call, calendar, series, rows)
    return _envelope(calendar, role, view, page)


def _instances(call: Call, calendar: Calendar, series: Row) -> list[Row]:
    low, high = time(call.query, "timeMin"), time(call.query, "timeMax")
    if low is not None and high is not None and high <= low:
        raise time_range_empty("timeMax")
    # The window of the state excludes its bound; this method's timeMin includes it.
    rows = calendar.occurrences_of(
        series,
        BEGINNING if low is None else low.replace(microsecond=0) - datetime.resolution,
        high or END,
        limit=EXPANSION_LIMIT,
    )
    wanted = call.query.get("originalStart")
    if wanted is None:
        return rows
    try:
        original = parse(wanted, calendar.zone)
    except BadTimeError:
        raise invalid("originalStart") from None
    return [row for row in rows if row.original is not None and same_moment(row.original, original)]


def _instances_page(call: Call, calendar: Calendar, series: Row, rows: Sequence[Row]) -> Page:
    most = whole_number(call.query, "maxResults", 250, most=2500)
    bound_to = listing_checksum(f"instances:{calendar.id}:{series.id}", call.query)
    token = _read_page(call.query.get("pageToken"), bound_to, calendar.last_stamp)
    keyed = sorted(((max(0, micros(instant(r.start, calendar.zone))), 0, r.id), r) for r in rows)
    ahead = [pair for pair in keyed if pair[0] > token.after]
    cut = ahead[:most]
    shown = [row for _, row in cut]
    if len(ahead) > len(cut):
        following = PageToken(cut[-1][0], token.watermark, bound_to)
        return Page(shown, next_page_token=following.encoded())
    sync = SyncToken(token.watermark, calendar.id, calendar.epoch)
    return Page(shown, next_sync_token=sync.encoded())


def _read_page(text: str | None, bound_to: int, watermark: int) -> PageToken:
    if text is None:
        return PageToken((0, 0, ""), watermark, bound_to)
    try:
        return read_page_token(text, bound_to)
    except BadTokenError:
        raise invalid("pageToken") from None


def _envelope(calendar: Calendar, role: Role, view: View, page: Page) -> dict[str, Any]:
    shown = write_calendar_envelope(
        email=calendar.id,
        summary=calendar.summary,
        stamp=calendar.last_stamp,
        zone=calendar.zone,
        role=role,
    )
    if page.next_page_token is not None:
        shown["nextPageToken"] = page.next_page_token
    if page.next_sync_token is not None:
        shown["nextSyncToken"] = page.next_sync_token
    shown["items"] = [write_event(row, view) for row in page.rows]
    return shown


async def get_calendar(call: Call) -> dict[str, Any]:
    """calendars.get."""
    calendar, _ = call.calendar()
    return {
        "kind": "calendar#calendar",
        "etag": f'"c{calendar.last_stamp:015x}"',
        "id": calendar.id,
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "dataOwner": calendar.owner,
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    }


async def get_list_entry(call: Call) -> dict[str, Any]:
    """calendarList.get."""
    calendar, role = call.calendar()
    return _entry(calendar, call.principal.subject, role)


def _entry(calendar: Calendar, user: str, role: Role) -> dict[str, Any]:
    head = {
        "kind": "calendar#calendarListEntry",
        "etag": f'"{calendar.role_stamps[user]}"',
        "id": calendar.id,
    }
    if calendar.dead or role == "none":
        return {**head, "defaultReminders": [], "deleted": True}
    shown = {
        **head,
        "summary": calendar.summary,
        "timeZone": calendar.time_zone,
        "dataOwner": calendar.owner,
        "colorId": "24",
        "backgroundColor": "#a47ae2",
        "foregroundColor": "#000000",
        "selected": True,
        "accessRole": role,
        "defaultReminders": list(DEFAULT_REMINDERS) if role == "owner" else [],
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    }
    return {**shown, "primary": True} if calendar.id == user else shown


async def list_calendars(call: Call) -> dict[str, Any]:
    """calendarList.list, with a sync token of its own."""
    user, world = call.principal.subject, call.world
    since = _calendar_list_since(call, user)
    show_deleted = boolean(call.query, "showDeleted")
    least = call.query.get("minAccessRole")
    if least is not None and least not in _ROLES:
        raise invalid("minAccessRole")
    bound_to = listing_checksum(f"calendarList:{user}", call.query)
    token = _read_page(call.query.get("pageToken"), bound_to, world.tick())
    keyed = []
    for calendar in world.calendars.values():
        role, stamp = calendar.role_of(user), calendar.role_stamps.get(user, 0)
        gone = calendar.dead or role == "none"
        if stamp == 0 or (since is not None and stamp <= since):
            continue
        if gone and since is None and not show_deleted:
            continue
        if least is not None and not gone and _ROLES.index(role) < _ROLES.index(least):
            continue
        keyed.append(((stamp, 0, calendar.id), calendar))
    keyed.sort(key=lambda pair: pair[0])
    ahead = [pair for pair in keyed if pair[0] > token.after]
    cut = ahead[: whole_number(call.query, "maxResults", 100, most=250)]
    shown: dict[str, Any] = {"kind": "calendar#calendarList", "etag": f'"p{token.watermark:015x}"'}
    if len(ahead) > len(cut):
        shown["nextPageToken"] = PageToken(cut[-1][0], token.watermark, bound_to).encoded()
    else:
        shown["nextSyncToken"] = SyncToken(token.watermark, f"user:{user}").encoded()
    shown["items"] = [_entry(one, user, one.role_of(user)) for _, one in cut]
    return shown


def _calendar_list_since(call: Call, user: str) -> int | None:
    text = call.query.get("syncToken")
    if text is None:
        return None
    restricted = "minAccessRole" in call.query or any(
        call.query.get(name) == "false" for name in ("showDeleted", "showHidden")
    )
    if restricted or "showOwnOrganizationOnly" in call.query:
        message = "Sync token cannot be used with other request restrictions."
        raise refusal(
            400,
            "syncTokenWithRequestRestrictions",
            message,
            domain="calendar",
            location="syncToken",
        )
    try:
        token = read_sync_token(text, f"user:{user}", 0)
    except BadTokenError:
        raise invalid("syncToken", "Invalid sync token value.") from None
    if token is None:
        raise full_sync_required()
    return token.watermark
