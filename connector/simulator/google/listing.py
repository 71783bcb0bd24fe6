"""events.list: which rows a listing holds, in which order, and where its pages are cut.

Rows come in the order of `updated`, by a keyset. A page is cut first and loses its cancelled rows
afterwards, so it may be short or empty; a row that is edited meanwhile moves to the end and appears
again. The sync token of the last page is the watermark of the listing's start, so that whatever
changed during the walk is told once more.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import itemgetter

from .calendar import Calendar
from .errors import full_sync_required, invalid, refusal
from .list_faults import ListFaults
from .parameters import EventsQuery
from .recurrence import EXPANSION_LIMIT
from .rows import Row
from .state import BEGINNING, END, original_of
from .times import instant, micros
from .tokens import (
    BadTokenError,
    PageToken,
    SortKey,
    SyncToken,
    read_page_token,
    read_sync_token,
)

_UPDATED_MIN_HORIZON = timedelta(days=28)
_CANCELLED_INSTANCES = timedelta(days=182)  # of a deleted series, with singleEvents=true
_UNBOUNDED_PAST = timedelta(days=365)
_FIRST: SortKey = (0, 0, "")
_KEY: Callable[[tuple[SortKey, Row]], SortKey] = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one page and the one token that it carries, if any."""

    rows: list[Row]
    next_page_token: str | None = None
    next_sync_token: str | None = None


def list_page(
    calendar: Calendar, query: EventsQuery, *, role: str, now: datetime, faults: ListFaults
) -> Page:
    """One page of events.list."""
    since = _since(calendar, query)
    page = _page_token(calendar, query)
    if query.page_token is not None and faults.take("gone_mid_pagination", calendar.id):
        raise full_sync_required()
    _check_updated_min(query, now)
    if faults.take("empty_page", calendar.id):
        return Page([], next_page_token=replace(page, issue=page.issue + 1).encoded())
    keyed = _listing(calendar, query, since, now)
    first = bisect_right(keyed, page.after, key=_KEY)
    ahead = len(keyed) - first
    cut = keyed[first : first + query.max_results]
    shown = [row for _, row in cut if _visible(row, calendar, query)]
    behind = [row for _, row in keyed[bisect_left(keyed, page.after, key=_KEY) : first]]
    if behind and faults.take("duplicate_item", calendar.id):
        shown = [*behind, *shown]
    if ahead > len(cut):
        return Page(shown, next_page_token=replace(page, after=cut[-1][0], issue=0).encoded())
    if query.order_by is not None:
        return Page(shown)
    idle = since is not None and not keyed and query.page_token is None
    if idle:
        return Page(shown, next_sync_token=query.sync_token)
    token = SyncToken(page.watermark, calendar.id, calendar.epoch).encoded(role)
    if since is None and faults.take("gone_after_full", calendar.id):
        calendar.expire_tokens()
    return Page(shown, next_sync_token=token)


def _listing(
    calendar: Calendar, query: EventsQuery, since: int | None, now: datetime
) -> list[tuple[SortKey, Row]]:
    """All rows of a listing in its order. That of many pages is kept as long as nothing in the calendar changes."""
    kept = (query.checksum, calendar.version, calendar.last_stamp, frozenset(calendar.quirks))
    if calendar.listing is not None and calendar.listing[0] == kept:
        return calendar.listing[1]
    rows = _wanted(_candidates(calendar, query, since, now), query)
    keyed = sorted(((_key(row, calendar, query), row) for row in rows), key=_KEY)
    # Without a beginning, what is expanded depends on the present.
    lasts = not query.single_events or query.time_min is not None
    several = len(keyed) > query.max_results and lasts
    calendar.listing = (kept, keyed) if several else None
    return keyed


def _since(calendar: Calendar, query: EventsQuery) -> int | None:
    if query.sync_token is None:
        return None
    try:
        token = read_sync_token(query.sync_token, calendar.id, calendar.epoch)
    except BadTokenError:
        raise invalid("syncToken", "Invalid sync token value.") from None
    if token is None:
        raise full_sync_required()
    return token.watermark


def _page_token(calendar: Calendar, query: EventsQuery) -> PageToken:
    if query.page_token is None:
        return PageToken(_FIRST, calendar.last_stamp, query.checksum)
    try:
        return read_page_token(query.page_token, query.checksum)
    except BadTokenError:
        raise invalid("pageToken") from None


