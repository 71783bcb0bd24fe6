"""Builds every request to the Calendar API from Google's own discovery document; nothing is sent here.

google-api-python-client knows the paths, the parameters and their encoding; of it only the built URL is used. Its
document is part of the package, so building needs no network.

The parameters follow Google's guide to synchronisation: the full listing and its increments are the same request but
for `timeMin`, which cannot stand beside a sync token; every page repeats the sync token beside the page token.

Every reading asks for the parts of the answer that `wire` decodes, and for nothing else; but the feed (the full listing
and its increments, which Google wants alike) asks for events whole, because it is nearly always empty.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import quote, quote_plus

import httplib2
import msgspec
from googleapiclient.discovery import build
from msgspec.structs import replace
from yarl import URL

from connector.domain.model import EventId, SyncToken
from connector.google.errors import Call
from connector.google.wire import EVENT_FIELDS, FEED_FIELDS, PAGE_FIELDS

DEFAULT_PAGE_SIZE = 500
"""Events a page, of 2,500 that Google allows: a usual calendar's window is one page, and decoding it takes 7 ms.

Larger ones save requests only for calendars that few people have, and hold up the event loop longer
(docs/benchmarks.md, "Requests and bytes").
"""


class ApiRequest(msgspec.Struct, frozen=True, gc=False):
    """One request, built and not sent. `call` says what it asks for, and so what a refusal of it means."""

    method: str
    url: URL
    headers: tuple[tuple[str, str], ...]
    body: str | None
    call: Call

    def for_all_fields(self) -> ApiRequest:
        """The same without `fields`: whatever the server shows."""
        parts = self.url.raw_query_string.split("&")
        query = "&".join(part for part in parts if not part.startswith("fields="))
        return replace(self, url=_with_query(self.url, query))


class CalendarRequests:
    """The requests of one calendar. `quota_user` names whom Google counts a service account's request for."""

    parameters_fingerprint = "events.list singleEvents=false"
    """Names the constant parameters of syncable listings: a token obtained under another name is not to be used.
    `maxResults` is not among them: it may change between walks.
    """
    fields_fingerprint = hashlib.sha256(f"{FEED_FIELDS} {PAGE_FIELDS}".encode()).hexdigest()[:12]
    """Names what is asked for of each event. Google wants that unchanged too from one increment to the next, and a
    member that is asked for anew is missing in what was read before; but what was read was judged rightly.
    """

    __slots__ = ("_api_url", "_calendar_id", "_quota_user")

    def __init__(self, api_url: str, calendar_id: str, *, quota_user: str | None = None) -> None:
        self._api_url = api_url.rstrip("/")
        self._calendar_id = calendar_id
        self._quota_user = quota_user

    @property
    def _events(self) -> Any:
        return _resources(self._api_url)[0]

    @property
    def _channels(self) -> Any:
        return _resources(self._api_url)[1]

    @property
    def _constant(self) -> dict[str, Any]:
        if self._quota_user is None:
            return {"calendarId": self._calendar_id}
        return {"calendarId": self._calendar_id, "quotaUser": self._quota_user}

    def list_all(
        self, time_min: datetime, *, page_size: int, page_token: str | None = None
    ) -> ApiRequest:
        """A page of the full listing that ends in a sync token: series, single events and exceptions."""
        return self._list(
            Call.LIST,
            page_token,
            singleEvents=False,
            maxResults=page_size,
            timeMin=rfc3339(time_min),
        )

    def list_changes(
        self, token: SyncToken, *, page_size: int, page_token: str | None = None
    ) -> ApiRequest:
        """A page of what changed since `token`."""
        if page_token is None:
            with_user = self._quota_user is not None
            poll = _poll(self._api_url, page_size, with_user=with_user)
            return poll.of(self._calendar_id, self._quota_user or "", token)
        return self._list(
            Call.CHANGES, page_token, singleEvents=False, maxResults=page_size, syncToken=str(token)
        )

    def list_window(
        self, start: datetime, end: datetime, *, page_size: int, page_token: str | None = None
    ) -> ApiRequest:
        """A page of the living occurrences and single events between two moments."""
        return self._list(
            Call.WINDOW,
            page_token,
            singleEvents=True,
            maxResults=page_size,
            timeMin=rfc3339(start),
            timeMax=rfc3339(end),
        )

    def instances(
        self,
        series_id: EventId,
        start: datetime,
        end: datetime,
        *,
        page_size: int,
        page_token: str | None = None,
    ) -> ApiRequest:
        """A page of the living occurrences of one series between two moments."""
        parameters = self._paged(
            page_token, maxResults=page_size, timeMin=rfc3339(start), timeMax=rfc3339(end)
        )
        return _frozen(
            self._events.instances(eventId=str(series_id), **parameters), Call.OCCURRENCES
        )

    def get_event(self, event_id: EventId) -> ApiRequest:
        """One event, cancelled or not."""
        return _frozen(
            self._events.get(eventId=str(event_id), fields=EVENT_FIELDS, **self._constant),
            Call.EVENT,
        )

    def insert_event(
        self, body: dict[str, Any], *, send_updates: str, conference: bool = False
    ) -> ApiRequest:
        """A new event whose `body` holds an id of our choice. `conference`: its `conferenceData` is heeded."""
        version = {"conferenceDataVersion": 1} if conference else {}
        return _frozen(
            self._events.insert(body=body, sendUpdates=send_updates, **version, **self._constant),
            Call.INSERT,
        )

    def patch_event(
        self, event_id: EventId, body: dict[str, Any], *, send_updates: str
    ) -> ApiRequest:
        """Change what `body` names of one event; lists are replaced whole."""
        return _frozen(
            self._events.patch(
                eventId=str(event_id), body=body, sendUpdates=send_updates, **self._constant
            ),
            Call.PATCH,
        )

    def delete_event(self, event_id: EventId, *, send_updates: str) -> ApiRequest:
        """Cancel one event. Google answers 204 without a body."""
        return _frozen(
            self._events.delete(eventId=str(event_id), sendUpdates=send_updates, **self._constant),
            Call.DELETE,
        )

    def watch_events(self, body: dict[str, Any]) -> ApiRequest:
        """A channel that tells of each change of the calendar; `body` is Google's `Channel`."""
        return _frozen(self._events.watch(body=body, **self._constant), Call.WATCH)

    def stop_channel(self, body: dict[str, Any]) -> ApiRequest:
        """The end of a channel, named by `id` and `resourceId`. Google answers 204 without a body."""
        quota = {name: self._constant[name] for name in ("quotaUser",) if name in self._constant}
        return _frozen(self._channels.stop(body=body, **quota), Call.STOP_CHANNEL)

    def _list(self, call: Call, page_token: str | None, **parameters: Any) -> ApiRequest:
        return _frozen(self._events.list(**self._paged(page_token, **parameters)), call)

    def _paged(self, page_token: str | None, **parameters: Any) -> dict[str, Any]:
        # The page token is set here: the library's list_next() fails on repeated parameters (its issue 667).
        paged = {"pageToken": page_token} if page_token is not None else {}
        fields = FEED_FIELDS if parameters.get("singleEvents") is False else PAGE_FIELDS
        return {**self._constant, **parameters, "fields": fields, **paged}


