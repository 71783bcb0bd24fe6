"""What is sent, and what is not: `updated_at`, the window's edges, and what was never heard of."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.domain.mapping import Fingerprint, fingerprint
from connector.domain.model import Event, ICalUid, Instant, Tombstone
from connector.domain.plan import (
    Decision,
    Gone,
    Key,
    Known,
    Remember,
    Seen,
    Send,
    Withdraw,
    decide,
    replaced,
)
from connector.domain.policy import Rule
from tests.domain.builders import GROUND, ME, NOW, PROSPECT, an_event, content
from tests.values import replace

EVENT = an_event(ME, PROSPECT)
KEY = Key(EVENT.id, EVENT.ical_uid)
DAY = timedelta(days=1)
WINDOW = GROUND.window
OTHER = Fingerprint("other.content")


def at(start: datetime, length: timedelta = timedelta(hours=1), **changes: Any) -> Event:
    return replace(EVENT, start=Instant(start), end=Instant(start + length), **changes)


def known(event: Event = EVENT, **changes: Any) -> Known:
    """Salesloft holds the event as it is."""
    held = content(event)
    plain = Known(
        KEY,
        None,
        held.start,
        held.end,
        held.all_day,
        alive=True,
        accepted=fingerprint(held),
        exposed=True,
        prospect=True,
        updated_at=event.updated,
        rule=Rule.EXTERNAL_ATTENDEE,
    )
    return replace(plain, **changes)


def sent(decision: Decision | None) -> dict[str, Any]:
    assert isinstance(decision, Send)
    body: dict[str, Any] = json.loads(decision.payload)
    return body


def seen(event: Event, row: Known | None = None) -> Decision | None:
    return decide(GROUND, Seen(event), row)


def gone(row: Known | None, tombstone: Tombstone | None = None) -> Decision | None:
    return decide(GROUND, Gone(KEY, tombstone), row)


def test_what_is_new_is_sent() -> None:
    decision = seen(EVENT)
    assert sent(decision)["title"] == "Pitch"
    assert isinstance(decision, Send)
    assert (decision.prospect, decision.cancels) == (True, False)
    assert decision.known.pending == fingerprint(content(EVENT))


def test_what_is_held_is_not_sent_again() -> None:
    assert seen(EVENT, known()) is None
    assert seen(replace(EVENT, updated=NOW), known()) is None


@pytest.mark.parametrize(
    ("updated", "last", "expected"),
    [
        (NOW, None, "2026-11-20T09:00:00+00:00"),
        (NOW, NOW - DAY, "2026-11-20T09:00:00+00:00"),
        (NOW, NOW, "2026-11-20T09:00:00.001+00:00"),
        (NOW - DAY, NOW, "2026-11-20T09:00:00.001+00:00"),
        (NOW.replace(microsecond=123_999), None, "2026-11-20T09:00:00.123+00:00"),
        (
            NOW.replace(microsecond=1_500),
            NOW.replace(microsecond=1_000),
            "2026-11-20T09:00:00.002+00:00",
        ),
        (None, None, "2026-11-20T09:00:00+00:00"),  # Google's clock, as it answered
        (None, NOW + DAY, "2026-11-21T09:00:00.001+00:00"),
    ],
)
def test_updated_at_rises_with_every_new_content(
    updated: datetime | None, last: datetime | None, expected: str
) -> None:
    row = known(accepted=OTHER, updated_at=last)
    assert sent(seen(replace(EVENT, updated=updated), row))["updated_at"] == expected
    tombstone = Tombstone(EVENT.id, updated=updated)
    assert sent(gone(row, tombstone))["updated_at"] == expected


def test_what_waits_already_keeps_its_updated_at() -> None:
    waiting = known(accepted=None, pending=fingerprint(content(EVENT)))
    assert not isinstance(seen(replace(EVENT, updated=NOW), waiting), Send)


INSIDE = [
    WINDOW.start - timedelta(minutes=30),
    WINDOW.start,
    NOW,
    WINDOW.end - timedelta(seconds=1),
]
OUTSIDE = [WINDOW.start - timedelta(hours=1), WINDOW.start - DAY, WINDOW.end, WINDOW.end + DAY]


@pytest.mark.parametrize("start", INSIDE)
def test_inside_the_window_is_sent(start: datetime) -> None:
    assert isinstance(seen(at(start)), Send)


@pytest.mark.parametrize("start", OUTSIDE)
def test_outside_the_window_is_not(start: datetime) -> None:
    assert seen(at(start)) is None


@pytest.mark.parametrize("start", OUTSIDE)
def test_moved_out_of_the_window_the_old_slot_becomes_free(start: datetime) -> None:
    assert sent(seen(at(start), known()))["start_time"] == start.astimezone(UTC).isoformat()
    may_have_arrived = known(accepted=None, pending=OTHER, attempted=True)
    assert isinstance(seen(at(start), may_have_arrived), Send)


@pytest.mark.parametrize("start", OUTSIDE)
def test_moved_out_of_the_window_before_it_was_sent(start: datetime) -> None:
    never_sent = known(accepted=None, pending=OTHER)
    assert seen(at(start), never_sent) == Withdraw(KEY, None)


def test_beyond_the_horizon_later_changes_are_sent_like_any_others() -> None:
    far = at(WINDOW.end + DAY)
    row = known(far)
    assert seen(far, row) is None
    assert sent(seen(replace(far, summary="Later"), row))["title"] == "Later"
    assert sent(gone(row))["status"] == "cancelled"


def test_what_passed_the_old_edge_is_history() -> None:
    old = at(WINDOW.start - timedelta(hours=1))
    row = known(old)
    assert gone(row) is None
    assert gone(row, Tombstone(EVENT.id)) is None
    assert seen(replace(old, summary="Rewritten"), row) is None
    assert sent(seen(at(NOW), row))["start_time"] == "2026-11-20T09:00:00+00:00"  # it came back


def test_a_cancellation_tells_the_last_known_times() -> None:
    decision = gone(known(), Tombstone(EVENT.id, updated=NOW))
    assert sent(decision) == {
        "calendar_id": GROUND.calendar_id,
        "id": "e1",
        "i_cal_uid": "e1@google.com",
        "start_time": "2026-11-23T09:00:00+00:00",
        "end_time": "2026-11-23T10:00:00+00:00",
        "status": "cancelled",
        "updated_at": "2026-11-20T09:00:00+00:00",
        "canceled_at": "2026-11-20T09:00:00+00:00",
    }
    assert isinstance(decision, Send)
    assert decision.cancels
    assert not decision.known.alive
    assert gone(decision.known) is None


def test_canceled_at_without_googles_word_is_googles_clock() -> None:
    assert sent(gone(known()))["canceled_at"] == "2026-11-20T09:00:00+00:00"
    first = NOW - DAY
    assert sent(gone(known(canceled_at=first)))["canceled_at"] == "2026-11-19T09:00:00+00:00"


def test_nobody_is_told_that_something_unheard_of_is_gone() -> None:
    assert gone(None) is None
    assert gone(known(accepted=None, pending=OTHER)) == Withdraw(KEY, None)
    assert gone(known(accepted=None, refused=OTHER)) == Withdraw(KEY, None)


@pytest.mark.parametrize("row", [known(alive=False), known(alive=False, exposed=False)])
def test_cancelled_stays_cancelled(row: Known) -> None:
    assert gone(row) is None
    assert gone(row, Tombstone(EVENT.id, updated=NOW, body=EVENT)) is None


def test_what_was_refused_is_not_tried_again_until_it_changes() -> None:
    row = known(accepted=OTHER, refused=fingerprint(content(EVENT)))
    assert seen(EVENT, row) is None
    assert sent(seen(replace(EVENT, summary="Mended"), row))["title"] == "Mended"


def test_another_verdict_on_the_same_content_is_remembered_only() -> None:
    decision = seen(EVENT, known(rule=Rule.EXTERNAL_ORGANIZER))
    assert isinstance(decision, Remember)
    assert decision.known.rule is Rule.EXTERNAL_ATTENDEE


def test_only_living_other_keys_are_replaced() -> None:
    uid = ICalUid("other@google.com")
    other = known(accepted=OTHER)
    dead = replace(other, alive=False, key=Key(EVENT.id, ICalUid("dead@google.com")))
    assert replaced(Seen(replace(EVENT, ical_uid=uid)), [other, dead]) == [other]
    assert replaced(Seen(EVENT), [other, dead]) == []
