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
    text,
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
    # Loss of access: refusals that may be lasting, since when, and what was concluded and told.
    Column("refusals", Integer, nullable=False, server_default=text("0")),
    Column("refused_since", BigInteger),
    Column("lost_ms", BigInteger),  # access is lost for good, as far as evidence goes
    Column("banner_ms", BigInteger),  # the user's red banner is up, put there by us
    Column("credentials", Text),  # a one-way name of what last served, and since when it did
    Column("credentials_since", BigInteger),
    # What Salesloft's meeting settings last said of the user.
    Column("settings_id", Text),
    Column("calendar_type", Text),
    Column("settings_ms", BigInteger),
    Column("disconnected_ms", BigInteger),  # no longer `external`: nothing more is sent
    # What an admin decided.
    Column("paused_ms", BigInteger),
    Column("left_ms", BigInteger),  # offboarded: not read any more
    Column(
        "resync_asked", Text
    ),  # the id of the full pass that was asked for, and of the last one done
    Column("resync_done", Text),
    Column("resync_done_ms", BigInteger),
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
    Column("ours", Boolean, nullable=False, server_default=false()),  # sent by us, not adopted
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
    Column(
        "claimed_by", Text
    ),  # the node that has it in flight; none where one process holds the state
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
    Column("outcome", Text, nullable=False, server_default="accepted"),
    Column("message", Text, nullable=False, server_default=text("''")),  # of a refusal, redacted
    Column("via", Text, nullable=False, server_default="upsert"),  # or bulk
    Column("fingerprint", Text),  # of the content, never the content
    Column("rule", Text),
    Index("journal_by_event", "calendar_id", "event_id"),
    Index("journal_by_time", "at_ms"),
)

bookings = Table(
    "bookings",
    metadata,
    Column("calendar_id", Integer, ForeignKey("calendars.id"), primary_key=True),
    Column("meeting_id", Text, primary_key=True),  # Salesloft's
    Column("event_id", Text, nullable=False),  # Google's
    Column("ical_uid", Text),
    Column("state", Text, nullable=False),
    Column("start_ms", BigInteger),  # as last written to Google
    Column("end_ms", BigInteger),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_ms", BigInteger, nullable=False, server_default=text("0")),
    Column("message", Text, nullable=False, server_default=text("''")),
    Column("at_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

cursors = Table(
    "cursors",
    metadata,
    Column("scope", Text, primary_key=True),  # a team, or what else it is for
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)

erased = Table(
    "erased",
    metadata,
    Column("digest", Text, primary_key=True),  # keyed hash of an address
    Column("at_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

verifications = Table(
    "verifications",
    metadata,
    Column("calendar_id", Integer, ForeignKey("calendars.id"), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("equal", Integer, nullable=False),
    Column("missing", Integer, nullable=False),
    Column("extra", Integer, nullable=False),
    Column("different", Integer, nullable=False),
    Column("leaks", Integer, nullable=False),
    Column("out_of_step", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),  # on their way, held or refused
    Column("repaired", Integer, nullable=False),
    sqlite_with_rowid=False,
)

nodes = Table(
    "nodes",
    metadata,
    Column("id", Text, primary_key=True),  # of one start of one process
    Column("name", Text, nullable=False),  # host and process, for humans
    Column("version", Text, nullable=False),  # of the program
    Column("started_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),  # the last heartbeat, by the database's clock
    Column(
        "projects", Text, nullable=False, server_default=text("'{}'")
    ),  # Google's → calendars read
    sqlite_with_rowid=False,
)

shards = Table(
    "shards",
    metadata,
    Column("team", Text, primary_key=True),  # a one-way name of key and address
    Column(
        "version", BigInteger, nullable=False, server_default=text("0")
    ),  # rises with each holder
    Column("node", Text),  # who holds it, as long as it is one of `nodes`; none: free
    Column("due_ms", BigInteger, nullable=False, server_default=text("0")),  # if free: since then
    Column(
        "calendars", Integer, nullable=False, server_default=text("0")
    ),  # that its holder serves
    sqlite_with_rowid=False,
)

channels = Table(
    "channels",
    metadata,
    Column("id", Text, primary_key=True),  # ours, unique for ever
    Column("calendar_id", Integer, ForeignKey("calendars.id"), nullable=False),
    Column("made_for", Text, nullable=False),  # one-way: address, calendar and client
    Column("resource_id", Text),  # Google's, once it answered
    Column("early_resource", Text),  # by a message ahead of the answer: not adopted
    Column(
        "token_digest", Text, nullable=False
    ),  # of the secret; the secret itself is kept nowhere
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column(
        "message_number", BigInteger, nullable=False, server_default=text("0")
    ),  # the highest seen
    Column("notified_ms", BigInteger),
    Column("quiet_ms", BigInteger),  # a reading found a change that it had not told of
    Column("stopping_ms", BigInteger),  # to be stopped at Google: replaced, or its user left
    Index("channels_by_calendar", "calendar_id"),
    Index("channels_by_notification", "notified_ms"),
    sqlite_with_rowid=False,
)
