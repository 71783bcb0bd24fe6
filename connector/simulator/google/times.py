"""Moments as Google has them: an instant in a zone, or a date; and how they are written.

A timed moment is a `datetime` whose tzinfo is a `ZoneInfo`: the event's own zone, in which a series
recurs. An all-day moment is a `date`. Nothing here is naive except inside the expansion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, TypeGuard
from zoneinfo import ZoneInfo

When = datetime | date

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_RFC3339 = re.compile(r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$")


class BadTimeError(ValueError):
    """A time, date or zone that Google would not accept."""


@lru_cache(maxsize=512)
def zone_named(name: str) -> ZoneInfo:
    """The zone of an IANA name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise BadTimeError(f"unknown time zone {name!r}: use an IANA name") from error


def is_timed(when: When) -> TypeGuard[datetime]:
    """Whether this is an instant; false for an all-day date."""
    return isinstance(when, datetime)


def localised(naive: datetime, zone: tzinfo) -> datetime:
    """The wall-clock time in a zone; a time skipped by DST is read with the offset before it (RFC 5545)."""
    return naive.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)


def aware(when: When, default_zone: ZoneInfo) -> When:
    """The same moment in whole seconds, its tzinfo a ZoneInfo: a fixed offset becomes the default zone."""
    if not is_timed(when):
        return when
    when = when.replace(microsecond=0)
    if when.tzinfo is None:
        raise BadTimeError(f"{when.isoformat()} has no zone: give an aware datetime")
    if isinstance(when.tzinfo, ZoneInfo):
        return localised(when.replace(tzinfo=None, fold=when.fold), when.tzinfo)
    if when.tzinfo is UTC:
        return when.astimezone(zone_named("UTC"))
    return when.astimezone(default_zone)


def instant(when: When, zone: tzinfo) -> datetime:
    """The moment in UTC; a date begins at midnight of the given zone."""
    if is_timed(when):
        return when.astimezone(UTC)
    return datetime(when.year, when.month, when.day, tzinfo=zone).astimezone(UTC)


def sort_key(when: When) -> datetime:
    """An instant that orders moments of one kind, whatever the calendar's zone."""
    return instant(when, UTC)


def same_moment(one: When, other: When) -> bool:
    """Whether both are the same instant, or the same date."""
    return is_timed(one) == is_timed(other) and sort_key(one) == sort_key(other)


def zone_of(when: datetime) -> ZoneInfo:
    """The ZoneInfo of a timed moment."""
    if not isinstance(when.tzinfo, ZoneInfo):
        raise BadTimeError(f"{when.isoformat()} is in no named zone")
    return when.tzinfo


def plus(when: When, length: timedelta) -> When:
    """The moment later by an elapsed time (not by wall clock), in the same zone."""
    if is_timed(when):
        return (when.astimezone(UTC) + length).astimezone(when.tzinfo)
    return when + length


def length_between(start: When, end: When) -> timedelta:
    """The elapsed time from start to end; negative if they are the wrong way round."""
    return sort_key(end) - sort_key(start)


def id_suffix(when: When) -> str:
    """What an instance's id carries of its original start: UTC and a Z, or the date."""
    if is_timed(when):
        return when.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return when.strftime("%Y%m%d")


def of_suffix(suffix: str) -> When:
    """The original start, in UTC or as a date, of an instance id's last part."""
    try:
        if suffix.endswith("Z"):
            return datetime.strptime(suffix, "%Y%m%dT%H%M%SZ").replace(tzinfo=zone_named("UTC"))
        return datetime.strptime(suffix, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise BadTimeError(f"{suffix!r} is no instance's time") from error


def micros(at: datetime) -> int:
    """Microseconds since the epoch."""
    return (at - EPOCH) // _MICROSECOND


def of_micros(value: int) -> datetime:
    """The instant of microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=value)


def rfc3339(at: datetime, *, whole_seconds: bool = False) -> str:
    """The instant as Google writes `updated` (milliseconds) and `created` (whole seconds, `.000Z`)."""
    shown = at.astimezone(UTC)
    millis = 0 if whole_seconds else shown.microsecond // 1000
    return f"{shown:%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"


def offset_form(at: datetime, zone: ZoneInfo) -> str:
    """The instant with the zone's offset, `Z` where that is zero."""
    text = at.astimezone(zone).isoformat(timespec="seconds")
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def render(when: When, zone: ZoneInfo, *, show_zone: bool = True) -> dict[str, str]:
    """The JSON of a moment: the offset is the response's zone, `timeZone` stays the event's own."""
    if not is_timed(when):
        return {"date": when.isoformat()}
    shown = {"dateTime": offset_form(when, zone)}
    if show_zone:
        shown["timeZone"] = zone_of(when).key
    return shown


def parse_instant(text: str) -> datetime:
    """An RFC 3339 time with its mandatory offset, sub-seconds dropped."""
    if not _RFC3339.match(text):
        raise BadTimeError(f"{text!r} is no RFC 3339 time with an offset")
    try:
        parsed = datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise BadTimeError(f"{text!r} is no time") from error
    return parsed.replace(microsecond=0).astimezone(UTC)


def parse(value: object, default_zone: ZoneInfo) -> When:
    """A moment out of `{"date"}`, `{"dateTime", "timeZone"}`, or the bare string of either."""
    if isinstance(value, str):
        value = {"date": value} if len(value) == 10 else {"dateTime": value}
    if not isinstance(value, Mapping):
        raise BadTimeError("a time is an object with date or dateTime")
    return _parse_object(value, default_zone)


def _parse_object(value: Mapping[str, Any], default_zone: ZoneInfo) -> When:
    zone = zone_named(str(value["timeZone"])) if value.get("timeZone") else None
    day, moment = value.get("date"), value.get("dateTime")
    try:
        if day:
            return date.fromisoformat(str(day))
        at = datetime.fromisoformat(str(moment).upper())
    except ValueError as error:
        raise BadTimeError(f"{day or moment!r} is no date or time") from error
    if at.tzinfo is None:
        if zone is None:
            raise BadTimeError("Missing time zone definition")
        return localised(at, zone)
    return at.replace(microsecond=0).astimezone(zone or default_zone)
