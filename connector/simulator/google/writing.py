"""events.insert, patch, update, delete and move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import bodies
from .calendar import Calendar
from .call import Call
from .errors import deleted, invalid, not_found, refusal
from .rows import Row, is_chosen_id
from .state import Role
from .world import Invitation


async def insert_event(call: Call) -> dict[str, Any]:
    """events.insert, with a client-chosen id if there is one."""
    calendar, role = call.calendar(write=True)
    bodies.check_send_updates(call.query)
    body = await bodies.read_body(call.request)
    event_id = body.get("id")
    if event_id is not None and not is_chosen_id(str(event_id)):
        raise invalid("id", "Invalid resource id value.")
    if event_id is not None and event_id in calendar.rows:
        raise refusal(409, "duplicate", "The requested identifier already exists.")
    start, end = bodies.times(body, calendar.zone)
    lines = bodies.recurrence(body)
    fields = bodies.fields(
        body,
        call.query,
        own=True,
        may_invite=call.principal.delegated,
        conference_pending=call.world.conferences_pending,
    )
    summary, guests = fields.pop("summary", None), fields.pop("attendees", None)
    made = calendar.create(
        summary,
        start,
        end,
        recurrence=lines or (),
        attendees=guests,
        include_self=False,
        event_id=event_id,
        ical_uid=body.get("iCalUID"),
        status=body.get("status", "confirmed"),
        creator=call.principal.subject,
        extra=fields,
    )
    _invite(call, calendar, "insert", calendar.expect(made))
    return _shown(call, calendar, role, made)


async def patch_event(call: Call) -> dict[str, Any]:
    """events.patch: what the body names is changed, lists wholesale."""
    calendar, role, row = _target(call)
    body = await bodies.read_body(call.request)
    changes = bodies.patched(row, _fields(call, calendar, row, body))
    made = _apply(calendar, row, body, changes)
    _invite(call, calendar, "patch", calendar.expect(made))
    return _shown(call, calendar, role, made)


async def update_event(call: Call) -> dict[str, Any]:
    """events.update: the body is the whole event."""
    calendar, role, row = _target(call)
    body = await bodies.read_body(call.request)
    bodies.times(body, calendar.zone)
    if not row.is_series and row.series is None:
        body.setdefault("recurrence", [])
    changes = bodies.replaced(row, _fields(call, calendar, row, body))
    made = _apply(calendar, row, body, changes)
    _invite(call, calendar, "update", calendar.expect(made))
    return _shown(call, calendar, role, made)


async def delete_event(call: Call) -> None:
    """events.delete: an event, a series, or one occurrence."""
    calendar, _, row = _target(call)
    _invite(call, calendar, "delete", row)
    if row.is_series:
        calendar.cancel_all(row.id, family=False)
    else:
        calendar.cancel_one(row.id)


async def move_event(call: Call) -> dict[str, Any]:
    """events.move: answers with the source's copy, cancelled, organised by the destination."""
    calendar, role, row = _target(call)
    destination = call.world.calendars.get(call.query.get("destination", ""))
    if destination is None or destination.role_of(call.principal.subject) not in (
        "owner",
        "writer",
    ):
        raise not_found()
    if row.series is not None:
        raise refusal(400, "cannotChangeOrganizerOfInstance", "Cannot move an instance.")
    return _shown(call, calendar, role, calendar.move_to(row.id, destination))


def _target(call: Call) -> tuple[Calendar, Role, Row]:
    calendar, role = call.calendar(write=True)
    bodies.check_send_updates(call.query)
    row = calendar.find(call.request.match_info["event"])
    if row is None:
        raise not_found()
    if not row.live:
        raise deleted()
    wanted = call.request.headers.get("If-Match")
    if wanted not in (None, "*", row.etag):
        raise refusal(
            412,
            "conditionNotMet",
            "Precondition Failed",
            location="If-Match",
            location_type="header",
        )
    return calendar, role, row


def _fields(call: Call, calendar: Calendar, row: Row, body: Mapping[str, Any]) -> dict[str, Any]:
    return bodies.fields(
        body,
        call.query,
        own=bodies.is_own(calendar, row),
        may_invite=call.principal.delegated,
        conference_pending=call.world.conferences_pending,
    )


def _invite(call: Call, calendar: Calendar, what: str, row: Row) -> None:
    """Note the mail that guests get of a write: none by default, and none to the calendar's own address."""
    told = call.query.get("sendUpdates", "none")
    people = [str(guest.get("email", "")) for guest in row.fields.get("attendees") or ()]
    to = tuple(
        email
        for email in people
        if email.casefold() not in calendar.own_addresses
        # externalOnly: who has a calendar at Google sees the change there.
        and (told == "all" or (told == "externalOnly" and email not in call.world.calendars))
    )
    if to:
        call.world.invitations.append(Invitation(what, row.id, to))


def _apply(
    calendar: Calendar, row: Row, body: Mapping[str, Any], changes: Mapping[str, Any]
) -> str:
    if body.get("status") == "cancelled":
        return (
            calendar.cancel_all(row.id, family=False)
            if row.is_series
            else calendar.cancel_one(row.id)
        )
    options: dict[str, Any] = {"status": body.get("status"), "extra": dict(changes)}
    if "start" in body or "end" in body:
        options["start"], options["end"] = bodies.times(body, calendar.zone, row)
    lines = bodies.recurrence(body)
    if row.is_series or (lines and row.series is None):
        return calendar.edit_all(row.id, recurrence=lines, family=False, **options)
    return calendar.edit_one(row.id, **options)


def _shown(call: Call, calendar: Calendar, role: Role, event_id: str) -> dict[str, Any]:
    return dict(call.event_json(calendar, role, calendar.expect(event_id)))
