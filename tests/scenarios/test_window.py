"""Issue part 3: what enters, leaves and crosses the window, and the window itself moving with the clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.simulator.google import Calendar
from tests.office import Office
from tests.scenarios.steps import (
    CHANGES,
    GONE,
    PROSPECT,
    RESYNC,
    SERIES,
    Clock,
    at,
    begin,
    cycle,
    occurrences,
    settle,
    weekly,
)

PAST, INSIDE, LATER, AHEAD, FURTHER = (
    "2026-08-20T09:00",
    "2026-10-22T09:00",
    "2026-12-02T09:00",
    "2027-03-01T09:00",
    "2027-06-01T09:00",
)
ROLL = {"changes": 1, "window": 1}
"""What a day costs: the feed, and one listing of the new day."""


def pitch(pam: Calendar, when: str = INSIDE) -> str:
    return pam.create("Pitch", at(when), attendees=[PROSPECT])


def held(office: Office, event_id: str) -> tuple[str | None, str]:
    """How Salesloft holds an event: its status, and its start in New York."""
    (event,) = [e for (held_id, _), e in office.held("pam").items() if held_id == event_id]
    local = event.start.astimezone(office.sellers["pam"].zone)
    return event.status, f"{local:%Y-%m-%dT%H:%M}"


@pytest.fixture(autouse=True)
def never_listed_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """No weekly full listing on the days that pass here: it would hide what the horizon alone does."""
    monkeypatch.setattr("connector.sync.cycle.full_resync_is_due", lambda *_: False)


# -- an event moves ------------------------------------------------------------------------------


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


# -- the clock moves -----------------------------------------------------------------------------


async def test_the_horizon_rolls_by_listing_only_the_new_day(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    weekly(pam, rule="FREQ=DAILY")
    far = pitch(pam, "2027-01-20T09:00")
    await begin(office)
    clock.advance(days=1)
    done = await settle(office, sent=1, asked=ROLL)
    assert done.window_asked() == [("2027-01-19T04:59:59Z", "2027-01-20T05:00:00Z")]
    clock.advance(days=1)
    done = await settle(office, sent=2, asked=ROLL)
    assert far in {body["id"] for body in done.sent}


async def test_the_day_ends_at_midnight_of_the_calendar(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    weekly(pam, rule="FREQ=DAILY")
    clock.at = at("2026-10-20T23:59:30")
    await begin(office)
    clock.advance(seconds=29)
    await settle(office, sent=0, asked=CHANGES)
    clock.advance(seconds=1)
    await settle(office, sent=1, asked=ROLL)


async def test_the_past_edge_cancels_nothing(office: Office, pam: Calendar, clock: Clock) -> None:
    series = weekly(pam, start=at("2026-09-20T09:00"), rule="FREQ=DAILY;COUNT=20")
    single = pitch(pam, "2026-09-21T13:00")
    await begin(office)
    for _ in range(5):
        clock.advance(days=1)
        await settle(office, sent=0, asked=ROLL)
    assert held(office, single) == ("confirmed", "2026-09-21T13:00")
    pam.cancel_all(single)  # history is not rewritten
    await settle(office, sent=0)
    pam.edit_all(series, summary="Renamed")
    await settle(office, sent=15, asked=SERIES)
    pam.cancel_all(series)
    await settle(office, sent=15, asked=CHANGES)
    assert sum(e.status == "confirmed" for e in office.held("pam").values()) == 6


@pytest.mark.parametrize("lost", [False, True], ids=["token good", "token lost"])
async def test_three_weeks_off(office: Office, pam: Calendar, clock: Clock, lost: bool) -> None:
    series = weekly(pam, rule="FREQ=DAILY")
    other = weekly(pam, start=at("2026-10-01T15:00"))
    gone = pitch(pam, LATER)
    soon = pitch(pam, "2027-02-01T12:00")
    await begin(office)
    clock.advance(days=7)
    pam.cancel_all(gone)
    pam.edit_one(f"{series}_20261215T140000Z", start=at("2027-02-02T16:00"))
    clock.advance(days=7)
    pam.edit_all(other, summary="Renamed")
    clock.advance(days=7)
    if lost:
        pam.expire_tokens()
    fed = {"changes": 1, "window": 1, "instances": 2}
    done = await settle(office, asked={**RESYNC, **GONE} if lost else fed)
    assert soon in {body["id"] for body in done.sent}
    assert [body["id"] for body in done.cancelled] == [gone]


async def test_off_for_longer_than_the_window(office: Office, pam: Calendar, clock: Clock) -> None:
    weekly(pam, rule="FREQ=DAILY")
    await begin(office)
    clock.advance(days=200)
    await settle(office, sent=121, asked=ROLL)
    assert all(event.status == "confirmed" for event in office.held("pam").values())


async def test_a_year_passes_week_by_week(office: Office, pam: Calendar, clock: Clock) -> None:
    weekly(pam)
    pam.create_series("Monthly", at("2026-09-30T09:00"), rule="FREQ=MONTHLY")
    await begin(office)
    for _ in range(12):
        clock.advance(days=7)
        await cycle(office)
        assert office.differences() == []
    await settle(office, sent=0, asked=CHANGES)


@pytest.mark.parametrize("days", [1, 10, 60, 300])
async def test_the_clock_jumps_back_and_forth(
    office: Office, pam: Calendar, clock: Clock, days: int
) -> None:
    weekly(pam, start=at("2025-01-06T09:00"))
    pitch(pam, "2026-09-15T09:00")
    pitch(pam, "2027-01-18T09:00")
    await begin(office)
    before = clock.at
    clock.advance(days=-days)
    await settle(office, asked=ROLL)
    clock.at = before
    done = await settle(office, sent=0, asked=ROLL)
    assert done.cancelled == []


async def test_edits_beyond_a_horizon_that_came_back(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    """While the clock is wrong, days beyond its horizon stay true: Salesloft holds them."""
    series = weekly(pam, rule="FREQ=DAILY")
    event = pitch(pam, "2027-01-15T12:00")
    await begin(office)
    clock.advance(days=-20)
    await settle(office)
    pam.edit_all(series, summary="Renamed")
    pam.cancel_one(f"{series}_20270110T140000Z")
    pam.cancel_all(event)
    await settle(office)
    assert held(office, event) == ("cancelled", "2027-01-15T12:00")
    pam.expire_tokens()
    await settle(office, sent=0)
    clock.advance(days=20)
    done = await settle(office, asked=ROLL)
    assert done.sent == []


@pytest.mark.parametrize("how", ["trimmed", "deleted", "moved"])
async def test_a_series_ends_beyond_a_horizon_that_came_back(
    office: Office, pam: Calendar, clock: Clock, how: str
) -> None:
    series = weekly(pam, rule="FREQ=DAILY")
    await begin(office)
    clock.advance(days=-20)
    await settle(office)
    match how:
        case "trimmed":
            pam.cancel_following(f"{series}_20270101T140000Z")
        case "deleted":
            pam.cancel_all(series)
        case "moved":
            pam.edit_all(series, start=at("2026-09-28T10:00"))
    await settle(office)
    clock.advance(days=20)
    await settle(office)


async def test_a_day_of_25_hours(office: Office, pam: Calendar, clock: Clock) -> None:
    weekly(pam, rule="FREQ=DAILY")
    clock.at = at("2026-11-01T00:00")
    await begin(office)
    clock.at += timedelta(hours=24)
    clock.at = clock().replace(hour=4, minute=59)
    await settle(office, sent=0, asked=CHANGES)
    clock.advance(minutes=1)
    await settle(office, sent=1, asked=ROLL)


async def test_a_new_day_and_an_edit_in_one_poll(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    series = weekly(pam, rule="FREQ=DAILY")
    await begin(office)
    clock.advance(days=2)
    pam.edit_following(f"{series}_20270119T140000Z", summary="From the new day on")
    pam.edit_one(f"{series}_20261101T140000Z", start=at("2027-01-20T11:00"))
    done = await settle(office, sent=3)
    assert done.questions == {"changes": 1, "instances": 2, "window": 1}


async def test_the_window_is_configured_wider_and_narrower(office: Office, pam: Calendar) -> None:
    weekly(pam, start=at("2026-06-01T09:00"), rule="FREQ=DAILY")
    await begin(office)
    config = office.config / "connector.toml"
    text = config.read_text()
    config.write_text(
        text.replace("past_days = 30", "past_days = 60").replace(
            "future_days = 90", "future_days = 80"
        )
    )
    office.past_days, office.future_days = 60, 80
    await settle(office, sent=30, asked=ROLL)
    config.write_text(text)
    office.past_days, office.future_days = 30, 90
    await settle(office, sent=0, asked=ROLL)
