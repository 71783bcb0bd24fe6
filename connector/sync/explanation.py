"""The answer to "why isn't my meeting there?", as values: what `explain` prints and the status page shows.

Of an event that the policy withholds it holds ids, times, type, visibility and numbers of attendees, never its text, a
name or an address. Moments are aware and in UTC; `as_json` makes them ISO 8601.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


class Standing(StrEnum):
    """How one occurrence stands between Google and Salesloft."""

    ACCEPTED = "accepted"
    """Salesloft took exactly what Google says now."""
    CANCELLED = "cancelled"
    WAITING = "waiting"
    IN_FLIGHT = "in flight"
    IN_BULK = "in a bulk job"
    HELD = "held"
    REFUSED = "refused"
    DIFFERENT = "different"
    """Google says something that was not read, or not planned, yet."""
    NEVER_SENT = "never sent"
    UNKNOWN = "unknown"
    """Google could not be asked; what was accepted last is known, whether it is still true is not."""


@dataclass(frozen=True, slots=True)
class RuleStep:
    """One rule of the policy. `configured` says for each key where it is: a file, or `default`."""

    rule: str
    applies: bool
    verdict: str | None
    why: str
    configured: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GoogleFacts:
    """What Google says. `title` is None unless the event is sent in full; attendees are counted, not named."""

    event_id: str
    ical_uid: str
    series_id: str | None
    is_series: bool
    status: str
    start: str
    end: str
    all_day: bool
    updated: datetime | None
    event_type: str
    private: bool
    transparent: bool
    attendees: int
    external: int
    attendees_cut_off: bool
    title: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """One request to Salesloft, from the journal. `same_content`: it carried what Google says now; None: unknown."""

    at: datetime
    outcome: str
    status: int
    via: str
    upsert_type: str
    changed: tuple[str, ...]
    cost: float
    request_id: str
    message: str
    rule: str | None
    same_content: bool | None


@dataclass(frozen=True, slots=True)
class Held:
    """What Salesloft holds now. `differs` names fields that are not as they should be, without what they hold."""

    found: bool
    status: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    updated_at: datetime | None = None
    text: bool = False
    equal: bool | None = None
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OccurrenceAnswer:
    """One occurrence. `verdict`: full, busy_only, nothing, or None where Google could not be asked."""

    event_id: str
    ical_uid: str
    start: str
    verdict: str | None
    rule: str | None
    standing: Standing
    words: str


@dataclass(frozen=True, slots=True)
class Detail:
    """One occurrence in depth. `payload` is None where nothing is sent; `no_payload` says why."""

    google: GoogleFacts | None
    steps: tuple[RuleStep, ...]
    payload: dict[str, Any] | None
    no_payload: str | None
    requests: tuple[Request, ...]
    live: Held | None


@dataclass(frozen=True, slots=True)
class Match:
    """One of several events that were meant; `title` of full ones only."""

    event_id: str
    start: str
    title: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """`answer` is the whole in one sentence. `series` are the facts and rules of a series' master."""

    user: str
    found: bool
    answer: str
    notes: tuple[str, ...] = ()
    window: tuple[datetime, datetime] | None = None
    last_read: datetime | None = None
    series: Detail | None = None
    occurrences: tuple[OccurrenceAnswer, ...] = ()
    detail: Detail | None = None
    matches: tuple[Match, ...] = ()
    points: float = 0.0


def as_json(value: Any) -> Any:
    """Dataclasses, moments, enums and paths as what `json.dumps` takes."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: as_json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [as_json(one) for one in value]
    if isinstance(value, dict):
        return {key: as_json(one) for key, one in value.items()}
    return value
