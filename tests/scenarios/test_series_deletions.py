"""Issue part 1, deletions: of a series, of this and following, of one occurrence, in every shape of tombstone."""

from __future__ import annotations

import pytest

from connector.simulator.google import Calendar
from tests.office import Office
from tests.scenarios.steps import (
    CHANGES,
    FULL,
    PROSPECT,
    SERIES,
    WEEKLY,
    at,
    begin,
    occurrences,
    settle,
    sql,
    weekly,
)


def busy_series(office: Office, pam: Calendar) -> str:
    """A series with exceptions: moved inside, moved far ahead, retitled, cancelled."""
    series = weekly(pam)
    seen = occurrences(office, series)
    pam.edit_one(seen[4].id, start=at("2026-10-28T16:00"))
    pam.edit_one(seen[5].id, summary="Special")
    pam.cancel_one(seen[6].id)
    return series


async def test_a_series_goes_with_one_tombstone(office: Office, pam: Calendar) -> None:
    series = busy_series(office, pam)
    await begin(office)
    pam.cancel_all(series)
    done = await settle(office, sent=WEEKLY - 1, asked=CHANGES)
    assert len(done.cancelled) == WEEKLY - 1
    assert office.alive("pam") == {}


async def test_an_exception_far_outside_goes_with_its_series(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    target = occurrences(office, series)[6]
    pam.edit_one(target.id, start=at("2027-06-01T09:00"))
    await settle(office, sent=1)
    pam.cancel_all(series)
    done = await settle(office, sent=WEEKLY)
    assert target.id in {body["id"] for body in done.cancelled}
    assert office.alive("pam") == {}


async def test_a_series_is_deleted_while_the_token_is_lost(office: Office, pam: Calendar) -> None:
    series = busy_series(office, pam)
    await begin(office)
    pam.cancel_all(series)
    pam.expire_tokens()
    await settle(office, sent=WEEKLY - 1)


async def test_and_google_has_forgotten_its_tombstones(office: Office, pam: Calendar) -> None:
    series = busy_series(office, pam)
    single = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    await begin(office)
    pam.cancel_all(series)
    pam.cancel_all(single)
    pam.purge_tombstones()
    pam.expire_tokens()
    await settle(office, sent=WEEKLY)


@pytest.mark.parametrize("forgotten", [False, True], ids=["bare tombstones", "no tombstones"])
async def test_this_and_following_are_deleted(
    office: Office, pam: Calendar, forgotten: bool
) -> None:
    pam.forget_tombstones_of_trimmed = forgotten
    series = busy_series(office, pam)
    await begin(office)
    pam.cancel_following(occurrences(office, series)[3].id)
    await settle(office, sent=WEEKLY - 1 - 3, asked=SERIES)


@pytest.mark.parametrize("forgotten", [False, True], ids=["bare tombstones", "no tombstones"])
async def test_an_exception_far_outside_goes_with_this_and_following(
    office: Office, pam: Calendar, forgotten: bool
) -> None:
    pam.forget_tombstones_of_trimmed = forgotten
    series = weekly(pam)
    await begin(office)
    seen = occurrences(office, series)
    pam.edit_one(seen[8].id, start=at("2027-06-01T09:00"))
    await settle(office, sent=1)
    pam.cancel_following(seen[3].id)
    done = await settle(office, sent=WEEKLY - 3)
    assert len(done.cancelled) == WEEKLY - 3
    assert len(office.alive("pam")) == 3


async def test_an_exception_from_beyond_the_end_stays_if_it_came_back(
    office: Office, pam: Calendar
) -> None:
    series = weekly(pam)
    seen = occurrences(office, series)
    pam.edit_one(seen[8].id, start=at("2026-10-21T09:00"))
    await begin(office)
    pam.cancel_following(seen[9].id)
    await settle(office, sent=WEEKLY - 9, asked=SERIES)
    assert (seen[8].id, seen[8].ical_uid) in office.alive("pam")


async def test_everything_from_the_first_on_is_all(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    pam.cancel_following(occurrences(office, series)[0].id)
    await settle(office, sent=WEEKLY, asked=CHANGES)


async def test_one_occurrence_with_six_keys(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    target = occurrences(office, series)[2]
    pam.cancel_one(target.id)
    done = await settle(office, sent=1, asked=SERIES)
    assert done.cancelled[0]["start_time"] == "2026-10-12T13:00:00+00:00"


async def test_a_tombstone_of_what_was_never_known(office: Office, pam: Calendar) -> None:
    await begin(office)
    pam.cancel_all(pam.create("Never seen", at("2026-10-22T09:00")))
    pam.cancel_all(weekly(pam))
    far = weekly(pam, start=at("2026-05-04T09:00"), rule="FREQ=WEEKLY;COUNT=3")
    pam.cancel_all(far)
    await settle(office, sent=0, asked=CHANGES)


async def test_a_single_event_is_deleted_and_comes_back(office: Office, pam: Calendar) -> None:
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    await begin(office)
    pam.cancel_all(event)
    done = await settle(office, sent=1, asked=CHANGES)
    (cancelled,) = done.cancelled
    assert "title" not in cancelled  # what Salesloft holds stays
    (uid,) = [uid for event_id, uid in office.held("pam") if event_id == event]
    assert office.held("pam")[event, uid].title == "Pitch"
    pam.restore_one(event)
    done = await settle(office, sent=1, asked=CHANGES)
    assert done.alive[0]["canceled_at"] is None


async def test_a_series_is_deleted_and_comes_back(office: Office, pam: Calendar) -> None:
    series = weekly(pam)
    await begin(office)
    pam.cancel_all(series)
    await settle(office, sent=WEEKLY)
    pam.restore_one(series)
    await settle(office, sent=WEEKLY)


async def test_what_was_cancelled_before_it_was_sent_leaves_no_trace(
    office: Office, pam: Calendar
) -> None:
    await begin(office)
    office.salesloft.deny("simulated-key", "events.upsert")
    event = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    await office.once()
    pam.cancel_all(event)
    office.salesloft.allow("simulated-key", "events.upsert")
    await office.once()
    await settle(office, sent=0)
    assert event not in {event_id for event_id, _ in office.alive("pam")}


async def test_a_deletion_is_confirmed_by_google_where_the_feed_is_silent(
    office: Office, pam: Calendar
) -> None:
    """A row that the state holds and no listing explains: Google is asked by id before it is cancelled."""
    pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    ghost = pam.create("Ghost", at("2026-10-23T09:00"), attendees=[PROSPECT])
    await begin(office)
    pam.cancel_all(ghost)
    pam.purge_tombstones()
    sql(office, "UPDATE calendars SET sync_token = NULL")
    # A 404 may pass: it is believed when it was said twice.
    await settle(office, sent=1, asked={**FULL, "get": 2})
