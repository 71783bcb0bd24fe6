"""One occurrence between Google, the state and Salesloft, in words. Pure: what is planned is asked of `domain/plan`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from connector.domain.mapping import CANCELLED, CANCELLED_AND_BLANKED, Fingerprint, iso, same
from connector.domain.model import AllDay, Event, Instant, Item, When
from connector.domain.plan import Ground, Known, Seen, Send, decide
from connector.domain.policy import Disclosure, Step, external_attendees, trace
from connector.domain.window import span
from connector.store import CalendarState
from connector.store.journal import ACCEPTANCES, KEPT_FOR
from connector.store.lookup import Remembered
from connector.sync.explanation import (
    Detail,
    GoogleFacts,
    OccurrenceAnswer,
    Request,
    RuleStep,
    Standing,
)

_MANNER = {
    Disclosure.FULL: "sent in full",
    Disclosure.BUSY_ONLY: "only its busy time is sent",
    Disclosure.NOTHING: "not sent",
}


@dataclass(frozen=True, slots=True)
class Context:
    """What all answers about one calendar share. `origins`: which file gave a key of the configuration."""

    ground: Ground
    calendar: CalendarState | None
    origins: Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class Judged:
    """The short answer, the long one, and the fingerprint of what Google says now (None: nothing is to be sent)."""

    short: OccurrenceAnswer
    detail: Detail
    wanted: Fingerprint | None


def judge(
    context: Context, item: Item | None, row: Remembered | None, *, asked: bool, event_id: str
) -> Judged:
    """How one occurrence stands. `asked`: Google answered; None then means that it does not know the event."""
    event = item if isinstance(item, Event) else None
    known = row.known if row else None
    steps = _steps(context, event, known) if event else ()
    fresh = _fresh(context, event, known) if event else None
    wanted = fresh.known.pending if fresh else None
    disclosure = steps[-1].disclosure if steps else None
    standing, words = _standing(context, event, row, fresh, disclosure, asked=asked)
    ended = item is not None and event is None
    manner = _MANNER[disclosure] if disclosure else "cancelled in Google" if ended else ""
    why = f" ({steps[-1].why})" if steps and disclosure is not Disclosure.FULL else ""
    short = OccurrenceAnswer(
        event_id=event_id,
        ical_uid=event.ical_uid if event else known.key.ical_uid if known else "",
        start=told(event.start) if event else iso(known.start) if known else "",
        verdict=disclosure.value if disclosure else None,
        rule=steps[-1].rule.value if steps else known.rule if known else None,
        standing=standing,
        words="; ".join(part for part in (manner + why, words) if part),
    )
    payload = _payload(fresh, known) if fresh else None
    detail = Detail(
        google=facts_of(event, context.ground, disclosure) if event else None,
        steps=tuple(_configured(step, context.origins) for step in steps),
        payload=payload,
        no_payload=None if payload else words if asked else "unknown: Google was not asked",
        requests=tuple(_requests(row, wanted)) if row else (),
        live=None,
    )
    return Judged(short, detail, wanted)


def rules_of(context: Context, event: Event) -> Detail:
    """The facts and rules of a series' master; occurrences are what is sent."""
    steps = trace(event, context.ground.rules)
    return Detail(
        google=facts_of(event, context.ground, steps[-1].disclosure),
        steps=tuple(_configured(step, context.origins) for step in steps),
        payload=None,
        no_payload="a series is sent as its occurrences, each by itself",
        requests=(),
        live=None,
    )


def facts_of(event: Event, ground: Ground, disclosure: Disclosure | None) -> GoogleFacts:
    """Google's facts, without what the policy withholds."""
    return GoogleFacts(
        event_id=event.id,
        ical_uid=event.ical_uid,
        series_id=event.series_id,
        is_series=event.is_series,
        status=event.status.value,
        start=told(event.start),
        end=told(event.end),
        all_day=isinstance(event.start, AllDay),
        updated=event.updated,
        event_type=event.event_type.value,
        private=event.private,
        transparent=event.transparent,
        attendees=len(event.attendees),
        external=external_attendees(event, ground.rules),
        attendees_cut_off=event.attendees_omitted,
        title=event.summary if disclosure is Disclosure.FULL else None,
    )


def told(when: When) -> str:
    """A moment in UTC, or a day."""
    match when:
        case Instant(at):
            return iso(at)
        case AllDay(day):
            return day.isoformat()


