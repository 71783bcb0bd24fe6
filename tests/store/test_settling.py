"""An answer settles the content that was sent, and no other; what is uncertain stays uncertain."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from connector.domain.mapping import CANCELLED, UNCERTAIN
from connector.domain.model import Event, EventType, ICalUid, Instant, Tombstone
from connector.domain.plan import Finding, Gone, Key, Known, Seen
from connector.domain.policy import Rule
from connector.store import outbox
from connector.store.outbox import Row
from connector.store.rows import known_of_events
from tests.domain.builders import ME, NOW, PROSPECT, an_event
from tests.store.world import OpenState, commit, count, fields_of, take
from tests.values import replace

EVENT = an_event(ME, PROSPECT)
KEY = Key(EVENT.id, EVENT.ical_uid)
NEWER = replace(EVENT, summary="Pitch 2", updated=NOW)
LATER = NOW + timedelta(hours=1)


def known(state: OpenState) -> Known:
    [row] = known_of_events(state, 1, [EVENT.id])
    return row


def claim(state: OpenState) -> Row:
    [row] = take(state, [1], 9, LATER)
    return row


def sent(state: OpenState, finding: Finding = Seen(EVENT)) -> Row:  # noqa: B008  # frozen
    commit(state, finding)
    return claim(state)


def refuse(state: OpenState, row: Row) -> bool:
    return outbox.settle_refused(
        state, row, status=422, reason="end before start", request_id="r-1", now=NOW
    )


def put_off(state: OpenState, row: Row) -> None:
    outbox.settle_later(state, row, next_attempt=NOW, error="later")


def test_accepted(state: OpenState) -> None:
    row = sent(state)
    outbox.settle_accepted(state, [row])
    assert count(state, "outbox") == 0
    assert known(state).accepted == row.fingerprint
    assert commit(state, Seen(EVENT)).unchanged == 1


def test_a_slow_answer_does_not_settle_newer_content(state: OpenState) -> None:
    row = sent(state)
    commit(state, Seen(NEWER))
    outbox.settle_accepted(state, [row])
    assert known(state).accepted == row.fingerprint
    newer = claim(state)
    assert fields_of(newer)["title"] == "Pitch 2"
    assert newer.updated_ms > row.updated_ms
    outbox.settle_accepted(state, [newer])
    assert known(state).accepted == newer.fingerprint


def test_a_slow_refusal_does_not_bury_newer_content(state: OpenState) -> None:
    row = sent(state)
    commit(state, Seen(NEWER))
    assert not refuse(state, row)
    assert count(state, "dead_letters") == 0
    assert fields_of(claim(state))["title"] == "Pitch 2"


def test_a_slow_failure_does_not_put_newer_content_off(state: OpenState) -> None:
    row = sent(state)
    commit(state, Seen(NEWER))
    outbox.settle_later(state, row, next_attempt=LATER + timedelta(days=1), error="later")
    assert claim(state).attempts == 0


def test_back_to_what_was_sent_is_not_sent_again(state: OpenState) -> None:
    row = sent(state)
    commit(state, Seen(NEWER))
    commit(state, Seen(replace(EVENT, updated=LATER)))
    outbox.settle_accepted(state, [row])
    assert count(state, "outbox") == 0
    assert known(state).accepted == row.fingerprint


def test_refused_becomes_a_dead_letter_with_reason_and_request_id(
    state: OpenState,
) -> None:
    row = sent(state)
    assert refuse(state, row)
    [letter] = state.execute(
        "SELECT event_id, ical_uid, status, reason, request_id, payload FROM dead_letters"
    )
    assert letter == ("e1", "e1@google.com", 422, "end before start", "r-1", row.payload)
    assert count(state, "outbox") == 0
    assert commit(state, Seen(EVENT)).sends == 0  # the same again is not tried again


def test_newer_content_replaces_the_dead_letter(state: OpenState) -> None:
    refuse(state, sent(state))
    assert commit(state, Seen(NEWER)).sends == 1
    assert count(state, "dead_letters") == 0


def test_back_to_what_was_accepted_the_dead_letter_is_moot(state: OpenState) -> None:
    outbox.settle_accepted(state, [sent(state)])
    refuse(state, sent(state, Seen(NEWER)))
    commit(state, Seen(replace(EVENT, updated=LATER)))
    assert count(state, "dead_letters") == 0
    assert count(state, "outbox") == 0


def test_deleted_after_a_refusal_nothing_is_left(state: OpenState) -> None:
    refuse(state, sent(state))
    assert commit(state, Gone(KEY)).withdrawn == 1
    assert [count(state, t) for t in ("outbox", "dead_letters", "occurrences")] == [0, 0, 0]


def test_a_refusal_after_a_lost_answer_leaves_it_uncertain(state: OpenState) -> None:
    put_off(state, sent(state))  # may have been applied
    refuse(state, sent(state, Seen(NEWER)))
    assert known(state).accepted == UNCERTAIN
    assert commit(state, Seen(replace(EVENT, updated=LATER))).sends == 1  # not taken for held
    outbox.release(state, [claim(state)])
    assert commit(state, Gone(KEY)).cancels == 1  # and it is cancelled


def test_a_refusal_after_a_refused_key_is_certain(state: OpenState) -> None:
    outbox.release(state, [sent(state)])  # 401: surely not applied
    refuse(state, claim(state))
    assert known(state).accepted is None
    assert commit(state, Gone(KEY)).cancels == 0


def test_released_is_as_if_never_claimed(state: OpenState) -> None:
    row = sent(state)
    outbox.release(state, [row])
    assert claim(state) == row
    outbox.release(state, [row])
    assert commit(state, Gone(KEY)).withdrawn == 1
    assert count(state, "outbox") == 0


@pytest.mark.parametrize("crashed", [False, True])
def test_what_may_have_arrived_is_cancelled(state: OpenState, crashed: bool) -> None:
    row = sent(state)
    if crashed:
        outbox.release_all(state)
    else:
        put_off(state, row)
    assert commit(state, Gone(KEY)).cancels == 1
    assert fields_of(claim(state))["status"] == "cancelled"


def test_after_a_crash_everything_is_in_line_again(state: OpenState) -> None:
    row = sent(state)
    assert take(state, [1], 9, LATER) == []
    outbox.release_all(state)
    again = claim(state)
    assert again.payload == row.payload
    assert again.updated_ms == row.updated_ms


def test_a_retry_is_the_same_request(state: OpenState) -> None:
    row = sent(state)
    put_off(state, row)
    commit(state, Seen(replace(EVENT, updated=LATER)))  # touched only
    again = claim(state)
    assert (again.payload, again.updated_ms, again.attempts) == (row.payload, row.updated_ms, 1)


def test_withdrawn_before_it_was_sent(state: OpenState) -> None:
    outbox.settle_accepted(state, [sent(state)])
    before = known(state)
    commit(state, Seen(NEWER))
    assert commit(state, Seen(replace(EVENT, updated=LATER))).withdrawn == 1
    after = known(state)
    assert count(state, "outbox") == 0
    assert (after.accepted, after.pending) == (before.accepted, None)


def test_a_cancellation_withdrawn_before_it_was_sent(state: OpenState) -> None:
    outbox.settle_accepted(state, [sent(state)])
    assert commit(state, Gone(KEY)).cancels == 1
    assert commit(state, Seen(replace(EVENT, updated=LATER))).withdrawn == 1
    assert (known(state).alive, known(state).canceled_at) == (True, None)


def test_a_revival_withdrawn_before_it_was_sent(state: OpenState) -> None:
    outbox.settle_accepted(state, [sent(state)])
    outbox.settle_accepted(state, [sent(state, Gone(KEY))])
    commit(state, Seen(NEWER))
    assert commit(state, Gone(KEY)).withdrawn == 1
    assert count(state, "outbox") == 0
    assert (known(state).alive, known(state).accepted) == (False, CANCELLED)


def test_canceled_at_is_fixed_when_first_seen_and_taken_back_when_revived(
    state: OpenState,
) -> None:
    outbox.settle_accepted(state, [sent(state)])
    row = sent(state, Gone(KEY, Tombstone(EVENT.id, updated=NOW)))
    assert fields_of(row)["canceled_at"] == "2026-11-20T09:00:00+00:00"
    put_off(state, row)
    commit(state, Gone(KEY, Tombstone(EVENT.id, updated=LATER)))
    assert claim(state).payload == row.payload
    outbox.settle_accepted(state, [row])
    revived = sent(state, Seen(NEWER))
    body = fields_of(revived)
    assert (body["canceled_at"], body["status"]) == (None, "confirmed")
    outbox.settle_accepted(state, [revived])
    assert known(state).canceled_at is None
    again = sent(state, Seen(replace(NEWER, summary="Pitch 3")))
    assert "canceled_at" not in fields_of(again)


def private(event: Event = EVENT) -> Event:
    return replace(event, private=True, updated=NOW)


def blank(row: Row) -> dict[str, Any]:
    body = fields_of(row)
    return {name: body.get(name, "left out") for name in ("title", "description", "attendees")}


BLANK = {"title": "", "description": "", "attendees": []}


def test_made_private_and_deleted_before_the_text_was_taken_away(
    state: OpenState,
) -> None:
    outbox.settle_accepted(state, [sent(state)])
    commit(state, Seen(private()))
    commit(state, Gone(KEY))  # a bare tombstone: Google no longer shows that it was private
    assert blank(claim(state)) == BLANK


def test_made_private_refused_and_deleted(state: OpenState) -> None:
    outbox.settle_accepted(state, [sent(state)])
    refuse(state, sent(state, Seen(private())))
    commit(state, Gone(KEY))
    assert blank(claim(state)) == BLANK


def test_text_that_may_have_arrived_is_blanked(state: OpenState) -> None:
    put_off(state, sent(state))
    assert blank(sent(state, Seen(private()))) == BLANK


def test_a_cancelled_event_that_is_private_now_loses_its_text(state: OpenState) -> None:
    outbox.settle_accepted(state, [sent(state)])
    outbox.settle_accepted(state, [sent(state, Gone(KEY))])
    told = Tombstone(EVENT.id, updated=LATER, body=private())
    row = sent(state, Gone(KEY, told))
    assert blank(row) == BLANK
    outbox.settle_accepted(state, [row])
    commit(state, Gone(KEY, told))
    assert count(state, "outbox") == 0


def test_the_text_of_a_cancelled_meeting_stays(state: OpenState) -> None:
    outbox.settle_accepted(state, [sent(state)])
    row = sent(state, Gone(KEY, Tombstone(EVENT.id, updated=NOW, body=EVENT)))
    assert set(json.loads(row.payload)) == {
        "calendar_id",
        "id",
        "i_cal_uid",
        "start_time",
        "end_time",
        "status",
        "updated_at",
        "canceled_at",
    }


def test_no_longer_sent_at_all_is_cancelled_and_blanked(state: OpenState) -> None:
    outbox.settle_accepted(state, [sent(state)])
    row = sent(state, Seen(replace(EVENT, event_type=EventType.BIRTHDAY)))
    assert fields_of(row)["status"] == "cancelled"
    assert blank(row) == BLANK


def test_another_ical_uid_cancels_the_old_key_after_the_new_one(
    state: OpenState,
) -> None:
    outbox.settle_accepted(state, [sent(state)])
    moved = replace(EVENT, ical_uid=ICalUid("new@google.com"), updated=NOW)
    new = sent(state, Seen(moved))
    assert new.key.ical_uid == "new@google.com"
    outbox.settle_accepted(state, [new])
    old = claim(state)
    assert (old.key, old.fingerprint) == (KEY, CANCELLED)
    outbox.settle_accepted(state, [old])
    assert commit(state, Seen(moved)).unchanged == 1


def test_the_rule_that_decided_is_remembered(state: OpenState) -> None:
    outbox.settle_accepted(state, [sent(state)])
    assert known(state).rule is Rule.EXTERNAL_ATTENDEE
    commit(state, Seen(private()))
    assert known(state).rule is Rule.PRIVATE


def test_two_keys_never_wait_for_each_other(state: OpenState) -> None:
    """The iCalUID changed there and back, and the event left the window before anything was sent."""
    first = private()
    second = replace(first, ical_uid=ICalUid("second"))
    for event in (EVENT, second):
        commit(state, Seen(event))
        while rows := take(state, [1], 9, LATER):
            outbox.settle_accepted(state, rows)
    commit(state, Seen(replace(first, updated=LATER)))
    far: dict[str, Any] = {
        "start": Instant(NOW + timedelta(days=200)),
        "end": Instant(NOW + timedelta(days=201)),
    }
    commit(state, Seen(replace(second, updated=LATER, **far)))
    while rows := take(state, [1], 9, LATER):
        outbox.settle_accepted(state, rows)
    assert count(state, "outbox") == 0
    assert all(not row.alive for row in known_of_events(state, 1, [EVENT.id]))


def test_newer_content_never_overtakes_what_is_in_flight(state: OpenState) -> None:
    """Also where the row's content is withheld by now, or past the window's edge: it stays in flight."""
    row = sent(state)
    past: dict[str, Any] = {
        "start": Instant(NOW - timedelta(days=60)),
        "end": Instant(NOW - timedelta(days=59)),
    }
    for event in (replace(EVENT, **past), replace(private(), **past), EVENT):
        commit(state, Seen(event))
        assert take(state, [1], 9, LATER) == []
    outbox.settle_accepted(state, [row])
    assert count(state, "outbox") == 0


def test_what_waits_is_not_sent_in_full_once_it_is_withheld(state: OpenState) -> None:
    """Though it lies past the window's edge, where nothing new would be sent any more."""
    put_off(state, sent(state))
    past: dict[str, Any] = {
        "start": Instant(NOW - timedelta(days=60)),
        "end": Instant(NOW - timedelta(days=59)),
    }
    commit(state, Seen(replace(EVENT, **past)))
    commit(state, Seen(replace(private(), **past)))
    assert blank(claim(state)) == BLANK
