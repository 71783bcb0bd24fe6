"""Partial responses: what is asked for is what is read, Google knows its names, and reading loses nothing by it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qs

import aiohttp
import googleapiclient
import msgspec
import pytest
from aiohttp import web

from connector.domain.errors import ResyncRequired
from connector.domain.model import Event, EventId, SyncToken
from connector.google import (
    ApiRequest,
    CalendarRequests,
    GoogleCalendar,
    GoogleTransport,
    RequestLimiter,
    TokenSource,
)
from connector.google import wire as wire_module
from connector.google.convert import WireEvent
from connector.google.fields import mask_of
from connector.google.wire import EVENT_FIELDS, FEED_FIELDS, PAGE_FIELDS, decode_event, decode_page
from connector.simulator.google.known_fields import check_selection
from connector.simulator.google.selector import Selection, parse_fields, select
from tests.google.conftest import FakeGoogle, Handler, answer, event, page, refusal

DOCUMENT = Path(googleapiclient.__file__).parent / "discovery_cache/documents/calendar.v3.json"
START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=90)
TOMBSTONE = {"kind": "calendar#event", "etag": '"1"', "id": "gone", "status": "cancelled"}


def leaves(selection: Selection, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, parts in selection.items():
        if parts:
            yield from leaves(parts, (*above, name))
        else:
            yield (*above, name)


def decoded(struct: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every leaf that a struct reads, found by its annotations: another way than the program's."""
    hints = get_type_hints(struct)
    for name, encoded in zip(
        struct.__struct_fields__, struct.__struct_encode_fields__, strict=True
    ):
        (inner,) = {one for one in alternatives(hints[name]) if is_struct(one)} or {None}
        if inner is None:
            yield (*above, encoded)
        else:
            yield from decoded(inner, (*above, encoded))


def alternatives(hint: Any) -> Iterator[Any]:
    if get_origin(hint) in (list, Union, UnionType):
        for one in get_args(hint):
            yield from alternatives(one)
    else:
        yield hint


def is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def asked(request: ApiRequest) -> list[str]:
    return parse_qs(request.url.raw_query_string)["fields"]


@pytest.mark.parametrize(
    ("mask", "struct"), [(PAGE_FIELDS, wire_module._Envelope), (EVENT_FIELDS, WireEvent)]
)
def test_asked_for_is_what_is_decoded(mask: str, struct: type) -> None:
    assert sorted(leaves(parse_fields(mask))) == sorted(decoded(struct))


def test_the_slow_way_reads_no_more_than_is_asked_for() -> None:
    loose = set(wire_module._LooseEnvelope.__struct_encode_fields__)
    assert loose == parse_fields(PAGE_FIELDS).keys()


def test_the_feed_asks_for_the_same_with_events_whole() -> None:
    page, feed = parse_fields(PAGE_FIELDS), parse_fields(FEED_FIELDS)
    assert feed.keys() == page.keys()
    assert feed["items"] == {}


def test_walks_and_tombstones_keep_what_they_need() -> None:
    page = parse_fields(PAGE_FIELDS)
    assert page.keys() >= {"nextPageToken", "nextSyncToken", "timeZone", "accessRole", "items"}
    needed = {"id", "status", "iCalUID", "updated", "recurringEventId", "originalStartTime"}
    assert page["items"].keys() >= needed | {"start", "end", "recurrence", "eventType"}


@pytest.mark.parametrize(("mask", "schema"), [(PAGE_FIELDS, "Events"), (EVENT_FIELDS, "Event")])
def test_google_knows_every_name(mask: str, schema: str) -> None:
    """A name that Google does not know would be 400 for every user at every reading."""
    schemas = json.loads(DOCUMENT.read_text())["schemas"]

    def look(selection: Selection, at: dict[str, Any]) -> None:
        at = at.get("items", at)
        at = schemas[at["$ref"]] if "$ref" in at else at
        for name, parts in selection.items():
            assert name in at["properties"]
            if parts:
                look(parts, at["properties"][name])

    look(parse_fields(mask), {"$ref": schema})


def test_the_simulator_knows_every_name() -> None:
    check_selection(parse_fields(PAGE_FIELDS), "events.list")
    check_selection(parse_fields(FEED_FIELDS), "events.list")
    check_selection(parse_fields(PAGE_FIELDS), "events.instances")
    check_selection(parse_fields(EVENT_FIELDS), "events.get")


