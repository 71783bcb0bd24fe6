"""What may be switched while the simulator runs: where the documents are silent, or reality is unkind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class Switches:
    """Mutable on purpose; the defaults are what the reference page says, or what it assumes."""

    store_own_time: bool = False
    """The stored `updated_at` is the time of the write, is what answers show, and is what decides staleness."""
    show_own_time: bool = False
    """Answers show the time of the write as `updated_at`, while the time that was sent decides staleness."""
    refused_fields: dict[str, str] = field(default_factory=dict)
    """Field of an upsert → message of the 422 that it causes."""
    refused_events: dict[str, str] = field(default_factory=dict)
    """Event id → message of the 422 that it always causes, directly and in bulk."""
    refuse_unknown_fields: bool = True
    refuse_not_external: bool = False
    """Upserts for a user whose calendar type is not `external` are refused (422)."""
    unknown_calendar_status: Literal[404, 422] = 422
    error_shape: Literal["mixed", "map", "text_map", "list"] = "mixed"
    """How a 422 lists its errors; mixed: seeded, another one each time."""

    ratelimit_headers: Literal["documented", "alternative", "none"] = "documented"
    retry_after: bool = True
    fixed_windows: bool = False
    """The rate window is the clock's minute instead of the last 60 seconds."""

    list_honours_calendar_id: bool = True
    """False: the list's `calendar_id` parameter is ignored, as the published definition does not have it."""
    paging_metadata: bool = True
    stringly_booleans: bool = False
    """Answers carry `all_day` and `recurring` as text, as the published definition says."""
    keep_removed_attendees: bool = False
    """Attendees left out of an update stay in answers with `deleted_at`."""

    bulk_seconds_per_record: float = 0.002
    bulk_start_seconds: float = 0.0
    """Time from a job's turn to its first record."""
    bulk_retrying_share: float = 0.0
    """Seeded share of records that show `retrying` once and are done at the end of their job."""
    bulk_resource: Literal["data", "named", "bare"] = "data"
    """A result's `resource`: the answer of an upsert, the same with `calendar_event` for `data`, or the event alone."""

    pending_includes_reschedules: bool = True
    """`GET /v2/meetings?status=pending` also answers with booked meetings that are to be moved."""
    odd_meetings: bool = False
    """Meetings come with ids as text, null for what is empty, and fields that no document has."""
    keep_bodies: bool = True
    """The log keeps what was sent."""
