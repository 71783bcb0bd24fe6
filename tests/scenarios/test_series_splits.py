"""Issue part 1, this and following: halves under the base's ids or under new ones, split again and again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connector.simulator.google import Calendar
from tests.office import Office
from tests.scenarios.steps import (
    PROSPECT,
    WEEKLY,
    at,
    begin,
    occurrences,
    settle,
    weekly,
)

HALVES = {"changes": 1, "window": 1}
"""Both halves are touched: one listing of the window is cheaper than each."""


async def test_with_the_same_time_the_ids_stay(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    seen = occurrences(office, series)
    half = pam.edit_following(seen[6].id, summary="From here on")
    assert half.startswith(f"{series}_R")
    # The new half has another iCalUID: each id is sent under the new key, and its old key is cancelled after it.
    done = await settle(office, sent=2 * (WEEKLY - 6), asked=HALVES)
    assert {body["id"] for body in done.alive} == {one.id for one in seen[6:]}
    assert {body["id"] for body in done.cancelled} == {one.id for one in seen[6:]}
    for one in seen[6:]:
        order = [body["status"] for body in done.sent if body["id"] == one.id]
        assert order == ["confirmed", "cancelled"]


async def test_with_another_time_everything_is_new(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    seen = occurrences(office, series)
    half = pam.edit_following(seen[6].id, start=at("2026-11-09T14:00"))
    assert series not in half
    await settle(office, sent=2 * (WEEKLY - 6), asked=HALVES)


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "reset"])
async def test_exceptions_after_the_split(office: Office, pam: Calendar, keep: bool) -> None:
    series = weekly(pam)
    seen = occurrences(office, series)
    pam.edit_one(seen[3].id, start=at("2026-10-20T16:00"))
    pam.edit_one(seen[8].id, start=at("2026-11-25T16:00"))
    pam.edit_one(seen[9].id, summary="Special")
    pam.cancel_one(seen[10].id)
    await begin(office)
    pam.edit_following(seen[6].id, description="from here on", keep_exceptions=keep)
    await settle(office)
    assert (seen[10].id in {event_id for event_id, _ in office.alive("pam")}) is not keep


@pytest.mark.parametrize("forgotten", [False, True], ids=["bare tombstones", "no tombstones"])
async def test_exceptions_after_a_split_with_another_time(
    office: Office, pam: Calendar, forgotten: bool
) -> None:
    pam.forget_tombstones_of_trimmed = forgotten
    series = weekly(pam)
    seen = occurrences(office, series)
    pam.edit_one(seen[8].id, start=at("2026-11-25T16:00"))
    pam.edit_one(seen[9].id, start=at("2027-05-03T09:00"))
    pam.cancel_one(seen[10].id)
    await begin(office)
    pam.edit_following(seen[6].id, start=at("2026-11-09T14:00"))
    await settle(office)


async def test_an_exception_that_is_the_split_itself(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    seen = occurrences(office, series)
    pam.edit_one(seen[6].id, start=at("2026-11-10T16:00"), summary="Special")
    await begin(office)
    pam.edit_following(seen[6].id, summary="From here on", start=at("2026-11-09T09:00"))
    await settle(office)


async def test_from_the_first_on_is_all(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    seen = occurrences(office, series)
    assert pam.edit_following(seen[0].id, summary="All of it") == series
    await settle(office, sent=WEEKLY, asked={"changes": 1, "instances": 1})


Split = Callable[[Calendar, str], object]

SPLITS: dict[str, list[Split]] = {
    "later half again": [
        lambda c, s: c.edit_following(f"{s}_20261109T140000Z", summary="Second"),
        lambda c, s: c.edit_following(f"{s}_20261207T140000Z", summary="Third"),
    ],
    "earlier half again": [
        lambda c, s: c.edit_following(f"{s}_20261207T140000Z", summary="Second"),
        lambda c, s: c.edit_following(f"{s}_20261026T130000Z", summary="Third"),
    ],
    "at the same place": [
        lambda c, s: c.edit_following(f"{s}_20261109T140000Z", summary="Second"),
        lambda c, s: c.edit_following(f"{s}_20261109T140000Z", summary="Third"),
    ],
    "with the same time, then another": [
        lambda c, s: c.edit_following(f"{s}_20261109T140000Z", summary="Second"),
        lambda c, s: c.edit_following(f"{s}_20261207T140000Z", start=at("2026-12-07T16:00")),
    ],
    "an edit of all after it": [
        lambda c, s: c.edit_following(f"{s}_20261109T140000Z", summary="Second"),
        lambda c, s: c.edit_all(s, summary="Both halves"),
    ],
    "an edit of the base alone after it": [
        lambda c, s: c.edit_following(f"{s}_20261109T140000Z", summary="Second"),
        lambda c, s: c.edit_all(s, summary="First half", family=False),
    ],
    "the base moved after it": [
        lambda c, s: c.edit_following(f"{s}_20261109T140000Z", summary="Second"),
        lambda c, s: c.edit_all(s, start=at("2026-09-28T12:00")),
    ],
    "one occurrence of the new half": [
        lambda c, s: c.edit_following(f"{s}_20261109T140000Z", summary="Second"),
        lambda c, s: c.edit_one(f"{s}_20261207T140000Z", start=at("2026-12-08T09:00")),
        lambda c, s: c.cancel_one(f"{s}_20261214T140000Z"),
        lambda c, s: c.restore_one(f"{s}_20261214T140000Z"),
    ],
    "the new half deleted": [
        lambda c, s: c.edit_following(f"{s}_20261109T140000Z", summary="Second"),
        lambda c, s: c.cancel_following(f"{s}_20261109T140000Z"),
    ],
    "the base deleted": [
        lambda c, s: c.edit_following(f"{s}_20261109T140000Z", summary="Second"),
        lambda c, s: c.cancel_all(s, family=False),
    ],
    "everything deleted": [
        lambda c, s: c.edit_following(f"{s}_20261109T140000Z", summary="Second"),
        lambda c, s: c.edit_following(f"{s}_20261207T140000Z", summary="Third"),
        lambda c, s: c.cancel_all(s),
    ],
    "this and following of the new half deleted": [
        lambda c, s: c.edit_following(f"{s}_20261109T140000Z", summary="Second"),
        lambda c, s: c.cancel_following(f"{s}_20261221T140000Z"),
    ],
    "the base grows back over the new half": [
        lambda c, s: c.edit_following(f"{s}_20261109T140000Z", start=at("2026-11-09T16:00")),
        lambda c, s: c.edit_all(s, recurrence=["RRULE:FREQ=WEEKLY"], family=False),
    ],
    "deleted from here on, and back": [
        lambda c, s: c.cancel_following(f"{s}_20261109T140000Z"),
        lambda c, s: c.edit_all(s, recurrence=["RRULE:FREQ=WEEKLY"]),
    ],
}


@pytest.mark.parametrize("polled", [True, False], ids=["each polled", "one poll for all"])
@pytest.mark.parametrize("name", SPLITS)
async def test_split_after_split(office: Office, pam: Calendar, name: str, polled: bool) -> None:
    series = weekly(pam)
    await begin(office)
    for step in SPLITS[name]:
        step(pam, series)
        if polled:
            await settle(office)
    await settle(office)


@pytest.mark.parametrize("name", SPLITS)
async def test_split_after_split_while_the_token_is_lost(
    office: Office, pam: Calendar, name: str
) -> None:
    series = weekly(pam)
    await begin(office)
    for step in SPLITS[name]:
        step(pam, series)
    pam.expire_tokens()
    await settle(office)


async def test_an_all_day_series_is_split(office: Office, pam: Calendar) -> None:
    series = pam.create_series(
        "Days", at("2026-10-05T00:00").date(), rule="FREQ=WEEKLY", attendees=[PROSPECT]
    )
    await begin(office)
    seen = occurrences(office, series)
    half = pam.edit_following(seen[4].id, summary="From here on")
    assert half == f"{series}_R20261102"
    await settle(office, sent=2 * (len(seen) - 4), asked=HALVES)


async def test_a_split_far_ahead_changes_nothing_now(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    pam.edit_following(f"{series}_20270705T130000Z", summary="Next summer")
    await settle(office, sent=0)


async def test_a_split_before_the_window(office: Office, pam: Calendar) -> None:
    series = weekly(pam, start=at("2026-06-01T09:00"))
    await begin(office)
    seen = occurrences(office, series)
    pam.edit_following(f"{series}_20260803T130000Z", summary="Since August")
    await settle(office, sent=2 * len(seen))