def test_every_reading_asks_for_it_once_and_in_a_short_url() -> None:
    requests = CalendarRequests("https://www.googleapis.com", "c" * 64, quota_user="q" * 32)
    token = "t" * 400
    walks = (
        requests.list_all(START, page_size=250, page_token=token),
        requests.list_changes(SyncToken(token), page_size=250, page_token=token),
        requests.list_window(START, END, page_size=250, page_token=token),
        requests.instances(EventId("i" * 200), START, END, page_size=250, page_token=token),
    )
    event = requests.get_event(EventId("i" * 200))
    feed, others = [[FEED_FIELDS]] * 2, [[PAGE_FIELDS]] * 2
    assert [asked(request) for request in walks] == feed + others
    assert asked(event) == [EVENT_FIELDS]
    assert max(len(str(request.url)) for request in (*walks, event)) < 2500


def test_the_order_of_members_means_nothing() -> None:
    one = msgspec.defstruct("One", [("a", int), ("b", int)])
    other = msgspec.defstruct("Other", [("b", int), ("a", int)])
    assert mask_of(one) == mask_of(other) == "a,b"


def test_tombstones_of_four_keys_and_of_exceptions_are_read_the_same() -> None:
    exception = {
        **TOMBSTONE,
        "recurringEventId": "series",
        "originalStartTime": {"dateTime": "2026-01-05T09:00:00Z", "timeZone": "America/Chicago"},
    }
    for item in (TOMBSTONE, exception):
        part = select(item, parse_fields(EVENT_FIELDS))
        assert decode_event(json.dumps(part).encode()) == decode_event(json.dumps(item).encode())


def test_an_envelope_of_nothing_but_a_token_is_an_empty_page() -> None:
    """Nothing changed: a partial response may leave out the empty list."""
    page = decode_page(b'{"nextSyncToken":"t"}')
    assert (page.items, page.next_sync_token, page.next_page_token) == ((), "t", None)


SELECTION_REFUSED = [
    ("invalidParameter", {"location": "fields", "locationType": "parameter"}),
    ("invalid", {"location": "fields", "locationType": "parameter"}),
    ("invalidParameter", {}),
]
"""How servers of other people's making may say that they do not understand `fields`."""


def unselective(reason: str, where: dict[str, str]) -> Handler:
    error = {"errors": [{"domain": "global", "reason": reason, "message": "No", **where}]}

    async def handle(request: web.Request) -> web.StreamResponse:
        if "fields" in request.query:
            return await refusal(400, reason, **error)(request)
        if request.path.endswith("/events/e1"):
            return await answer(event())(request)
        return await answer(page(event(), nextSyncToken="next"))(request)

    return handle


@pytest.mark.parametrize(("reason", "where"), SELECTION_REFUSED)
async def test_a_server_without_fields_is_read_whole_from_then_on(
    google: FakeGoogle,
    session: aiohttp.ClientSession,
    tokens: TokenSource,
    reason: str,
    where: dict[str, str],
) -> None:
    told: list[str] = []
    transport = GoogleTransport(
        session,
        tokens,
        RequestLimiter(100_000),
        who="pam",
        on_fields_refused=told.append,
    )
    calendar = GoogleCalendar(CalendarRequests(google.url, "primary", quota_user="q"), transport)
    google.queue(*[unselective(reason, where)] * 5)
    listings = [await calendar.list_changes(SyncToken("a+b/c=")) for _ in range(2)]
    listings += [await calendar.list_all(START)]
    assert isinstance(await calendar.get_event(EventId("e1")), Event)
    assert [len(listing.items) for listing in listings] == [1, 1, 1]
    assert ["fields" in query for query in google.queries] == [True] + [False] * 4
    assert {**google.queries[0], "fields": ""} == {**google.queries[1], "fields": ""}
    assert told == ["pam"]


async def test_another_bad_request_is_no_word_on_fields(
    google: FakeGoogle, calendar: GoogleCalendar
) -> None:
    token = {"reason": "invalid", "location": "syncToken", "locationType": "parameter"}
    google.queue(refusal(400, "invalid", errors=[token]), page(nextSyncToken="next"))
    with pytest.raises(ResyncRequired):
        await calendar.list_changes(SyncToken("old"))
    await calendar.list_all(START)
    assert all("fields" in query for query in google.queries)


def test_the_mask_is_in_the_plainest_syntax() -> None:
    for mask in (PAGE_FIELDS, EVENT_FIELDS):
        assert re.fullmatch(r"[A-Za-z,()]+", mask)
        assert "," not in (mask[0], mask[-1])
        assert not re.search(r"\(\)|\(,|,\)|,,|\)[A-Za-z]", mask)
