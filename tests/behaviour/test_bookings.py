"""Meetings booked in Salesloft reach Google once, and come back as booked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from connector.app import run_dry
from connector.domain.booking import event_id_of
from connector.domain.model import UserGuid
from connector.settings.files import load_settings
from connector.simulator.faults import Fault
from tests.behaviour.test_crash_points import Death, Reaper
from tests.office import Office, guid_of, open_office

TOMORROW = datetime.now(UTC).replace(microsecond=0, second=0, minute=0) + timedelta(days=1)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        opened.bookings = True
        opened.hire("pam")
        await opened.once(full=True)
        yield opened


def book(office: Office, **more: object) -> int:
    details = {
        "start": TOMORROW,
        "end": TOMORROW + timedelta(minutes=30),
        "recipient_email": "dwight@customer.example.org",
        "recipient_name": "Dwight",
        "title": " Paper & <b>more</b> ",
        "guests": ["angela@buyer.example.net", "DWIGHT@customer.example.org", "pam@example.com"],
        "location": "Phone",
        "description": "<p>Agenda</p>",
        **more,
    }
    return office.salesloft.book_meeting(guid_of("pam"), **details)  # type: ignore[arg-type]


def seen(office: Office) -> list:  # type: ignore[type-arg]
    return list(office.sellers["pam"].truth(*office.window("pam")))


async def test_a_booking_reaches_google_whole_and_comes_back_as_booked(office: Office) -> None:
    number = book(office)
    await office.once()
    (event,) = seen(office)
    meeting = office.salesloft.meeting(number)
    assert event.id == event_id_of(UserGuid(guid_of("pam")), str(number)) == meeting.event_id
    assert (meeting.status, meeting.i_cal_uid) == ("booked", event.ical_uid)
    assert event.summary == " Paper & <b>more</b> "
    assert (event.location, event.description) == ("Phone", "<p>Agenda</p>")
    assert event.start.astimezone(UTC) == TOMORROW
    assert sorted(guest.email for guest in event.attendees) == [
        "angela@buyer.example.net",
        "dwight@customer.example.org",
    ]


async def test_its_event_is_upserted_once_with_the_same_ids_and_then_all_is_quiet(
    office: Office,
) -> None:
    book(office)
    await office.once()
    await office.once()
    assert office.differences() == []
    before = (len(office.upserts()), office.google.calendars["pam@example.com"].rows.copy())
    puts = office.salesloft.count("meetings.update")
    await office.once()
    assert (len(office.upserts()), office.google.calendars["pam@example.com"].rows) == before
    assert office.salesloft.count("meetings.update") == puts


async def test_an_idle_round_costs_two_points(office: Office) -> None:
    await office.once()
    before = office.salesloft.count("meetings.list")
    await office.once()
    assert office.salesloft.count("meetings.list") - before == 2


@pytest.mark.parametrize("filtered", [True, False])
async def test_a_reschedule_moves_the_event(office: Office, filtered: bool) -> None:
    office.salesloft.switches.pending_includes_reschedules = filtered
    number = book(office)
    await office.once()
    later = TOMORROW + timedelta(hours=3)
    office.salesloft.reschedule_meeting(number, later, later + timedelta(minutes=30))
    await office.once()
    (event,) = seen(office)
    assert event.start.astimezone(UTC) == later
    assert office.salesloft.meeting(number).reschedule_status == "booked"


async def test_a_reschedule_of_an_event_that_is_gone_is_marked_failed(office: Office) -> None:
    number = book(office)
    await office.once()
    office.sellers["pam"].cancel_one(office.salesloft.meeting(number).event_id or "")
    later = TOMORROW + timedelta(hours=3)
    office.salesloft.reschedule_meeting(number, later, later + timedelta(minutes=30))
    await office.once()
    assert office.salesloft.meeting(number).reschedule_status == "failed"
    assert seen(office) == []


async def test_a_cancellation_cancels_our_event_and_only_ours(office: Office) -> None:
    number = book(office)
    office.sellers["pam"].create("Own", TOMORROW)
    await office.once()
    office.salesloft.cancel_meeting(number)
    await office.once()
    assert [event.summary for event in seen(office)] == ["Own"]


async def test_a_meeting_cancelled_before_it_was_booked_is_not_booked(office: Office) -> None:
    number = book(office)
    office.salesloft.cancel_meeting(number)
    await office.once()
    assert seen(office) == []
    assert not office.google.calendars["pam@example.com"].rows


async def test_what_the_seller_removed_is_not_booked_anew(office: Office) -> None:
    number = book(office)
    await office.once()
    meeting = office.salesloft.meeting(number)
    office.sellers["pam"].cancel_one(meeting.event_id or "")
    meeting.status, meeting.updated_at = "pending", office.clock()
    await office.once()
    assert meeting.status == "failed"
    assert seen(office) == []


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "status", "truncate"])
@pytest.mark.parametrize(
    "route", ["events.insert", "events.get", "meetings.list", "meetings.update"]
)
async def test_a_fault_at_any_call_of_a_booking_books_once(
    office: Office, route: str, kind: str
) -> None:
    number = book(office)
    world = office.google if route.startswith("events") else office.salesloft
    world.faults.add(Fault(route, kind=kind, status=503, times=3))  # type: ignore[arg-type]
    await office.once()
    world.faults.clear()
    await office.once()
    await office.once()
    assert office.salesloft.meeting(number).status == "booked"
    assert [event.id for event in seen(office)] == [office.salesloft.meeting(number).event_id]


async def test_without_the_write_scope_meetings_stay_pending_and_reading_goes_on(
    office: Office,
) -> None:
    number = book(office)
    office.google.faults.add(
        Fault(
            "events.insert",
            status=403,
            times=None,
            body={"error": {"code": 403, "errors": [{"reason": "insufficientPermissions"}]}},
        )
    )
    office.sellers["pam"].create("Own", TOMORROW)
    await office.once()
    assert office.salesloft.meeting(number).status == "pending"
    assert office.differences() == []


async def test_disabled_for_a_user_nothing_is_booked(office: Office) -> None:
    office.configure("pam", extra="[bookings]\nenabled = false\n")
    number = book(office)
    await office.once()
    assert office.salesloft.meeting(number).status == "pending"
    assert seen(office) == []


async def test_what_google_will_never_take_is_marked_failed(office: Office) -> None:
    number = book(office, end=TOMORROW - timedelta(hours=1))
    summary = await office.once()
    assert office.salesloft.meeting(number).status == "failed"
    assert summary.exit_status == 1


async def die_at_a_call(office: Office, reaper: Reaper) -> None:
    """One run that dies at the reaper's request to either service, if it makes so many."""
    request = aiohttp.ClientSession._request

    async def request_or_die(self: aiohttp.ClientSession, *args: Any, **kwargs: Any) -> Any:
        return await reaper.step(lambda: request(self, *args, **kwargs))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiohttp.ClientSession, "_request", request_or_die)
        try:
            await office.once()
        except Death:
            return
        except BaseExceptionGroup as group:
            if group.split(Death)[1] is not None:
                raise


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_death_at_any_call_of_a_booking_books_moves_and_cancels_once(
    office: Office, after: bool
) -> None:
    at, struck = 0, True
    while struck:
        at += 1
        struck = False
        number = book(office)
        meeting = office.salesloft.meeting(number)

        reaper = Reaper(at, after)
        await die_at_a_call(office, reaper)
        struck |= reaper.struck
        await office.once()
        assert meeting.status == "booked", at
        assert [event.id for event in seen(office)] == [meeting.event_id], at

        later = TOMORROW + timedelta(hours=at)
        office.salesloft.reschedule_meeting(number, later, later + timedelta(minutes=30))
        reaper = Reaper(at, after)
        await die_at_a_call(office, reaper)
        struck |= reaper.struck
        await office.once()
        assert meeting.reschedule_status == "booked", at
        assert [event.start.astimezone(UTC) for event in seen(office)] == [later], at

        office.salesloft.cancel_meeting(number)
        reaper = Reaper(at, after)
        await die_at_a_call(office, reaper)
        struck |= reaper.struck
        await office.once()
        assert seen(office) == [], at
    assert at > 5
    await office.once()
    assert office.differences() == []


