"""A meeting booked in Salesloft → an event of Google: its id, its guests, its times."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.domain.booking import (
    BookedMeeting,
    Step,
    Unbookable,
    event_body,
    event_id_of,
    event_times,
    is_at,
    moved_times,
    next_step,
)
from connector.domain.model import AllDay, Event, EventId, EventStatus, ICalUid, Instant, UserGuid
from tests.values import replace

GUID = UserGuid("00210d1a-df8a-459f-af75-89b953b618b0")
AT = datetime(2026, 11, 10, 15, tzinfo=UTC)
OURS = event_id_of(GUID, "1")


def meeting(**changes: Any) -> BookedMeeting:
    plain = BookedMeeting(
        id="1",
        calendar_id=f"external_{GUID}",
        status="pending",
        reschedule_status="",
        start=AT,
        end=AT + timedelta(minutes=30),
        all_day=False,
        event_id="",
        canceled=False,
        time_zone="Europe/Berlin",
        owner="pam@example.com",
    )
    return replace(plain, **changes)


def guests_of(body: dict[str, Any]) -> list[str]:
    return [guest["email"] for guest in body.get("attendees", ())]


@given(st.text(), st.text())
def test_an_event_id_is_one_that_google_takes(guid: str, number: str) -> None:
    assert re.fullmatch(r"[a-v0-9]{5,1024}", event_id_of(UserGuid(guid), number))


def test_an_event_id_is_for_ever_the_same() -> None:
    assert OURS == "sl2lrspvbtr4f72d9l030pmsd1a8"
    assert event_id_of(UserGuid(GUID.upper()), "1") == OURS


@given(st.uuids(), st.uuids(), st.integers(min_value=1), st.integers(min_value=1))
def test_meetings_and_users_do_not_share_an_event_id(
    one: Any, other: Any, first: int, second: int
) -> None:
    same = (one, first) == (other, second)
    ids = (
        event_id_of(UserGuid(str(one)), str(first)),
        event_id_of(UserGuid(str(other)), str(second)),
    )
    assert (ids[0] == ids[1]) is same


ADDRESSES = st.sampled_from(
    ["ann@example.org", "bob@example.net", "pam@example.com", "ceo@example.org"]
)


@given(
    ADDRESSES,
    st.lists(st.builds(lambda a, up: a.upper() if up else f" {a} ", ADDRESSES, st.booleans())),
)
def test_everybody_is_invited_once_but_the_seller(recipient: str, guests: list[str]) -> None:
    body = event_body(
        meeting(recipient=(recipient, "Ann"), guests=tuple(guests)),
        OURS,
        own_addresses=["PAM@example.com"],
    )
    invited = [email.lower() for email in guests_of(body)]
    wanted = {recipient, *(guest.strip().lower() for guest in guests)} - {"pam@example.com"}
    assert (sorted(invited), "attendees" in body) == (sorted(wanted), bool(wanted))


def test_what_is_no_address_is_not_invited() -> None:
    body = event_body(meeting(recipient=("", ""), guests=("", "room 5", "ann@example.org")), OURS)
    assert guests_of(body) == ["ann@example.org"]


def test_empty_texts_are_left_out_and_others_go_as_they_are() -> None:
    plain = event_body(meeting(), OURS)
    assert set(plain) == {"id", "summary", "start", "end", "extendedProperties"}
    full = event_body(meeting(title=" A & B ", description="<b>x</b>", location=" 1 "), OURS)
    assert (full["summary"], full["description"], full["location"]) == (
        " A & B ",
        "<b>x</b>",
        " 1 ",
    )


def test_a_conference_is_asked_for_under_one_id_for_ever() -> None:
    first, second = (event_body(meeting(), OURS, conference=True) for _ in range(2))
    assert first == second
    assert first["conferenceData"]["createRequest"]["requestId"] == OURS


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "", "No/Zone", "../etc"]
    ),
)
def test_times_are_the_same_moment_in_any_zone(start: datetime, zone: str) -> None:
    told = meeting(start=start, end=start + timedelta(minutes=45), time_zone=zone)
    times = event_times(told)
    for name, moment in (("start", told.start), ("end", told.end)):
        assert moment is not None
        assert datetime.fromisoformat(times[name]["dateTime"]) == moment.replace(microsecond=0)


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        (datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC), ("10", "11")),
        (
            datetime(2026, 11, 9, 23, tzinfo=UTC),
            datetime(2026, 11, 11, 23, tzinfo=UTC),
            ("10", "12"),
        ),
        (datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 10, tzinfo=UTC), ("10", "11")),
    ],
    ids=["bare-dates", "midnights-in-berlin", "no-length"],
)
def test_whole_days_are_the_owners_days(
    start: datetime, end: datetime, days: tuple[str, str]
) -> None:
    times = event_times(meeting(start=start, end=end, all_day=True))
    assert (times["start"], times["end"]) == tuple({"date": f"2026-11-{day}"} for day in days)


@pytest.mark.parametrize(
    "changes", [{"start": None}, {"end": None}, {"end": AT - timedelta(minutes=1)}]
)
def test_a_meeting_without_sensible_times_is_unbookable(changes: dict[str, Any]) -> None:
    with pytest.raises(Unbookable):
        event_body(meeting(**changes), OURS)


def test_a_move_takes_away_the_other_kind_of_time() -> None:
    timed, whole = (
        moved_times(meeting()),
        moved_times(meeting(start=AT.replace(hour=0), all_day=True)),
    )
    assert (timed["start"]["date"], whole["start"]["dateTime"]) == (None, None)


@pytest.mark.parametrize(
    ("changes", "known", "step"),
    [
        ({}, None, Step.BOOK),
        ({"status": "retry"}, "failed", Step.BOOK),
        ({"status": "failed"}, None, Step.NOTHING),
        ({"status": "booked"}, "booked", Step.NOTHING),
        ({"status": "booked"}, "moving", Step.MOVE),
        ({"status": "booked", "reschedule_status": "pending"}, None, Step.MOVE),
        ({"status": "booked", "reschedule_status": "retry"}, "booked", Step.MOVE),
        ({"status": "booked", "reschedule_status": "failed"}, "failed", Step.NOTHING),
        ({"canceled": True}, None, Step.NOTHING),
        ({"canceled": True}, "booking", Step.CANCEL),
        ({"canceled": True}, "moving", Step.CANCEL),
        ({"canceled": True}, "cancelled", Step.NOTHING),
        ({"canceled": True, "event_id": "of-somebody"}, None, Step.NOTHING),
        ({"canceled": True, "event_id": OURS}, None, Step.CANCEL),
    ],
)
def test_what_is_to_be_done(changes: dict[str, Any], known: str | None, step: Step) -> None:
    assert next_step(meeting(**changes), OURS, known) is step


def event(start: Any, end: Any) -> Event:
    return Event(EventId("e"), ICalUid("e@google.com"), EventStatus.CONFIRMED, start, end)


def test_an_event_is_where_its_meeting_is() -> None:
    half = AT + timedelta(minutes=30)
    timed = event(Instant(AT), Instant(half))
    day = event(AllDay(date(2026, 11, 10)), AllDay(date(2026, 11, 11)))
    whole = meeting(
        start=AT.replace(hour=0), end=AT.replace(hour=0) + timedelta(days=1), all_day=True
    )
    assert is_at(timed, meeting(start=AT.replace(microsecond=5)))
    assert not is_at(timed, meeting(end=AT + timedelta(hours=1)))
    assert is_at(day, whole)
    assert not is_at(timed, whole)
    assert not is_at(day, meeting())
