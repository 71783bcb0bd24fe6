"""The test matrix at the end of google-calendar.md 11a, row by row.

Rows that a scenario elsewhere tells are named in `ELSEWHERE` (and `test_every_row_is_told` checks that they are there);
the others are told here. Row 28 (push) waits for push notifications.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.simulator.faults import Fault
from connector.simulator.google import Calendar
from tests.office import Office
from tests.scenarios.steps import (
    CHANGES,
    PROSPECT,
    RESYNC,
    SERIES,
    WEEKLY,
    at,
    begin,
    cycle,
    occurrences,
    set_page_size,
    settle,
    sql,
    weekly,
)

ELSEWHERE: dict[int, tuple[str, ...]] = {
    1: ("test_empty_pages_are_not_the_end", "test_empty_pages_in_a_full_listing"),
    3: ("test_an_item_twice_with_the_newer_last", "test_a_page_is_repeated"),
    4: ("test_edits_while_a_full_listing_pages", "test_deleted_while_google_pages"),
    5: (
        "test_410_at_the_first_page",
        "test_410_in_the_middle_of_an_increment",
        "test_410_in_the_middle_of_a_full_listing",
        "test_410_right_after_a_full_listing",
    ),
    6: ("test_400_for_a_token_that_google_never_gave",),
    7: ("test_an_unchanged_token_is_no_news",),
    8: ("test_an_old_token_replays_what_is_known",),
    12: (
        "test_exceptions_before_their_series_in_the_feed",
        "test_invited_to_one_occurrence_only",
    ),
    13: ("test_this_and_following_are_deleted",),
    14: ("test_a_series_goes_with_one_tombstone",),
    15: (
        "test_with_the_same_time_the_ids_stay",
        "test_with_another_time_everything_is_new",
        "test_split_after_split",
    ),
    16: ("test_an_edit_of_all_is_sent_for_what_differs", "test_an_all_day_series_gets_an_hour"),
    17: ("test_moved_then_cancelled_then_restored",),
    18: ("test_the_wall_clock_of_a_series_stays",),
    19: ("test_an_offset_that_is_not_the_zones",),
    21: ("test_answering_one_restamps_all_and_sends_one",),
    22: ("test_an_event_moves_to_another_calendar",),
    23: ("test_an_unshared_calendar_is_left_as_it_was",),
    24: ("test_down_to_free_busy_and_back",),
    27: ("test_google_limiter.py",),
    31: ("test_guests_that_google_cut_off_stay",),
    32: ("test_one_id_in_two_calendars", "test_copies_of_one_meeting"),
}
NOT_YET = {28}


def test_every_row_is_told() -> None:
    tests = Path(__file__).parents[1]
    told = {path.name for path in tests.rglob("test_*.py")}
    for path in Path(__file__).parent.glob("test_*.py"):
        told |= {
            node.name for node in ast.walk(ast.parse(path.read_text())) if hasattr(node, "name")
        }
    missing = {name for names in ELSEWHERE.values() for name in names} - told
    assert missing == set()
    here = {int(name[9:11]) for name in told if name.startswith("test_row_")}
    assert sorted(here | ELSEWHERE.keys() | NOT_YET) == list(range(1, 33))


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Google is asked again without a pause."""
    monkeypatch.setattr("connector.google.retry.RetryPolicy.wait_seconds", lambda *_: 0.0)


def refusal(status: int, domain: str, reason: str) -> dict[str, Any]:
    error = {"domain": domain, "reason": reason, "message": "…"}
    return {"error": {"errors": [error], "code": status, "message": "…"}}