def _check_updated_min(query: EventsQuery, now: datetime) -> None:
    if query.updated_min is not None and query.updated_min < now - _UPDATED_MIN_HORIZON:
        message = "The requested minimum modification time lies too far in the past."
        raise refusal(
            410, "updatedMinTooLongAgo", message, domain="calendar", location="updatedMin"
        )


def _candidates(
    calendar: Calendar, query: EventsQuery, since: int | None, now: datetime
) -> Iterator[Row]:
    low, high = query.time_min or BEGINNING, query.time_max or END
    for row in list(calendar.rows.values()):
        if row.buried or (since is not None and row.stamp <= since):
            continue
        if query.single_events:
            yield from _expanded(calendar, row, query, now)
        elif since is not None or _related(calendar, row, low, high):
            yield row


def _related(calendar: Calendar, row: Row, low: datetime, high: datetime) -> bool:
    """Whether a row has any relation to the window: a series that began before its end has, even if
    it has ended, and so has what ends at its very beginning (reference 2.1).
    """
    if instant(row.start, calendar.zone) < high and (
        row.is_series or instant(row.end, calendar.zone) >= low
    ):
        return True
    original = original_of(row)
    return low <= instant(original, calendar.zone) < high


def _expanded(calendar: Calendar, row: Row, query: EventsQuery, now: datetime) -> Iterable[Row]:
    low, high = query.time_min or BEGINNING, query.time_max or END
    if row.is_series:
        return _instances(calendar, row, query, now)
    in_series = row.series is not None and row.series in calendar.rows
    if in_series or not calendar.overlaps(row, low, high):
        return ()  # an exception comes with its series
    return (row,)


def _instances(calendar: Calendar, row: Row, query: EventsQuery, now: datetime) -> Iterable[Row]:
    low, high = query.time_min or BEGINNING, query.time_max or END
    if row.live:
        if query.time_min is None and len(row.starts.first(EXPANSION_LIMIT + 1)) > EXPANSION_LIMIT:
            low = now - _UNBOUNDED_PAST
        return calendar.occurrences_of(row, low, high, limit=EXPANSION_LIMIT)
    if query.sync_token is not None:
        return calendar.occurrences_of(row, now, now + _CANCELLED_INSTANCES, limit=EXPANSION_LIMIT)
    if query.show_deleted:
        return calendar.occurrences_of(row, low, high, limit=EXPANSION_LIMIT)
    return ()


def _key(row: Row, calendar: Calendar, query: EventsQuery) -> SortKey:
    if query.order_by == "startTime":
        return (max(0, micros(instant(row.start, calendar.zone))), 0, row.id)
    late_master = "exception_before_master" in calendar.quirks and row.is_series
    return (row.stamp, int(late_master), row.id)


def _visible(row: Row, calendar: Calendar, query: EventsQuery) -> bool:
    if row.live or query.sync_token is not None or query.show_deleted or query.updated_min:
        return True
    if row.series is not None and not row.bare:
        return not query.single_events
    return "cancelled_masters_listed" in calendar.quirks and not row.bare


def _wanted(rows: Iterable[Row], query: EventsQuery) -> list[Row]:
    return [row for row in rows if _matches(row, query)]


def _matches(row: Row, query: EventsQuery) -> bool:
    fields = row.fields
    if query.event_types and fields.get("eventType", "default") not in query.event_types:
        return False
    if query.ical_uid is not None and row.ical_uid != query.ical_uid:
        return False
    if query.updated_min is not None and row.stamp < micros(query.updated_min):
        return False
    if query.q is not None and query.q.casefold() not in _text(row):
        return False
    properties = fields.get("extendedProperties", {})
    wanted = (("private", query.private_properties), ("shared", query.shared_properties))
    return all(
        properties.get(kind, {}).get(name) == value
        for kind, pairs in wanted
        for name, value in pairs
    )


def _text(row: Row) -> str:
    words = [str(row.fields.get(name, "")) for name in ("summary", "description", "location")]
    words += [str(guest.get("email", "")) for guest in row.fields.get("attendees", ())]
    return " ".join(words).casefold()
