"""Compare what Salesloft should hold with what it was last told; only differences are sent.

`decide` is the heart of the product's promises: nothing unchanged is sent again, nothing withheld stays, `updated_at`
rises with every new content of a key (so that Salesloft never takes older for newer), what merely passes the window's
old edge is never cancelled. It is pure, and is called inside the transaction that also stores the sync token.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from connector.domain.erasure import NOBODY, Erased, names_erased
from connector.domain.mapping import (
    CANCELLED,
    CANCELLED_AND_BLANKED,
    Content,
    Fingerprint,
    cancellation_of,
    content_of,
    encode,
    fingerprint,
    hides,
    payload_of,
    same,
)
from connector.domain.model import Event, EventId, ICalUid, Tombstone
from connector.domain.policy import Disclosure, PolicyRules, Rule, Verdict, classify
from connector.domain.window import Window

TICK = timedelta(milliseconds=1)


class Key(msgspec.Struct, frozen=True, gc=False):
    """Salesloft's upsert key inside one calendar."""

    event_id: EventId
    ical_uid: ICalUid


class Known(msgspec.Struct, frozen=True, gc=False):
    """What the state remembers of one occurrence. Times are aware and in UTC.

    `alive`: Salesloft should hold it as not cancelled. `accepted`: what Salesloft last accepted. `pending`: what waits
    in the outbox; `attempted` says that it, or content that it replaced, may have reached Salesloft. `refused`: the
    content of its dead letter. `exposed`: text of it may stand in Salesloft. `prospect`: last planned in full with a
    complete list of attendees. `updated_at`: the last value used for this key. `accepted` is `UNCERTAIN` where
    Salesloft may hold content that it never answered for.
    """

    key: Key
    series_id: EventId | None
    start: datetime
    end: datetime
    all_day: bool
    alive: bool
    accepted: Fingerprint | None = None
    pending: Fingerprint | None = None
    attempted: bool = False
    refused: Fingerprint | None = None
    exposed: bool = False
    prospect: bool = False
    updated_at: datetime | None = None
    canceled_at: datetime | None = None
    rule: Rule | None = None


class Seen(msgspec.Struct, frozen=True, gc=False):
    """An occurrence as Google shows it now; `event` is alive."""

    event: Event


class Gone(msgspec.Struct, frozen=True, gc=False):
    """An occurrence that Google no longer has; `tombstone` if Google said so, with what it still shows of it.

    `confirmed`: concluded from something that Google said of this occurrence or its series, not from mere absence.
    """

    key: Key
    tombstone: Tombstone | None = None
    confirmed: bool = True


Finding = Seen | Gone


class Send(msgspec.Struct, frozen=True, gc=False):
    """A row for the outbox, and the occurrence as it will be remembered."""

    known: Known
    payload: bytes
    prospect: bool
    cancels: bool
    after: ICalUid | None = None
    """Wait until the same event id under this iCalUID has been accepted."""


class Remember(msgspec.Struct, frozen=True, gc=False):
    """Nothing to send, but what is remembered of it changed."""

    known: Known


class Withdraw(msgspec.Struct, frozen=True, gc=False):
    """What waits, or was refused, is no longer wanted and never arrived; `known` is what stays, None: nothing."""

    key: Key
    known: Known | None


Decision = Send | Remember | Withdraw


class Ground(msgspec.Struct, frozen=True, gc=False):
    """What all decisions about one calendar share.

    `answered_at` is Google's clock when it answered; it stands in where Google gives no `updated`. `same_policy`: what
    is known was decided under these rules; under others, nothing is classified from memory. `erased`: people that no
    payload names; `same_people`: nobody was erased since what is known was decided.
    """

    calendar_id: str
    zone: ZoneInfo
    window: Window
    rules: PolicyRules
    answered_at: datetime
    same_policy: bool = True
    erased: Erased = NOBODY
    same_people: bool = True


