"""Touched series asked for each by itself or with the whole window: the same comes of it, only the cost differs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.simulator.faults import Fault
from connector.simulator.google import Calendar
from connector.simulator.google import reading as simulated_reading
from connector.sync import series_reading
from connector.sync.series_reading import cheaper_at_once
from tests.office import Office, open_office
from tests.people import fill, random_edit
from tests.scenarios.steps import (
    PROSPECT,
    WEEKLY,
    Clock,
    at,
    begin,
    cycle,
    held,
    occurrences,
    set_page_size,
    settle,
    weekly,
)

AT_ONCE = {"changes": 1, "window": 1}


@pytest.mark.parametrize(
    ("series", "window", "page", "at_once"),
    [
        ([18], 450, 500, False),
        ([18, 18], 450, 500, True),
        ([18, 18], 450, 250, False),
        ([18, 18, 18, 18], 450, 250, True),
        ([18] * 20, 10_000, 500, False),
        ([18] * 40, 10_000, 500, True),
        ([0, 0], 0, 500, True),
        ([600], 600, 500, False),
        ([], 450, 500, False),
    ],
)
def test_the_cheaper_way(series: list[int], window: int, page: int, at_once: bool) -> None:
    assert cheaper_at_once(series, window, page) is at_once


@given(st.lists(st.integers(0, 3000), max_size=30), st.integers(0, 3000), st.integers(1, 2500))
def test_the_window_is_listed_only_if_that_saves_requests(
    series: list[int], others: int, page: int
) -> None:
    def pages(events: int) -> int:
        return max(1, -(-events // page))

    window = sum(series) + others
    if cheaper_at_once(series, window, page):
        assert pages(window) < sum(pages(size) for size in series)


async def _lived(
    directory: Path, clock: Clock, seed: int, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[Any, Any], list[dict[str, Any]], int]:
    """What Salesloft holds after some edits of many series, what it was sent, and what Google was asked."""
    monkeypatch.setattr(series_reading, "cheaper_at_once", lambda *_: at_once)
    async with open_office(directory, clock, seed=seed) as office:
        pam, rng = office.hire("pam"), Random(seed)
        fill(pam, rng, clock(), singles=10, series=8)
        await begin(office)
        sent: list[dict[str, Any]] = []
        asked = 0
        for _ in range(3):
            clock.advance(minutes=7)
            for _ in range(8):
                random_edit(pam, rng, clock(), office.window("pam"))
            done = await settle(office)
            sent += done.sent
            asked += len(done.asked)
        return office.held("pam"), sent, asked


@pytest.mark.parametrize("seed", range(4))
async def test_both_ways_come_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    each = await _lived(tmp_path / "each", Clock(), seed, at_once=False, monkeypatch=monkeypatch)
    whole = await _lived(tmp_path / "whole", Clock(), seed, at_once=True, monkeypatch=monkeypatch)
    assert whole[0] == each[0]
    assert _by_key(whole[1]) == _by_key(each[1])
    assert whole[2] < each[2]


def _by_key(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(bodies, key=lambda body: (body["id"], body["i_cal_uid"], body["updated_at"]))


async def test_two_touched_series_cost_one_window(office: Office, pam: Calendar) -> None:
    first, second = weekly(pam), weekly(pam, start=at("2026-09-28T11:00"))
    await begin(office)
    pam.edit_all(first, summary="Renamed")
    pam.edit_all(second, summary="Renamed too")
    await settle(office, sent=2 * WEEKLY, asked=AT_ONCE)


async def test_a_large_calendar_is_not_listed_for_a_few_series(
    office: Office, pam: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_page_size(monkeypatch, 50)
    series = [weekly(pam, start=at("2026-09-28T09:00") + timedelta(hours=n)) for n in range(3)]
    for number in range(200):
        pam.create("Meeting", at("2026-10-22T06:00") + timedelta(hours=number), minutes=5)
    await begin(office)
    for one in series:
        pam.edit_all(one, summary="Renamed")
    await settle(office, sent=3 * WEEKLY, asked={"changes": 1, "instances": 3})


async def test_a_window_that_google_will_not_list_stops_nothing(
    office: Office, pam: Calendar
) -> None:
    first, second = weekly(pam), weekly(pam, start=at("2026-09-28T11:00"))
    await begin(office)
    pam.edit_all(first, summary="Renamed")
    pam.edit_all(second, summary="Renamed too")
    office.google.faults.add(Fault("events.list", status=400, skip=1))
    await settle(office, sent=2 * WEEKLY, asked={**AT_ONCE, "instances": 2})


async def test_a_new_day_is_taken_from_the_window_that_was_listed_anyway(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    series = weekly(pam, rule="FREQ=DAILY")
    at_midnight = at("2027-01-19T00:00")
    await begin(office)
    pam.create("Reminder", at_midnight, at_midnight, attendees=[PROSPECT])
    await settle(office, sent=0)
    clock.advance(days=1)
    pam.edit_one(occurrences(office, series)[40].id, summary="Special")
    done = await settle(office, sent=3, asked=AT_ONCE)
    assert "Reminder" in {body["title"] for body in done.sent}


async def test_guests_that_google_leaves_out_of_a_window_are_kept(
    office: Office, pam: Calendar
) -> None:
    first, second = weekly(pam), weekly(pam, start=at("2026-09-28T11:00"))
    await begin(office)
    target = occurrences(office, first)[8]
    pam.edit_one(target.id, summary="A crowd")
    pam.omit_attendees(target.id)
    pam.edit_all(second, summary="Renamed")
    done = await cycle(office)
    assert done.questions == AT_ONCE
    (told,) = [body for body in done.sent if body["title"] == "A crowd"]
    assert "attendees" not in told
    stored = office.alive("pam")[target.id, target.ical_uid]
    assert PROSPECT["email"] in {guest.email for guest in stored.attendees}


def _while_the_window_is_listed(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, act: Callable[[], object]
) -> None:
    """Something happens between the first and the second page of the next window."""
    real, done = simulated_reading._envelope, False

    def envelope(*given: Any) -> dict[str, Any]:
        nonlocal done
        page = real(*given)
        if not done and "nextPageToken" in page:
            done = True
            clock.advance(seconds=1)
            act()
        return page

    monkeypatch.setattr(simulated_reading, "_envelope", envelope)


async def test_what_leaves_the_window_while_it_is_listed_is_not_cancelled(
    office: Office, pam: Calendar, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_page_size(monkeypatch, 20)
    monkeypatch.setattr(series_reading, "cheaper_at_once", lambda *_: True)
    first, second = weekly(pam), weekly(pam, start=at("2026-09-28T11:00"))
    await begin(office)
    target = occurrences(office, second)[10]
    pam.edit_all(first, summary="Renamed")
    pam.edit_all(second, summary="Renamed")
    _while_the_window_is_listed(
        monkeypatch, clock, lambda: pam.edit_one(target.id, start=at("2027-05-03T09:00"))
    )
    done = await cycle(office)
    assert done.questions["window"] >= 2
    assert done.cancelled == []
    await settle(office)
    assert held(office, target.id) == ("confirmed", "2027-05-03T09:00")


async def test_exceptions_moved_cancelled_and_far_away_survive_a_window(
    office: Office, pam: Calendar
) -> None:
    first, second = weekly(pam), weekly(pam, start=at("2026-09-28T11:00"))
    seen = occurrences(office, first)
    pam.edit_one(seen[7].id, start=at("2027-05-03T09:00"))
    pam.cancel_one(seen[8].id)
    pam.edit_one(seen[9].id, start=at("2026-11-30T16:00"), summary="Special")
    await begin(office)
    pam.edit_one(seen[10].id, start=at("2027-06-07T09:00"))
    pam.cancel_one(seen[11].id)
    pam.cancel_following(occurrences(office, second)[6].id)
    done = await settle(office, asked=AT_ONCE)
    assert {body["id"] for body in done.cancelled} >= {seen[11].id}
    assert held(office, seen[10].id) == ("confirmed", "2027-06-07T09:00")
    assert seen[7].id not in {body["id"] for body in done.cancelled}
