"""Google's JSON as the domain's values; nothing in an item aborts its page."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connector.domain.errors import RetryLater
from connector.domain.model import (
    AllDay,
    Attendee,
    Event,
    EventStatus,
    EventType,
    Instant,
    Item,
    Malformed,
    Person,
    ResponseStatus,
    Tombstone,
)
from connector.google import wire
from connector.google.wire import BrokenBody, decode_event, decode_page
from tests.google.conftest import event, page

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "recorded-google"


def decode(**fields: Any) -> Item | Malformed:
    return decode_event(json.dumps(event(**fields)).encode())


def alive(**fields: Any) -> Event:
    found = decode(**fields)
    assert isinstance(found, Event), found
    return found


def at(*parts: int) -> Instant:
    return Instant(datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type,misc]


def test_a_full_event() -> None:
    found = alive(
        id="s_20260302T080000Z",
        status="tentative",
        recurringEventId="s",
        originalStartTime={"dateTime": "2026-03-02T05:00:00-03:00"},
        eventType="focusTime",
        visibility="confidential",
        transparency="transparent",
        summary=" kept as it is ",
        description="<b>Agenda</b>",
        location="Room 1",
        hangoutLink="https://meet.example.com/a",
        organizer={"email": "pam@example.com", "displayName": "Pam", "self": True},
        creator={"email": "jim@example.com"},
        attendees=[
            {"email": "a@example.org", "responseStatus": "declined", "organizer": True},
            {"displayName": "No Address", "self": True},
            {"email": "room@resource.calendar.google.com", "resource": True},
        ],
        attendeesOmitted=True,
        conferenceData={
            "entryPoints": [
                {"entryPointType": "phone", "uri": "tel:+1"},
                {"entryPointType": "video", "uri": "https://zoom.example.net/j/1"},
            ]
        },
    )
    assert found == Event(
        id=found.id,
        ical_uid=found.ical_uid,
        status=EventStatus.TENTATIVE,
        start=at(2026, 3, 2, 8),
        end=at(2026, 3, 2, 9),
        updated=datetime(2026, 3, 1, 10, 0, 0, 123000, tzinfo=UTC),
        series_id=found.series_id,
        original_start=at(2026, 3, 2, 8),
        event_type=EventType.FOCUS_TIME,
        private=True,
        transparent=True,
        summary=" kept as it is ",
        description="<b>Agenda</b>",
        location="Room 1",
        video_link="https://zoom.example.net/j/1",
        organizer=Person("pam@example.com", "Pam", is_self=True),
        creator=Person("jim@example.com"),
        attendees=(
            Attendee("a@example.org", response=ResponseStatus.DECLINED, is_organizer=True),
            Attendee(None, "No Address", is_self=True),
            Attendee("room@resource.calendar.google.com", is_resource=True),
        ),
        attendees_omitted=True,
    )
    assert (found.id, found.series_id) == ("s_20260302T080000Z", "s")


def test_a_bare_event_has_googles_defaults() -> None:
    found = alive()
    assert found.status is EventStatus.CONFIRMED
    assert found.event_type is EventType.DEFAULT
    assert (found.private, found.transparent, found.is_series) == (False, False, False)
    assert found.attendees == ()
    assert (found.summary, found.video_link, found.organizer) == ("", "", None)


@pytest.mark.parametrize(
    ("fields", "attribute", "expected"),
    [
        ({"eventType": "moonLanding"}, "event_type", EventType.UNKNOWN),
        ({"visibility": "secretish"}, "private", True),
        ({"visibility": "public"}, "private", False),
        ({"visibility": None}, "private", False),
        ({"transparency": "hazy"}, "transparent", False),
        ({"status": "postponed"}, "status", EventStatus.CONFIRMED),
        ({"attendees": [{"responseStatus": "maybe"}]}, "attendees", (Attendee(None),)),
        ({"attendees": [None]}, "attendees", ()),
        ({"summary": None}, "summary", ""),
        ({"updated": "yesterday"}, "updated", None),
        ({"originalStartTime": {"dateTime": "x"}}, "original_start", None),
        ({"recurrence": ["RRULE:DATE;x", None]}, "recurrence", ("RRULE:DATE;x",)),
        ({"hangoutLink": "https://m.example.com"}, "video_link", "https://m.example.com"),
        ({"newField": {"a": [1]}}, "summary", ""),
    ],
)
def test_what_is_unknown_or_null_is_taken_on_the_safe_side(
    fields: dict[str, Any], attribute: str, expected: object
) -> None:
    assert getattr(alive(**fields), attribute) == expected


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ({"dateTime": "2026-03-02T09:00:00-03:00", "timeZone": "America/Los_Angeles"}, 12),
        ({"dateTime": "2026-03-02T09:00:00", "timeZone": "Asia/Tokyo"}, 0),
        ({"dateTime": "2026-03-02T09:00:00Z", "timeZone": "Mars/Olympus"}, 9),
        ({"dateTime": "2026-03-02T09:00:00.123456789Z"}, 9),
    ],
)
def test_the_offset_counts_and_else_the_zone(time: dict[str, str], expected: int) -> None:
    start = alive(start=time, end=time).start
    assert isinstance(start, Instant)
    assert start.at.replace(microsecond=0) == at(2026, 3, 2, expected).at


def test_an_hour_that_happens_twice_is_the_first() -> None:
    twice = {"dateTime": "2026-10-25T02:30:00", "timeZone": "Europe/Berlin"}
    assert alive(start=twice, end=twice).start == at(2026, 10, 25, 0, 30)


def test_days_stay_days() -> None:
    found = alive(start={"date": "2026-03-02"}, end={"date": "2026-03-03"})
    assert (found.start, found.end) == (AllDay(date(2026, 3, 2)), AllDay(date(2026, 3, 3)))


DAY = {"date": "2026-03-02"}
MOMENT = {"dateTime": "2026-03-02T09:00:00Z"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": None}, "id: missing"),
        ({"status": None}, "status: missing"),
        ({"iCalUID": None}, "iCalUID: missing"),
        ({"start": None}, "start: missing"),
        ({"end": None}, "end: missing"),
        ({"end": {}}, "end: neither date nor dateTime"),
        ({"end": {"dateTime": "soon"}}, "end: not a date or time"),
        ({"end": {"date": "0000-00-00"}}, "end: not a date or time"),
        ({"start": {"dateTime": "0001-01-01T00:00:00+14:00"}}, "start: not a date or time"),
        ({"start": {"dateTime": "2026-03-02T09:00:00"}}, "start: neither offset nor timeZone"),
        (
            {"start": {"dateTime": "2026-03-02T09:00:00", "timeZone": "../secret"}},
            "start: unknown timeZone",
        ),
        (
            {"start": {"dateTime": "2026-03-02T09:00:00", "timeZone": "America"}},
            "start: unknown timeZone",
        ),
        ({"start": DAY, "end": MOMENT}, "end: not of the kind of start"),
        ({"start": MOMENT, "end": {"dateTime": "2026-03-02T08:59:59Z"}}, "end before start"),
        ({"start": DAY, "end": {"date": "2026-03-01"}}, "end before start"),
        ({"summary": 5}, "summary: not of the expected type"),
        ({"attendees": [{"email": ["x"]}]}, "attendees[0].email: not of the expected type"),
    ],
)
def test_what_cannot_be_read_is_set_aside_with_its_reason(
    fields: dict[str, Any], reason: str
) -> None:
    expected_id = "" if "id" in fields else "e1"
    assert decode(**fields) == Malformed(expected_id, reason)


def test_zero_length_is_fine() -> None:
    assert alive(start=MOMENT, end=MOMENT).start == at(2026, 3, 2, 9)
    assert alive(start=DAY, end=DAY).end == AllDay(date(2026, 3, 2))


def test_tombstones_demand_no_more_than_an_id() -> None:
    body = b'{"id":"x","status":"cancelled"}'
    assert decode_event(body) == Tombstone(id=getattr(decode_event(body), "id"))  # noqa: B009
    exception = decode_event(
        b'{"id":"x","status":"cancelled","recurringEventId":"s",'
        b'"originalStartTime":{"date":"2026-03-02"},"updated":"2026-03-01T00:00:00Z"}'
    )
    assert isinstance(exception, Tombstone)
    assert (exception.series_id, exception.original_start) == ("s", AllDay(date(2026, 3, 2)))
    assert exception.updated == datetime(2026, 3, 1, tzinfo=UTC)
    assert exception.body is None


def test_a_tombstone_with_everything_keeps_its_body() -> None:
    found = decode(status="cancelled", summary="was here")
    assert isinstance(found, Tombstone)
    assert found.body is not None
    assert (found.body.status, found.body.summary) == (EventStatus.CANCELLED, "was here")


@pytest.mark.parametrize(
    "item",
    [
        b'{"id":"bad","status":"confirmed","summary":"\\ud800 in the middle of a text"}',
        b'{"id":"bad","status":"confirmed","summary":"\xff\xfe in the middle of a text"}',
        b'{"id":"bad","status":"confirmed","summary":{"text":"secret"}}',
    ],
)
def test_one_poisoned_item_leaves_its_neighbours(item: bytes) -> None:
    good = json.dumps(event("good")).encode()
    found = decode_page(b'{"items":[' + good + b"," + item + b"," + good + b"]}").items
    assert [type(one) for one in found] == [Event, Malformed, Event]
    assert isinstance(found[1], Malformed)
    assert found[1].id == "bad"
    assert "secret" not in found[1].reason


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b"[]", b'{"items":[{"id":"a"', b'"x"', b"\xff"]
)
def test_what_is_no_json_object_is_a_broken_body(body: bytes) -> None:
    with pytest.raises(BrokenBody):
        decode_page(body)
    with pytest.raises(BrokenBody):
        decode_event(body)


@pytest.mark.parametrize(
    "envelope", [{"items": {}}, {"nextPageToken": 5}, {"nextSyncToken": {"secret": 1}}]
)
def test_an_odd_envelope_is_never_taken_for_an_empty_page(envelope: dict[str, Any]) -> None:
    with pytest.raises(RetryLater) as caught:
        decode_page(json.dumps(page(**envelope)).encode())
    assert "secret" not in str(caught.value)


def test_an_envelope_may_lack_what_is_not_needed() -> None:
    odd = page(event(), timeZone=5, accessRole=None, updated="never", nextSyncToken="")
    found = decode_page(json.dumps(odd).encode())
    assert len(found.items) == 1
    assert (found.time_zone, found.access_role, found.updated) == ("", "", None)
    assert found.next_sync_token is None
    assert decode_page(b'{"kind":"calendar#events"}').items == ()


def recorded_items() -> list[Any]:
    items: list[Any] = []
    for path in sorted(RECORDED.glob("compass-*.json")):
        content = json.loads(path.read_bytes())
        found = content.get("items", [content]) if isinstance(content, dict) else content
        items.extend(pytest.param(one, id=f"{path.stem}-{n}") for n, one in enumerate(found))
    return items


@pytest.mark.skipif(not RECORDED.is_dir(), reason="recordings are not part of the checkout")
def test_every_recorded_page_decodes_without_the_slow_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "_decode_page_slowly", pytest.fail)
    pages = 0
    for path in RECORDED.glob("compass-recur-*.json"):
        found = decode_page(path.read_bytes())
        assert found.items
        assert not [item for item in found.items if isinstance(item, Malformed)]
        assert found.time_zone == "America/Chicago"
        pages += 1
    assert pages


@pytest.mark.parametrize("item", recorded_items())
def test_every_recorded_item_decodes(item: dict[str, Any]) -> None:
    found = decode_event(json.dumps(item).encode())
    assert not isinstance(found, Malformed), found
    assert found.id == item["id"]
    assert isinstance(found, Tombstone) == (item["status"] == "cancelled")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KNOWN = st.sampled_from([*event(), "attendees", "recurrence", "summary", "conferenceData"])
TIMES = st.sampled_from(["date", "dateTime", "timeZone"])
VALUES = JSON | st.dictionaries(TIMES, JSON | st.datetimes().map(str), max_size=3)


@settings(max_examples=300)
@example(broken={"summary": "\ud800"})
@example(broken={"id": "\ud800", "summary": 5})
@given(broken=st.dictionaries(KNOWN | st.text(), VALUES, max_size=6) | JSON)
def test_no_item_aborts_its_page(broken: Any) -> None:
    item = event("bad") | broken if isinstance(broken, dict) else broken
    body = json.dumps(page(event("first"), item, event("last"), nextSyncToken="t"))
    found = decode_page(body.encode("utf-8", "surrogatepass"))
    assert len(found.items) == 3
    assert [found.items[0].id, found.items[2].id] == ["first", "last"]
    assert found.next_sync_token == "t"
