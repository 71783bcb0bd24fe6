"""One reading of a calendar: what Google lists, joined with what the state knows, as findings for a commit."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import msgspec

from connector.domain.errors import (
    NotFound,
    ParkReason,
    RequestRefused,
    ResyncRequired,
    RetryLater,
    UserParked,
)
from connector.domain.mapping import CANCELLED_AND_BLANKED
from connector.domain.model import Event, EventId, Item, Listing, Malformed, Tombstone
from connector.domain.occurrences import (
    Memory,
    Outcome,
    resolve,
    resolve_full,
    touched_by,
)
from connector.domain.plan import Finding, Gone, Known, Seen
from connector.domain.window import Window, never_listed, span, window_at
from connector.store import CalendarState, State
from connector.sync.seller import Seller
from connector.sync.series_reading import ASKED_FOR, EDGE, ask_series, list_each, living, together

CONFIRM_AT_MOST = 10
"""Absent occurrences of one living series that are asked for by id; of more, its rule must have changed."""
LISTED_AGAIN = 3
"""So often a full listing begins again within one reading if Google cuts it off with a 410."""


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What was found. `backfill` names the events that no change brought up, only the calendar's or horizon's turn."""

    listing: Listing
    window: Window
    zone: ZoneInfo
    findings: tuple[Finding, ...]
    backfill: frozenset[EventId]
    full: bool
    malformed: tuple[Malformed, ...]
    quiet: bool = False
    """Nothing was touched and no day was new: there is nothing to commit but the token."""