def decide(ground: Ground, finding: Finding, known: Known | None) -> Decision | None:
    """What follows from one finding, given what is remembered of its key; None if nothing does."""
    match finding:
        case Seen(event):
            return _decide_seen(ground, event, known)
        case Gone(_, tombstone):
            withheld = _withheld_now(tombstone, ground, known)
            return _decide_gone(ground, tombstone, known, withheld=withheld)


def replaced(finding: Seen, others: list[Known]) -> list[Known]:
    """Living occurrences under the same event id but another iCalUID: their keys must go once the new one is in."""
    uid = finding.event.ical_uid
    return [other for other in others if other.alive and other.key.ical_uid != uid]


def wanted_of(ground: Ground, event: Event, known: Known | None) -> tuple[Verdict, Content | None]:
    """The verdict on a living event, and what Salesloft should hold of it; None: nothing at all."""
    remembered = bool(known and known.prospect and ground.same_policy)
    verdict = classify(event, ground.rules, known_prospect=remembered)
    if verdict.disclosure is Disclosure.NOTHING:
        return verdict, None
    content = content_of(
        event,
        verdict,
        ground.rules,
        ground.zone,
        attendees_known=_list_is_held(known),
        erased=ground.erased,
    )
    return verdict, content


def decide_withheld(ground: Ground, known: Known) -> Decision | None:
    """What follows for an occurrence that is gone, or withheld altogether: its text must not stand in Salesloft."""
    return _decide_gone(ground, None, known, withheld=True)


def _decide_seen(ground: Ground, event: Event, known: Known | None) -> Decision | None:
    verdict, content = wanted_of(ground, event, known)
    if content is None:
        return _decide_gone(ground, None, known, withheld=True)
    if not _concerns(ground.window, content, known):
        if known and not known.alive:  # cancelled, but its text may be withheld by now
            withheld = content.text is None or _names_erased_since(event, ground)
            return _decide_gone(ground, None, known, withheld=withheld)
        return _never_heard_of(known) if known else None
    wanted = fingerprint(content)
    planned = _planned(event, verdict, content, known)
    if known:
        if known.refused is not None and same(wanted, known.refused) and not known.pending:
            return _remember(planned, known)
        if same(wanted, known.accepted) and not known.attempted:
            if known.pending is None and known.refused is None:
                return _remember(planned, known)
            stays = replace(planned, pending=None, refused=None, canceled_at=None)
            return Withdraw(known.key, stays)
        if known.pending is not None and same(wanted, known.pending):
            return _remember(planned, known)
    updated_at = _next_updated_at(event.updated, ground, known)
    payload = payload_of(
        content,
        calendar_id=ground.calendar_id,
        event_id=event.id,
        ical_uid=event.ical_uid,
        updated_at=updated_at,
        zone=ground.zone,
        blank=bool(known and known.exposed),
        revived=bool(known and known.canceled_at),
    )
    planned = replace(
        planned,
        pending=_complete(wanted, known),
        refused=None,
        updated_at=updated_at,
        exposed=planned.exposed or content.text is not None,
    )
    return Send(planned, encode(payload), prospect=content.text is not None, cancels=False)


def _concerns(window: Window, content: Content, known: Known | None) -> bool:
    """True inside the window, and outside it while Salesloft holds the occurrence alive and not yet in the past.

    What waits in the outbox will be sent in any case: then as it is by now, or withheld text could go out.
    """
    if window.overlaps(content.start, content.end):
        return True
    return (
        known is not None
        and known.alive
        and (known.end > window.start or known.pending is not None)
        and (known.accepted is not None or known.attempted)
    )


def _never_heard_of(known: Known) -> Withdraw | None:
    """Forget what waits if Salesloft was never told of it."""
    if known.accepted is None and not known.attempted and known.pending is not None:
        return Withdraw(known.key, None)
    return None


