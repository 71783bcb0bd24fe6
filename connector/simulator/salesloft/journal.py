"""What happened to the simulator, for tests to judge: every request, overlaps, and writes that came too late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple


class EventKey(NamedTuple):
    """What makes an event one event: the upsert key within its calendar."""

    calendar_id: str
    id: str
    i_cal_uid: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request, written when it ended."""

    at: float
    """Arrival, by the world's monotonic clock."""
    wall: datetime
    method: str
    path: str
    route: str
    team: int | None
    """The team's id; None: the key was refused."""
    key: EventKey | None
    status: int
    """0: the connection ended without an answer."""
    cost: int
    request_id: str
    fault: str | None
    """The kind of fault that was played on it."""
    in_flight: int
    """Requests in flight when it arrived, itself included."""
    body: Any
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StaleWrite:
    """An upsert that was ignored, because something newer was stored already."""

    at: float
    key: EventKey
    sent: datetime
    stored: datetime
    bulk_job: int | None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two requests for one key were in flight at the same time; the later one is named."""

    at: float
    key: EventKey
    request_id: str


@dataclass(frozen=True, slots=True)
class BulkConflict:
    """An upsert overtook a waiting bulk record of the same key without a strictly newer `updated_at`."""

    at: float
    key: EventKey
    bulk_job: int