def zone_named(name: str) -> ZoneInfo:
    """The calendar's zone; UTC for a name that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def is_quiet(seller: Seller, calendar: CalendarState, feed: Listing, now: datetime) -> bool:
    """True if nothing was touched and no day is new: `read_changes` would find nothing, and this costs little."""
    if feed.items or feed.malformed:
        return False
    window = window_at(now, zone_named(feed.time_zone), seller.past_days, seller.future_days)
    return not never_listed(window, calendar.listed)


async def read_changes(
    seller: Seller, calendar: CalendarState, feed: Listing, state: State, now: datetime
) -> Reading:
    """Join an incremental listing with the state; new days at the horizon are listed with it."""
    zone = zone_named(feed.time_zone)
    window = window_at(now, zone, seller.past_days, seller.future_days)
    gaps = never_listed(window, calendar.listed)
    if not feed.items and not feed.malformed and not gaps:
        return Reading(feed, window, zone, (), frozenset(), False, (), quiet=True)
    memory = Memory(await _remembered(state, calendar, feed.items))
    touched = touched_by(feed.items, memory)
    asked = await ask_series(
        seller, calendar, state, touched, memory, feed, window, new_days=len(gaps)
    )
    outcome = resolve(touched, asked.answers, memory, window, zone)
    findings = [*outcome.findings, *await _confirm(seller, outcome.unexplained)]
    met = {_id(finding) for finding in findings}
    fresh, more = await _list_gaps(seller, gaps, asked.whole, zone)
    backfill = frozenset(fresh) - met
    findings += [Seen(fresh[event_id]) for event_id in backfill]
    told = met | fresh.keys() | {item.id for item in (*feed.malformed, *asked.malformed, *more)}
    findings += await _confirm(seller, await _absent(state, calendar, gaps, told))
    return Reading(
        feed,
        window,
        zone,
        tuple(findings),
        backfill,
        False,
        _merged(feed.malformed, asked.malformed, more),
    )


async def read_everything(
    seller: Seller, calendar: CalendarState, adopted: Sequence[Known], state: State, now: datetime
) -> Reading:
    """List the calendar in full and compare: a difference, never a wipe."""
    # The zone is known only from the answer: two days more than enough cover every zone there is.
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    everything = await _list_all(seller, day - timedelta(days=seller.past_days + 2))
    zone = zone_named(everything.time_zone)
    window = window_at(now, zone, seller.past_days, seller.future_days)
    listing = await seller.reader.list_window(window.start - EDGE, window.end)
    shown = living(listing.items)
    known = {row.key: row for row in adopted}
    known |= {row.key: row for row in await state.known_since(calendar.id, window.start)}
    malformed = _merged(everything.malformed, listing.malformed)
    unreadable = frozenset(item.id for item in malformed)
    outcome = resolve_full(
        everything.items, shown, Memory(known.values()), window, zone, unreadable
    )
    findings: tuple[Finding, ...] = (
        *outcome.findings,
        *await _explain_absence(seller, outcome, everything.items, window),
    )
    token = calendar.token_fingerprint
    if token is not None and not (seller.judged_alike(token) and seller.same_people(token)):
        findings += await _judge_cancelled(seller, known.values(), findings)
    backfill = frozenset(_id(finding) for finding in findings)
    return Reading(everything, window, zone, findings, backfill, True, malformed)


async def _list_all(seller: Seller, time_min: datetime) -> Listing:
    """The full listing, begun again where Google drops it half-way (410): retried, never fatal."""
    for _ in range(LISTED_AGAIN - 1):
        with contextlib.suppress(ResyncRequired):
            return await seller.reader.list_all(time_min)
    try:
        return await seller.reader.list_all(time_min)
    except ResyncRequired as required:
        raise RetryLater(
            f"user {seller.name}: Google cut off the full listing {LISTED_AGAIN} times;"
            " nothing was taken from it, it is tried again"
        ) from required


async def _remembered(state: State, calendar: CalendarState, items: Iterable[Item]) -> list[Known]:
    ids = {item.id for item in items}
    series = {item.series_id for item in items if item.series_id is not None}
    return await state.known(calendar.id, ids, ids | series) if ids else []


async def _list_gaps(
    seller: Seller, gaps: Sequence[Window], whole: Listing | None, zone: ZoneInfo
) -> tuple[dict[EventId, Event], list[Malformed]]:
    """What is in the gaps: in `whole`, if all of the window was listed just now."""
    if whole is not None:
        return {
            event.id: event
            for event in living(whole.items).values()
            if any(
                Window(gap.start - EDGE, gap.end).overlaps(*span(event.start, event.end, zone))
                for gap in gaps
            )
        }, []
    fresh: dict[EventId, Event] = {}
    malformed: list[Malformed] = []
    for gap in gaps:
        listing = await seller.reader.list_window(gap.start - EDGE, gap.end)
        fresh |= living(listing.items)
        malformed += listing.malformed
    return fresh, malformed


async def _absent(
    state: State, calendar: CalendarState, gaps: Sequence[Window], told: Collection[str]
) -> list[Known]:
    """What should be in the gaps and is not told of: the clock went back to days whose deletions were passed over."""
    if not gaps:
        return []
    rows = await state.known_since(calendar.id, min(gap.start for gap in gaps))
    return [
        row
        for row in rows
        if row.alive
        and row.key.event_id not in told
        and any(gap.overlaps(row.start, row.end) for gap in gaps)
    ]


async def _explain_absence(
    seller: Seller, outcome: Outcome, everything: Iterable[Item], window: Window
) -> list[Finding]:
    """Ask Google what became of what a complete listing lacks: whole series by their master, the rest by id."""
    listed = {item.id for item in everything}
    findings: list[Finding] = []
    ask: list[Known] = []
    for series_id, rows in _by_series(outcome.unexplained).items():
        if series_id is None:
            ask += rows
        elif series_id in listed:
            inside = [row for row in rows if window.overlaps(row.start, row.end)]
            if len(inside) > CONFIRM_AT_MOST:
                findings += [Gone(row.key) for row in inside]
                # Outside the window nothing was listed, so nothing follows from absence there.
                rows = [row for row in rows if not window.overlaps(row.start, row.end)]
            ask += rows
        else:
            try:
                master = await _get(seller, series_id)
            except RequestRefused:
                continue  # there, but it cannot be read: what Salesloft holds of it stays
            # Without any master, it may be somebody's who is invited to single occurrences only.
            if isinstance(master, Event) or (master is None and len(rows) <= CONFIRM_AT_MOST):
                ask += rows
            else:
                findings += [_gone(row, master) for row in rows]
    return findings + await _confirm(seller, ask)


async def _judge_cancelled(
    seller: Seller, rows: Iterable[Known], met: Iterable[Finding]
) -> tuple[Finding, ...]:
    """Under another policy: Google's word on cancelled events whose text still stands in Salesloft.

    Listings tell no more of them than their ids, so each is asked for; what the state remembers decides nothing.
    """
    ids = {finding.event.id for finding in met if isinstance(finding, Seen)}
    ask = [
        row
        for row in rows
        if row.exposed
        and not row.alive
        and CANCELLED_AND_BLANKED not in (row.accepted, row.pending)
        and row.key.event_id not in ids
    ]
    return tuple(await _confirm_each(seller, ask))


def _by_series(rows: Iterable[Known]) -> dict[EventId | None, list[Known]]:
    groups: dict[EventId | None, list[Known]] = defaultdict(list)
    for row in rows:
        groups[row.series_id].append(row)
    return groups


def _gone(row: Known, master: Tombstone | None) -> Gone:
    """An occurrence of a series that is gone; `master` is Google's word for it."""
    if master is None:
        return Gone(row.key, confirmed=False)
    return Gone(row.key, Tombstone(row.key.event_id, updated=master.updated))


