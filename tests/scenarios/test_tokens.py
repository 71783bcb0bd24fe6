"""Issue part 4: sync tokens that die, pages that repeat, lists that break off, and what a token is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connector.simulator.faults import Fault
from connector.simulator.google import Calendar
from connector.simulator.google import reading as simulated_reading
from tests.office import Office
from tests.scenarios.steps import (
    CHANGES,
    FULL,
    GONE,
    NEW_YORK,
    PROSPECT,
    RESYNC,
    WEEKLY,
    Clock,
    at,
    begin,
    cycle,
    occurrences,
    set_page_size,
    set_policy,
    settle,
    sql,
    weekly,
)


def refusal(status: int, reason: str) -> dict[str, Any]:
    return {
        "error": {
            "errors": [{"domain": "global", "reason": reason, "message": "…"}],
            "code": status,
            "message": "…",
        }
    }


async def with_a_life(office: Office, pam: Calendar) -> tuple[str, str]:
    """A calendar that was synced, and then changed in three ways: a series' id, a single's."""
    series = weekly(pam)
    single = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    gone = pam.create("Gone", at("2026-10-23T09:00"), attendees=[PROSPECT])
    await begin(office)
    pam.edit_one(occurrences(office, series)[6].id, summary="Special")
    pam.edit_one(single, start=at("2026-10-22T15:00"))
    pam.cancel_all(gone)
    return series, single


async def test_410_at_the_first_page(office: Office, pam: Calendar) -> None:
    await with_a_life(office, pam)
    pam.expire_tokens()
    await settle(office, sent=3, asked={**RESYNC, **GONE})


async def test_410_in_the_middle_of_an_increment(office: Office, pam: Calendar) -> None:
    await with_a_life(office, pam)
    office.google.faults_google("empty_page")
    office.google.faults_google("gone_mid_pagination")
    await settle(office, sent=3, asked={"changes": 2, **FULL, **GONE})


async def test_410_in_the_middle_of_a_full_listing(office: Office, pam: Calendar) -> None:
    await with_a_life(office, pam)
    pam.expire_tokens()
    office.google.faults_google("empty_page")
    office.google.faults_google("gone_mid_pagination")
    await settle(office, sent=3)


async def test_410_again_and_again_in_full_listings(office: Office, pam: Calendar) -> None:
    await with_a_life(office, pam)
    pam.expire_tokens()
    office.google.faults_google("empty_page", times=50)
    office.google.faults_google("gone_mid_pagination", times=50)
    before = len(office.upserts())
    summary = await office.once()
    assert summary.exit_status == 1
    assert "cut off the full listing" in str(summary.users[0].error)
    assert len(office.upserts()) == before
    office.google.list_faults.clear()
    await settle(office, sent=3)


async def test_410_right_after_a_full_listing(office: Office, pam: Calendar) -> None:
    await with_a_life(office, pam)
    pam.expire_tokens()
    office.google.faults_google("gone_after_full")
    await cycle(office)
    assert office.differences() == []
    await settle(office, sent=0, asked=RESYNC)


async def test_410_ten_times_in_a_row(office: Office, pam: Calendar) -> None:
    await with_a_life(office, pam)
    for number in range(10):
        pam.expire_tokens()
        done = await cycle(office)
        assert len(done.sent) == (3 if number == 0 else 0)
        assert office.differences() == []
    await settle(office, sent=0, asked=CHANGES)


@pytest.mark.parametrize("token", ["garbage", "Q0FMRU5EQVI=", "another calendar's"])
async def test_400_for_a_token_that_google_never_gave(
    office: Office, pam: Calendar, token: str
) -> None:
    await with_a_life(office, pam)
    if token.startswith("another"):
        office.hire("jim")
        await office.once()
        ((token,),) = sql(office, "SELECT sync_token FROM calendars WHERE name = 'jim'")
        await with_a_life(office, pam)
    sql(office, "UPDATE calendars SET sync_token = ? WHERE name = 'pam'", token)
    await settle(office, sent=3)


async def test_an_unchanged_token_is_no_news(office: Office, pam: Calendar) -> None:
    await with_a_life(office, pam)
    await settle(office)
    (before,) = sql(office, "SELECT sync_token FROM calendars")
    await settle(office, sent=0, asked=CHANGES)
    assert sql(office, "SELECT sync_token FROM calendars") == [before]


@pytest.mark.parametrize("pages", [1, 7])
async def test_empty_pages_are_not_the_end(office: Office, pam: Calendar, pages: int) -> None:
    await with_a_life(office, pam)
    office.google.faults_google("empty_page", times=pages)
    done = await settle(office, sent=3)
    assert done.questions["changes"] == 1 + pages


async def test_empty_pages_in_a_full_listing(office: Office, pam: Calendar) -> None:
    await with_a_life(office, pam)
    pam.expire_tokens()
    office.google.faults_google("empty_page", times=5)
    await settle(office, sent=3)


def on_page(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, number: int, act: Callable[[], object]
) -> None:
    """Something happens right after Google answered the `number`-th page of its listings, counted from now."""
    real = simulated_reading._envelope
    answered = 0

    def envelope(*args: Any, **kwargs: Any) -> dict[str, Any]:
        nonlocal answered
        page = real(*args, **kwargs)
        answered += 1
        if answered == number:
            clock.advance(seconds=1)
            act()
        return page

    monkeypatch.setattr(simulated_reading, "_envelope", envelope)


@pytest.fixture(autouse=True)
def pages_of_250(monkeypatch: pytest.MonkeyPatch) -> None:
    set_page_size(monkeypatch, 250)


def crowd(pam: Calendar, count: int = 300) -> list[str]:
    """More single events than one page holds."""
    begin = at("2026-10-22T06:00")
    return [
        pam.create(f"Meeting {number}", begin.replace(minute=number % 60), minutes=5)
        for number in range(count)
    ]


async def test_an_item_twice_with_the_newer_last(
    office: Office, pam: Calendar, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edited while Google pages: the same item stands on both pages, and the token tells it once more."""
    await begin(office)
    events = crowd(pam)
    on_page(monkeypatch, clock, 1, lambda: pam.edit_one(events[0], start=at("2026-11-02T09:00")))
    done = await cycle(office)
    assert done.questions == {"changes": 2}
    assert len(done.sent) == 300
    assert office.differences() == []
    await settle(office, sent=0, asked=CHANGES)


