"""Issue part 3, events: what enters, leaves and crosses the window."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.simulator.google import Calendar
from tests.office import Office
from tests.scenarios.steps import (
    AHEAD,
    CHANGES,
    FURTHER,
    INSIDE,
    LATER,
    PAST,
    SERIES,
    at,
    begin,
    held,
    occurrences,
    pitch,
    settle,
    weekly,
)


@pytest.mark.parametrize("to", [PAST, AHEAD], ids=["to the past", "ahead"])
async def test_moved_out_is_sent_with_its_new_time(office: Office, pam: Calendar, to: str) -> None:
    event = pitch(pam)
    await begin(office)
    pam.edit_one(event, start=at(to))
    await settle(office, sent=1, asked=CHANGES)
    assert held(office, event) == ("confirmed", to)


async def test_moved_out_ahead_then_changed_then_deleted(office: Office, pam: Calendar) -> None:
    event = pitch(pam)
    await begin(office)
    pam.edit_one(event, start=at(AHEAD))
    await settle(office, sent=1)
    pam.edit_one(event, start=at(FURTHER), summary="Later still")
    await settle(office, sent=1)
    assert held(office, event) == ("confirmed", FURTHER)
    pam.cancel_all(event)
    await settle(office, sent=1)
    assert held(office, event) == ("cancelled", FURTHER)
    pam.restore_one(event)
    pam.edit_one(event, start=at(INSIDE))
    await settle(office, sent=1)


async def test_moved_into_the_past_then_nothing_of_it_is_sent(
    office: Office, pam: Calendar
) -> None:
    event = pitch(pam)
    await begin(office)
    pam.edit_one(event, start=at(PAST))
    await settle(office, sent=1)
    pam.edit_one(event, summary="Changed in the past")
    await settle(office, sent=0)
    pam.cancel_all(event)
    await settle(office, sent=0)
    assert held(office, event) == ("confirmed", PAST)


async def test_moved_into_the_past_and_back(office: Office, pam: Calendar) -> None:
    event = pitch(pam)
    await begin(office)
    pam.edit_one(event, start=at(PAST))
    await settle(office, sent=1)
    pam.edit_one(event, start=at(LATER))
    await settle(office, sent=1)


@pytest.mark.parametrize("origin", [PAST, AHEAD], ids=["from the past", "from ahead"])
async def test_moved_in(office: Office, pam: Calendar, origin: str) -> None:
    event = pitch(pam, origin)
    await begin(office)
    assert office.held("pam") == {}
    pam.edit_one(event, start=at(INSIDE))
    await settle(office, sent=1, asked=CHANGES)


@pytest.mark.parametrize("way", [(PAST, AHEAD), (AHEAD, PAST)], ids=["onwards", "backwards"])
async def test_moved_across_without_touching_it(
    office: Office, pam: Calendar, way: tuple[str, str]
) -> None:
    event = pitch(pam, way[0])
    await begin(office)
    pam.edit_one(event, start=at(way[1]))
    await settle(office, sent=0, asked=CHANGES)
    pam.cancel_all(event)
    await settle(office, sent=0, asked=CHANGES)


async def test_moved_out_and_back_between_two_polls(office: Office, pam: Calendar) -> None:
    event = pitch(pam)
    await begin(office)
    pam.edit_one(event, start=at(AHEAD))
    pam.edit_one(event, start=at(INSIDE))
    await settle(office, sent=0, asked=CHANGES)


async def test_half_in_at_either_edge(office: Office, pam: Calendar) -> None:
    start, end = office.window("pam")
    first = pam.create("Over the edge", start - timedelta(minutes=10), minutes=30)
    last = pam.create("Into the future", end - timedelta(minutes=10), minutes=30)
    outside = [
        pam.create("Before", start - timedelta(minutes=30), minutes=30),
        pam.create("After", end, minutes=30),
    ]
    await begin(office)
    assert {event_id for event_id, _ in office.held("pam")} == {first, last}
    for event in outside:
        pam.edit_one(event, summary="Renamed")
    await settle(office, sent=0)


@pytest.mark.parametrize("to", [PAST, AHEAD], ids=["to the past", "ahead"])
@pytest.mark.parametrize("lost", [False, True], ids=["fed", "token lost"])
async def test_an_occurrence_moves_out(office: Office, pam: Calendar, to: str, lost: bool) -> None:
    series = weekly(pam)
    await begin(office)
    target = occurrences(office, series)[6]
    pam.edit_one(target.id, start=at(to))
    if lost:
        pam.expire_tokens()
    done = await settle(office, sent=1)
    assert done.cancelled == []
    assert held(office, target.id) == ("confirmed", to)


async def test_an_occurrence_outside_changes_with_its_series(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    target = occurrences(office, series)[6]
    pam.edit_one(target.id, start=at(AHEAD))
    await settle(office, sent=1)
    pam.edit_all(series, summary="Renamed")
    await settle(office, sent=17, asked=SERIES)  # the one outside, too: Salesloft holds it alive
    pam.cancel_one(target.id)
    await settle(office, sent=1, asked=SERIES)
    assert held(office, target.id) == ("cancelled", AHEAD)


async def test_an_occurrence_outside_is_compared_in_a_full_listing(
    office: Office, pam: Calendar
) -> None:
    series = weekly(pam)
    await begin(office)
    target = occurrences(office, series)[6]
    pam.edit_one(target.id, start=at(AHEAD))
    await settle(office, sent=1)
    pam.expire_tokens()
    await settle(office, sent=0)
    pam.edit_one(target.id, start=at(FURTHER))
    pam.expire_tokens()
    await settle(office, sent=1)
    assert held(office, target.id) == ("confirmed", FURTHER)


async def test_an_occurrence_moves_in(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    pam.edit_one(f"{series}_20270301T140000Z", start=at("2027-01-15T09:00"))
    await settle(office, sent=1, asked=SERIES)
    pam.edit_one(f"{series}_20270301T140000Z", start=at("2027-03-02T09:00"))
    await settle(office, sent=1, asked=SERIES)


async def test_a_series_moves_out_and_in(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    pam.edit_all(series, start=at("2027-02-01T09:00"))
    await settle(office, sent=17, asked=SERIES)
    pam.edit_all(series, start=at("2026-09-28T09:00"))
    await settle(office, sent=17, asked=SERIES)


async def test_what_waits_and_moves_out_is_not_sent_at_all(office: Office, pam: Calendar) -> None:
    await begin(office)
    office.salesloft.deny("simulated-key", "events.upsert")
    event = pitch(pam)
    await office.once()
    tried = await office.once()
    assert tried.pending == 1
    office.salesloft.allow("simulated-key", "events.upsert")
    pam.edit_one(event, start=at(AHEAD))
    await office.once()
    assert office.differences() == []
    await settle(office, sent=0)
