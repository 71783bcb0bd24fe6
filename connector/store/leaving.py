"""A user leaves: nothing more is read for them, what waits is dropped, and what was sent of the future is cancelled.

Only occurrences that this connector sent are cancelled (`occurrences.ours`): what it merely found in Salesloft's list
belongs to somebody else. What may have reached Salesloft without an answer counts as sent. Cancellations wait in the
outbox like any other content: behind a request that is in flight, behind a bulk job, with a later `updated_at`.

`cursors` (scope `offboard:<calendar>`) keep the team that delivers them and the keys, so that a second call tells the
same and cancels nothing twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from connector.domain.mapping import (
    CANCELLED,
    CANCELLED_AND_BLANKED,
    UNCERTAIN,
    calendar_id_of,
    from_millis,
    to_millis,
)
from connector.domain.model import EventId, ICalUid, UserGuid
from connector.domain.plan import Gone, Ground, Key, Known, Send, Withdraw, decide
from connector.domain.policy import PolicyRules
from connector.domain.window import Window
from connector.store.connection import Connection
from connector.store.rows import delete, enqueue, known_since, remember

_FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)
_NO_RULES = PolicyRules(internal_domains=frozenset())
"""Nothing is classified when a user leaves."""


class Outcome(StrEnum):
    """How far one cancellation is."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Cancellation:
    """One future occurrence that is cancelled because its user left; no text of it."""

    key: Key
    start: datetime
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Farewell:
    """How a leaving stands. What is left as it is is counted while it lives, but for `cancelled_before`."""

    calendar: int
    left_at: datetime
    known: int
    dropped: int
    """What waited for this user, or was refused, and is not sent any more."""
    cancellations: tuple[Cancellation, ...]
    past: int
    """Ended, or begun before the user left: history is not rewritten."""
    not_ours: int
    """To come, and found in Salesloft's list, not sent from here."""
    future_kept: int
    """To come and sent from here: stays, because nobody asked to cancel it."""
    cancelled_before: int
    """To come, and cancelled while the user was still served."""


def leave(
    connection: Connection,
    calendar: int,
    *,
    team: str,
    zone: ZoneInfo,
    cancel_future: bool,
    now: datetime,
) -> Farewell:
    """Mark a calendar as left, drop what waits, and with `cancel_future` put cancellations in line. Repeatable.

    `team` is the delivery that carries the cancellations; empty if it is not known.
    """
    row = connection.execute(
        "SELECT user_guid, left_ms FROM calendars WHERE id = ?", (calendar,)
    ).fetchone()
    if row[1] is None:
        _forget(connection, calendar)
    # Whoever comes back is listed in full and compared with Salesloft's list.
    connection.execute(
        "UPDATE calendars SET left_ms = coalesce(left_ms, ?), sync_token = NULL, compared = FALSE WHERE id = ?",
        (to_millis(now), calendar),
    )
    if team:
        _keep(connection, calendar, "team", team)
    before = _waiting(connection, calendar)
    kept = _cancelled(connection, calendar)
    if cancel_future:
        ground = Ground(
            calendar_id_of(UserGuid(row[0])), zone, Window(now, _FOR_EVER), _NO_RULES, now
        )
        kept |= _cancel_future(connection, calendar, ground)
        _keep(connection, calendar, "cancelled", json.dumps([[*key] for key in sorted(kept)]))
    _drop(connection, calendar, kept)
    dropped = int(_cursor(connection, calendar, "dropped") or 0) + len(before - kept)
    _keep(connection, calendar, "dropped", str(dropped))
    return farewell(connection, calendar)


