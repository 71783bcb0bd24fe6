"""How Google is asked for the occurrences of touched series: each by itself, or all at once with their window.

Google's quota counts requests, a minute and user, and a day and project. Each series by itself takes at least one; the
whole window takes as many as it has pages, however many series were touched, but shows all its other events too. Both
are later looks than the feed, both show living occurrences with their exceptions as they are by then, and what they
lack is concluded from them alike (`domain/occurrences.py`), so that the choice changes only what it costs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

from connector.domain.errors import NotFound, RequestRefused, RetryLater, UserParked
from connector.domain.model import Event, EventId, Item, Listing, Malformed
from connector.domain.occurrences import Answers, Memory, Touched
from connector.domain.window import Window
from connector.store import CalendarState, State
from connector.store.rows import count_alive
from connector.sync.seller import Seller

T = TypeVar("T")

ASKED_FOR = 2
"""How often Google is asked for an event before its 404 is believed: it may pass (google-calendar.md 3.2)."""
EDGE = timedelta(seconds=1)
"""Google's lower bound is exclusive on the end: a moment earlier, so that nothing of no length falls between."""
_PARALLEL = 8


def cheaper_at_once(series: Iterable[int], window: int, page_size: int) -> bool:
    """Whether one listing of a window of so many events costs less than these series, of so many occurrences, each.

    A request counts one, and a full page one more for its bytes and for being read: a window of 450 events in one page
    costs less than two weekly series, one of 10,000 events in twenty less than forty.
    """
    each = sum(_cost(size, page_size) for size in series)
    return _cost(window, page_size) < each


def _cost(events: int, page_size: int) -> int:
    """In parts of a request, as many as a page has events: whole numbers, so that what is equal is equal."""
    return max(1, -(-events // page_size)) * page_size + events


@dataclass(frozen=True, slots=True)
class Asked:
    """What Google answered about the touched series; `whole` is the window's listing, if that was asked for."""

    answers: Answers
    malformed: tuple[Malformed, ...] = ()
    whole: Listing | None = None


async def ask_series(
    seller: Seller,
    calendar: CalendarState,
    state: State,
    touched: Touched,
    memory: Memory,
    feed: Listing,
    window: Window,
    new_days: int,
) -> Asked:
    """Ask Google for every touched series over the window, in the cheaper way.

    `new_days` are the further listings that are to be made of parts of the window, unless all of it is listed.
    """
    whole, unlisted = None, frozenset[EventId]()
    listings: list[Listing] = []
    if await _at_once(seller, calendar, state, touched, memory, window, new_days):
        # A window that Google will not list must not stop what it lists otherwise.
        with contextlib.suppress(RequestRefused, RetryLater):
            whole = await seller.reader.list_window(window.start - EDGE, window.end)
    if whole is not None:
        listings = [whole]
    elif touched.series:
        listings, unlisted = await list_each(
            seller, sorted(touched.series), window, alive=touched.masters
        )
    known = {row.key.event_id for series in touched.series for row in memory.by_series[series]}
    shown = {
        event.id: event
        for listing in listings
        for event in living(listing.items).values()
        if event.series_id in touched.series or event.id in known
    }
    answers = Answers(
        shown=shown,
        unlisted=unlisted,
        listed=window,
        changed_meanwhile=any(
            listing.updated is None or listing.updated != feed.updated for listing in listings
        ),
        unreadable=frozenset(
            item.id for listing in (feed, *listings) for item in listing.malformed
        ),
    )
    malformed = tuple(item for listing in listings for item in listing.malformed)
    return Asked(answers, malformed, whole)


async def _at_once(
    seller: Seller,
    calendar: CalendarState,
    state: State,
    touched: Touched,
    memory: Memory,
    window: Window,
    new_days: int,
) -> bool:
    """By what the state remembers: a series, or day, that is new to it is taken for one page."""
    if not touched.series or len(touched.series) + new_days < 2:
        return False
    sizes = [0] * new_days + [
        sum(row.alive and window.overlaps(row.start, row.end) for row in memory.by_series[series])
        for series in touched.series
    ]
    in_window = await state.ask(lambda c: count_alive(c, calendar.id, window.start, window.end))
    return cheaper_at_once(sizes, in_window, seller.reader.page_size)


async def list_each(
    seller: Seller, series: Sequence[EventId], window: Window, alive: Container[EventId]
) -> tuple[list[Listing], frozenset[EventId]]:
    """The occurrences of each, and those that Google has not. `alive`: their masters were just seen."""

    async def one(series_id: EventId) -> Listing | None:
        for _ in range(ASKED_FOR if series_id in alive else 1):
            with contextlib.suppress(NotFound):
                return await seller.reader.list_occurrences(
                    series_id, window.start - EDGE, window.end
                )
        return None

    try:
        answers = await together([partial(one, series_id) for series_id in series])
    except (RequestRefused, RetryLater, UserParked):
        # One series that Google will not list must not stop the calendar: the window shows all of them. Where
        # nothing can be read, this raises the same.
        listing = await seller.reader.list_window(window.start - EDGE, window.end)
        return [listing], frozenset()
    return (
        [listing for listing in answers if listing is not None],
        frozenset(sid for sid, listing in zip(series, answers, strict=True) if listing is None),
    )


async def together(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
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


def living(items: Iterable[Item]) -> dict[EventId, Event]:
    """The living occurrences and single events among items of an expanded listing; series are none."""
    return {item.id: item for item in items if isinstance(item, Event) and not item.is_series}