async def _confirm(seller: Seller, rows: Sequence[Known]) -> list[Finding]:
    """Ask what became of each before anything is cancelled for being absent: many of one series in one listing."""
    findings: list[Finding] = []
    by_id: list[Known] = []
    for series_id, group in _by_series(rows).items():
        if series_id is None or len(group) <= CONFIRM_AT_MOST:
            by_id += group
            continue
        days = Window(min(row.start for row in group), max(row.end for row in group) + EDGE)
        listings, _ = await list_each(seller, [series_id], days, alive=(series_id,))
        shown = {k: v for listing in listings for k, v in living(listing.items).items()}
        absent = [row for row in group if row.key.event_id not in shown]
        findings += [Seen(shown[row.key.event_id]) for row in group if row not in absent]
        # A series that Google does not list may be of somebody who is invited to single occurrences only.
        if len(absent) <= CONFIRM_AT_MOST or not listings:
            by_id += absent
        else:
            findings += [Gone(row.key) for row in absent]
    return findings + await _confirm_each(seller, by_id)


async def _confirm_each(seller: Seller, rows: Sequence[Known]) -> list[Finding]:
    async def one(row: Known) -> Finding | None:
        try:
            found = await _get(seller, row.key.event_id)
        except RequestRefused:
            return None  # there, but it cannot be read: what Salesloft holds stays
        if isinstance(found, Event) and not found.is_series:
            return Seen(found)
        if isinstance(found, Tombstone):
            return Gone(row.key, found)
        return Gone(row.key, confirmed=found is not None)

    findings = await together([partial(one, row) for row in rows])
    return [finding for finding in findings if finding is not None]


async def _get(seller: Seller, event_id: EventId) -> Event | Tombstone | None:
    try:
        for _ in range(ASKED_FOR):
            with contextlib.suppress(NotFound):
                return await seller.reader.get_event(event_id)
    except UserParked as parked:
        if parked.reason is not ParkReason.FORBIDDEN:
            raise
        # Of one event, this says nothing of the calendar: it is there, but not to be read.
        raise RequestRefused(str(parked), status=403, reason=parked.reason.value) from parked
    return None


def _merged(*groups: Iterable[Malformed]) -> tuple[Malformed, ...]:
    """All malformed items, each id once, as it came last."""
    return tuple({item.id: item for group in groups for item in group}.values())


def _id(finding: Finding) -> EventId:
    return finding.event.id if isinstance(finding, Seen) else finding.key.event_id
