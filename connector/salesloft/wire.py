"""Salesloft's JSON → values. Tolerant: fields of another type than expected read as missing, unknown ones are ignored.

The published definition and the guide disagree on types (`all_day` is a text in one, `attendees` an object), so nothing
here trusts one of them. No `dict` leaves this module.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from connector.domain.errors import RetryLater
from connector.salesloft.errors import Answer, retry_later
from connector.salesloft.model import (
    EXTERNAL,
    BulkJob,
    BulkResult,
    Me,
    Meeting,
    MeetingSettings,
    StoredAttendee,
    StoredEvent,
    UpsertAnswer,
)
from connector.salesloft.redaction import refusal_of

Fields = dict[str, Any]


def envelope(answer: Answer) -> Fields:
    """The answer's JSON object; raises RetryLater for HTML, a text cut short, or anything but an object."""
    try:
        decoded = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        raise unreadable(answer) from None
    if isinstance(decoded, list):
        return {"data": decoded}
    if not isinstance(decoded, dict):
        raise unreadable(answer)
    return decoded


def unreadable(answer: Answer) -> RetryLater:
    return retry_later(answer, f"sent a {answer.status} answer that cannot be read")


def one(answer: Answer) -> Fields:
    """The object under `data` (or the bare object, if it has an id)."""
    whole = envelope(answer)
    data = whole.get("data", whole if "id" in whole or "records" in whole else None)
    if not isinstance(data, dict):
        raise unreadable(answer)
    return data


def rows(whole: Fields, answer: Answer) -> list[Fields]:
    """The objects of the list under `data`."""
    data = whole.get("data")
    if not isinstance(data, list):
        raise unreadable(answer)
    return [row for row in data if isinstance(row, dict)]


def next_page(whole: Fields) -> int | bool | None:
    """The next page's number, None for the last page, False if the answer does not say."""
    paging = _object(_object(whole.get("metadata")).get("paging"))
    if "next_page" not in paging:
        return False
    return _integer(paging["next_page"]) or None


def upsert_answer(answer: Answer) -> UpsertAnswer:
    if not answer.body.strip():
        # A success that says nothing: there is nothing to compare, but it was applied.
        return UpsertAnswer("", StoredEvent(), None, answer.request_id, answer.cost)
    whole = envelope(answer)
    data = _object(whole.get("data", whole))
    told = whole.get("upsert_type") or _object(whole.get("metadata")).get("upsert_type")
    changed = _object(data.get("extended_properties")).get("changed_attributes")
    return UpsertAnswer(
        upsert_type=_text(told or data.get("upsert_type")) or "",
        data=stored_event(data),
        changed_attributes=frozenset(map(str, changed))
        if isinstance(changed, list | dict)
        else None,
        request_id=answer.request_id,
        cost=answer.cost,
    )


def stored_event(row: Fields) -> StoredEvent:
    organizer = row.get("organizer")
    return StoredEvent(
        id=_text(row.get("id")) or "",
        i_cal_uid=_text(row.get("i_cal_uid")) or "",
        calendar_id=_text(row.get("calendar_id")) or "",
        user_guid=_text(row.get("user_guid")) or "",
        start_time=moment(row.get("start_time")),
        end_time=moment(row.get("end_time")),
        all_day=_flag(row.get("all_day")),
        title=_text(row.get("title")),
        description=_text(row.get("description")),
        location=_text(row.get("location")),
        organizer=_text(organizer.get("email") if isinstance(organizer, dict) else organizer),
        attendees=_attendees(row.get("attendees")),
        status=_text(row.get("status")),
        transparency=_text(row.get("transparency")),
        recurring=_flag(row.get("recurring")),
        canceled_at=moment(row.get("canceled_at")),
        updated_at=moment(row.get("updated_at")),
    )


def bulk_job(row: Fields) -> BulkJob:
    return BulkJob(
        id=_integer(row.get("id")) or 0,
        state=_text(row.get("state")) or "",
        name=_text(row.get("name")) or "",
        type=_text(row.get("type")) or "",
        total=_integer(row.get("total")) or 0,
        processed=_integer(row.get("processed")) or 0,
        errors=_integer(row.get("errors")) or 0,
        created_at=moment(row.get("created_at")),
    )