async def test_row_02_short_pages(
    office: Office, pam: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google cuts a page first and drops the cancelled rows from it afterwards."""
    set_page_size(monkeypatch, 250)
    start = at("2026-10-22T06:00")
    events = [pam.create(f"Meeting {n}", start, minutes=5) for n in range(320)]
    for event in events[:300]:
        pam.cancel_all(event)
    await begin(office)
    assert len(office.alive("pam")) == 20
    pam.edit_one(events[310], start=at("2026-10-23T06:00"))
    await settle(office, sent=1, asked=CHANGES)


async def test_row_09_a_crash_between_applying_and_the_token(
    office: Office, pam: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = weekly(pam)
    await begin(office)
    pam.edit_all(series, summary="Renamed")
    token = sql(office, "SELECT sync_token FROM calendars")

    def crash(*_: object) -> None:
        raise RuntimeError("the process dies here")

    with monkeypatch.context() as patched:
        patched.setattr("connector.store.commit._keep_ledger", crash)
        before = len(office.upserts())
        assert (await office.once()).exit_status == 1
        assert len(office.upserts()) == before
    assert sql(office, "SELECT count(*) FROM outbox") == [(0,)]
    assert sql(office, "SELECT sync_token FROM calendars") == token
    await settle(office, sent=WEEKLY)


async def test_row_10_a_full_listing_that_ends_in_500(
    office: Office, pam: Calendar, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_page_size(monkeypatch, 250)
    start = at("2026-10-22T06:00")
    for number in range(300):
        pam.create(f"Meeting {number}", start, minutes=5)
    await begin(office)
    pam.expire_tokens()
    office.google.faults.add(Fault("events.list", status=500, skip=2, times=None))
    before = office.told()
    assert (await office.once()).exit_status == 1
    assert office.told() == before
    office.google.faults.clear()
    await settle(office, sent=0)


async def test_row_11_an_increment_deletes_nothing_by_absence(
    office: Office, pam: Calendar
) -> None:
    series = [weekly(pam), weekly(pam, start=at("2026-10-05T15:00"))]
    singles = [pam.create("Pitch", at("2026-10-22T09:00") + timedelta(days=n)) for n in range(9)]
    await begin(office)
    pam.edit_one(singles[4], start=at("2026-10-22T10:00"))
    await settle(office, sent=1, asked=CHANGES)
    pam.edit_one(occurrences(office, series[0])[4].id, summary="Special")
    done = await settle(office, sent=1, asked=SERIES)
    assert done.cancelled == []


ODDITIES: dict[str, tuple[Callable[[Calendar, str], object], int]] = {
    "unknown event type": (lambda c, e: c.tamper(e, "unknown_event_type"), 1),
    "unknown field": (lambda c, e: c.tamper(e, "unknown_field"), 0),
    "null summary": (lambda c, e: c.edit_one(e, summary=None), 1),
    "null summary on the wire": (lambda c, e: c.tamper(e, "null_summary"), 1),
    "no length": (lambda c, e: c.edit_one(e, end=at("2026-10-22T09:00")), 1),
}


@pytest.mark.parametrize("name", ODDITIES)
async def test_row_20_what_nobody_expects(office: Office, pam: Calendar, name: str) -> None:
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    pam.create("Neighbour", at("2026-10-22T09:00"), attendees=[PROSPECT])
    await begin(office)
    oddity, sent = ODDITIES[name]
    oddity(pam, event)
    done = await cycle(office)
    assert len(done.sent) == sent
    pam.tamper(event)
    await settle(office, sent=sent if "wire" in name or "type" in name else 0)


@pytest.mark.parametrize("broken", ["end_before_start", "missing_end", "malformed"])
@pytest.mark.parametrize("of", ["single event", "series"])
async def test_row_20_what_cannot_be_read_is_set_aside(
    office: Office, pam: Calendar, broken: Any, of: str
) -> None:
    """Alone, and what Salesloft holds of it stays, also through a full listing."""
    event = (
        weekly(pam)
        if of == "series"
        else pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    )
    await begin(office)
    count = len(office.alive("pam"))
    pam.tamper(event, broken)
    neighbour = pam.create("Neighbour", at("2026-10-23T09:00"), attendees=[PROSPECT])
    for lost in (False, True):
        if lost:
            pam.expire_tokens()
        done = await cycle(office, exit_status=1)
        assert [body["id"] for body in done.sent] == ([] if lost else [neighbour])
        assert len(office.alive("pam")) == count + 1
    pam.tamper(event)
    pam.edit_one(event, summary="Mended")
    await settle(office, sent=count)


FAILURES = {
    "403 rate": Fault(
        "events.*", body=refusal(403, "usageLimits", "rateLimitExceeded"), status=403
    ),
    "403 user rate": Fault(
        "events.*", body=refusal(403, "usageLimits", "userRateLimitExceeded"), status=403
    ),
    "429": Fault("events.*", body=refusal(429, "usageLimits", "rateLimitExceeded"), status=429),
    "429 with Retry-After": Fault(
        "events.*",
        body=refusal(429, "usageLimits", "rateLimitExceeded"),
        status=429,
        headers={"Retry-After": "1"},
    ),
    "500": Fault("events.*", status=500),
    "500 HTML": Fault("events.*", "html", 500),
    "503 HTML": Fault("events.*", "html", 503),
    "reset before": Fault("events.*", "reset_before"),
    "reset after": Fault("events.*", "reset_after"),
    "truncated": Fault("events.*", "truncate"),
    "401": Fault("events.*", status=401, body=refusal(401, "global", "authError")),
    "the token's": Fault("token", status=503),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_row_25_and_26_what_passes(
    office: Office, pam: Calendar, at_once: None, name: str
) -> None:
    """One failing answer to the feed, to the look-up of a series, to a full listing: nobody notices."""
    series = weekly(pam)
    await begin(office)
    for number in range(2):
        pam.edit_all(series, summary=f"Renamed {number}")
        office.google.faults.add(_skipping(FAILURES[name], number))
        done = await cycle(office)
        assert len(done.sent) == WEEKLY
        assert office.differences() == []
    pam.expire_tokens()
    office.google.faults.add(_skipping(FAILURES[name], 1))
    await settle(office, sent=0)
    assert len(office.google.faults.fired) >= (1 if name == "the token's" else 3)


def _skipping(fault: Fault, skip: int) -> Fault:
    if fault.route == "token":
        return fault
    return Fault(fault.route, fault.kind, fault.status, fault.body, fault.headers, skip=skip)


def test_row_26_is_also_told_where_credentials_are_read() -> None:
    """`invalid_grant`, `unauthorized_client` and skewed clocks: see tests/google/test_google_auth.py."""
    text = (Path(__file__).parents[1] / "google" / "test_google_auth.py").read_text()
    for word in ("invalid_grant", "unauthorized_client"):
        assert word in text


async def test_row_29_a_touched_series_costs_its_window_only(office: Office, pam: Calendar) -> None:
    """Thousands of occurrences in Google, 121 in the window: they alone are asked for and sent."""
    series = weekly(pam, start=at("2004-03-01T09:00"), rule="FREQ=DAILY")
    await begin(office)
    pam.edit_all(series, summary="Renamed")
    done = await settle(office, sent=121, asked=SERIES)
    (asked,) = [entry.query for entry in done.asked if entry.route == "events.instances"]
    assert asked["timeMin"] == "2026-09-20T03:59:59Z"
    assert asked["timeMax"] == "2027-01-19T05:00:00Z"


async def test_row_30_cancelled_masters_in_a_full_listing(office: Office, pam: Calendar) -> None:
    pam.set_quirk("cancelled_masters_listed")
    gone = weekly(pam)
    pam.cancel_all(gone)
    pam.cancel_all(pam.create("Gone", at("2026-10-22T09:00")))
    stays = weekly(pam, start=at("2026-10-05T15:00"))
    await begin(office)
    assert {one.recurring_event_id for one in pam.truth(*office.window("pam"))} == {stays}
    pam.cancel_all(stays)
    pam.expire_tokens()
    await settle(office, sent=16, asked=RESYNC)