def farewell(connection: Connection, calendar: int) -> Farewell:
    """How the leaving of a user stands now."""
    left_ms = connection.execute(
        "SELECT left_ms FROM calendars WHERE id = ?", (calendar,)
    ).fetchone()[0]
    cancelled = _cancelled(connection, calendar)
    counts: Counter[str] = Counter()
    rows = connection.execute(
        "SELECT event_id, ical_uid, start_ms, alive, ours FROM occurrences WHERE calendar_id = ?",
        (calendar,),
    ).fetchall()
    for event_id, uid, start_ms, alive, ours in rows:
        if (event_id, uid) in cancelled:
            continue
        if start_ms <= left_ms:
            counts["past"] += alive
        elif not alive:
            counts["cancelled_before"] += 1
        else:
            counts["future_kept" if ours else "not_ours"] += 1
    return Farewell(
        calendar=calendar,
        left_at=from_millis(left_ms),
        known=len(rows),
        dropped=int(_cursor(connection, calendar, "dropped") or 0),
        cancellations=_cancellations(connection, calendar, cancelled),
        past=counts["past"],
        not_ours=counts["not_ours"],
        future_kept=counts["future_kept"],
        cancelled_before=counts["cancelled_before"],
    )


def last_words(connection: Connection) -> Mapping[int, str]:
    """Calendars of users who left and for whom cancellations still wait → the team that delivers them, if known."""
    return dict(
        connection.execute(
            """SELECT c.id, coalesce((SELECT value FROM cursors
                                      WHERE scope = 'offboard:' || c.id AND name = 'team'), '')
               FROM calendars c WHERE c.left_ms IS NOT NULL
                 AND EXISTS (SELECT 1 FROM outbox b WHERE b.calendar_id = c.id)"""
        ).fetchall()
    )


def forget_left(connection: Connection, calendar: int) -> None:
    """The user is back: read in full, compared with Salesloft's list, and nothing of the leaving is remembered."""
    connection.execute(
        "UPDATE calendars SET left_ms = NULL, sync_token = NULL, compared = FALSE WHERE id = ?",
        (calendar,),
    )
    _forget(connection, calendar)


def _cancel_future(connection: Connection, calendar: int, ground: Ground) -> set[tuple[str, str]]:
    """Put the cancellations in line; gives the keys whose cancellation waits now."""
    now = ground.window.start
    ours = {
        (row[0], row[1])
        for row in connection.execute(
            "SELECT event_id, ical_uid FROM occurrences WHERE calendar_id = ? AND ours", (calendar,)
        )
    }
    cancelled: set[tuple[str, str]] = set()
    for known in known_since(connection, calendar, now):
        key = (known.key.event_id, known.key.ical_uid)
        if known.start <= now or not (key in ours or known.attempted):
            continue
        decision = decide(ground, Gone(known.key), known)
        if isinstance(decision, Send):
            enqueue(connection, calendar, decision, backfill=False, now=now)
            cancelled.add(key)
        elif isinstance(decision, Withdraw):
            _withdraw(connection, calendar, decision)
        elif _is_cancellation(known):
            cancelled.add(key)  # its cancellation waited already
    return cancelled


def _withdraw(connection: Connection, calendar: int, decision: Withdraw) -> None:
    delete(connection, "outbox", calendar, decision.key)
    delete(connection, "dead_letters", calendar, decision.key)
    if decision.known is not None:
        remember(connection, calendar, decision.known)
    else:
        delete(connection, "occurrences", calendar, decision.key)


def _is_cancellation(known: Known) -> bool:
    return known.pending in (CANCELLED, CANCELLED_AND_BLANKED)