def bulk_result(row: Fields) -> BulkResult:
    record = _object(row.get("record"))
    told = refusal_of(_error_of_record(row.get("error")), record)
    return BulkResult(
        id=_integer(row.get("id")) or 0,
        status=_text(row.get("status")) or "",
        error=told.reason,
        fields=told.fields,
        record=stored_event(record),
        resource=stored_event(_resource(row.get("resource"))),
    )


def _resource(value: Any) -> Fields:
    """A result's resource is the single call's answer, or the event itself; the guide shows no example."""
    whole = _object(value)
    return _object(whole.get("data")) or _object(whole.get("calendar_event")) or whole


def _error_of_record(error: Any) -> Any:
    """A record's error is a text, which may be the JSON of what the single call would have answered."""
    if isinstance(error, str) and error.lstrip().startswith(("{", "[")):
        try:
            error = msgspec.json.decode(error)
        except msgspec.DecodeError:
            return {"error": error}
    return error if isinstance(error, dict) else {"error": error}


def me(row: Fields) -> Me:
    return Me(
        id=_text(row.get("id")) or "",
        guid=_text(row.get("guid")) or "",
        team_id=_text(_object(row.get("team")).get("id")) or "",
    )


def meeting_settings(row: Fields) -> MeetingSettings:
    calendar = _text(row.get("primary_calendar_id")) or ""
    user, details = _object(row.get("user")), _object(row.get("user_details"))
    guid = _text(row.get("user_guid") or user.get("guid") or details.get("guid"))
    return MeetingSettings(
        id=_text(row.get("id")) or "",
        calendar_type=_text(row.get("calendar_type")) or "",
        email_address=_text(row.get("email_address")) or "",
        primary_calendar_id=calendar,
        primary_calendar_name=_text(row.get("primary_calendar_name")) or "",
        primary_calendar_connection_failed=_flag(row.get("primary_calendar_connection_failed")),
        time_zone=_text(row.get("time_zone")) or "",
        updated_at=moment(row.get("updated_at")),
        user_id=_text(user.get("id")) or "",
        user_guid=guid
        or (calendar.removeprefix(EXTERNAL) if calendar.startswith(EXTERNAL) else ""),
    )


def meeting(row: Fields) -> Meeting:
    guests = row.get("guests")
    owner, booker = row.get("owned_by_meetings_settings"), row.get("booked_by_meetings_settings")
    texts = {
        name: _text(row.get(name)) or ""
        for name in (
            *("id", "title", "calendar_id", "calendar_type", "recipient_name", "recipient_email"),
            *("location", "description", "event_id", "i_cal_uid", "status", "reschedule_status"),
        )
    }
    return Meeting(
        **texts,
        start_time=moment(row.get("start_time")),
        end_time=moment(row.get("end_time")),
        all_day=_flag(row.get("all_day")),
        guests=tuple(filter(None, map(_text, guests))) if isinstance(guests, list) else (),
        attendees=_attendees(row.get("attendees")),
        canceled_at=moment(row.get("canceled_at")),
        updated_at=moment(row.get("updated_at")),
        owned_by=meeting_settings(owner) if isinstance(owner, dict) else None,
        booked_by=meeting_settings(booker) if isinstance(booker, dict) else None,
    )


def moment(value: Any) -> datetime | None:
    """An aware time in UTC; a time without a zone, or a bare date, is taken as UTC."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _attendees(value: Any) -> tuple[StoredAttendee, ...]:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return ()
    return tuple(
        StoredAttendee(
            email=_text(row.get("email")),
            name=_text(row.get("name")),
            status=_text(row.get("status")),
            organizer=_flag(row.get("organizer")),
        )
        for row in value
        if isinstance(row, dict) and not row.get("deleted_at")
    )


def _object(value: Any) -> Fields:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return bool(value) if isinstance(value, bool | int) else None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None