def moment(at: datetime) -> str:
    """As people read it; always UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _steps(context: Context, event: Event, known: Known | None) -> tuple[Step, ...]:
    prospect = bool(known and known.prospect and context.ground.same_policy)
    return trace(event, context.ground.rules, known_prospect=prospect)


def _fresh(context: Context, event: Event, known: Known | None) -> Send | None:
    """What would be sent if Salesloft had nothing of it, but for the text that may stand there."""
    base = known and replace(known, accepted=None, pending=None, refused=None, attempted=False)
    decision = decide(context.ground, Seen(event), base)
    return decision if isinstance(decision, Send) and not decision.cancels else None


def _payload(fresh: Send, known: Known | None) -> dict[str, object]:
    body: dict[str, object] = json.loads(fresh.payload)
    wanted = fresh.known.pending
    if known and known.updated_at and wanted and wanted in (known.accepted, known.pending):
        body["updated_at"] = iso(known.updated_at)
    return body


def _configured(step: Step, origins: Mapping[str, Path]) -> RuleStep:
    return RuleStep(
        rule=step.rule.value,
        applies=step.applies,
        verdict=step.disclosure.value if step.disclosure else None,
        why=step.why,
        configured=tuple(f"{key}: {origins.get(key, 'default')}" for key in step.keys),
    )


def _requests(row: Remembered, wanted: Fingerprint | None) -> list[Request]:
    return [
        Request(
            at=entry.at,
            outcome=entry.outcome.value,
            status=entry.status,
            via=entry.via,
            upsert_type=entry.upsert_type,
            changed=entry.changed,
            cost=entry.cost,
            request_id=entry.request_id,
            message=entry.message,
            rule=entry.rule,
            same_content=same(wanted, entry.fingerprint) if wanted and entry.fingerprint else None,
        )
        for entry in row.journal
    ]


def _standing(
    context: Context,
    event: Event | None,
    row: Remembered | None,
    fresh: Send | None,
    disclosure: Disclosure | None,
    *,
    asked: bool,
) -> tuple[Standing, str]:
    if row is None:
        return _never(context, event, disclosure)
    known = row.known
    decision = decide(context.ground, Seen(event), known) if event else None
    news = isinstance(decision, Send) or (asked and event is None and known.alive)
    if row.waiting is not None:
        return _waiting(row)
    if row.letter is not None and not news:
        letter = row.letter
        dropped = " and discarded by a human" if letter.discarded else ""
        return Standing.REFUSED, (
            f"refused by Salesloft at {moment(letter.at)} with {letter.status}{dropped}: {letter.reason}"
            f" (request id {letter.request_id or 'none'}); see `gcal-salesloft dead-letters`"
        )
    if news:
        return Standing.DIFFERENT, (
            "Google says something else by now than what Salesloft was last told"
            f" ({_accepted(row)}); the next reading of the calendar sends it{_read(context)}"
        )
    if known.accepted in (CANCELLED, CANCELLED_AND_BLANKED):
        return Standing.CANCELLED, f"its cancellation was {_accepted(row)}"
    if known.accepted is None:
        return _never(context, event, disclosure)
    if not asked:
        return (
            Standing.UNKNOWN,
            f"last content {_accepted(row)}; Google was not asked what it says now",
        )
    if fresh is None:
        return (
            Standing.ACCEPTED,
            f"{_outside(context)}; what Salesloft holds stays ({_accepted(row)})",
        )
    return Standing.ACCEPTED, f"{_accepted(row)}: Salesloft has exactly this"


def _accepted(row: Remembered) -> str:
    for entry in reversed(row.journal):
        if entry.outcome in ACCEPTANCES:
            how = (
                entry.message if entry.via == "bulk" else f"request id {entry.request_id or 'none'}"
            )
            return f"accepted {moment(entry.at)}, {how}"
    if row.known.accepted is None:
        return "nothing was accepted yet"
    return f"accepted more than {KEPT_FOR.days} days ago, or found in Salesloft's list"


def _waiting(row: Remembered) -> tuple[Standing, str]:
    waiting = row.waiting
    assert waiting is not None  # the caller looked
    what = "the cancellation" if not row.known.alive else "it"
    since = f"since {moment(waiting.queued_at)}"
    if waiting.held_id is not None:
        return Standing.HELD, (
            f"{what} is held {since} in difference {waiting.held_id}, which a human must release or discard:"
            " `gcal-salesloft held list`"
        )
    if waiting.bulk is not None:
        return Standing.IN_BULK, f"{what} is in Salesloft's bulk job {waiting.bulk}, queued {since}"
    if waiting.in_flight:
        return Standing.IN_FLIGHT, f"{what} is being sent now"
    tries = f", {waiting.attempts} failed attempts" if waiting.attempts else ""
    error = f", last error: {waiting.last_error}" if waiting.last_error else ""
    when = f", next {moment(waiting.next_attempt)}" if waiting.next_attempt else ""
    behind = ", behind another key of the same event" if waiting.after_uid else ""
    return Standing.WAITING, f"{what} waits to be sent {since}{tries}{when}{behind}{error}"


def _never(
    context: Context, event: Event | None, disclosure: Disclosure | None
) -> tuple[Standing, str]:
    """Why Salesloft never heard of it."""
    if event is None:
        return Standing.NEVER_SENT, "Salesloft was never told of it"
    if disclosure is Disclosure.NOTHING:
        return Standing.NEVER_SENT, "the policy does not send it"
    start, end = span(event.start, event.end, context.ground.zone)
    if not context.ground.window.overlaps(start, end):
        return Standing.NEVER_SENT, f"never sent: {_outside(context)}"
    return Standing.DIFFERENT, f"not sent yet: it was not read yet{_read(context)}"


def _outside(context: Context) -> str:
    window = context.ground.window
    return f"it lies outside the window ({window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}, UTC)"


def _read(context: Context) -> str:
    calendar = context.calendar
    if calendar is None or calendar.last_success is None:
        return "; this calendar was never read: is the daemon running?"
    return f"; the calendar was last read {moment(calendar.last_success)}"
