"""What the machine found, each as the smallest sequence that shows it. Every one failed before its bug was mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from connector.simulator.faults import Fault
from tests.machine.driver import Company

BASE = datetime(2026, 3, 5, 9, 30, tzinfo=UTC)
PROSPECT = "dwight@customer.example.org"
Open = Callable[..., Company]


@pytest.fixture
def company() -> Iterator[Open]:
    opened: list[Company] = []

    def start(zone: str = "UTC", *, page_size: int = 250) -> Company:
        opened.append(Company(BASE, (zone,), page_size=page_size).open())
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_what_a_one_shot_gave_up_is_tried_by_the_next(company: Open) -> None:
    """Rows of twelve failures were left to the next run, which left them again, for ever."""
    it = company()
    it.quiet()
    it.clean = False
    it.office.salesloft.faults.random(1.0, ("status",))
    it.calendars[0].create("Pitch", BASE + timedelta(hours=5), attendees=[PROSPECT])
    for _ in range(5):
        it.poll()
    it.quiet()


def test_chain_of_ical_uids_outlives_an_outage(company: Open) -> None:
    """A key's cancellation waits for its successor, that one's for the next: the first was given up, and all hung."""
    it = company()
    calendar = it.calendars[0]
    meeting = calendar.create("Pitch", BASE + timedelta(hours=5), attendees=[PROSPECT])
    it.quiet()
    it.clean = False
    it.office.salesloft.faults.random(1.0, ("reset_after",))
    for uid in ("second@example.com", "third@example.com"):
        calendar.set_ical_uid(meeting, uid)
        it.poll()
    it.quiet()


def test_a_clock_set_back_does_not_put_off_retries_for_a_day(company: Open) -> None:
    """A row's next attempt was a time of day that had not come again yet."""
    it = company()
    it.quiet()
    it.clean = False
    it.office.salesloft.faults.random(1.0, ("status",))
    it.calendars[0].create("Pitch", BASE + timedelta(hours=5), attendees=[PROSPECT])
    it.keep_parts()
    it.poll()
    it.pass_time(days=-1)
    it.office.salesloft.faults.clear()
    it.poll()
    it.quiet()


def test_a_passing_404_for_a_new_series_does_not_lose_it(company: Open) -> None:
    """The series was in the feed and its occurrences answered 404 once: nothing was known of it afterwards."""
    it = company()
    it.quiet()
    it.clean = False
    error = {"errors": [{"domain": "global", "reason": "notFound"}], "code": 404, "message": "x"}
    it.office.google.faults.add(Fault("events.instances", "status", 404, {"error": error}))
    it.calendars[0].create_series("Weekly", BASE, rule="FREQ=DAILY", attendees=[PROSPECT])
    it.poll()
    it.quiet()


def test_a_clock_set_back_shows_deletions_that_were_passed_over(company: Open) -> None:
    """Deleted after it left the window, it is history; when the clock goes back it is a ghost in the window."""
    it = company()
    meeting = it.calendars[0].create("Pitch", BASE - timedelta(hours=20), attendees=[PROSPECT])
    it.quiet()
    it.pass_time(days=4)
    it.quiet()
    it.calendars[0].cancel_all(meeting)
    it.quiet()
    it.pass_time(days=-4)
    it.quiet()


def test_a_second_410_in_a_row_is_tried_again(company: Open) -> None:
    """The full listing after a lost token was itself cut off by 410, and that ended the whole run."""
    it = company(page_size=1)
    for hour in range(3):
        it.calendars[0].create("Pitch", BASE + timedelta(hours=5 + hour))
    it.quiet()
    it.clean = False
    it.calendars[0].expire_tokens()
    it.office.google.faults_google("gone_mid_pagination", times=2)
    it.poll()
    it.quiet()


@pytest.mark.parametrize("hide", [True, False], ids=["private", "deleted"])
def test_text_that_still_waits_is_not_sent_once_it_is_withheld(
    company: Open, *, hide: bool
) -> None:
    """It left the window while Salesloft was out; nothing was decided about it there, and the old text went out."""
    it = company()
    calendar = it.calendars[0]
    meeting = calendar.create("Pitch", BASE + timedelta(hours=2), attendees=[PROSPECT])
    it.quiet()
    it.clean = False
    it.office.salesloft.faults.random(1.0, ("reset_before",))
    calendar.edit_all(meeting, summary="Pitch to somebody")
    it.poll()
    it.pass_time(days=5)
    if hide:
        calendar.set_visibility(meeting, "private")
    else:
        calendar.cancel_all(meeting)
    it.quiet()


def test_a_key_that_is_no_more_is_not_sent_after_it_left_the_window(company: Open) -> None:
    """Its iCalUID changed after it had left the window, and the content of the old key still waited."""
    it = company()
    calendar = it.calendars[0]
    meeting = calendar.create("Pitch", BASE + timedelta(hours=2), attendees=[PROSPECT])
    it.read_only()
    it.pass_time(days=5)
    calendar.set_ical_uid(meeting, "second@example.com")
    it.quiet()


def test_a_lost_state_is_compared_as_soon_as_salesloft_lists_again(company: Open) -> None:
    """Its list failed while the state was rebuilt; a ghost must not stay until the weekly resync."""
    it = company()
    calendar = it.calendars[0]
    meeting = calendar.create("Pitch", BASE + timedelta(hours=5), attendees=[PROSPECT])
    it.quiet()
    it.lose_state()
    calendar.cancel_all(meeting)
    it.office.salesloft.faults.random(1.0, ("reset_before",))
    it.poll()
    it.quiet()


@pytest.mark.parametrize("hide", [True, False], ids=["private", "deleted"])
def test_moved_to_the_past_and_then_withheld_frees_the_old_slot(
    company: Open, *, hide: bool
) -> None:
    """The move still waited when the rest came: by its new time it was history, in Salesloft it stood in the window."""
    it = company()
    calendar = it.calendars[0]
    meeting = calendar.create("Pitch", BASE + timedelta(hours=5), attendees=[PROSPECT])
    it.quiet()
    calendar.move_in_time(meeting, BASE - timedelta(days=20))
    it.read_only()
    if hide:
        calendar.set_visibility(meeting, "private")
    else:
        calendar.cancel_all(meeting)
    it.quiet()