async def test_deleted_while_google_pages(
    office: Office, pam: Calendar, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin(office)
    events = crowd(pam)
    on_page(monkeypatch, clock, 1, lambda: pam.cancel_all(events[0]))
    done = await cycle(office)
    assert len(done.sent) == 299
    await settle(office, sent=0, asked=CHANGES)


async def test_a_page_is_repeated(office: Office, pam: Calendar) -> None:
    await begin(office)
    crowd(pam)
    office.google.faults_google("duplicate_item")
    await settle(office, sent=300, asked={"changes": 2})


@pytest.mark.parametrize("page", [1, 2, 3, 4])
async def test_edits_while_a_full_listing_pages(
    office: Office, pam: Calendar, clock: Clock, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    series = weekly(pam)
    events = crowd(pam)
    await office.once(full=True)

    def edits() -> None:
        pam.edit_one(events[0], summary="Renamed", attendees=[PROSPECT])
        pam.cancel_all(events[1])
        pam.edit_one(events[299], start=at("2026-11-02T09:00"))
        pam.edit_following(f"{series}_20261109T140000Z", start=at("2026-11-09T16:00"))
        pam.create("New", at("2026-10-30T09:00"))

    pam.expire_tokens()
    on_page(monkeypatch, clock, page, edits)
    await cycle(office)
    await settle(office)


@pytest.mark.parametrize("call", [1, 2])
async def test_edits_while_a_series_is_asked_for(
    office: Office, pam: Calendar, clock: Clock, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Between the feed and the answer about the series, it changes again: absence proves nothing then."""
    series = weekly(pam)
    await begin(office)
    pam.edit_all(series, summary="Renamed")
    target = f"{series}_20261109T140000Z"
    actions: list[Callable[[], object]] = [
        lambda: pam.edit_one(target, start=at("2027-03-01T09:00")),
        lambda: pam.cancel_following(target),
    ]
    on_page(monkeypatch, clock, 1, actions[call - 1])
    done = await cycle(office)
    if call == 1:
        assert done.cancelled == []
    await settle(office)


async def test_edits_while_the_new_day_is_listed(
    office: Office, pam: Calendar, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = weekly(pam, rule="FREQ=DAILY")
    await begin(office)
    clock.advance(days=1)
    monkeypatch.setattr("connector.sync.cycle.full_resync_is_due", lambda *_: False)
    on_page(
        monkeypatch, clock, 1, lambda: pam.edit_one(f"{series}_20270119T140000Z", summary="Now")
    )
    await cycle(office)
    await settle(office)


async def test_a_listing_that_breaks_off_changes_nothing(office: Office, pam: Calendar) -> None:
    """On its second page Google refuses; what the first page lacks must not look deleted."""
    events = crowd(pam)
    await office.once(full=True)
    for event in events[:5]:
        pam.edit_one(event, summary="Renamed", attendees=[PROSPECT])
    pam.expire_tokens()
    before = (sql(office, "SELECT * FROM calendars"), office.told())
    # The increment (410), the first page of the full listing, and then nothing more.
    office.google.faults.add(
        Fault("events.list", status=400, body=refusal(400, "badRequest"), skip=2, times=None)
    )
    summary = await office.once()
    assert summary.exit_status == 1
    assert (sql(office, "SELECT * FROM calendars"), office.told()) == before
    office.google.faults.clear()
    await settle(office, sent=5)


@pytest.mark.parametrize("skip", [0, 1, 2, 3])
async def test_whatever_request_fails_nothing_is_half_done(
    office: Office, pam: Calendar, skip: int
) -> None:
    """An increment that touched a series, after which its look-up, or the window, or an event's, is refused."""
    series, _ = await with_a_life(office, pam)
    pam.edit_following(f"{series}_20261109T140000Z", summary="From here on")
    token = sql(office, "SELECT sync_token FROM calendars")
    before = len(office.upserts())
    office.google.faults.add(
        Fault("events.*", status=403, body=refusal(403, "quotaExceeded"), skip=skip, times=None)
    )
    summary = await office.once()
    if summary.exit_status != 0:
        assert sql(office, "SELECT sync_token FROM calendars") == token
        assert len(office.upserts()) == before
    office.google.faults.clear()
    await cycle(office)
    await settle(office, sent=0)


async def test_an_increment_that_breaks_off_is_read_again(office: Office, pam: Calendar) -> None:
    await begin(office)
    crowd(pam)
    office.google.faults.add(Fault("events.list", "truncate", skip=1))
    await settle(office, sent=300)


async def test_an_old_token_replays_what_is_known(office: Office, pam: Calendar) -> None:
    await begin(office)
    ((old,),) = sql(office, "SELECT sync_token FROM calendars")
    series, _ = await with_a_life(office, pam)
    await settle(office)
    pam.edit_following(f"{series}_20261109T140000Z", summary="From here on")
    await settle(office)
    sql(office, "UPDATE calendars SET sync_token = ?", old)
    done = await cycle(office)
    assert done.sent == []
    assert office.differences() == []


async def test_a_state_without_a_token_lists_in_full(office: Office, pam: Calendar) -> None:
    await with_a_life(office, pam)
    sql(office, "UPDATE calendars SET sync_token = NULL")
    await settle(office, sent=3, asked={**FULL, **GONE})


# -- what a token is bound to --------------------------------------------------------------------


async def test_another_policy_needs_another_token(office: Office, pam: Calendar) -> None:
    await with_a_life(office, pam)
    set_policy(office, "example.com", "sales.example.org")
    await settle(office, sent=3, asked={**FULL, **GONE})


async def test_another_schema_needs_another_token(
    office: Office, pam: Calendar, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_a_life(office, pam)
    monkeypatch.setattr("connector.sync.seller.STATE_GENERATION", 99)
    await settle(office, sent=3, asked={**FULL, **GONE})


async def test_other_parameters_need_another_token(
    office: Office, pam: Calendar, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_a_life(office, pam)
    monkeypatch.setattr(
        "connector.google.requests.CalendarRequests.parameters_fingerprint", "events.list other"
    )
    await settle(office, sent=3, asked={**FULL, **GONE})


async def test_other_fields_need_another_token_and_change_nothing(
    office: Office, pam: Calendar, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More or less is asked for of each event: listed in full once. What is known only from memory stays known."""
    await with_a_life(office, pam)
    cut_off = pam.create("Own", at("2026-10-24T09:00"), attendees=[PROSPECT])
    await cycle(office)
    pam.omit_attendees(cut_off)
    await cycle(office)
    monkeypatch.setattr("connector.google.requests.CalendarRequests.fields_fingerprint", "other")
    await settle(office, sent=0, asked=FULL)


async def test_an_upgrade_from_a_version_without_fields_sends_nothing(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    weekly(pam)
    await begin(office)
    pam.omit_attendees(event)
    await cycle(office)
    sql(
        office,
        "UPDATE calendars SET token_fingerprint ="
        " substr(token_fingerprint, 1, instr(token_fingerprint, '~') - 1)",
    )
    await settle(office, sent=0, asked=FULL)
    pam.edit_one(event, summary="Renamed")
    done = await settle(office, sent=1, asked=CHANGES)
    assert done.sent[0]["title"] == "Renamed"


async def test_another_calendar_needs_another_token(office: Office, pam: Calendar) -> None:
    """The user is pointed at another calendar: what the first one had is cancelled, what the second has is sent."""
    pitch = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    second = office.google.add_calendar(
        "pam@example.com", NEW_YORK, calendar_id="team@group.calendar.google.com"
    )
    weekly(second)
    await begin(office)
    users = office.config / "users" / "pam.toml"
    users.write_text(
        users.read_text().replace(
            "[google]\n", '[google]\ncalendar_id = "team@group.calendar.google.com"\n'
        )
    )
    office.sellers["pam"] = second
    done = await settle(office, sent=WEEKLY + 1)
    assert [body["id"] for body in done.cancelled] == [pitch]
