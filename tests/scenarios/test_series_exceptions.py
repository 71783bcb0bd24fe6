"""Issue part 1, one occurrence: moved, retitled, re-invited, cancelled, restored, and met without its series."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from connector.simulator.google import Calendar
from connector.simulator.google.truth import Occurrence
from tests.office import Office
from tests.scenarios.steps import (
    CHANGES,
    COLLEAGUE,
    PROSPECT,
    SERIES,
    WEEKLY,
    at,
    begin,
    occurrences,
    settle,
    weekly,
)

HOST = {"email": "host@buyer.example.net"}

EDITS: dict[str, Callable[[Calendar, Occurrence], object]] = {
    "moved by an hour": lambda c, o: c.edit_one(o.id, start=at("2026-11-09T10:00")),
    "moved by weeks": lambda c, o: c.edit_one(o.id, start=at("2026-12-02T15:00")),
    "moved before its series": lambda c, o: c.edit_one(o.id, start=at("2026-09-25T10:00")),
    "moved onto another": lambda c, o: c.edit_one(o.id, start=at("2026-11-16T09:00")),
    "longer": lambda c, o: c.edit_one(o.id, end=at("2026-11-09T12:00")),
    "all day": lambda c, o: c.edit_one(o.id, start=date(2026, 11, 9)),
    "in another zone": lambda c, o: c.edit_one(o.id, start=at("2026-11-09T21:00", "Asia/Tokyo")),
    "retitled": lambda c, o: c.edit_one(o.id, summary="Special"),
    "untitled": lambda c, o: c.edit_one(o.id, summary=None),
    "re-invited": lambda c, o: c.edit_one(o.id, attendees=[COLLEAGUE, PROSPECT]),
    "without the prospect": lambda c, o: c.edit_one(o.id, attendees=[COLLEAGUE]),
    "declined": lambda c, o: c.rsvp(o.id, "declined"),
    "tentative": lambda c, o: c.edit_one(o.id, status="tentative"),
    "private": lambda c, o: c.set_visibility(o.id, "private"),
    "free": lambda c, o: c.edit_one(o.id, transparency="transparent"),
    "cancelled": lambda c, o: c.cancel_one(o.id),
}


@pytest.mark.parametrize("name", EDITS)
async def test_an_edit_of_one_is_sent_once(office: Office, pam: Calendar, name: str) -> None:
    series = weekly(pam)
    await begin(office)
    EDITS[name](pam, occurrences(office, series)[6])
    await settle(office, sent=1, asked=SERIES)


@pytest.mark.parametrize("name", EDITS)
async def test_and_it_survives_an_edit_of_all(office: Office, pam: Calendar, name: str) -> None:
    series = weekly(pam)
    EDITS[name](pam, occurrences(office, series)[6])
    await begin(office)
    alive = [one for one in occurrences(office, series) if one.visibility == "default"]
    pam.edit_all(series, description="New agenda")
    without_text = name in ("private", "without the prospect")
    await settle(office, sent=len(alive) - (name == "without the prospect"), asked=SERIES)
    assert without_text or len(alive) == WEEKLY - (name == "cancelled")


async def test_answering_one_restamps_all_and_sends_one(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    for number in (1, 3, 5):
        pam.edit_one(occurrences(office, series)[number].id, summary=f"Special {number}")
    await begin(office)
    pam.rsvp(occurrences(office, series)[7].id, "tentative")
    await settle(office, sent=1, asked=SERIES)


async def test_moved_then_cancelled_then_restored(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    target = occurrences(office, series)[6]
    pam.edit_one(target.id, start=at("2026-11-11T16:00"))
    await settle(office, sent=1)
    pam.cancel_one(target.id)
    done = await settle(office, sent=1)
    assert done.cancelled[0]["start_time"] == "2026-11-11T21:00:00+00:00"
    assert done.cancelled[0]["canceled_at"]
    pam.restore_one(target.id)
    done = await settle(office, sent=1)
    assert done.alive[0]["canceled_at"] is None
    pam.cancel_one(target.id)
    await settle(office, sent=1)


async def test_cancelled_and_restored_between_two_polls(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    target = occurrences(office, series)[6]
    pam.cancel_one(target.id)
    pam.restore_one(target.id)
    await settle(office, sent=0)


async def test_cancelled_occurrences_stay_cancelled_when_the_series_changes(
    office: Office, pam: Calendar
) -> None:
    series = weekly(pam)
    await begin(office)
    for one in occurrences(office, series)[4:8]:
        pam.cancel_one(one.id)
    await settle(office, sent=4)
    pam.edit_all(series, summary="Renamed")
    await settle(office, sent=WEEKLY - 4, asked=SERIES)


async def test_an_exception_that_the_new_rule_has_no_place_for(
    office: Office, pam: Calendar
) -> None:
    series = weekly(pam)
    await begin(office)
    pam.edit_one(occurrences(office, series)[5].id, start=at("2026-11-05T09:00"))
    await settle(office, sent=1)
    pam.edit_all(series, recurrence=["RRULE:FREQ=WEEKLY;INTERVAL=2"])
    await settle(office, sent=WEEKLY // 2, asked=SERIES)


@pytest.mark.parametrize("tombstones", [True, False], ids=["bare tombstones", "no tombstones"])
async def test_exceptions_of_a_series_that_moves(
    office: Office, pam: Calendar, tombstones: bool
) -> None:
    series = weekly(pam)
    seen = occurrences(office, series)
    pam.edit_one(seen[4].id, start=at("2026-10-28T16:00"))
    pam.edit_one(seen[5].id, summary="Special")
    pam.cancel_one(seen[6].id)
    await begin(office)
    pam.edit_all(series, start=at("2026-09-28T13:00"), tombstones=tombstones)
    await settle(office, sent=2 * WEEKLY - 1)


async def test_exceptions_before_their_series_in_the_feed(office: Office, pam: Calendar) -> None:
    pam.set_quirk("exception_before_master")
    series = weekly(pam)
    for number in (2, 5, 8):
        pam.edit_one(occurrences(office, series)[number].id, start=at("2026-12-03T09:00"))
    await begin(office)
    other = weekly(pam, start=at("2026-10-20T15:00"))
    pam.edit_one(occurrences(office, other)[1].id, summary="Special")
    pam.cancel_one(occurrences(office, other)[2].id)
    await settle(office, sent=len(occurrences(office, other)))


# -- invited to one occurrence only --------------------------------------------------------------


async def test_invited_to_one_occurrence_only(office: Office, pam: Calendar) -> None:
    await begin(office)
    one = pam.invite_to_occurrence(HOST, at("2026-10-22T09:00"))
    done = await settle(office, sent=1, asked=SERIES)
    assert done.sent[0]["recurring"] is True
    pam.edit_one(one, start=at("2026-10-23T09:00"))
    await settle(office, sent=1, asked=SERIES)
    pam.rsvp(one, "declined")
    await settle(office, sent=1)
    pam.cancel_one(one)
    await settle(office, sent=1)
    pam.restore_one(one)
    await settle(office, sent=1)


async def test_invited_to_one_occurrence_before_the_first_sync(
    office: Office, pam: Calendar
) -> None:
    one = pam.invite_to_occurrence(HOST, at("2026-10-22T09:00"))
    await begin(office)
    pam.edit_one(one, summary="Elsewhere", start=at("2026-10-22T17:00"))
    await settle(office, sent=1)


async def test_an_invitation_without_its_series_moves_out_and_back(
    office: Office, pam: Calendar
) -> None:
    one = pam.invite_to_occurrence(HOST, at("2026-10-22T09:00"))
    await begin(office)
    pam.edit_one(one, start=at("2027-03-01T09:00"))
    done = await settle(office, sent=1)
    assert done.sent[0]["start_time"] == "2027-03-01T14:00:00+00:00"
    pam.edit_one(one, start=at("2026-10-29T09:00"))
    await settle(office, sent=1)


@pytest.mark.parametrize("moved_to", ["2027-03-01T09:00", "2026-08-03T09:00"], ids=["on", "back"])
async def test_an_invitation_without_its_series_moves_out_while_the_token_is_lost(
    office: Office, pam: Calendar, moved_to: str
) -> None:
    one = pam.invite_to_occurrence(HOST, at("2026-10-22T09:00"))
    await begin(office)
    pam.edit_one(one, start=at(moved_to))
    pam.expire_tokens()
    done = await settle(office, sent=1)
    assert done.cancelled == []
    assert done.sent[0]["start_time"].startswith(moved_to[:10])


async def test_two_occurrences_of_one_series_and_then_the_series_itself(
    office: Office, pam: Calendar
) -> None:
    first = pam.invite_to_occurrence(HOST, at("2026-10-22T09:00"))
    base = first.rpartition("_")[0]
    pam.invite_to_occurrence(HOST, at("2026-10-29T09:00"), series_id=base)
    await begin(office)
    pam.invite(
        HOST,
        start=at("2026-10-22T09:00"),
        recurrence=["RRULE:FREQ=WEEKLY;COUNT=4"],
        event_id=base,
        summary="The whole series",
    )
    await settle(office, asked=SERIES)
    assert len(office.alive("pam")) == 4


async def test_many_such_invitations_cost_one_window(office: Office, pam: Calendar) -> None:
    await begin(office)
    for day in range(6):
        pam.invite_to_occurrence(HOST, at("2026-10-22T09:00") + timedelta(days=day))
    await settle(office, sent=6, asked={"changes": 1, "window": 1})


async def test_invited_to_a_dozen_occurrences_of_one_series(office: Office, pam: Calendar) -> None:
    """Each stands for itself: what happens to one says nothing about the others."""
    first = pam.invite_to_occurrence(HOST, at("2026-10-22T09:00"))
    base = first.rpartition("_")[0]
    ids = [
        pam.invite_to_occurrence(HOST, at("2026-10-23T09:00") + timedelta(days=n), series_id=base)
        for n in range(12)
    ]
    await begin(office)
    pam.edit_one(ids[3], summary="Special")
    await settle(office, sent=1, asked=SERIES)
    pam.cancel_one(ids[4])
    await settle(office, sent=1, asked=SERIES)
    pam.edit_one(ids[5], start=at("2027-03-01T09:00"))
    pam.cancel_one(ids[6])
    pam.expire_tokens()
    await settle(office, sent=2)


async def test_an_exception_that_cannot_be_read_is_set_aside_alone(
    office: Office, pam: Calendar
) -> None:
    series = weekly(pam)
    await begin(office)
    target = occurrences(office, series)[6]
    pam.edit_one(target.id, summary="Special")
    pam.tamper(target.id, "end_before_start")
    pam.create("Neighbour", at("2026-10-21T09:00"))
    summary = await office.once()
    assert summary.exit_status == 1
    assert summary.users[0].set_aside == 1
    assert office.alive("pam")[target.id, target.ical_uid].title == "Weekly"
    pam.tamper(target.id)
    await settle(office, sent=1, asked=SERIES)
    assert CHANGES  # the neighbour went at once; the exception when it could be read
