"""Rows in a bulk job: newer content waits for it, and what overtakes it is settled by its own answer only."""

from __future__ import annotations

from datetime import timedelta

from connector.domain.model import Instant
from connector.domain.plan import Gone, Key, Seen
from connector.store import bulk, outbox
from connector.store.bulk import LocalJob, Refusal
from tests.domain.builders import ME, NOW, PROSPECT, an_event
from tests.store.world import OpenState, commit, count, fields_of, take
from tests.values import replace

TODAY = an_event(ME, PROSPECT, start=Instant(NOW), end=Instant(NOW + timedelta(hours=1)))
KEY = Key(TODAY.id, TODAY.ical_uid)


def a_job(state: OpenState) -> LocalJob:
    """One with everything that waits."""
    return bulk.open_job(state, "team", [1], "job 1", NOW, most=10)


def backfilled(state: OpenState) -> LocalJob:
    commit(state, Seen(TODAY), backfill=frozenset({TODAY.id}))
    return a_job(state)


def test_what_stands_in_a_job_is_in_flight(state: OpenState) -> None:
    job = backfilled(state)
    assert [row.key for row in bulk.items(state, job.id)] == [KEY]
    commit(state, Seen(replace(TODAY, summary="Pitch 2", updated=NOW)))
    assert take(state, [1], 9, NOW) == []
    outbox.release_all(state)  # a crash: the job keeps its own
    assert take(state, [1], 9, NOW) == []
    assert bulk.settle(state, job.id, {}, {}, NOW) == (1, 0)
    [newer] = take(state, [1], 9, NOW)
    assert fields_of(newer)["title"] == "Pitch 2"


def test_each_record_is_accepted_or_refused_by_itself(state: OpenState) -> None:
    job = backfilled(state)
    assert bulk.settle(state, job.id, {(1, KEY): Refusal("no")}, {}, NOW) == (0, 1)
    assert count(state, "dead_letters") == 1
    assert commit(state, Gone(KEY)).cancels == 0  # Salesloft never took it


def test_what_overtook_a_job_is_settled_by_its_own_answer(state: OpenState) -> None:
    job = backfilled(state)
    [item] = bulk.items(state, job.id)
    assert bulk.hasten(state, job.id, NOW) == 1
    [row] = take(state, [1], 9, NOW)
    assert row.updated_ms == item.updated_ms + 1
    assert bulk.hasten(state, job.id, NOW) == 0
    bulk.settle(state, job.id, {}, {}, NOW)
    assert take(state, [1], 9, NOW) == []  # never two requests for one key
    outbox.settle_accepted(state, [row])
    assert count(state, "outbox") == 0


def test_what_overtook_a_job_and_was_refused_is_uncertain(state: OpenState) -> None:
    job = backfilled(state)
    bulk.hasten(state, job.id, NOW)
    [row] = take(state, [1], 9, NOW)
    outbox.settle_refused(state, row, status=422, reason="no", request_id="", now=NOW)
    assert commit(state, Gone(KEY)).cancels == 1  # the job may have brought the older record


def test_an_abandoned_job_gives_its_rows_back(state: OpenState) -> None:
    job = backfilled(state)
    bulk.abandon(state, job.id)
    assert len(take(state, [1], 9, NOW)) == 1
    assert count(state, "bulk_jobs") == count(state, "bulk_items") == 0
