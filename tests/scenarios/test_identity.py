"""Issue part 6: moves between calendars, one id in two calendars, another iCalUID, copies of one meeting."""

from __future__ import annotations

from connector.simulator.google import Calendar
from tests.office import Office, guid_of
from tests.scenarios.steps import (
    CHANGES,
    COLLEAGUE,
    PROSPECT,
    WEEKLY,
    at,
    begin,
    cycle,
    occurrences,
    settle,
    weekly,
)

PAM, JIM = f"external_{guid_of('pam')}", f"external_{guid_of('jim')}"


async def test_an_event_moves_to_another_calendar(office: Office, pam: Calendar) -> None:
    jim = office.hire("jim")
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    await begin(office)
    pam.move_to(event, jim)
    done = await settle(office, sent=2, asked={"changes": 2})
    assert [body["calendar_id"] for body in done.cancelled] == [PAM]
    assert [body["calendar_id"] for body in done.alive] == [JIM]
    assert {body["id"] for body in done.sent} == {event}
    jim.move_to(event, pam)
    done = await settle(office, sent=2)
    assert [body["calendar_id"] for body in done.cancelled] == [JIM]


async def test_a_series_with_exceptions_moves_to_another_calendar(
    office: Office, pam: Calendar
) -> None:
    jim = office.hire("jim")
    series = weekly(pam)
    seen = occurrences(office, series)
    pam.edit_one(seen[4].id, start=at("2026-10-28T16:00"))
    pam.cancel_one(seen[6].id)
    await begin(office)
    pam.move_to(series, jim)
    await settle(office, sent=2 * (WEEKLY - 1))
    assert office.alive("pam") == {}


async def test_an_event_moves_to_a_calendar_that_nobody_reads(
    office: Office, pam: Calendar
) -> None:
    team = office.google.add_calendar(
        "pam@example.com", calendar_id="team@group.calendar.google.com"
    )
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    await begin(office)
    pam.move_to(event, team)
    await settle(office, sent=1, asked=CHANGES)


async def test_one_id_in_two_calendars(office: Office, pam: Calendar) -> None:
    jim = office.hire("jim")
    for calendar, hour in ((pam, 9), (jim, 10)):
        calendar.create(
            f"Of {calendar.id}",
            at("2026-10-22T09:00").replace(hour=hour),
            event_id="thesameid",
            ical_uid="thesameid@google.com",
            attendees=[PROSPECT],
        )
    await begin(office)
    pam.edit_one("thesameid", summary="Pam's")
    done = await settle(office, sent=1)
    assert done.sent[0]["calendar_id"] == PAM
    jim.cancel_all("thesameid")
    done = await settle(office, sent=1)
    assert done.sent[0]["calendar_id"] == JIM
    assert len(office.alive("pam")) == 1


async def test_copies_of_one_meeting(office: Office, pam: Calendar) -> None:
    """Google gives every attendee a copy under the same id and iCalUID; each is its own user's."""
    jim = office.hire("jim")
    guests = [COLLEAGUE, PROSPECT]
    await begin(office)
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=guests, event_id="pitch00001")
    jim.invite(
        "pam@example.com",
        "Pitch",
        start=at("2026-10-22T09:00"),
        attendees=[{"email": "pam@example.com"}, *guests],
        event_id=event,
        ical_uid=f"{event}@google.com",
    )
    done = await settle(office, sent=2)
    assert {body["calendar_id"] for body in done.sent} == {PAM, JIM}
    jim.rsvp(event, "declined")
    await settle(office, sent=1)
    assert next(iter(office.alive("jim").values())).transparency == "transparent"
    assert next(iter(office.alive("pam").values())).transparency == "opaque"
    for calendar in (pam, jim):
        calendar.edit_one(event, start=at("2026-10-22T11:00"))
    await settle(office, sent=2)
    jim.cancel_all(event)
    await settle(office, sent=1)


async def test_another_ical_uid_under_the_same_id(office: Office, pam: Calendar) -> None:
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT], location="Room 1")
    await begin(office)
    pam.set_ical_uid(event, "other@customer.example.org")
    done = await settle(office, sent=2, asked=CHANGES)
    # First the new key, then the old one goes: never a moment without the meeting.
    assert [(b["i_cal_uid"], b["status"]) for b in done.sent] == [
        ("other@customer.example.org", "confirmed"),
        (f"{event}@google.com", "cancelled"),
    ]
    pam.set_ical_uid(event, f"{event}@google.com")
    done = await settle(office, sent=2)
    assert [b["status"] for b in done.sent] == ["confirmed", "cancelled"]


async def test_another_ical_uid_while_the_token_is_lost(office: Office, pam: Calendar) -> None:
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    series = weekly(pam)
    await begin(office)
    pam.set_ical_uid(event, "other@customer.example.org")
    pam.set_ical_uid(series, "series@customer.example.org")
    pam.expire_tokens()
    await settle(office, sent=2 * (1 + WEEKLY))


async def test_another_ical_uid_of_a_series(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    pam.edit_one(occurrences(office, series)[3].id, summary="Special")
    await begin(office)
    pam.set_ical_uid(series, "series@customer.example.org")
    done = await settle(office, sent=2 * WEEKLY)
    assert len(done.cancelled) == WEEKLY


async def test_the_old_key_stays_until_the_new_one_is_accepted(
    office: Office, pam: Calendar
) -> None:
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    await begin(office)
    office.salesloft.refuse_event(event)
    pam.set_ical_uid(event, "other@customer.example.org")
    summary = await office.once()
    assert summary.exit_status == 1
    assert office.alive("pam")[event, f"{event}@google.com"].title == "Pitch"
    office.salesloft.accept_event(event)
    pam.edit_one(event, summary="Pitch again")
    await settle(office, sent=2)
    assert list(office.alive("pam")) == [(event, "other@customer.example.org")]


async def test_cancelled_and_made_anew_with_the_same_uid(office: Office, pam: Calendar) -> None:
    """Deleted and imported again: another id under the same iCalUID is another event."""
    first = pam.create("Pitch", at("2026-10-22T09:00"), ical_uid="uid@customer.example.org")
    await begin(office)
    pam.cancel_all(first)
    second = pam.create("Pitch", at("2026-10-22T09:00"), ical_uid="uid@customer.example.org")
    done = await settle(office, sent=2)
    assert {body["id"] for body in done.sent} == {first, second}


async def test_two_users_share_one_state_and_one_team(office: Office, pam: Calendar) -> None:
    jim = office.hire("jim", "Europe/Berlin")
    series = [weekly(pam), weekly(jim)]
    await begin(office)
    pam.edit_all(series[0], summary="Pam's")
    done = await cycle(office)
    assert {body["calendar_id"] for body in done.sent} == {PAM}
    jim.edit_all(series[1], summary="Jim's")
    done = await settle(office, sent=WEEKLY)
    assert {body["calendar_id"] for body in done.sent} == {JIM}