def _drop(connection: Connection, calendar: int, kept: set[tuple[str, str]]) -> None:
    """Drop what waits but for the cancellations of this leaving.

    What was tried, or stands in a bulk job, may arrive all the same: then nobody knows what Salesloft holds of it.
    """
    rows = connection.execute(
        "SELECT event_id, ical_uid, attempted > 0 OR in_flight FROM outbox WHERE calendar_id = ?",
        (calendar,),
    ).fetchall()
    for event_id, uid, attempted in rows:
        key = Key(EventId(event_id), ICalUid(uid))
        if (event_id, uid) in kept:
            continue
        if attempted:
            connection.execute(
                "UPDATE occurrences SET accepted = ?, ours = TRUE"
                " WHERE calendar_id = ? AND event_id = ? AND ical_uid = ?",
                (UNCERTAIN, calendar, event_id, uid),
            )
        # What was to be cancelled is alive in Salesloft as long as nothing was sent of that.
        connection.execute(
            """UPDATE occurrences SET alive = (accepted IS NOT NULL AND accepted NOT IN (?, ?))
               WHERE calendar_id = ? AND event_id = ? AND ical_uid = ?""",
            (CANCELLED, CANCELLED_AND_BLANKED, calendar, event_id, uid),
        )
        delete(connection, "outbox", calendar, key)
    # A cancellation was decided by a human: held no longer, and it waits for no other key of its event.
    connection.execute(
        "UPDATE outbox SET held_id = NULL, after_uid = NULL WHERE calendar_id = ?", (calendar,)
    )
    connection.execute("DELETE FROM held WHERE calendar_id = ?", (calendar,))
    for key in _refused(connection, calendar):
        if (key.event_id, key.ical_uid) not in kept:
            delete(connection, "dead_letters", calendar, key)
    connection.execute("DELETE FROM set_aside WHERE calendar_id = ?", (calendar,))
    # What was never sent, and is not wanted any more, is nothing that Salesloft knows.
    connection.execute(
        """DELETE FROM occurrences WHERE calendar_id = :calendar AND accepted IS NULL
             AND NOT EXISTS (SELECT 1 FROM outbox b WHERE b.calendar_id = :calendar
                 AND b.event_id = occurrences.event_id AND b.ical_uid = occurrences.ical_uid)
             AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.calendar_id = :calendar
                 AND d.event_id = occurrences.event_id AND d.ical_uid = occurrences.ical_uid)""",
        {"calendar": calendar},
    )


def _waiting(connection: Connection, calendar: int) -> set[tuple[str, str]]:
    """The keys of which something waits or was refused."""
    return {
        (row[0], row[1])
        for row in connection.execute(
            "SELECT event_id, ical_uid FROM outbox WHERE calendar_id = :calendar UNION"
            " SELECT event_id, ical_uid FROM dead_letters WHERE calendar_id = :calendar",
            {"calendar": calendar},
        )
    }


def _refused(connection: Connection, calendar: int) -> list[Key]:
    return [
        Key(EventId(row[0]), ICalUid(row[1]))
        for row in connection.execute(
            "SELECT event_id, ical_uid FROM dead_letters WHERE calendar_id = ?", (calendar,)
        )
    ]


def _cancellations(
    connection: Connection, calendar: int, cancelled: set[tuple[str, str]]
) -> tuple[Cancellation, ...]:
    waiting = {
        (row[0], row[1])
        for row in connection.execute(
            "SELECT event_id, ical_uid FROM outbox WHERE calendar_id = ?", (calendar,)
        )
    }
    refused = {(key.event_id, key.ical_uid) for key in _refused(connection, calendar)}
    rows = connection.execute(
        "SELECT event_id, ical_uid, start_ms FROM occurrences WHERE calendar_id = ?"
        " ORDER BY start_ms, event_id, ical_uid",
        (calendar,),
    )

    def outcome(key: tuple[str, str]) -> Outcome:
        if key in waiting:
            return Outcome.WAITING
        return Outcome.REFUSED if key in refused else Outcome.ACCEPTED

    return tuple(
        Cancellation(
            Key(EventId(event_id), ICalUid(uid)), from_millis(start_ms), outcome((event_id, uid))
        )
        for event_id, uid, start_ms in rows
        if (event_id, uid) in cancelled
    )


def _scope(calendar: int) -> str:
    return f"offboard:{calendar}"


def _cancelled(connection: Connection, calendar: int) -> set[tuple[str, str]]:
    keys = json.loads(_cursor(connection, calendar, "cancelled") or "[]")
    return {(event_id, uid) for event_id, uid in keys}


def _cursor(connection: Connection, calendar: int, name: str) -> str | None:
    row = connection.execute(
        "SELECT value FROM cursors WHERE scope = ? AND name = ?", (_scope(calendar), name)
    ).fetchone()
    return row[0] if row else None


def _keep(connection: Connection, calendar: int, name: str, value: str) -> None:
    connection.execute(
        "INSERT INTO cursors (scope, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT (scope, name) DO UPDATE SET value = excluded.value",
        (_scope(calendar), name, value),
    )


def _forget(connection: Connection, calendar: int) -> None:
    connection.execute("DELETE FROM cursors WHERE scope = ?", (_scope(calendar),))
