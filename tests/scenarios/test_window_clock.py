"""Issue part 3, the clock: the window moves with it, forwards and backwards, and what that costs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.simulator.google import Calendar
from tests.office import Office
from tests.scenarios.steps import (
    CHANGES,
    GONE,
    LATER,
    RESYNC,
    SERIES,
    Clock,
    at,
    begin,
    cycle,
    held,
    pitch,
    settle,
    weekly,
)

ROLL = {"changes": 1, "window": 1}
"""What a day costs: the feed, and one listing of the new day."""


@pytest.fixture(autouse=True)
def never_listed_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """No weekly full listing on the days that pass here: it would hide what the horizon alone does."""
    monkeypatch.setattr("connector.sync.cycle.full_resync_is_due", lambda *_: False)


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
    fed = {"changes": 1, "window": 1}
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
    assert done.questions == {"changes": 1, "window": 1}


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
