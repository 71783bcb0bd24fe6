"""Issue part 7: what may be shown changes: by an edit, or by the configuration, also for what Google did not touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connector.simulator.google import Calendar
from tests.office import Office
from tests.scenarios.steps import (
    CHANGES,
    COLLEAGUE,
    FULL,
    PROSPECT,
    SERIES,
    WEEKLY,
    at,
    begin,
    cycle,
    occurrences,
    set_policy,
    settle,
    weekly,
)

BLANK = {"title": "", "description": "", "location": "", "organizer": "", "attendees": []}
TEXT: dict[str, Any] = {"location": "Room 1", "description": "Agenda"}
Edit = Callable[[Calendar, str], object]

HIDES: dict[str, Edit] = {
    "becomes private": lambda c, e: c.set_visibility(e, "private"),
    "becomes confidential": lambda c, e: c.set_visibility(e, "confidential"),
    "loses its prospect": lambda c, e: c.remove_guest(e, PROSPECT["email"]),
    "is of colleagues only": lambda c, e: c.edit_one(e, attendees=[COLLEAGUE]),
    "has no guests any more": lambda c, e: c.edit_one(e, attendees=None),
    "becomes focus time": lambda c, e: c.edit_one(e, extra={"eventType": "focusTime"}),
}


@pytest.mark.parametrize("name", HIDES)
async def test_what_was_shown_is_blanked_and_shown_again(
    office: Office, pam: Calendar, name: str
) -> None:
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT], **TEXT)
    await begin(office)
    HIDES[name](pam, event)
    done = await settle(office, sent=1, asked=CHANGES)
    assert {key: done.sent[0][key] for key in BLANK} == BLANK
    pam.edit_one(event, attendees=[PROSPECT], visibility="default", extra={"eventType": "default"})
    done = await settle(office, sent=1, asked=CHANGES)
    assert done.sent[0]["title"] == "Pitch"
    assert done.sent[0]["location"] == "Room 1"


@pytest.mark.parametrize("name", HIDES)
async def test_withheld_from_the_start_nothing_leaves(
    office: Office, pam: Calendar, name: str
) -> None:
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT], **TEXT)
    HIDES[name](pam, event)
    await begin(office)
    pam.edit_one(event, start=at("2026-10-22T11:00"), summary="Secret")
    done = await settle(office, sent=1)
    assert not BLANK.keys() & done.sent[0].keys()


async def test_hidden_and_deleted_in_one_poll(office: Office, pam: Calendar) -> None:
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT], **TEXT)
    await begin(office)
    pam.set_visibility(event, "private")
    await settle(office, sent=1)
    pam.cancel_all(event)
    await settle(office, sent=1)
    assert next(iter(office.held("pam").values())).title in ("", None)


async def test_one_occurrence_becomes_private(office: Office, pam: Calendar) -> None:
    series = weekly(pam, **TEXT)
    await begin(office)
    target = occurrences(office, series)[6]
    pam.set_visibility(target.id, "private")
    done = await settle(office, sent=1, asked=SERIES)
    assert {key: done.sent[0][key] for key in BLANK} == BLANK
    pam.cancel_one(target.id)
    await settle(office, sent=1)
    pam.restore_one(target.id)
    done = await settle(office, sent=1)
    assert done.sent[0].get("title", "") == ""


@pytest.mark.parametrize("kind", ["workingLocation", "birthday"])
async def test_what_is_never_sent_any_more_is_cancelled_and_blanked(
    office: Office, pam: Calendar, kind: str
) -> None:
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT], **TEXT)
    await begin(office)
    pam.edit_one(event, extra={"eventType": kind})
    done = await settle(office, sent=1)
    assert done.sent[0]["status"] == "cancelled"
    assert {key: done.sent[0][key] for key in BLANK} == BLANK


async def test_a_domain_becomes_internal_and_is_not_any_more(office: Office, pam: Calendar) -> None:
    """Nobody touched these events in Google: the configuration alone corrects what was sent."""
    series = weekly(pam, **TEXT)
    pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT], **TEXT)
    pam.create("Other", at("2026-10-23T09:00"), attendees=[{"email": "x@customer.example.org"}])
    pam.create("Own", at("2026-10-24T09:00"))
    await begin(office)
    set_policy(office, "example.com", "buyer.example.net")
    done = await settle(office, sent=WEEKLY + 1, asked=FULL)
    for body in done.sent:
        assert {key: body[key] for key in BLANK} == BLANK
    set_policy(office, "example.com")
    done = await settle(office, sent=WEEKLY + 1, asked=FULL)
    assert {body["location"] for body in done.sent} == {"Room 1"}
    assert series


async def test_a_domain_above_becomes_internal(office: Office, pam: Calendar) -> None:
    pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    await begin(office)
    set_policy(office, "EXAMPLE.net", "example.com")
    office.internal_domains = ["example.net", "example.com"]
    await settle(office, sent=1, asked=FULL)


async def test_the_policy_changes_for_what_lies_outside_the_window(
    office: Office, pam: Calendar
) -> None:
    """Salesloft holds it alive with its text, so it is blanked there as well."""
    series = weekly(pam)
    single = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    await begin(office)
    pam.edit_one(single, start=at("2027-03-01T09:00"))
    moved = occurrences(office, series)[6].id
    pam.edit_one(moved, start=at("2027-03-02T09:00"))
    await settle(office, sent=2)
    set_policy(office, "example.com", "buyer.example.net")
    await settle(office, sent=WEEKLY + 1)
    titles = {e.title for (i, _), e in office.held("pam").items() if i in (single, moved)}
    assert titles == {None}


async def test_the_policy_changes_together_with_events(office: Office, pam: Calendar) -> None:
    series = weekly(pam, **TEXT)
    gone = pam.create("Gone", at("2026-10-22T09:00"), attendees=[PROSPECT], **TEXT)
    await begin(office)
    pam.edit_one(occurrences(office, series)[6].id, start=at("2026-11-11T09:00"))
    pam.cancel_all(gone)
    set_policy(office, "example.com", "buyer.example.net")
    done = await settle(office, sent=WEEKLY + 1)
    (cancelled,) = done.cancelled
    # Google still shows the cancelled event: its guest is internal now, so its text goes too.
    assert {key: cancelled[key] for key in BLANK} == BLANK


async def test_a_cancelled_meeting_is_judged_by_the_new_policy_too(
    office: Office, pam: Calendar
) -> None:
    """Its text still stands in Salesloft; no listing tells of it, so Google is asked for it by id."""
    series = weekly(pam, **TEXT)
    single = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT], **TEXT)
    other = pam.create("Other", at("2026-10-23T09:00"), attendees=[{"email": "x@c.example.org"}])
    await begin(office)
    one = occurrences(office, series)[6].id
    for event in (one, single, other):
        pam.cancel_one(event)
    await settle(office, sent=3)
    set_policy(office, "example.com", "buyer.example.net")
    done = await settle(office, sent=WEEKLY + 1, asked={**FULL, "get": 3})
    assert {body["id"] for body in done.cancelled} == {one, single}
    titles = {e.id: e.title for e in office.held("pam").values() if e.status == "cancelled"}
    assert titles == {one: None, single: None, other: "Other"}
    set_policy(office, "example.com")
    await settle(office, sent=WEEKLY - 1)


async def test_the_same_policy_in_other_words_sends_nothing(office: Office, pam: Calendar) -> None:
    weekly(pam)
    await begin(office)
    set_policy(office, "Example.COM")
    office.internal_domains = ["example.com"]
    await settle(office, sent=0)


@pytest.mark.parametrize("internal", ["full", "nothing"])
async def test_more_or_less_of_what_is_internal(
    office: Office, pam: Calendar, internal: str
) -> None:
    weekly(pam, **TEXT)
    pam.create("Own", at("2026-10-22T09:00"))
    pam.create("Ours", at("2026-10-23T09:00"), attendees=[COLLEAGUE])
    await begin(office)
    users = office.config / "users" / "pam.toml"
    before = users.read_text()
    users.write_text(before + f'\n[policy]\ninternal = "{internal}"\n')
    done = await cycle(office)
    assert len(done.sent) == 2
    if internal == "full":
        assert {body["title"] for body in done.alive} == {"Own", "Ours"}
    else:
        assert len(done.cancelled) == 2
    assert (await cycle(office)).sent == []
    users.write_text(before)
    await settle(office, sent=2)


async def test_guests_that_google_cut_off_stay(office: Office, pam: Calendar) -> None:
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT, COLLEAGUE])
    await begin(office)
    held = next(iter(office.held("pam").values())).attendees
    pam.omit_attendees(event)
    await settle(office, sent=0)
    pam.edit_one(event, summary="Renamed")
    done = await settle(office, sent=1)
    assert "attendees" not in done.sent[0]
    assert next(iter(office.held("pam").values())).attendees == held
    pam.omit_attendees(event, omitted=False)
    pam.add_guest(event, {"email": "x@customer.example.org"})
    await settle(office, sent=1)


async def test_guests_that_google_cut_off_are_not_remembered_under_another_policy(
    office: Office, pam: Calendar
) -> None:
    """The prospect's company became ours; that one of its people is invited is known from memory only."""
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT, COLLEAGUE])
    await begin(office)
    pam.omit_attendees(event)
    set_policy(office, "example.com", PROSPECT["email"].partition("@")[2])
    done = await cycle(office)
    assert {key: done.sent[0][key] for key in BLANK} == BLANK
    assert (await cycle(office)).sent == []
