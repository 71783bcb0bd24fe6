"""Walks over listings: complete or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from connector.domain.errors import (
    NotFound,
    ParkReason,
    RequestRefused,
    ResyncRequired,
    RetryLater,
    UserParked,
)
from connector.domain.model import Event, EventId, SyncToken, Tombstone
from connector.google import CalendarRequests, GoogleCalendar, GoogleTransport
from connector.google import calendar as calendar_module
from tests.google.conftest import FakeGoogle, Sleeps, answer, event, page, refusal, refusal_body

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=90)
TOKEN = SyncToken("CK_H/AI=")


async def test_transcript_of_two_pages_then_idle_then_expired(
    google: FakeGoogle, calendar: GoogleCalendar
) -> None:
    exception = event("s_20260303T080000Z", recurringEventId="s")
    google.queue(
        page(event("s", recurrence=["RRULE:FREQ=DAILY"]), exception, nextPageToken="Cj8K/AE="),
        page({"id": "gone", "status": "cancelled"}, nextSyncToken="CO_y/AI="),
        page(nextSyncToken="CO_y/AI="),
        refusal(410, "fullSyncRequired"),
        page(nextPageToken="Cj8K"),
        page(event("s"), nextSyncToken="new"),
    )
    changes = await calendar.list_changes(TOKEN)
    assert [item.id for item in changes.items] == ["s", "s_20260303T080000Z", "gone"]
    assert (changes.next_token, changes.pages) == ("CO_y/AI=", 2)
    assert changes.next_token is not None
    idle = await calendar.list_changes(changes.next_token)
    assert (idle.items, idle.next_token) == ((), changes.next_token)
    with pytest.raises(ResyncRequired):
        await calendar.list_changes(changes.next_token)
    full = await calendar.list_all(START)
    assert [item.id for item in full.items] == ["s"]
    assert [query.get("syncToken") for query in google.queries] == [
        *("CK_H/AI=", "CK_H/AI=", "CO_y/AI=", "CO_y/AI="),
        *(None, None),
    ]
    assert [query.get("pageToken") for query in google.queries] == [
        *(None, "Cj8K/AE=", None, None, None, "Cj8K")
    ]


async def test_empty_pages_are_not_the_end(google: FakeGoogle, calendar: GoogleCalendar) -> None:
    google.queue(page(nextPageToken="a"), page(nextPageToken="b"), page(event(), nextSyncToken="t"))
    listing = await calendar.list_all(START)
    assert len(listing.items) == 1
    assert listing.pages == 3


async def test_an_item_listed_twice_counts_as_it_came_last(
    google: FakeGoogle, calendar: GoogleCalendar
) -> None:
    google.queue(
        page(event("a", summary="old"), event("b"), {"id": "c", "status": 5}, nextPageToken="p"),
        page(event("c"), event("a", summary="new"), {"id": "b", "status": 5}, nextSyncToken="t"),
    )
    listing = await calendar.list_all(START)
    assert [(item.id, getattr(item, "summary", "")) for item in listing.items] == [
        ("c", ""),
        ("a", "new"),
    ]
    assert [malformed.id for malformed in listing.malformed] == ["b"]


async def test_a_last_page_without_a_sync_token_is_a_failure(
    google: FakeGoogle, calendar: GoogleCalendar
) -> None:
    google.queue(page(event(), nextSyncToken="too early", nextPageToken="p"), page(event()))
    with pytest.raises(RetryLater, match="no sync token"):
        await calendar.list_all(START)


async def test_a_window_needs_no_sync_token_and_hands_none_out(
    google: FakeGoogle, calendar: GoogleCalendar
) -> None:
    google.queue(page(event()), page(event(), nextSyncToken="not for us"))
    assert (await calendar.list_window(START, END)).next_token is None
    listing = await calendar.list_occurrences(EventId("s"), START, END)
    assert listing.next_token is None
    assert len(listing.items) == 1


async def test_a_repeated_page_token_ends_the_walk(
    google: FakeGoogle, calendar: GoogleCalendar
) -> None:
    google.queue(*(page(event(), nextPageToken=token) for token in "aba"))
    with pytest.raises(RetryLater, match="twice"):
        await calendar.list_window(START, END)
    assert len(google.requests) == 3


async def test_walks_are_bounded(
    google: FakeGoogle, calendar: GoogleCalendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calendar_module, "MOST_PAGES", 3)
    google.queue(*(page(nextPageToken=token) for token in "abcd"))
    with pytest.raises(RetryLater, match="more than 3 pages"):
        await calendar.list_window(START, END)
    assert len(google.requests) == 3


async def test_the_envelope_is_the_first_pages_and_the_time_is_googles(
    google: FakeGoogle, calendar: GoogleCalendar
) -> None:
    date = "Sun, 01 Mar 2026 10:00:00 GMT"
    google.queue(
        answer(page(nextPageToken="p"), headers={"Date": date}),
        page(nextSyncToken="t", accessRole="reader"),
    )
    listing = await calendar.list_all(START)
    assert listing.answered_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert listing.updated == datetime(2026, 3, 1, 10, 0, 0, 123000, tzinfo=UTC)
    assert (listing.time_zone, listing.access_role) == ("Europe/Berlin", "owner")


async def test_pages_between_which_the_calendar_changed_tell_no_time_of_its_last_change(
    google: FakeGoogle, calendar: GoogleCalendar
) -> None:
    google.queue(page(nextPageToken="p"), page(updated="2026-03-01T11:00:00Z"))
    assert (await calendar.list_window(START, END)).updated is None


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        ({"updated": "2026-04-01T00:00:00Z"}, datetime(2026, 4, 1, tzinfo=UTC)),
        ({"updated": None}, datetime(2026, 3, 1, 10, 0, 0, 123000, tzinfo=UTC)),
        ({"updated": None, "items": []}, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
async def test_without_a_date_the_local_clock_is_never_taken(
    google: FakeGoogle, calendar: GoogleCalendar, envelope: dict[str, Any], expected: datetime
) -> None:
    google.queue(answer(page(event(), **envelope), headers={"Date": "not a date"}))
    assert (await calendar.list_window(START, END)).answered_at == expected


@pytest.mark.parametrize("reason", ["fullSyncRequired", "updatedMinTooLongAgo", ""])
async def test_410_in_the_middle_of_a_walk_asks_for_a_resync(
    google: FakeGoogle, calendar: GoogleCalendar, reason: str
) -> None:
    google.queue(page(event(), nextPageToken="p"), refusal(410, reason))
    with pytest.raises(ResyncRequired):
        await calendar.list_changes(TOKEN)


async def test_400_invalid_means_the_token_only_where_there_is_one(
    google: FakeGoogle, calendar: GoogleCalendar
) -> None:
    google.queue(refusal(400, "invalid"), refusal(400, "invalid"))
    with pytest.raises(ResyncRequired):
        await calendar.list_changes(TOKEN)
    with pytest.raises(RequestRefused):
        await calendar.list_all(START)


async def test_a_stale_page_token_restarts_the_walk_and_keeps_the_sync_token(
    google: FakeGoogle, calendar: GoogleCalendar
) -> None:
    body = refusal_body(400, "invalid")
    body["error"]["errors"][0]["location"] = "pageToken"
    google.queue(page(nextPageToken="p"), answer(body, status=400))
    with pytest.raises(RetryLater):
        await calendar.list_changes(TOKEN)


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (404, "notFound", ParkReason.CALENDAR_GONE),
        (410, "deleted", ParkReason.CALENDAR_GONE),
        (403, "forbidden", ParkReason.FORBIDDEN),
        (403, "notACalendarUser", ParkReason.NOT_A_CALENDAR_USER),
        (403, "accessNotConfigured", ParkReason.API_DISABLED),
    ],
)
async def test_a_calendar_that_cannot_be_read_parks_its_user(
    google: FakeGoogle, calendar: GoogleCalendar, status: int, reason: str, expected: ParkReason
) -> None:
    google.queue(*[refusal(status, reason)] * 2)
    for listing in (calendar.list_all(START), calendar.list_window(START, END)):
        with pytest.raises(UserParked) as caught:
            await listing
        assert caught.value.reason is expected
        assert "pam" in str(caught.value)
        assert "Not for the log" not in str(caught.value)


@pytest.mark.parametrize(
    "refused", [refusal(404, "notFound"), refusal(410, "deleted"), refusal(410, "")]
)
async def test_an_event_that_google_does_not_know_is_not_found(
    google: FakeGoogle, calendar: GoogleCalendar, refused: Any
) -> None:
    google.queue(refused, refused)
    with pytest.raises(NotFound, match="event e1"):
        await calendar.get_event(EventId("e1"))
    with pytest.raises(NotFound):
        await calendar.list_occurrences(EventId("e1"), START, END)


async def test_occurrences_of_what_is_no_series_are_not_found(
    google: FakeGoogle, calendar: GoogleCalendar
) -> None:
    google.queue(refusal(400, "invalid"), refusal(400, "timeRangeEmpty"))
    with pytest.raises(NotFound):
        await calendar.list_occurrences(EventId("e1"), START, END)
    with pytest.raises(RequestRefused):
        await calendar.list_occurrences(EventId("e1"), END, START)


@pytest.mark.parametrize(
    "refused",
    [
        answer(b"<html>Not Found</html>", status=404),
        answer(b'{"error":{"errors":[{"rea', status=410),
        refusal(410, "fullSyncRequired"),
    ],
)
async def test_a_meeting_is_not_called_gone_on_thin_evidence(
    google: FakeGoogle, calendar: GoogleCalendar, refused: Any
) -> None:
    google.queue(refused)
    with pytest.raises(RetryLater):
        await calendar.get_event(EventId("e1"))


async def test_get_event_returns_what_it_is(google: FakeGoogle, calendar: GoogleCalendar) -> None:
    google.queue(event("e1"), event("e1", status="cancelled"), event("e1", end=None))
    assert isinstance(await calendar.get_event(EventId("e1")), Event)
    tombstone = await calendar.get_event(EventId("e1"))
    assert isinstance(tombstone, Tombstone)
    assert tombstone.body is not None
    with pytest.raises(RequestRefused, match="end: missing"):
        await calendar.get_event(EventId("e1"))


async def test_pages_shrink_after_time_outs_and_grow_back(
    google: FakeGoogle, transport: GoogleTransport
) -> None:
    calendar = GoogleCalendar(CalendarRequests(google.url, "primary"), transport, page_size=200)

    async def times_out_once(request: web.Request) -> web.StreamResponse:
        transport.timeouts += 1
        return await answer(page())(request)

    google.queue(*[times_out_once] * 3, *[page()] * 8)
    for _ in range(11):
        await calendar.list_window(START, END)
    sizes = [int(query["maxResults"]) for query in google.queries]
    assert sizes[:4] == [200, 100, 50, 50]
    assert sizes[4:] == sorted(sizes[4:])
    assert sizes[4] == 62
    assert sizes[-1] == 200


async def test_a_page_that_fails_in_passing_is_asked_for_again_and_no_other(
    google: FakeGoogle, calendar: GoogleCalendar, sleeps: Sleeps
) -> None:
    google.queue(
        page(event("a"), nextPageToken="p"),
        refusal(503, "backendError"),
        answer(b'{"items":[{"id":"b"'),
        page(event("b"), nextSyncToken="t"),
    )
    listing = await calendar.list_changes(TOKEN)
    assert [item.id for item in listing.items] == ["a", "b"]
    assert [query.get("pageToken") for query in google.queries] == [None, "p", "p", "p"]
    assert len(sleeps.seconds) == 2


async def test_bad_items_do_not_spoil_the_page(
    google: FakeGoogle, calendar: GoogleCalendar
) -> None:
    google.queue(
        page(event("a"), event("b", end=None), 7, event("c", summary=["secret"]), event("d"))
    )
    listing = await calendar.list_window(START, END)
    assert [item.id for item in listing.items] == ["a", "d"]
    assert [(bad.id, bad.reason) for bad in listing.malformed] == [
        ("b", "end: missing"),
        ("c", "summary: not of the expected type"),
        ("", "not an object"),
    ]
