"""One reading of a calendar: what Google lists, joined with what the state knows, as findings for a commit."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar
from zoneinfo import ZoneInfo

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
    Answers,
    Memory,
    Outcome,
    Touched,
    resolve,
    resolve_full,
    touched_by,
)
from connector.domain.plan import Finding, Gone, Known, Seen
from connector.domain.window import Window, never_listed, window_at
from connector.store import CalendarState, State
from connector.sync.seller import Seller

T = TypeVar("T")

SERIES_AT_ONCE = 4
"""More touched series than this are cheaper to read in one listing of the window than one by one."""
CONFIRM_AT_MOST = 10
"""Absent occurrences of one living series that are asked for by id; of more, its rule must have changed."""
LISTED_AGAIN = 3
"""So often a full listing begins again within one reading if Google cuts it off with a 410."""
ASKED_FOR = 2
"""How often Google is asked for an event before its 404 is believed: it may pass (google-calendar.md 3.2)."""
_PARALLEL = 8
_EDGE = timedelta(seconds=1)
"""Google's lower bound is exclusive on the end: a moment earlier, so that nothing of no length falls between."""


@dataclass(frozen=True, slots=True)
class Reading:
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
    answers, malformed = await _ask_series(seller, touched, memory, feed, window)
    outcome = resolve(touched, answers, memory, window, zone)
    findings = [*outcome.findings, *await _confirm(seller, outcome.unexplained)]
    met = {_id(finding) for finding in findings}
    fresh, more = await _list_gaps(seller, gaps)
    backfill = frozenset(fresh) - met
    findings += [Seen(fresh[event_id]) for event_id in backfill]
    told = met | fresh.keys() | {item.id for item in (*feed.malformed, *malformed, *more)}
    findings += await _confirm(seller, await _absent(state, calendar, gaps, told))
    return Reading(
        feed,
        window,
        zone,
        tuple(findings),
        backfill,
        False,
        _merged(feed.malformed, malformed, more),
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
    listing = await seller.reader.list_window(window.start - _EDGE, window.end)
    shown = _occurrences(listing.items)
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


async def _ask_series(
    seller: Seller, touched: Touched, memory: Memory, feed: Listing, window: Window
) -> tuple[Answers, list[Malformed]]:
    """Ask Google for every touched series over the window."""
    if len(touched.series) > SERIES_AT_ONCE:
        listing = await seller.reader.list_window(window.start - _EDGE, window.end)
        listings, unlisted = [listing], frozenset[EventId]()
    else:
        listings, unlisted = await _list_each(
            seller, sorted(touched.series), window, alive=touched.masters
        )
    known = {row.key.event_id for series in touched.series for row in memory.by_series[series]}
    shown = {
        event.id: event
        for listing in listings
        for event in _occurrences(listing.items).values()
        if event.series_id in touched.series or event.id in known
    }
    malformed = [item for listing in listings for item in listing.malformed]
    return Answers(
        shown=shown,
        unlisted=unlisted,
        listed=window,
        changed_meanwhile=any(
            listing.updated is None or listing.updated != feed.updated for listing in listings
        ),
        unreadable=frozenset(
            item.id for listing in (feed, *listings) for item in listing.malformed
        ),
    ), malformed


async def _list_each(
    seller: Seller, series: Sequence[EventId], window: Window, alive: Container[EventId]
) -> tuple[list[Listing], frozenset[EventId]]:
    """The occurrences of each, and those that Google has not. `alive`: their masters were just seen."""

    async def one(series_id: EventId) -> Listing | None:
        for _ in range(ASKED_FOR if series_id in alive else 1):
            with contextlib.suppress(NotFound):
                return await seller.reader.list_occurrences(
                    series_id, window.start - _EDGE, window.end
                )
        return None

    try:
        answers = await _together([partial(one, series_id) for series_id in series])
    except (RequestRefused, RetryLater, UserParked):
        # One series that Google will not list must not stop the calendar: the window shows all of them. Where
        # nothing can be read, this raises the same.
        listing = await seller.reader.list_window(window.start - _EDGE, window.end)
        return [listing], frozenset()
    return (
        [listing for listing in answers if listing is not None],
        frozenset(sid for sid, listing in zip(series, answers, strict=True) if listing is None),
    )


async def _list_gaps(
    seller: Seller, gaps: Sequence[Window]
) -> tuple[dict[EventId, Event], list[Malformed]]:
    fresh: dict[EventId, Event] = {}
    malformed: list[Malformed] = []
    for gap in gaps:
        listing = await seller.reader.list_window(gap.start - _EDGE, gap.end)
        fresh |= _occurrences(listing.items)
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
        days = Window(min(row.start for row in group), max(row.end for row in group) + _EDGE)
        listings, _ = await _list_each(seller, [series_id], days, alive=(series_id,))
        shown = {k: v for listing in listings for k, v in _occurrences(listing.items).items()}
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

    findings = await _together([partial(one, row) for row in rows])
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


async def _together(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Await all, a few at a time, in order; the first error ends the others."""
    gate = asyncio.Semaphore(_PARALLEL)

    async def gated(call: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await call()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(gated(call), name="google-ask") for call in calls]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


def _occurrences(items: Iterable[Item]) -> dict[EventId, Event]:
    """The living occurrences and single events among items of an expanded listing."""
    return {item.id: item for item in items if isinstance(item, Event) and not item.is_series}


def _merged(*groups: Iterable[Malformed]) -> tuple[Malformed, ...]:
    """All malformed items, each id once, as it came last."""
    return tuple({item.id: item for group in groups for item in group}.values())


def _id(finding: Finding) -> EventId:
    return finding.event.id if isinstance(finding, Seen) else finding.key.event_id
