"""The one transaction that everything rests on: token, occurrences and outbox together.

The decisions are made in here, against the rows as they are at that moment: an answer that delivery settles while a
listing is being read can therefore never be overlooked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

import msgspec
from msgspec.structs import replace

from connector.domain.mapping import to_millis
from connector.domain.model import EventId, Malformed, SyncToken
from connector.domain.plan import (
    Decision,
    Finding,
    Gone,
    Ground,
    Known,
    Remember,
    Seen,
    Send,
    Withdraw,
    decide,
    replaced,
)
from connector.domain.window import Window
from connector.store.connection import Connection
from connector.store.erasures import erased_people
from connector.store.held import confirm, hold
from connector.store.rows import delete, enqueue_all, has_any, known_of_events, remember


class Hold(msgspec.Struct, frozen=True, gc=False):
    """From more than `share` of the tracked events, and at least `minimum`, a difference is held for a human."""

    share: float
    minimum: int


class Cycle(msgspec.Struct, frozen=True, gc=False):
    """What one complete reading of a calendar found. `token` is None only where there is none to keep.

    `adopted` are rows that Salesloft's list showed for a calendar that the state did not know.
    """

    calendar: int
    ground: Ground
    findings: Sequence[Finding]
    malformed: Sequence[Malformed]
    token: SyncToken | None
    token_fingerprint: str
    time_zone: str
    access_role: str
    listed: Window
    full: bool
    backfill: frozenset[EventId]
    """Events that were only met by initial sync or at the horizon: last in line."""
    now: datetime
    adopted: Sequence[Known] = ()
    compared: bool = False
    passed: str | None = None
    """The id of the full pass that a human asked for before this reading began; done if it is a full one."""
    hold: Hold | None = None
    """How much a full reading may cancel for mere absence; None: a human released it."""
    credentials: str | None = None
    """A one-way name of the consent that served."""


class Committed(msgspec.Struct, frozen=True, gc=False):
    """What a cycle came to: counts of rows enqueued, withdrawn and left as they were."""

    sends: int
    cancels: int
    withdrawn: int
    unchanged: int
    set_aside: int
    held: int | None = None
    """The id of the held difference, if it was held: nothing of it is sent."""


def commit_cycle(connection: Connection, cycle: Cycle) -> Committed:
    """Decide on every finding and store what follows, with the token.

    A calendar whose user left, or is no longer connected in Salesloft, since the reading began takes nothing in. Who
    was erased is read in here for the same reason: a reading that began before cannot bring a person back.
    """
    if _is_over(connection, cycle.calendar):
        return Committed(0, 0, 0, 0, 0)
    cycle = replace(cycle, ground=replace(cycle.ground, erased=erased_people(connection)))
    for known in cycle.adopted:
        remember(connection, cycle.calendar, known)
    decisions, unchanged = _decide_all(connection, cycle)
    confirm(connection, cycle.calendar, cycle.findings)
    held = _hold_implausible(connection, cycle, decisions)
    _apply_all(connection, cycle, decisions, held)
    _keep_set_aside(connection, cycle)
    _keep_ledger(connection, cycle)
    sends = [decision for _, decision in decisions if isinstance(decision, Send)]
    cancels = sum(send.cancels for send in sends)
    return Committed(
        sends=len(sends) - cancels,
        cancels=cancels,
        withdrawn=sum(isinstance(decision, Withdraw) for _, decision in decisions),
        unchanged=unchanged,
        set_aside=len(cycle.malformed),
        held=held,
    )


def _is_over(connection: Connection, calendar: int) -> bool:
    row = connection.execute(
        "SELECT coalesce(left_ms, disconnected_ms) FROM calendars WHERE id = ?", (calendar,)
    ).fetchone()
    return row is not None and row[0] is not None


def _hold_implausible(
    connection: Connection, cycle: Cycle, decisions: Sequence[tuple[EventId, Decision]]
) -> int | None:
    """The id under which this difference is held, if it cancels too much that Google did not confirm."""
    if cycle.hold is None or not cycle.full:
        return None
    unconfirmed = {
        finding.key.event_id
        for finding in cycle.findings
        if isinstance(finding, Gone) and not finding.confirmed
    }
    gone = {
        event_id
        for event_id, decision in decisions
        if event_id in unconfirmed and isinstance(decision, Send) and decision.cancels
    }
    return hold(
        connection,
        cycle.calendar,
        len(gone),
        window_start=cycle.ground.window.start,
        share=cycle.hold.share,
        minimum=cycle.hold.minimum,
        now=cycle.now,
    )


def _decide_all(connection: Connection, cycle: Cycle) -> tuple[list[tuple[EventId, Decision]], int]:
    ids = {_event_id(finding) for finding in cycle.findings}
    known: dict[EventId, list[Known]] = defaultdict(list)
    for row in known_of_events(connection, cycle.calendar, ids):
        known[row.key.event_id].append(row)
    seen = {finding.event.id for finding in cycle.findings if isinstance(finding, Seen)}
    decisions: list[tuple[EventId, Decision]] = []
    unchanged = 0
    for finding in cycle.findings:
        event_id = _event_id(finding)
        if isinstance(finding, Gone) and event_id in seen:
            continue  # what Google shows wins over any tombstone
        made = _decide_one(cycle.ground, finding, known[event_id])
        unchanged += not made
        decisions += [(event_id, decision) for decision in made]
    return decisions, unchanged


def _decide_one(ground: Ground, finding: Finding, rows: list[Known]) -> list[Decision]:
    match finding:
        case Gone(key):
            row = next((row for row in rows if row.key == key), None)
            decision = decide(ground, finding, row)
            return [decision] if decision else []
        case Seen(event):
            row = next((row for row in rows if row.key.ical_uid == event.ical_uid), None)
            made = [decide(ground, finding, row)]
            arrives = _arrives(made[0], row)
            for old in replaced(finding, rows):
                decision = decide(ground, Gone(old.key), old)
                if isinstance(decision, Send) and arrives:
                    decision = replace(decision, after=event.ical_uid)
                made.append(decision)
            return [decision for decision in made if decision]


def _arrives(decision: Decision | None, row: Known | None) -> bool:
    """True if living content of a key is on its way; to wait for anything else could be to wait for each other."""
    match decision:
        case Send(known) | Remember(known):
            return known.alive and known.pending is not None
        case Withdraw():
            return False
        case None:
            return row is not None and row.alive and row.pending is not None


def _event_id(finding: Finding) -> EventId:
    return finding.event.id if isinstance(finding, Seen) else finding.key.event_id


def _apply_all(
    connection: Connection,
    cycle: Cycle,
    decisions: Sequence[tuple[EventId, Decision]],
    held: int | None,
) -> None:
    """In their order; of sends that follow each other, each statement is run for all at once."""
    for is_send, some in groupby(decisions, lambda one: isinstance(one[1], Send)):
        if is_send:
            sends = [(send, event_id in cycle.backfill) for event_id, send in some]
            enqueue_all(connection, cycle.calendar, sends, now=cycle.now, held=held)  # type: ignore[arg-type]
        else:
            for _, decision in some:
                _apply(connection, cycle, decision)


def _apply(connection: Connection, cycle: Cycle, decision: Decision) -> None:
    match decision:
        case Remember(known):
            remember(connection, cycle.calendar, known)
        case Withdraw(key, stays):
            delete(connection, "outbox", cycle.calendar, key)
            delete(connection, "dead_letters", cycle.calendar, key)
            if stays is not None:
                remember(connection, cycle.calendar, stays)
            else:
                delete(connection, "occurrences", cycle.calendar, key)


def _keep_set_aside(connection: Connection, cycle: Cycle) -> None:
    if cycle.full:
        connection.execute("DELETE FROM set_aside WHERE calendar_id = ?", (cycle.calendar,))
    elif has_any(connection, "set_aside", cycle.calendar):
        connection.executemany(
            "DELETE FROM set_aside WHERE calendar_id = ? AND event_id = ?",
            [(cycle.calendar, _event_id(finding)) for finding in cycle.findings],
        )
    if not cycle.malformed:
        return
    connection.executemany(
        "INSERT INTO set_aside (calendar_id, event_id, reason, at_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (calendar_id, event_id) DO UPDATE SET reason = excluded.reason, at_ms = excluded.at_ms",
        [(cycle.calendar, item.id, item.reason, to_millis(cycle.now)) for item in cycle.malformed],
    )


def _keep_ledger(connection: Connection, cycle: Cycle) -> None:
    now = to_millis(cycle.now)
    connection.execute(
        """UPDATE calendars SET sync_token = :token, token_fingerprint = :fingerprint, time_zone = :zone,
               access_role = :role, listed_from = :from, listed_until = :until, last_success = :now,
               last_full = CASE WHEN :full THEN :now ELSE last_full END,
               compared = compared OR :compared,
               resync_done = CASE WHEN :full THEN coalesce(:passed, resync_done) ELSE resync_done END,
               resync_done_ms = CASE WHEN :full AND CAST(:passed AS TEXT) IS NOT NULL
                   AND :passed IS DISTINCT FROM resync_done
                   THEN :now ELSE resync_done_ms END,
               parked_reason = NULL, parked_message = NULL, parked_since = NULL,
               refusals = 0, refused_since = NULL, lost_ms = NULL,
               credentials_since = CASE WHEN credentials IS NOT DISTINCT FROM :credentials THEN credentials_since
                                        WHEN CAST(:credentials AS TEXT) IS NOT NULL THEN :now END,
               credentials = :credentials
           WHERE id = :calendar""",
        {
            "token": cycle.token,
            "fingerprint": cycle.token_fingerprint,
            "zone": cycle.time_zone,
            "role": cycle.access_role,
            "from": to_millis(cycle.listed.start),
            "until": to_millis(cycle.listed.end),
            "now": now,
            "full": cycle.full,
            "compared": cycle.compared,
            "passed": cycle.passed,
            "calendar": cycle.calendar,
            "credentials": cycle.credentials,
        },
    )
