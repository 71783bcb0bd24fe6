"""A user who leaves: what waits is dropped, what is in flight settles, what a bulk job holds stays; and the return."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from connector.domain.mapping import UNCERTAIN
from connector.domain.model import EventId, UserGuid, UserName
from connector.domain.plan import Gone, Key, Seen
from connector.domain.roster import Change
from connector.store import bulk, outbox, roster
from connector.store.roster import Dropped, Told, Transition
from tests.domain.builders import ME, NOW, PROSPECT, an_event
from tests.store.world import OpenState, commit, count, take

ONE = an_event(ME, PROSPECT)
TWO = replace(ONE, id=EventId("two"))
KEY = Key(ONE.id, ONE.ical_uid)


def told(state: OpenState, calendar_type: str, banner: bool = False) -> list[Transition]:
    one = Told(UserGuid("guid-1"), UserName("pam"), "77", calendar_type, banner)
    return roster.note(state, [one], NOW)


def value(state: OpenState, column: str) -> object:
    return state.execute(f"SELECT {column} FROM calendars WHERE id = 1").fetchone()[0]  # noqa: S608


def test_what_waits_is_dropped_and_counted_cancellations_too(state: OpenState) -> None:
    commit(state, Seen(ONE))
    outbox.settle_accepted(state, take(state, [1], 9, NOW))
    commit(state, Gone(KEY), Seen(TWO))
    (left,) = told(state, "google")
    assert (left.change, left.dropped) == (Change.LEFT, Dropped(rows=2, cancels=1))
    assert count(state, "outbox") == 0
    assert count(state, "occurrences") == 2
    assert told(state, "google") == []


def test_what_is_in_flight_settles_by_its_answer_and_is_not_tried_again(
    state: OpenState,
) -> None:
    commit(state, Seen(ONE))
    (row,) = take(state, [1], 9, NOW)
    (left,) = told(state, "google")
    assert left.dropped == Dropped()
    outbox.settle_later(state, row, next_attempt=NOW, error="503")
    told(state, "google")
    assert count(state, "outbox") == 0


def test_what_a_bulk_job_holds_is_not_recalled_but_what_it_does_not_hold_yet_is(
    state: OpenState,
) -> None:
    both = frozenset({ONE.id, TWO.id})
    commit(state, Seen(ONE), Seen(TWO), backfill=both)
    job = bulk.open_job(state, "team", [1], "job", NOW, most=10)
    bulk.note_loaded(state, [row for row in bulk.items(state, job.id) if row.key == KEY])
    (left,) = told(state, "google")
    assert left.dropped == Dropped(rows=1, cancels=0, in_job=1)
    assert [row.key for row in bulk.items(state, job.id)] == [KEY]
    assert bulk.settle(state, job.id, {}, {}, NOW) == (1, 0)
    assert count(state, "outbox") == 0


def test_a_return_compares_first_and_believes_nothing(state: OpenState) -> None:
    commit(state, Seen(ONE), compared=True)
    outbox.settle_accepted(state, take(state, [1], 9, NOW))
    told(state, "google")
    (back,) = told(state, "external")
    assert back.change is Change.RETURNED
    assert (value(state, "sync_token"), value(state, "compared")) == (None, 0)
    assert value(state, "disconnected_ms") is None
    accepted = state.execute("SELECT accepted, ours FROM occurrences").fetchone()
    assert accepted == (UNCERTAIN, 1)


def test_confirming_a_served_user_changes_nothing_of_the_calendar(
    state: OpenState,
) -> None:
    """An update from a version that never looked settings up must not list every calendar anew."""
    commit(state, Seen(ONE), compared=True)
    (joined,) = told(state, "external")
    assert joined.change is Change.JOINED
    assert value(state, "sync_token") == "token-1"
    assert (value(state, "compared"), count(state, "outbox")) == (1, 1)
    assert told(state, "external") == []


def test_a_banner_that_is_up_is_ours_to_take_down_only_for_external_users(
    state: OpenState,
) -> None:
    told(state, "google", banner=True)
    assert value(state, "banner_ms") is None
    told(state, "external", banner=True)
    assert value(state, "banner_ms") is not None


def test_an_answer_without_a_type_says_nothing(state: OpenState) -> None:
    told(state, "external")
    assert told(state, "") == []
    assert value(state, "calendar_type") == "external"


def test_a_purge_forgets_everything_but_that_they_left(state: OpenState) -> None:
    commit(state, Seen(ONE))
    told(state, "google")
    later = NOW + timedelta(seconds=1)
    assert roster.purge_disconnected(state, NOW) == []
    assert roster.purge_disconnected(state, later) == ["pam"]
    assert roster.purge_disconnected(state, later) == []
    assert count(state, "occurrences") == 0
    assert value(state, "disconnected_ms") is not None
    assert value(state, "calendar_type") == "google"


def test_members_and_cursor_survive(state: OpenState) -> None:
    assert roster.cursor(state, "team") is None
    roster.keep_cursor(state, "team", NOW)
    assert roster.cursor(state, "team") == NOW
    roster.keep_members(state, "team", [UserGuid("a")])
    assert roster.members(state, "team") == {"a"}
    assert roster.members(state, "other") == frozenset()