async def test_the_scope_for_writing_is_asked_for_in_a_token_of_its_own(office: Office) -> None:
    read_only = "https://www.googleapis.com/auth/calendar.events.readonly"
    office.google.grant_scopes("pam@example.com", [read_only])
    number = book(office)
    office.sellers["pam"].create("Own", TOMORROW)
    with capture_logs() as said:
        summary = await office.once()
    assert summary.exit_status == 1
    assert office.salesloft.meeting(number).status == "pending"
    assert office.differences() == []
    assert "https://www.googleapis.com/auth/calendar.events " in repr(said)
    office.google.grant_scopes(
        "pam@example.com", [read_only, "https://www.googleapis.com/auth/calendar.events"]
    )
    await office.once()
    assert office.salesloft.meeting(number).status == "booked"


async def test_no_text_and_no_address_of_a_booking_is_logged(office: Office) -> None:
    book(office)
    book(office, guests=["nobody at all@"], end=TOMORROW - timedelta(hours=1))
    office.google.faults.add(Fault("events.insert", kind="truncate"))
    with capture_logs() as said:
        await office.once()
        await office.once()
    assert any(line["event"] == "booking_failed" for line in said)
    for secret in ("Paper", "Agenda", "Phone", "@", "Dwight"):
        assert secret not in repr(said)


async def test_a_dry_run_books_nothing(office: Office) -> None:
    number = book(office)
    await run_dry(load_settings(office.config), asyncio.Event(), full=False, show=lambda *_: None)
    assert office.salesloft.meeting(number).status == "pending"
    assert not office.google.calendars["pam@example.com"].rows


async def test_a_conference_is_asked_for_where_it_is_configured(office: Office) -> None:
    office.configure("pam", extra='[bookings]\nconference = "hangoutsMeet"\n')
    book(office)
    await office.once()
    (event,) = seen(office)
    assert (event.video_link or "").startswith("https://meet.google.com/")


async def test_whole_days_stay_whole_days(office: Office) -> None:
    day = TOMORROW.replace(hour=0)
    book(office, start=day, end=day + timedelta(days=2), all_day=True)
    await office.once()
    (event,) = seen(office)
    assert (event.all_day, event.start, event.end) == (
        True,
        day.date(),
        day.date() + timedelta(days=2),
    )
