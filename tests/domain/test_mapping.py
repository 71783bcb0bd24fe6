"""Google event → Salesloft payload: each field, what is blank, what is left out."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.domain.mapping import (
    calendar_id_of,
    cancellation_of,
    content_of,
    encode,
    from_millis,
    iso,
    payload_of,
    to_millis,
)
from connector.domain.model import (
    AllDay,
    Attendee,
    Event,
    EventId,
    EventStatus,
    EventType,
    ICalUid,
    Instant,
    Person,
    ResponseStatus,
    UserGuid,
)
from connector.domain.policy import PolicyRules, classify
from tests.domain.builders import (
    CALENDAR,
    COLLEAGUE,
    ME,
    NOW,
    PROSPECT,
    RULES,
    ZONE,
    an_event,
    content,
)
from tests.values import replace

UPDATED = datetime(2026, 11, 19, 9, 0, 0, 250_000, UTC)
BUSY_KEYS = {
    "calendar_id",
    "id",
    "i_cal_uid",
    "start_time",
    "end_time",
    "status",
    "updated_at",
    "all_day",
    "transparency",
    "recurring",
}
TEXT = {"title": "", "description": "", "location": "", "organizer": "", "attendees": []}


def body(
    event: Event,
    rules: PolicyRules = RULES,
    *,
    zone: ZoneInfo = ZONE,
    blank: bool = False,
    revived: bool = False,
) -> dict[str, Any]:
    payload = payload_of(
        content(event, rules, zone),
        calendar_id=CALENDAR,
        event_id=event.id,
        ical_uid=event.ical_uid,
        updated_at=UPDATED,
        zone=zone,
        blank=blank,
        revived=revived,
    )
    sent: dict[str, Any] = json.loads(encode(payload))
    return sent


def test_a_meeting_with_a_prospect_goes_in_full() -> None:
    event = an_event(ME, PROSPECT, series_id=EventId("s1"))
    assert body(event) == {
        "calendar_id": CALENDAR,
        "id": "e1",
        "i_cal_uid": "e1@google.com",
        "start_time": "2026-11-23T09:00:00+00:00",
        "end_time": "2026-11-23T10:00:00+00:00",
        "status": "confirmed",
        "updated_at": "2026-11-19T09:00:00.250+00:00",
        "all_day": False,
        "transparency": "opaque",
        "recurring": True,
        "title": "Pitch",
        "description": "<b>Agenda</b>",
        "location": "Room 1",
        "organizer": "pam@example.com",
        "attendees": [
            {"email": "pam@example.com", "name": "Pam", "status": "accepted", "organizer": True},
            {
                "email": "dwight@customer.example.org",
                "name": "Dwight",
                "status": "tentative",
                "organizer": False,
            },
        ],
    }


def test_busy_only_keeps_what_reserves_the_slot_and_nothing_else() -> None:
    sent = body(an_event(ME, COLLEAGUE, transparent=True, status=EventStatus.TENTATIVE))
    assert set(sent) == BUSY_KEYS
    assert sent["transparency"] == "transparent"
    assert sent["status"] == "tentative"
    assert sent["recurring"] is False


@pytest.mark.parametrize("event_type", [EventType.OUT_OF_OFFICE, EventType.DEFAULT])
def test_what_once_stood_there_is_sent_blank(event_type: EventType) -> None:
    event = an_event(PROSPECT, private=True, event_type=event_type, video_link="https://v.example")
    sent = body(event, blank=True)
    assert set(sent) == BUSY_KEYS | TEXT.keys()
    assert {key: sent[key] for key in TEXT} == TEXT


def test_blanking_takes_nothing_from_a_full_event() -> None:
    assert body(an_event(PROSPECT), blank=True) == body(an_event(PROSPECT))


def test_text_goes_exactly_as_google_has_it() -> None:
    text = "  <script>x</script>\r\n\t“ü”\u200b \N{FAMILY}\u0000 "
    sent = body(an_event(PROSPECT, summary=text, description=text, location=text))
    assert sent["title"] == sent["description"] == sent["location"] == text


def test_missing_text_is_empty_not_a_placeholder() -> None:
    event = an_event(PROSPECT, summary="", description="", location="", organizer=None)
    sent = body(event)
    assert (sent["title"], sent["description"], sent["location"]) == ("", "", "")
    assert sent["organizer"] == ""


def test_the_video_link_fills_only_a_location_that_is_empty() -> None:
    link = "https://meet.google.com/aaa-bbbb-ccc"
    assert body(an_event(PROSPECT, video_link=link))["location"] == "Room 1"
    assert body(an_event(PROSPECT, video_link=link, location=""))["location"] == link
    assert body(an_event(PROSPECT, video_link=link, location=" "))["location"] == " "
    off = replace(RULES, video_link_as_location=False)
    assert body(an_event(PROSPECT, video_link=link, location=""), off)["location"] == ""
    busy = body(an_event(ME, video_link=link, location=""), blank=True)
    assert link not in json.dumps(busy)


def test_attendees_are_people_with_an_address() -> None:
    attendees = (
        PROSPECT,
        Attendee(None, "No address"),
        Attendee("room@resource.calendar.google.com", "Room", is_resource=True),
        Attendee("r2@rooms.example.com", "Room 2", is_resource=True),
        Attendee("c_1@group.calendar.google.com", "A group"),
        Attendee("x@example.com", None, ResponseStatus.DECLINED),
    )
    sent = body(an_event(*attendees))["attendees"]
    assert [one["email"] for one in sent] == ["dwight@customer.example.org", "x@example.com"]
    assert sent[1] == {
        "email": "x@example.com",
        "name": "",
        "status": "declined",
        "organizer": False,
    }


@pytest.mark.parametrize("answer", ResponseStatus)
def test_answers_are_spelled_as_salesloft_spells_them(answer: ResponseStatus) -> None:
    sent = body(an_event(replace(PROSPECT, response=answer)))
    assert sent["attendees"][0]["status"] == answer.value
    assert answer.value in ("needsAction", "accepted", "tentative", "declined")


def test_the_organizer_is_marked_and_never_added_to_the_attendees() -> None:
    host = Person("Dwight@Customer.example.org")
    sent = body(an_event(ME, PROSPECT, organizer=host))
    assert [one["organizer"] for one in sent["attendees"]] == [False, True]
    assert sent["organizer"] == "Dwight@Customer.example.org"
    sent = body(an_event(PROSPECT, organizer=Person("jim@example.com")))
    assert [one["email"] for one in sent["attendees"]] == ["dwight@customer.example.org"]
    marked = body(an_event(replace(PROSPECT, is_organizer=True), organizer=None))
    assert marked["attendees"][0]["organizer"] is True


def test_a_list_that_google_cut_off_is_left_out_if_the_whole_one_is_held() -> None:
    cut = an_event(ME, PROSPECT, attendees_omitted=True)
    verdict = classify(cut, RULES)
    assert body(cut)["attendees"] != []
    held = content_of(cut, verdict, RULES, ZONE, attendees_known=True)
    assert held.text is not None
    assert held.text.attendees is None
    complete = content_of(
        replace(cut, attendees_omitted=False), verdict, RULES, ZONE, attendees_known=True
    )
    assert complete.text is not None
    assert complete.text.attendees is not None
    assert len(complete.text.attendees) == 2


@pytest.mark.parametrize(
    ("zone", "first", "last", "start", "end"),
    [
        (
            "America/New_York",  # the day has 25 hours
            date(2026, 11, 1),
            date(2026, 11, 2),
            "2026-11-01T00:00:00-04:00",
            "2026-11-02T00:00:00-05:00",
        ),
        (
            "Asia/Kolkata",
            date(2026, 11, 20),
            date(2026, 11, 23),
            "2026-11-20T00:00:00+05:30",
            "2026-11-23T00:00:00+05:30",
        ),
        (
            "America/Sao_Paulo",  # midnight is skipped
            date(2018, 11, 4),
            date(2018, 11, 5),
            "2018-11-04T01:00:00-02:00",
            "2018-11-05T00:00:00-02:00",
        ),
        (
            "UTC",
            date(2026, 11, 20),
            date(2026, 11, 20),
            "2026-11-20T00:00:00+00:00",
            "2026-11-20T00:00:00+00:00",
        ),
    ],
)
def test_all_day_is_midnight_to_midnight_with_the_calendars_offset(
    zone: str, first: date, last: date, start: str, end: str
) -> None:
    event = an_event(start=AllDay(first), end=AllDay(last))
    sent = body(event, zone=ZoneInfo(zone))
    assert (sent["start_time"], sent["end_time"], sent["all_day"]) == (start, end, True)


def test_zero_length_is_sent() -> None:
    sent = body(an_event(start=Instant(NOW), end=Instant(NOW)))
    assert sent["start_time"] == sent["end_time"] == "2026-11-20T09:00:00+00:00"


def test_canceled_at_is_null_only_for_what_was_cancelled() -> None:
    assert "canceled_at" not in body(an_event(PROSPECT))
    assert body(an_event(PROSPECT), revived=True)["canceled_at"] is None


@pytest.mark.parametrize("blank", [False, True])
@pytest.mark.parametrize("all_day", [False, True])
def test_a_cancellation_has_ids_last_times_and_no_text(blank: bool, all_day: bool) -> None:
    payload = cancellation_of(
        calendar_id=CALENDAR,
        event_id=EventId("e1"),
        ical_uid=ICalUid("u1"),
        start=datetime(2026, 11, 20, 5, tzinfo=UTC),
        end=datetime(2026, 11, 21, 5, tzinfo=UTC),
        all_day=all_day,
        zone=ZONE,
        updated_at=UPDATED,
        canceled_at=NOW,
        blank=blank,
    )
    day = ("2026-11-20T00:00:00-05:00", "2026-11-21T00:00:00-05:00")
    times = ("2026-11-20T05:00:00+00:00", "2026-11-21T05:00:00+00:00")
    start, end = day if all_day else times
    assert json.loads(encode(payload)) == {
        "calendar_id": CALENDAR,
        "id": "e1",
        "i_cal_uid": "u1",
        "start_time": start,
        "end_time": end,
        "status": "cancelled",
        "updated_at": "2026-11-19T09:00:00.250+00:00",
        "canceled_at": "2026-11-20T09:00:00+00:00",
        **(TEXT if blank else {}),
    }


def test_calendar_id() -> None:
    assert calendar_id_of(UserGuid("00210d1a")) == "external_00210d1a"


@given(st.integers(0, 4_000_000_000_000))
def test_millis_and_back(millis: int) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis)
    assert to_millis(at) == millis
    assert from_millis(to_millis(at)) == at
    assert datetime.fromisoformat(iso(at)) == at
    assert to_millis(at + timedelta(milliseconds=1)) == to_millis(at) + 1