def _planned(event: Event, verdict: Verdict, content: Content, known: Known | None) -> Known:
    complete = content.text is not None and not event.attendees_omitted
    base = known or Known(
        Key(event.id, event.ical_uid), None, content.start, content.end, content.all_day, alive=True
    )
    return replace(
        base,
        series_id=event.series_id,
        start=content.start,
        end=content.end,
        all_day=content.all_day,
        alive=True,
        prospect=complete or (base.prospect and content.text is not None),
        rule=verdict.rule,
    )


def _remember(planned: Known, known: Known) -> Remember | None:
    return Remember(planned) if planned != known else None


def _list_is_held(known: Known | None) -> bool:
    """True if Salesloft holds a complete list of attendees, which one that was cut off must not replace."""
    return (
        known is not None
        and known.prospect
        and known.accepted not in (None, CANCELLED_AND_BLANKED)
        and not hides(known.accepted)
    )


def _complete(wanted: Fingerprint, known: Known | None) -> Fingerprint:
    """Where the list of attendees was cut off, what Salesloft holds of it stays, and so does its fingerprint."""
    if known and known.attempted:
        return wanted  # which list it holds is not certain
    if wanted.endswith(".-") and known and known.accepted and "." in known.accepted:
        return Fingerprint(wanted.removesuffix("-") + known.accepted.partition(".")[2])
    return wanted


def _decide_gone(
    ground: Ground, tombstone: Tombstone | None, known: Known | None, *, withheld: bool
) -> Decision | None:
    if known is None:
        return None
    # What waits or was refused may be the very content that takes the text away.
    blank = known.exposed and (withheld or hides(known.pending) or hides(known.refused))
    if not known.alive and not blank:
        return None
    if known.accepted is None and not known.attempted:
        # Salesloft never heard of it, or refused it from the start.
        return Withdraw(known.key, None)
    if known.end <= ground.window.start and known.pending is None:
        return None  # it passed the old edge: history is not rewritten
    wanted = CANCELLED_AND_BLANKED if blank else CANCELLED
    if wanted in (known.pending or known.accepted, known.refused):
        return None
    if wanted == known.accepted and not known.attempted:
        return Withdraw(known.key, replace(known, alive=False, pending=None, rule=None))
    updated_at = _next_updated_at(tombstone.updated if tombstone else None, ground, known)
    canceled_at = known.canceled_at or (tombstone and tombstone.updated) or ground.answered_at
    payload = cancellation_of(
        calendar_id=ground.calendar_id,
        event_id=known.key.event_id,
        ical_uid=known.key.ical_uid,
        start=known.start,
        end=known.end,
        all_day=known.all_day,
        zone=ground.zone,
        updated_at=updated_at,
        canceled_at=canceled_at,
        blank=blank,
    )
    planned = replace(
        known,
        alive=False,
        pending=wanted,
        refused=None,
        updated_at=updated_at,
        canceled_at=canceled_at,
        rule=None,
    )
    return Send(planned, encode(payload), prospect=False, cancels=True)


def _withheld_now(tombstone: Tombstone | None, ground: Ground, known: Known | None) -> bool:
    """True if Google still shows enough of a cancelled event to tell that its text may no longer stand there.

    After an erasure also where Google no longer tells who was invited: it may have been the one who was erased.
    """
    if tombstone is None or tombstone.body is None:
        return bool(ground.erased) and not ground.same_people
    if _names_erased_since(tombstone.body, ground):
        return True
    verdict = classify(tombstone.body, ground.rules, known_prospect=bool(known and known.prospect))
    return verdict.disclosure is not Disclosure.FULL


def _names_erased_since(event: Event, ground: Ground) -> bool:
    """True if what Salesloft holds of an event may still name somebody who was erased."""
    return not ground.same_people and names_erased(event, ground.erased)


def _next_updated_at(updated: datetime | None, ground: Ground, known: Known | None) -> datetime:
    at = updated or ground.answered_at
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    if known and known.updated_at and at <= known.updated_at:
        return known.updated_at + TICK
    return at
