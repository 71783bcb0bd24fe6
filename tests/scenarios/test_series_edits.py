"""Issue part 1, whole series: one edit of all of it, sent once for each occurrence whose payload differs."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from connector.simulator.google import Calendar
from tests.office import Office
from tests.scenarios.steps import (
    CHANGES,
    COLLEAGUE,
    PROSPECT,
    SERIES,
    WEEKLY,
    Edit,
    at,
    begin,
    occurrences,
    settle,
    weekly,
)

EDITS: dict[str, tuple[Edit, int]] = {
    "retitle": (lambda c, s, o: c.edit_all(s, summary="Renamed"), WEEKLY),
    "describe": (lambda c, s, o: c.edit_all(s, description="<b>Agenda</b>\n1."), WEEKLY),
    "place": (lambda c, s, o: c.edit_all(s, location="Room 4"), WEEKLY),
    "video link": (lambda c, s, o: c.edit_all(s, conference=True), WEEKLY),
    "invite": (lambda c, s, o: c.add_guest(s, COLLEAGUE), WEEKLY),
    "lose the prospect": (lambda c, s, o: c.remove_guest(s, PROSPECT["email"]), WEEKLY),
    "decline": (lambda c, s, o: c.rsvp(s, "declined"), WEEKLY),
    "tentative": (lambda c, s, o: c.edit_all(s, status="tentative"), WEEKLY),
    "free": (lambda c, s, o: c.edit_all(s, transparency="transparent"), WEEKLY),
    "private": (lambda c, s, o: c.set_visibility(s, "private"), WEEKLY),
    "longer": (lambda c, s, o: c.edit_all(s, end=at("2026-09-28T10:30")), WEEKLY),
    # Ids carry the start: another start is another occurrence.
    "later in the day": (
        lambda c, s, o: c.edit_all(s, start=at("2026-09-28T11:00")),
        2 * WEEKLY,
    ),
    "another weekday": (
        lambda c, s, o: c.edit_all(s, start=at("2026-09-29T09:00")),
        2 * WEEKLY - 1,  # the week after 12 January has its Tuesday outside the window
    ),
    "another zone": (lambda c, s, o: c.edit_all(s, time_zone="Europe/Berlin"), 2 * WEEKLY),
    "every other week": (
        lambda c, s, o: c.edit_all(s, recurrence=["RRULE:FREQ=WEEKLY;INTERVAL=2"]),
        WEEKLY // 2,
    ),
    "more days": (
        lambda c, s, o: c.edit_all(s, recurrence=["RRULE:FREQ=WEEKLY;BYDAY=MO,FR"]),
        WEEKLY - 1,
    ),
    "COUNT": (lambda c, s, o: c.edit_all(s, recurrence=["RRULE:FREQ=WEEKLY;COUNT=5"]), WEEKLY - 5),
    "UNTIL": (
        lambda c, s, o: c.edit_all(s, recurrence=["RRULE:FREQ=WEEKLY;UNTIL=20261101T045959Z"]),
        WEEKLY - 5,
    ),
    "EXDATE": (
        lambda c, s, o: c.edit_all(
            s,
            recurrence=["RRULE:FREQ=WEEKLY", "EXDATE;TZID=America/New_York:20261102T090000"],
        ),
        1,
    ),
    "RDATE": (
        lambda c, s, o: c.edit_all(
            s,
            recurrence=["RRULE:FREQ=WEEKLY", "RDATE;TZID=America/New_York:20261105T090000"],
        ),
        1,
    ),
    "timed to all-day": (
        lambda c, s, o: c.edit_all(s, start=date(2026, 9, 28)),
        2 * WEEKLY,
    ),
    "no series any more": (lambda c, s, o: c.edit_all(s, recurrence=[]), WEEKLY + 1),
    "a colour": (lambda c, s, o: c.edit_all(s, extra={"colorId": "5"}), 0),
    "touched and nothing else": (lambda c, s, o: c.edit_all(s), 0),
    "a field that nobody knows": (lambda c, s, o: c.tamper(s, "unknown_field"), 0),
}


@pytest.mark.parametrize("name", EDITS)
async def test_an_edit_of_all_is_sent_for_what_differs(
    office: Office, pam: Calendar, name: str
) -> None:
    series = weekly(pam)
    await begin(office)
    edit, sent = EDITS[name]
    edit(pam, series, occurrences(office, series))
    asked = CHANGES if name == "no series any more" else SERIES
    await settle(office, sent=sent, asked=asked)


async def test_reminders_are_nobodys_business(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    pam.set_reminders(series, 5)
    await settle(office, sent=0, asked=CHANGES)


@pytest.mark.parametrize(
    "lines",
    [
        ["RRULE:FREQ=WEEKLY;COUNT=12"],
        ["RRULE:FREQ=WEEKLY;UNTIL=20261231T000000Z"],
        ["RRULE:FREQ=WEEKLY"],
    ],
    ids=["COUNT", "UNTIL", "for ever"],
)
async def test_a_series_goes_on_for_longer(office: Office, pam: Calendar, lines: list[str]) -> None:
    series = weekly(pam, rule="FREQ=WEEKLY;COUNT=4")
    await begin(office)
    pam.edit_all(series, recurrence=lines)
    await settle(office, sent=len(occurrences(office, series)) - 4, asked=SERIES)


async def test_an_all_day_series_gets_an_hour(office: Office, pam: Calendar) -> None:
    series = pam.create_series("Days", date(2026, 10, 5), rule="FREQ=WEEKLY", attendees=[PROSPECT])
    await begin(office)
    days = len(occurrences(office, series))
    pam.edit_all(series, start=at("2026-10-05T09:00"))
    await settle(office, sent=2 * days, asked=SERIES)


async def test_a_single_event_becomes_a_series(office: Office, pam: Calendar) -> None:
    event = pam.create("Once", at("2026-10-21T09:00"), attendees=[PROSPECT])
    await begin(office)
    pam.edit_all(event, recurrence=["RRULE:FREQ=WEEKLY;COUNT=3"])
    done = await settle(office, sent=4, asked=SERIES)
    assert [body["id"] for body in done.cancelled] == [event]


async def test_a_series_changes_to_single_and_back(office: Office, pam: Calendar) -> None:
    series = weekly(pam, rule="FREQ=WEEKLY;COUNT=5")
    await begin(office)
    pam.edit_all(series, recurrence=[])
    await settle(office, sent=6)
    pam.edit_all(series, recurrence=["RRULE:FREQ=WEEKLY;COUNT=5"])
    await settle(office, sent=6)


async def test_a_shifted_start_and_its_way_back(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    pam.edit_all(series, start=at("2026-09-28T11:00"))
    await settle(office, sent=2 * WEEKLY)
    pam.edit_all(series, start=at("2026-09-28T09:00"))
    done = await settle(office, sent=2 * WEEKLY)
    assert all(body["canceled_at"] is None for body in done.alive)


async def test_several_edits_between_two_polls_are_one(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    for number in range(5):
        pam.edit_all(series, summary=f"Title {number}")
    pam.edit_all(series, start=at("2026-09-28T11:00"))
    pam.edit_all(series, start=at("2026-09-28T09:00"))
    await settle(office, sent=WEEKLY, asked=SERIES)


async def test_many_touched_series_cost_one_window(office: Office, pam: Calendar) -> None:
    series = [
        weekly(pam, start=at("2026-10-19T09:00") + timedelta(hours=hour), rule="FREQ=DAILY;COUNT=3")
        for hour in range(6)
    ]
    await begin(office)
    for one in series:
        pam.edit_all(one, location="Room 2")
    await settle(office, sent=18, asked={"changes": 1, "window": 1})


async def test_series_made_and_deleted_between_two_polls(office: Office, pam: Calendar) -> None:
    await begin(office)
    pam.cancel_all(weekly(pam))
    await settle(office, sent=0)


async def test_lines_that_make_no_sense_disturb_nobody(office: Office, pam: Calendar) -> None:
    weekly(pam, rule="DATE;20261005", lines=["RRULE:FREQ=WEEKLY;COUNT=3"])
    pam.create("Neighbour", at("2026-10-21T09:00"))
    await begin(office)
    pam.create("Another", at("2026-10-21T10:00"))
    await settle(office, sent=1, asked=CHANGES)
