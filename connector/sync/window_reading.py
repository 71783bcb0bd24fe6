"""Google's window as the policy maps it: listed anew in one place, for all that only compares.

`verify` and `policy simulate` read through here. Nothing touches a sync token: the window is
listed without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from connector.domain.erasure import Erased
from connector.domain.mapping import calendar_id_of
from connector.domain.model import Event, EventId, Listing
from connector.domain.plan import Ground
from connector.domain.window import Window, span, window_at
from connector.store import CalendarState
from connector.sync.reading import zone_named
from connector.sync.seller import Seller
from connector.sync.series_reading import living

_MARGIN = timedelta(days=2)
"""The zone is known only from the answer: two days more on either side cover every zone there is."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What Google shows. `events` are the living occurrences in and near the window, by id; series are none.

    `unreadable` are ids of items that were set aside: present, whatever they say. `pages` is what it cost at Google.
    """

    events: Mapping[EventId, Event]
    unreadable: frozenset[str]
    window: Window
    zone: ZoneInfo
    listing: Listing
    pages: int

    def inside(self) -> Iterator[Event]:
        """The events that the window shows."""
        for event in self.events.values():
            if self.window.overlaps(*span(event.start, event.end, self.zone)):
                yield event


async def list_shown(seller: Seller, now: datetime, until: datetime | None = None) -> Shown:
    """List the window anew, or further ahead. Raises UserParked, RetryLater or RequestRefused as the reader does."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    end = day + timedelta(days=seller.future_days + 1) + _MARGIN
    listing = await seller.reader.list_window(
        day - timedelta(days=seller.past_days) - _MARGIN, max(end, until or end)
    )
    zone = zone_named(listing.time_zone)
    return Shown(
        events=living(listing.items),
        unreadable=frozenset(item.id for item in listing.malformed),
        window=window_at(now, zone, seller.past_days, seller.future_days),
        zone=zone,
        listing=listing,
        pages=listing.pages,
    )


def ground_of(seller: Seller, calendar: CalendarState, shown: Shown, erased: Erased) -> Ground:
    """What all judgements of one calendar share, as a cycle of the same user has it."""
    seller = replace(seller, erased=calendar.erased)
    return Ground(
        calendar_id=calendar_id_of(seller.user_guid),
        zone=shown.zone,
        window=shown.window,
        rules=seller.rules,
        answered_at=shown.listing.answered_at,
        same_policy=seller.judged_alike(calendar.token_fingerprint),
        same_people=seller.same_people(calendar.token_fingerprint),
        erased=erased,
    )
