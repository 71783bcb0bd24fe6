"""What clients send in events.insert, patch and update: checked, and turned into changes of a row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from .calendar import Calendar
from .content import guests_json, meet
from .errors import invalid, refusal
from .recurrence import parts_of
from .rows import Row
from .times import BadTimeError, When, is_timed, parse, sort_key

_NOT_FIELDS = frozenset(
    {
        "kind",
        "etag",
        "id",
        "status",
        "htmlLink",
        "created",
        "updated",
        "start",
        "end",
        "recurrence",
        "recurringEventId",
        "originalStartTime",
        "iCalUID",
        "sequence",
        "creator",
        "organizer",
        "attendeesOmitted",
        "hangoutLink",
    }
)
_OWN_COPY = frozenset(
    {
        "attendees",
        "reminders",
        "colorId",
        "transparency",
        "visibility",
        "extendedProperties",
        "status",
    }
)
_STATUSES = ("confirmed", "tentative", "cancelled")
_SEND_UPDATES = ("all", "externalOnly", "none")


async def read_body(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request."""
    try:
        body = json.loads(await request.text() or "{}")
    except ValueError:
        raise refusal(400, "parseError", "Parse Error") from None
    if not isinstance(body, dict):
        raise refusal(400, "parseError", "Parse Error")
    return body


def check_send_updates(query: Mapping[str, str]) -> None:
    """`sendUpdates` is one of three words."""
    if query.get("sendUpdates", "none") not in _SEND_UPDATES:
        raise invalid("sendUpdates")


def moment(body: Mapping[str, Any], name: str, zone: ZoneInfo) -> When:
    """`start` or `end` of a body."""
    value = body.get(name)
    if not isinstance(value, Mapping) or not (value.get("date") or value.get("dateTime")):
        raise refusal(400, "required", f"Missing {name} time.")
    try:
        return parse(value, zone)
    except BadTimeError as error:
        if "zone definition" in str(error):
            raise refusal(400, "required", f"{error} for {name} time.") from None
        raise invalid(name) from None


def times(body: Mapping[str, Any], zone: ZoneInfo, row: Row | None = None) -> tuple[When, When]:
    """Start and end after the change, of one kind and the right way round."""
    start = moment(body, "start", zone) if "start" in body or row is None else row.start
    end = moment(body, "end", zone) if "end" in body or row is None else row.end
    if is_timed(start) != is_timed(end):
        raise invalid("start", "Invalid start time.")
    if sort_key(end) < sort_key(start) or (not is_timed(start) and end == start):
        raise refusal(
            400, "timeRangeEmpty", "The specified time range is empty.", domain="calendar"
        )
    return start, end


def recurrence(body: Mapping[str, Any]) -> list[str] | None:
    """The lines of a body; None if it says nothing of them."""
    if "recurrence" not in body:
        return None
    lines = body["recurrence"] or []
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise invalid("recurrence", "Invalid recurrence rule.")
    rules = [line for line in lines if line.upper().startswith("RRULE")]
    if any("FREQ" not in parts_of(line) for line in rules):
        raise invalid("recurrence", "Invalid recurrence rule.")
    start = body.get("start")
    if lines and isinstance(start, Mapping) and "dateTime" in start and not start.get("timeZone"):
        raise refusal(400, "required", "Missing time zone definition for start time.")
    return lines


def fields(
    body: Mapping[str, Any],
    query: Mapping[str, str],
    *,
    own: bool,
    may_invite: bool,
    conference_pending: bool = False,
) -> dict[str, Any]:
    """The properties that a body sets; null removes one."""
    changes = {name: value for name, value in body.items() if name not in _NOT_FIELDS}
    if body.get("status", "confirmed") not in _STATUSES:
        raise invalid("status")
    if not own and not set(body) - {"id", "etag", "kind"} <= _OWN_COPY:
        message = "Shared properties can only be changed by the organizer of the event."
        raise refusal(403, "forbiddenForNonOrganizer", message, domain="calendar")
    if changes.get("attendees"):
        changes["attendees"] = _attendees(changes["attendees"], may_invite)
    conference = changes.pop("conferenceData", _NOTHING)
    if conference is not _NOTHING and query.get("conferenceDataVersion") == "1":
        changes |= _conference(conference, pending=conference_pending)
    return changes


_NOTHING = object()


def _attendees(guests: Any, may_invite: bool) -> list[dict[str, Any]]:
    if not may_invite:
        message = (
            "Service accounts cannot invite attendees without Domain-Wide Delegation of Authority."
        )
        raise refusal(403, "forbiddenForServiceAccounts", message, domain="calendar")
    if not isinstance(guests, list) or not all(
        isinstance(guest, Mapping) and "@" in str(guest.get("email")) for guest in guests
    ):
        raise invalid("attendees", "Invalid attendee email.")
    return guests_json(guests)


def _conference(wanted: Any, *, pending: bool) -> dict[str, Any]:
    if not wanted:
        return {"conferenceData": None, "hangoutLink": None}
    request = wanted.get("createRequest") if isinstance(wanted, Mapping) else None
    if request is None:
        return {"conferenceData": dict(wanted)}
    if not isinstance(request, Mapping) or not request.get("requestId"):
        raise invalid("conferenceData", "Invalid conference data.")
    if pending:
        # Made asynchronously: until then there is no link.
        asked = {**request, "status": {"statusCode": "pending"}}
        return {"conferenceData": {"createRequest": asked}}
    return made_conference(request)


def made_conference(request: Mapping[str, Any]) -> dict[str, Any]:
    """The conference that a `createRequest` leads to."""
    code = "".join(c for c in str(request["requestId"]).lower() if c.isalpha()).ljust(10, "a")
    made = meet(f"{code[:3]}-{code[3:7]}-{code[7:10]}")
    answered = {**request, "status": {"statusCode": "success"}}
    made["conferenceData"]["createRequest"] = answered
    return made


def patched(row: Row, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Patch semantics: objects are merged one level deep, lists are replaced."""
    result = {}
    for name, value in changes.items():
        old = row.fields.get(name)
        if isinstance(value, Mapping) and isinstance(old, Mapping) and name != "conferenceData":
            value = {k: v for k, v in {**old, **value}.items() if v is not None}
        result[name] = value
    return result


def replaced(row: Row, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Update semantics: what the body lacks is removed."""
    kept = {"creator", "organizer", "eventType", "conferenceData", "hangoutLink"}
    return {**{name: None for name in row.fields if name not in kept}, **changes}


def is_own(calendar: Calendar, row: Row) -> bool:
    """Whether this calendar organises the event, or its guests may modify it."""
    host = str(row.fields.get("organizer", {}).get("email", "")).casefold()
    return host in calendar.own_addresses or bool(row.fields.get("guestsCanModify"))