@dataclass(frozen=True, slots=True)
class _Poll:
    """The request of every quiet poll, as the library built it once for all calendars; only names and tokens change.

    Building it anew costs more than all else of such a poll that is not the exchange itself.
    """

    CALENDAR: ClassVar[str] = "-place-of-the-calendar-"
    USER: ClassVar[str] = "-place-of-the-user-"
    TOKEN: ClassVar[str] = "-place-of-the-token-"  # noqa: S105 - like the others: it holds nothing that is encoded
    request: ApiRequest
    path: tuple[str, str]
    query: tuple[str, str, str]
    """Around the user and the token; without a user the first is empty."""

    @classmethod
    def built(cls, request: ApiRequest) -> _Poll:
        before, _, after = request.url.raw_path.partition(cls.CALENDAR)
        to_token, _, end = request.url.raw_query_string.partition(cls.TOKEN)
        start, found, middle = to_token.partition(cls.USER)
        return cls(request, (before, after), (start, middle, end) if found else ("", start, end))

    def of(self, calendar_id: str, user: str, token: str) -> ApiRequest:
        request, (before, after), (start, middle, end) = self.request, self.path, self.query
        url = request.url
        built = URL.build(
            scheme=url.scheme,
            authority=url.raw_authority,
            path=f"{before}{_in_path(calendar_id)}{after}",
            query_string=f"{start}{_in_query(user)}{middle}{_in_query(token)}{end}",
            encoded=True,
        )
        return ApiRequest(request.method, built, request.headers, request.body, request.call)


@lru_cache(maxsize=64)
def _poll(api_url: str, page_size: int, *, with_user: bool) -> _Poll:
    places = CalendarRequests(api_url, _Poll.CALENDAR, quota_user=_Poll.USER if with_user else None)
    return _Poll.built(
        places._list(
            Call.CHANGES,
            None,
            singleEvents=False,
            maxResults=page_size,
            syncToken=_Poll.TOKEN,
        )
    )


_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*=*").fullmatch


def _in_query(text: str) -> str:
    """As `urlencode` writes a value; tokens are mostly plain but for the padding at their end."""
    return text.replace("=", "%3D") if _PLAIN(text) else quote_plus(text)


@lru_cache(maxsize=1024)
def _in_path(text: str) -> str:
    return quote(text, safe="")


def quota_user(name: str) -> str:
    """A short one-way name of a user for `quotaUser`: no address goes into a URL, and Google allows 40 characters."""
    return hashlib.sha256(b"gcal-salesloft quota " + name.encode()).hexdigest()[:32]


def rfc3339(moment: datetime) -> str:
    """A moment as Google wants it: in UTC, whole seconds (it ignores the rest)."""
    if moment.tzinfo is None:
        raise ValueError("a time for Google needs a zone: pass an aware datetime")
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


@lru_cache(maxsize=16)
def _resources(api_url: str) -> tuple[Any, Any]:
    """`events` and `channels` of one API root, kept: building them anew costs milliseconds each time."""
    service = build(
        "calendar",
        "v3",
        http=httplib2.Http(),  # never used; without one the library would look for credentials
        static_discovery=True,
        cache_discovery=False,
        # Replaces the root and the service path together.
        client_options={"api_endpoint": f"{api_url}/calendar/v3/"},
    )
    return service.events(), service.channels()


def _with_query(url: URL, query: str) -> URL:
    """The same address with this query, which is encoded already."""
    return URL.build(
        scheme=url.scheme,
        authority=url.raw_authority,
        path=url.raw_path,
        query_string=query,
        encoded=True,
    )


def _frozen(request: Any, call: Call) -> ApiRequest:
    # The session sets Accept-Encoding and User-Agent, once for everything.
    headers = tuple(
        (name, value)
        for name, value in request.headers.items()
        if name.lower() not in ("accept-encoding", "user-agent")
    )
    # encoded=True: yarl would turn %40 back into @ and so change what the library built.
    return ApiRequest(request.method, URL(request.uri, encoded=True), headers, request.body, call)
