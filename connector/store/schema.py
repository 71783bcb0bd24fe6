"""The tables, as SQLAlchemy Core defines them. Moments are integers: milliseconds since the epoch.

`migrations/` holds the same schema as numbered steps; a test compares both.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
)

metadata = MetaData()

calendars = Table(
    "calendars",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_guid", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("sync_token", Text),
    Column(
        "token_fingerprint", Text
    ),  # what the token was obtained with: parameters, policy, schema
    Column("time_zone", Text),
    Column("access_role", Text),
    Column("listed_from", BigInteger),  # the ledger: which days were last listed
    Column("listed_until", BigInteger),
    Column("last_success", BigInteger),
    Column("last_full", BigInteger),
    Column("compared", Boolean, nullable=False, server_default=false()),  # with Salesloft's list
    Column("parked_reason", Text),
    Column("parked_message", Text),
    Column("parked_since", BigInteger),
)


def _key() -> list[Column[object]]:
    """Columns of the key of an occurrence: Salesloft's upsert key."""
    return [
        Column("calendar_id", Integer, ForeignKey("calendars.id"), primary_key=True),
        Column("event_id", Text, primary_key=True),
        Column("ical_uid", Text, primary_key=True),
    ]


occurrences = Table(
    "occurrences",
    metadata,
    *_key(),
    Column("series_id", Text),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("all_day", Boolean, nullable=False),
    Column("alive", Boolean, nullable=False),
    Column("exposed", Boolean, nullable=False),  # text of it may stand in Salesloft
    Column("prospect", Boolean, nullable=False),  # sent in full with all attendees
    Column("accepted", Text),  # fingerprint of what Salesloft last accepted
    Column("updated_ms", BigInteger),  # the last `updated_at` used for this key
    Column("canceled_ms", BigInteger),
    Column("rule", Text),
    Index("occurrences_by_series", "calendar_id", "series_id"),
    Index("occurrences_by_end", "calendar_id", "end_ms"),
    sqlite_with_rowid=False,
)

outbox = Table(
    "outbox",
    metadata,
    *_key(),
    Column("updated_ms", BigInteger, nullable=False),  # rises with every content: also its version
    Column("fingerprint", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("prospect", Boolean, nullable=False),
    Column("cancels", Boolean, nullable=False),
    Column("backfill", Boolean, nullable=False),  # initial sync, horizon, resync: last in line
    Column("after_uid", Text),  # wait until this key of the same event was accepted
    Column("attempted", Integer, nullable=False),  # requests of this key that may have been applied
    Column("in_flight", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_ms", BigInteger, nullable=False),
    Column("queued_ms", BigInteger, nullable=False),
    Column("last_error", Text),
    Column("ignored", Boolean, nullable=False, server_default=false()),  # once, for its time
    Column(
        "held_id", Integer, ForeignKey("held.id")
    ),  # part of a difference that a human must release
    sqlite_with_rowid=False,
)

held = Table(
    "held",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("calendar_id", Integer, ForeignKey("calendars.id"), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("gone", Integer, nullable=False),  # event ids that would be cancelled
    Column("tracked", Integer, nullable=False),  # of so many
)

dead_letters = Table(
    "dead_letters",
    metadata,
    *_key(),
    Column("updated_ms", BigInteger, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("discarded", Boolean, nullable=False, server_default=false()),  # by a human
    sqlite_with_rowid=False,
)

set_aside = Table(
    "set_aside",
    metadata,
    Column("calendar_id", Integer, ForeignKey("calendars.id"), primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

points = Table(
    "points",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("team", Text, nullable=False),  # a one-way name of key and address
    Column("at_ms", BigInteger, nullable=False),
    Column("cost", Float, nullable=False),
    Index("points_by_team", "team", "at_ms"),
)

bulk_jobs = Table(
    "bulk_jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("team", Text, nullable=False),
    Column("name", Text, nullable=False, unique=True),  # how a crash finds the job again
    Column("remote_id", BigInteger),  # Salesloft's id, once it answered
    Column("ready", Boolean, nullable=False),  # marked ready to execute
    Column("created_ms", BigInteger, nullable=False),
)

bulk_items = Table(
    "bulk_items",
    metadata,
    Column("calendar_id", Integer, ForeignKey("calendars.id"), primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("ical_uid", Text, primary_key=True),
    Column("bulk_id", Integer, ForeignKey("bulk_jobs.id"), nullable=False),
    Column("updated_ms", BigInteger, nullable=False),  # the content that the job holds
    Column("fingerprint", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("loaded", Boolean, nullable=False),  # handed to Salesloft
    Index("bulk_items_by_job", "bulk_id"),
    sqlite_with_rowid=False,
)

journal = Table(
    "journal",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("calendar_id", Integer, ForeignKey("calendars.id"), nullable=False),
    Column("event_id", Text, nullable=False),
    Column("ical_uid", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("upsert_type", Text, nullable=False),
    Column("changed", Text, nullable=False),  # names of attributes, with commas between them
    Column("request_id", Text, nullable=False),
    Column("cost", Float, nullable=False),
    Index("journal_by_event", "calendar_id", "event_id"),
    Index("journal_by_time", "at_ms"),
)
