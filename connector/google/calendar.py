"""One user's Google calendar: one method per question, each answered completely or not at all.

A listing is walked to its last page. Nothing of a walk that breaks off is handed out: what is missing from half a
listing would look like deletions. Empty pages are not the end, only a missing page token is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connector.domain.errors import RequestRefused, RetryLater
from connector.domain.model import (
    Event,
    EventId,
    Item,
    Listing,
    Malformed,
    SyncToken,
    Tombstone,
)
from connector.google.limiter import Priority
from connector.google.requests import DEFAULT_PAGE_SIZE, ApiRequest, CalendarRequests
from connector.google.transport import Answer, GoogleTransport
from connector.google.wire import Page, decode_event, decode_page

MOST_PAGES = 2000
SMALLEST_PAGE = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

BuildPage = Callable[[int, "str | None"], ApiRequest]
"""From the size of a page and its token to the request for it."""


class GoogleCalendar:
    """Reads one calendar as one user.

    Every method raises RetryLater for what passes, UserParked when the calendar cannot be read, and RequestRefused for
    what Google will not answer at all. Safe for several callers at once.
    """

    __slots__ = ("_page", "_requests", "_transport")

    def __init__(
        self,
        requests: CalendarRequests,
        transport: GoogleTransport,
        *,
        page_size: int = DEFAULT_PAGE_SIZE,
    ) -> None:
        self._requests = requests
        self._transport = transport
        self._page = _PageSize(page_size)

    @property
    def parameters_fingerprint(self) -> str:
        """Names the parameters that sync tokens are bound to."""
        return self._requests.parameters_fingerprint

    @property
    def page_size(self) -> int:
        """Events a page, at present."""
        return self._page.size

    @property
    def fields_fingerprint(self) -> str:
        """Names the parts of an event that listings hold."""
        return self._requests.fields_fingerprint

    async def list_all(self, time_min: datetime, priority: Priority = Priority.SWEEP) -> Listing:
        """Series, single events and exceptions that end after `time_min`, with a token for what follows.

        ResyncRequired if Google cut the walk off: begin again.
        """
        return await self._walk(
            lambda size, page: self._requests.list_all(time_min, page_size=size, page_token=page),
            priority,
            syncable=True,
        )

    async def list_changes(self, token: SyncToken, priority: Priority = Priority.CHANGE) -> Listing:
        """What was touched since `token`; ResyncRequired if Google does not accept the token any more."""
        return await self._walk(
            lambda size, page: self._requests.list_changes(token, page_size=size, page_token=page),
            priority,
            syncable=True,
        )

    async def list_window(
        self, start: datetime, end: datetime, priority: Priority = Priority.SWEEP
    ) -> Listing:
        """The living occurrences and single events between two moments."""
        return await self._walk(
            lambda size, page: self._requests.list_window(
                start, end, page_size=size, page_token=page
            ),
            priority,
        )

    async def list_occurrences(
        self,
        series_id: EventId,
        start: datetime,
        end: datetime,
        priority: Priority = Priority.CHANGE,
    ) -> Listing:
        """The living occurrences of one series between two moments; NotFound if it is gone or no series."""
        return await self._walk(
            lambda size, page: self._requests.instances(
                series_id, start, end, page_size=size, page_token=page
            ),
            priority,
            about=series_id,
        )

    async def get_event(self, event_id: EventId, priority: Priority = Priority.CHANGE) -> Item:
        """One event as it is now, cancelled or not; NotFound if Google does not know it or not show it.

        RequestRefused if what Google shows cannot be read.
        """
        answer = await self._transport.fetch(
            self._requests.get_event(event_id), priority, decode_event, about=event_id
        )
        match answer.value:
            case Event() | Tombstone() as item:
                return item
            case Malformed(reason=reason):
                raise RequestRefused(
                    f"{self._transport.who}, event {event_id}: Google's event cannot be read "
                    f"({reason}); correct it in Google Calendar",
                    status=200,
                    reason="malformed",
                )

    async def _walk(
        self, build: BuildPage, priority: Priority, *, syncable: bool = False, about: str = ""
    ) -> Listing:
        """All pages of one listing."""
        timeouts = self._transport.timeouts
        found = _Found()
        try:
            await self._read_pages(found, build, priority, about)
        finally:
            if self._transport.timeouts > timeouts:
                self._page.shrink()
            elif found.pages:
                self._page.grow()
        if syncable and found.last_sync_token is None:
            raise RetryLater(
                f"{self._transport.who}: Google's last page has no sync token; "
                "nothing was taken from this listing, it is tried again"
            )
        return found.listing(SyncToken(found.last_sync_token or "") if syncable else None)

    async def _read_pages(
        self, found: _Found, build: BuildPage, priority: Priority, about: str
    ) -> None:
        size = self._page.size  # constant within a walk: page tokens are bound to the parameters
        token: str | None = None
        seen: set[str] = set()
        for _ in range(MOST_PAGES):
            answer = await self._transport.fetch(
                build(size, token), priority, decode_page, about=about
            )
            found.add(answer)
            token = answer.value.next_page_token
            if token is None:
                return
            if token in seen:
                raise self._endless("names the same next page twice")
            seen.add(token)
        raise self._endless(f"has more than {MOST_PAGES} pages")

    def _endless(self, what: str) -> RetryLater:
        return RetryLater(
            f"{self._transport.who}: Google's listing {what}; nothing was taken from it, it is tried again"
        )


class _PageSize:
    """Events a page: half after a walk with time-outs, a quarter more after one without, up to where it began."""

    __slots__ = ("_largest", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._largest = size

    def shrink(self) -> None:
        self.size = max(self.size // 2, min(SMALLEST_PAGE, self._largest))

    def grow(self) -> None:
        self.size = min(self.size + self.size // 4, self._largest)


@dataclass(slots=True)
class _Found:
    """What a walk has found so far."""

    pages: int = 0
    last_sync_token: str | None = None
    time_zone: str = ""
    access_role: str = ""
    updated: datetime | None = None
    steady: bool = True
    """Whether all pages tell the same of when the calendar last changed."""
    date: datetime | None = None
    by_id: dict[str, Item | Malformed] = field(default_factory=dict)
    nameless: list[Malformed] = field(default_factory=list)

    def add(self, answer: Answer[Page]) -> None:
        page = answer.value
        if self.pages == 0:
            self.date, self.updated = answer.date, page.updated
        self.steady = self.steady and page.updated == self.updated
        self.pages += 1
        self.last_sync_token = page.next_sync_token if page.next_page_token is None else None
        self.time_zone = self.time_zone or page.time_zone
        self.access_role = self.access_role or page.access_role
        for item in page.items:
            if isinstance(item, Malformed) and not item.id:
                self.nameless.append(item)
                continue
            # What is edited during the walk comes again at its end: the last one counts, in its new place.
            self.by_id.pop(item.id, None)
            self.by_id[item.id] = item

    def listing(self, next_token: SyncToken | None) -> Listing:
        found = self.by_id.values()
        items = tuple([item for item in found if not isinstance(item, Malformed)])
        malformed = [item for item in found if isinstance(item, Malformed)]
        return Listing(
            items=items,
            malformed=(*malformed, *self.nameless),
            time_zone=self.time_zone,
            access_role=self.access_role,
            answered_at=self._answered_at(items),
            updated=self.updated if self.steady else None,
            next_token=next_token,
            pages=self.pages,
        )

    def _answered_at(self, items: tuple[Item, ...]) -> datetime:
        """Google's clock. Without a `Date`: when the calendar or an item last changed, never the local clock.

        The epoch if nothing tells: too early does no harm, too late could overtake a later change.
        """
        if self.date is not None:
            return self.date
        return self.updated or max((item.updated for item in items if item.updated), default=_EPOCH)
