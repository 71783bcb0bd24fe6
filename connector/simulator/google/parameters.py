"""Query parameters, read as strictly as Google reads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar
from zoneinfo import ZoneInfo

from .errors import invalid, refusal
from .times import BadTimeError, parse_instant, zone_named
from .tokens import checksum

EVENT_TYPES = frozenset(
    {"birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation"}
)
_NO_PART_OF_A_LISTING = frozenset(
    {"pageToken", "key", "access_token", "oauth_token", "quotaUser", "prettyPrint", "alt", "userIp"}
)
_FORBIDDEN_WITH_SYNC_TOKEN = (
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "timeMin",
    "timeMax",
    "updatedMin",
)
T = TypeVar("T")


class Query(Protocol):
    """What is needed of a multi-valued query string."""

    def get(self, key: str) -> str | None: ...
    def getall(self, key: str, default: list[str]) -> list[str]: ...
    def items(self) -> Iterable[tuple[str, str]]: ...
    def __contains__(self, key: object) -> bool: ...


def boolean(query: Query, name: str) -> bool:
    """`true` or `false`; absent is false, anything else 400."""
    text = query.get(name)
    if text not in (None, "true", "false"):
        raise invalid(name, f"Invalid boolean value: '{text}'.")
    return text == "true"


def whole_number(query: Query, name: str, default: int, *, most: int | None = None) -> int:
    """A number from 1 on, clamped to `most`."""
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise invalid(name, f"Invalid integer value: '{text}'.")
    return int(text) if most is None else min(int(text), most)


def time(query: Query, name: str) -> datetime | None:
    """An RFC 3339 time with its offset."""
    text = query.get(name)
    if text is None:
        return None
    try:
        return parse_instant(text)
    except BadTimeError:
        raise refusal(400, "badRequest", "Bad Request") from None


def zone(query: Query, default: ZoneInfo) -> ZoneInfo:
    """The zone in which the answer is written."""
    text = query.get("timeZone")
    try:
        return zone_named(text) if text else default
    except BadTimeError:
        raise invalid("timeZone") from None


def listing_checksum(kind: str, query: Query) -> int:
    """What a page token is bound to: the listing and all its parameters."""
    pairs = sorted((k, v) for k, v in query.items() if k not in _NO_PART_OF_A_LISTING)
    return checksum(repr((kind, pairs)))


def _properties(query: Query, name: str) -> tuple[tuple[str, str], ...]:
    found = []
    for text in query.getall(name, []):
        key, equals, value = text.partition("=")
        if not equals:
            raise invalid(name)
        found.append((key, value))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class EventsQuery:
    """The parameters of events.list."""

    max_results: int
    page_token: str | None
    sync_token: str | None
    single_events: bool
    show_deleted: bool
    order_by: str | None
    time_min: datetime | None
    time_max: datetime | None
    updated_min: datetime | None
    event_types: frozenset[str]
    q: str | None
    ical_uid: str | None
    private_properties: tuple[tuple[str, str], ...]
    shared_properties: tuple[tuple[str, str], ...]
    checksum: int


def events_query(query: Query, calendar_id: str) -> EventsQuery:
    """The parameters of events.list, or the refusal that they deserve."""
    sync_token = query.get("syncToken")
    if sync_token is not None:
        _check_restrictions(query)
    single, order = boolean(query, "singleEvents"), query.get("orderBy")
    if order not in (None, "startTime", "updated"):
        raise invalid("orderBy")
    if order == "startTime" and not single:
        message = "The requested ordering is not available for the particular query."
        raise refusal(400, "badRequest", message)
    low, high = time(query, "timeMin"), time(query, "timeMax")
    if low is not None and high is not None and high <= low:
        raise time_range_empty("timeMax")
    types = frozenset(query.getall("eventTypes", []))
    if not types <= EVENT_TYPES:
        raise invalid("eventTypes")
    return EventsQuery(
        max_results=whole_number(query, "maxResults", 250, most=2500),
        page_token=query.get("pageToken"),
        sync_token=sync_token,
        single_events=single,
        show_deleted=boolean(query, "showDeleted"),
        order_by=order,
        time_min=low,
        time_max=high,
        updated_min=time(query, "updatedMin"),
        event_types=types,
        q=query.get("q"),
        ical_uid=query.get("iCalUID"),
        private_properties=_properties(query, "privateExtendedProperty"),
        shared_properties=_properties(query, "sharedExtendedProperty"),
        checksum=listing_checksum(f"events:{calendar_id}", query),
    )


def time_range_empty(location: str) -> Exception:
    """400 for an end that is not after the start."""
    message = "The specified time range is empty."
    return refusal(400, "timeRangeEmpty", message, domain="calendar", location=location)


def _check_restrictions(query: Query) -> None:
    shown = query.get("showDeleted")
    if shown == "false" or any(name in query for name in _FORBIDDEN_WITH_SYNC_TOKEN):
        message = "Sync token cannot be used with other request restrictions."
        raise refusal(
            400,
            "syncTokenWithRequestRestrictions",
            message,
            domain="calendar",
            location="syncToken",
        )
