"""What a support bundle tells of the state: numbers, reasons and times, never content. Free texts are named as such."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from connector.store.connection import Connection

JOURNAL_ENTRIES = 1000
_TABLES = (
    "occurrences",
    "outbox",
    "dead_letters",
    "set_aside",
    "bulk_items",
    "bookings",
    "journal",
)
_PLAIN = (
    "time_zone, access_role, listed_from, listed_until, last_success, last_full, compared, parked_reason, parked_since,"
    " refusals, refused_since, lost_ms, banner_ms, calendar_type, settings_ms, disconnected_ms, paused_ms, left_ms"
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SupportView:
    """`calendars` hold `user_guid`, `name` and `parked_message`; `reasons`, `journal` ids and messages: to redact."""

    calendars: list[Row]
    journal: list[Row]
    reasons: list[Row]
    bulk_jobs: list[Row]
    points: list[Row]
    held: list[Row]


def support_view(connection: Connection) -> SupportView:
    """Everything that a bundle shows of a state with the newest schema."""
    calendars = _rows(
        connection,
        f"SELECT id, user_guid, name, parked_message, sync_token IS NOT NULL AS has_token, {_PLAIN}"  # noqa: S608  # own names
        " FROM calendars ORDER BY id",
    )
    for calendar in calendars:
        calendar["rows"] = {table: _count(connection, table, calendar["id"]) for table in _TABLES}
    return SupportView(
        calendars=calendars,
        journal=_rows(
            connection,
            "SELECT calendar_id, event_id, at_ms, status, upsert_type, changed, request_id, cost, outcome, message,"
            " via, rule FROM journal ORDER BY id DESC LIMIT ?",
            [JOURNAL_ENTRIES],
        ),
        reasons=_rows(
            connection,
            """SELECT 'refused' AS kind, status, reason, count(*) AS rows, max(at_ms) AS last_ms FROM dead_letters
               GROUP BY status, reason
               UNION ALL SELECT 'set aside', 0, reason, count(*), max(at_ms) FROM set_aside GROUP BY reason
               UNION ALL SELECT 'put off', max(attempts), last_error, count(*), max(queued_ms) FROM outbox
               WHERE last_error IS NOT NULL GROUP BY last_error LIMIT 200""",
        ),
        bulk_jobs=_rows(
            connection,
            "SELECT j.id, team, remote_id, ready, created_ms,"
            " (SELECT count(*) FROM bulk_items i WHERE i.bulk_id = j.id) AS records FROM bulk_jobs j",
        ),
        points=_rows(
            connection,
            "SELECT team, count(*) AS entries, sum(cost) AS points, min(at_ms) AS from_ms, max(at_ms) AS until_ms"
            " FROM points GROUP BY team",
        ),
        held=_rows(connection, "SELECT id, calendar_id, at_ms, gone, tracked FROM held"),
    )


def _rows(connection: Connection, statement: str, values: Sequence[Any] = ()) -> list[Row]:
    cursor = connection.execute(statement, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _count(connection: Connection, table: str, calendar: int) -> int:
    statement = f"SELECT count(*) FROM {table} WHERE calendar_id = ?"  # noqa: S608  # own names
    return int(connection.execute(statement, (calendar,)).fetchone()[0])
