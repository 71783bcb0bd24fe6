"""What Salesloft refused for good, with its reason, until the event changes or a human decides.

A discarded dead letter is remembered without being counted, so that the same content is not sent, and refused, again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.domain.mapping import from_millis, to_millis
from connector.domain.model import EventId, ICalUid, UserName
from connector.domain.plan import Key
from connector.store.connection import Connection


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused upsert. `payload` is what was sent, as the policy allowed it; `status` is HTTP's."""

    user: UserName
    calendar: int
    key: Key
    at: datetime
    status: int
    reason: str
    request_id: str
    payload: bytes


_LIST = """
    SELECT c.name, d.calendar_id, d.event_id, d.ical_uid, d.at_ms, d.status, d.reason, d.request_id, d.payload
    FROM dead_letters d JOIN calendars c ON c.id = d.calendar_id
    WHERE NOT d.discarded ORDER BY c.name, d.at_ms
"""

_RETRY = """
    INSERT INTO outbox (calendar_id, event_id, ical_uid, updated_ms, fingerprint, payload, start_ms, end_ms, prospect,
                        cancels, backfill, attempted, in_flight, attempts, next_attempt_ms, queued_ms)
    SELECT d.calendar_id, d.event_id, d.ical_uid, d.updated_ms, d.fingerprint, d.payload, o.start_ms, o.end_ms,
           o.exposed, NOT o.alive, FALSE, 1, FALSE, 0, 0, :now
    FROM dead_letters d JOIN occurrences o USING (calendar_id, event_id, ical_uid)
    WHERE d.calendar_id = :calendar AND d.event_id = :event AND d.ical_uid = :uid
    ON CONFLICT DO NOTHING
"""


def dead_letters(connection: Connection) -> list[DeadLetter]:
    """All that wait for a decision, by user and age."""
    return [
        DeadLetter(
            user=UserName(row[0]),
            calendar=row[1],
            key=Key(EventId(row[2]), ICalUid(row[3])),
            at=from_millis(row[4]),
            status=row[5],
            reason=row[6],
            request_id=row[7],
            payload=row[8],
        )
        for row in connection.execute(_LIST)
    ]


def retry(connection: Connection, letters: Sequence[DeadLetter], now: datetime) -> None:
    """Put them in line again, with the same content and the same `updated_at`."""
    for letter in letters:
        connection.execute(_RETRY, {**_key(letter), "now": to_millis(now)})
        connection.execute(
            "DELETE FROM dead_letters WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid",
            _key(letter),
        )


def discard(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Count them no longer; the same content is not sent again."""
    for letter in letters:
        connection.execute(
            "UPDATE dead_letters SET discarded = TRUE, payload = ''"
            " WHERE calendar_id = :calendar AND event_id = :event AND ical_uid = :uid",
            _key(letter),
        )


def _key(letter: DeadLetter) -> dict[str, object]:
    return {
        "calendar": letter.calendar,
        "event": letter.key.event_id,
        "uid": letter.key.ical_uid,
    }
