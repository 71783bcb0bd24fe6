"""What a leaving and an erasure do to rows that wait, are in flight, stand in a bulk job or were refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connector.domain.model import Attendee, Event, EventId, ICalUid, Instant, Person
from connector.domain.plan import Gone, Key, Seen
from connector.store import bulk, leaving, outbox
from connector.store.calendars import of_user
from connector.store.erasures import Cleaned, erase, erased_people
from connector.store.leaving import Farewell, Outcome
from tests.domain.builders import ME, NOW, PROSPECT, an_event
from tests.store.world import (
    OpenState,
    PlainSalesloft,
    all_bytes,
    commit,
    count,
    dump,
    fields_of,
    secure_delete,
    take,
)

DWIGHT = PROSPECT.email or ""
ANGELA = Attendee("angela@buyer.example.net")
MINUTE = timedelta(minutes=1)


def meeting(name: str = "e1", days: float = 3, *guests: Attendee, **changes: Any) -> Event:
    start = NOW + timedelta(days=days)
    return an_event(
        ME,
        *(guests or (PROSPECT, ANGELA)),
        id=EventId(name),
        ical_uid=ICalUid(f"{name}@google.com"),
        start=Instant(start),
        end=Instant(start + timedelta(hours=1)),
        **changes,
    )


def claim(state: OpenState) -> list[outbox.Row]:
    return take(state, [1], 50, NOW)


def send(state: OpenState, salesloft: PlainSalesloft) -> int:
    """Deliver everything that can be claimed; gives how many upserts that were."""
    sent = 0
    while rows := claim(state):
        for row in rows:
            salesloft.upsert(fields_of(row))
            outbox.settle_accepted(state, [row])
            sent += 1
    return sent


def leave(state: OpenState, *, cancel: bool = True, minutes: int = 0) -> Farewell:
    return leaving.leave(
        state,
        1,
        team="team",
        zone=ZoneInfo("America/New_York"),
        cancel_future=cancel,
        now=NOW + minutes * MINUTE,
    )


def people(salesloft: PlainSalesloft, name: str = "e1") -> set[str]:
    return {guest["email"] for guest in salesloft.held[name, f"{name}@google.com"]["attendees"]}


def status(salesloft: PlainSalesloft, name: str = "e1") -> str:
    return str(salesloft.held[name, f"{name}@google.com"]["status"])


def in_file(state: OpenState) -> bool:
    return DWIGHT.encode() in all_bytes(state)


@pytest.fixture(autouse=True)
def secure(state: OpenState) -> None:
    secure_delete(state)


def erasing(state: OpenState) -> Cleaned:
    return erase(state, DWIGHT, NOW + MINUTE)


# --- erase


def test_what_waits_is_rewritten_and_the_next_reading_finds_nothing_new(
    state: OpenState,
) -> None:
    salesloft = PlainSalesloft()
    commit(state, Seen(meeting()))
    assert erasing(state).waiting == 1
    assert not in_file(state)
    assert commit(state, Seen(meeting())).sends == 0
    assert send(state, salesloft) == 1
    assert people(salesloft) == {ME.email, ANGELA.email}
    assert commit(state, Seen(meeting())).sends == 0


def test_a_late_answer_to_what_was_in_flight_does_not_settle_the_rewritten_row(
    state: OpenState,
) -> None:
    salesloft = PlainSalesloft()
    commit(state, Seen(meeting()))
    (row,) = claim(state)
    erasing(state)
    assert claim(state) == []  # one request of a key at a time
    salesloft.upsert(fields_of(row))
    outbox.settle_accepted(state, [row])
    assert DWIGHT in people(salesloft)
    assert send(state, salesloft) == 1
    assert DWIGHT not in people(salesloft)
    assert not in_file(state)


@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize("job_first", [True, False])
def test_records_of_a_bulk_job_are_overtaken(
    state: OpenState, loaded: bool, job_first: bool
) -> None:
    salesloft = PlainSalesloft()
    commit(state, Seen(meeting()), Seen(meeting("e2", 4, ANGELA)))
    job = bulk.open_job(state, "team", [1], "job", NOW, most=100)
    rows = bulk.items(state, job.id)
    if loaded:
        bulk.note_loaded(state, rows)
    assert erasing(state).in_jobs == 1
    assert not in_file(state)
    if job_first:
        for row in rows:
            salesloft.upsert(fields_of(row))
        bulk.settle(state, job.id, {}, {}, NOW)
        assert send(state, salesloft) == 1
    else:
        assert send(state, salesloft) == 1
        for row in rows:
            salesloft.upsert(fields_of(row))
        bulk.settle(state, job.id, {}, {}, NOW)
    assert DWIGHT not in people(salesloft)
    assert count(state, "outbox") == 0


def test_newer_content_behind_a_job_whose_record_named_the_person_goes_on(
    state: OpenState,
) -> None:
    salesloft = PlainSalesloft()
    commit(state, Seen(meeting()))
    job = bulk.open_job(state, "team", [1], "job", NOW, most=100)
    bulk.note_loaded(state, bulk.items(state, job.id))
    commit(state, Seen(meeting("e1", 3, ANGELA, summary="Newer")))
    erasing(state)
    assert send(state, salesloft) == 1
    assert people(salesloft) == {ME.email, ANGELA.email}


def test_a_dead_letter_is_rewritten_and_stays_one(state: OpenState) -> None:
    commit(state, Seen(meeting()))
    (row,) = claim(state)
    outbox.settle_refused(
        state, row, status=422, reason=f"{DWIGHT} is odd", request_id="r", now=NOW
    )
    cleaned = erasing(state)
    assert (cleaned.dead_letters, cleaned.messages) == (1, 1)
    assert not in_file(state)
    assert commit(state, Seen(meeting())).sends == 0


def test_a_reading_that_began_before_the_erasure_brings_nobody_back(
    state: OpenState,
) -> None:
    salesloft = PlainSalesloft()
    erasing(state)
    commit(state, Seen(meeting(organizer=Person(DWIGHT))))  # its ground knows of nobody
    assert send(state, salesloft) == 1
    assert people(salesloft) == {ME.email, ANGELA.email}
    assert salesloft.held["e1", "e1@google.com"]["organizer"] == ""


def test_erasing_twice_changes_nothing_and_the_set_has_one_name(state: OpenState) -> None:
    commit(state, Seen(meeting()))
    erasing(state)
    name = of_user(state, "guid-1", "user-1").erased  # type: ignore[arg-type]
    before = dump(state)
    again = erase(state, f" {DWIGHT.upper()}", NOW + 5 * MINUTE)
    assert (again.already, again.erased_at) == (True, NOW + MINUTE)
    assert dump(state) == before
    assert name == erased_people(state).name != ""


# --- offboard


def sent(state: OpenState, *events: Event) -> PlainSalesloft:
    salesloft = PlainSalesloft()
    commit(state, *(Seen(event) for event in events))
    send(state, salesloft)
    return salesloft


def test_only_what_has_not_begun_is_cancelled(state: OpenState) -> None:
    salesloft = sent(state, meeting("past", -2), meeting("now", -0.02), meeting("next", 0.02))
    left = leave(state)
    assert [c.key.event_id for c in left.cancellations] == ["next"]
    assert send(state, salesloft) == 1
    assert [status(salesloft, name) for name in ("past", "now", "next")] == [
        "confirmed",
        "confirmed",
        "cancelled",
    ]
    assert salesloft.held["next", "next@google.com"]["title"] == "Pitch"
    assert salesloft.stale == 0


def test_a_cancellation_waits_for_the_request_in_flight(state: OpenState) -> None:
    salesloft = PlainSalesloft()
    commit(state, Seen(meeting()))
    (row,) = claim(state)
    assert [c.outcome for c in leave(state).cancellations] == [Outcome.WAITING]
    assert claim(state) == []
    salesloft.upsert(fields_of(row))
    outbox.settle_accepted(state, [row])
    assert send(state, salesloft) == 1
    assert status(salesloft) == "cancelled"
    assert [c.outcome for c in leaving.farewell(state, 1).cancellations] == [Outcome.ACCEPTED]


def test_a_cancellation_waits_for_the_bulk_job(state: OpenState) -> None:
    salesloft = PlainSalesloft()
    commit(state, Seen(meeting()))
    job = bulk.open_job(state, "team", [1], "job", NOW, most=100)
    rows = bulk.items(state, job.id)
    leave(state)
    assert claim(state) == []
    for row in rows:
        salesloft.upsert(fields_of(row))
    bulk.settle(state, job.id, {}, {}, NOW)
    assert send(state, salesloft) == 1
    assert status(salesloft) == "cancelled"


def test_what_was_never_tried_is_dropped_without_a_word(state: OpenState) -> None:
    commit(state, Seen(meeting()))
    left = leave(state)
    assert (left.cancellations, left.dropped, left.known) == ((), 1, 0)
    assert claim(state) == []


def test_what_may_have_arrived_can_be_cancelled_later(state: OpenState) -> None:
    salesloft = PlainSalesloft()
    commit(state, Seen(meeting()))
    (row,) = claim(state)
    salesloft.upsert(fields_of(row))
    leave(state, cancel=False)
    outbox.settle_accepted(state, [row])
    assert claim(state) == []
    assert leave(state, minutes=1).left_at == NOW
    assert send(state, salesloft) == 1
    assert status(salesloft) == "cancelled"


def test_a_cancellation_that_waited_is_kept_and_a_held_one_goes_out(
    state: OpenState,
) -> None:
    event = meeting()
    salesloft = sent(state, event)
    commit(state, Gone(Key(event.id, event.ical_uid)))
    state.execute("INSERT INTO held VALUES (1, 1, 0, 1, 1)")
    state.execute("UPDATE outbox SET held_id = 1")
    assert len(leave(state).cancellations) == 1
    assert send(state, salesloft) == 1
    assert status(salesloft) == "cancelled"
    assert count(state, "held") == 0


def test_a_dropped_cancellation_leaves_the_meeting_alive(state: OpenState) -> None:
    event = meeting()
    salesloft = sent(state, event)
    commit(state, Gone(Key(event.id, event.ical_uid)))
    left = leave(state, cancel=False)
    assert (left.dropped, left.future_kept) == (1, 1)
    assert send(state, salesloft) == 0
    leave(state)
    assert send(state, salesloft) == 1
    assert status(salesloft) == "cancelled"


def test_withheld_text_that_was_about_to_be_blanked_is_blanked_by_the_cancellation(
    state: OpenState,
) -> None:
    salesloft = sent(state, meeting())
    commit(state, Seen(meeting(private=True)))
    leave(state)
    send(state, salesloft)
    assert salesloft.held["e1", "e1@google.com"]["title"] == ""


def test_a_reading_that_ends_after_the_leaving_takes_nothing_in(state: OpenState) -> None:
    sent(state, meeting())
    leave(state)
    before = dump(state)
    assert commit(state, Seen(meeting()), Seen(meeting("new"))).sends == 0
    assert dump(state) == before


def test_calls_add_up_and_a_return_forgets_the_leaving(state: OpenState) -> None:
    salesloft = sent(state, meeting(), meeting("e2", 5))
    first = leave(state)
    assert leaving.last_words(state) == {1: "team"}
    assert leave(state, minutes=1) == first
    send(state, salesloft)
    assert leaving.last_words(state) == {}
    leaving.forget_left(state, 1)
    assert commit(state, Seen(meeting()), Seen(meeting("e2", 5))).sends == 2
    send(state, salesloft)
    assert status(salesloft) == "confirmed"
    again = leave(state, minutes=2)
    assert again.left_at == NOW + 2 * MINUTE
    assert [c.outcome for c in again.cancellations] == [Outcome.WAITING] * 2


def test_an_adopted_meeting_becomes_ours_only_by_sending(state: OpenState) -> None:
    sent(state, meeting(), meeting("e2", 5))
    state.execute("UPDATE occurrences SET ours = FALSE WHERE event_id = 'e2'")
    left = leave(state)
    assert [c.key.event_id for c in left.cancellations] == ["e1"]
    assert left.not_ours == 1
    assert replace(left, cancellations=()).past == 0
