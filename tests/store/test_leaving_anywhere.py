"""Wherever an occurrence is when its user leaves: ours and to come ends cancelled, what was adopted stays alive."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from enum import Enum, auto

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.domain.plan import Gone, Key, Seen
from connector.store import bulk, leaving, outbox
from connector.store.erasures import erase
from tests.domain.builders import NOW
from tests.store.test_leaving_and_erasing import DWIGHT, leave, meeting
from tests.store.world import (
    OpenState,
    PlainSalesloft,
    all_bytes,
    an_empty_state,
    commit,
    count,
    fields_of,
    secure_delete,
    take,
)


class Where(Enum):
    """How far the last content of an occurrence is."""

    NEVER_SENT = auto()
    ACCEPTED = auto()
    ADOPTED = auto()
    CHANGED = auto()  # accepted, and newer content waits
    DELETED = auto()  # accepted, and its cancellation waits
    REFUSED = auto()
    IN_FLIGHT = auto()
    UNANSWERED = auto()  # arrived, and the answer was lost
    IN_JOB = auto()
    LOADED = auto()


FIRST = (Where.ACCEPTED, Where.ADOPTED, Where.CHANGED, Where.DELETED)
IN_A_JOB = (Where.IN_JOB, Where.LOADED)
TAKEN = (Where.REFUSED, Where.IN_FLIGHT, Where.UNANSWERED)


def days_of(number: int) -> float:
    return 3 + number


class World:
    """One calendar whose occurrences stand in many places at once."""

    def __init__(self, places: list[Where]) -> None:
        self.state: OpenState = an_empty_state()
        self.salesloft = PlainSalesloft()
        self.flying: list[outbox.Row] = []
        self.job: list[outbox.Row] = []
        self.job_id: int | None = None
        self._commit(places, FIRST)
        self._deliver()
        for number, place in enumerate(places):
            if place is Where.ADOPTED:
                self.state.execute(
                    "UPDATE occurrences SET ours = FALSE WHERE event_id = ?", (f"e{number}",)
                )
        self._commit(places, IN_A_JOB)
        if any(place in IN_A_JOB for place in places):
            job = bulk.open_job(self.state, "team", [1], "job", NOW, most=100)
            self.job, self.job_id = bulk.items(self.state, job.id), job.id
            loaded = {f"e{n}" for n, place in enumerate(places) if place is Where.LOADED}
            bulk.note_loaded(self.state, [r for r in self.job if r.key.event_id in loaded])
        self._commit(places, TAKEN)
        self._take(places)
        self._commit(places, (Where.NEVER_SENT,))
        self._change(places)

    def _commit(self, places: list[Where], among: tuple[Where, ...]) -> None:
        seen = [
            Seen(meeting(f"e{n}", days_of(n))) for n, place in enumerate(places) if place in among
        ]
        commit(self.state, *seen)

    def _take(self, places: list[Where]) -> None:
        for row in take(self.state, [1], 100, NOW):
            place = places[int(row.key.event_id[1:])]
            if place is Where.IN_FLIGHT:
                self.flying.append(row)
            elif place is Where.UNANSWERED:
                self.salesloft.upsert(fields_of(row))
                outbox.settle_later(
                    self.state, row, next_attempt=NOW + timedelta(minutes=1), error="lost"
                )
            else:
                outbox.settle_refused(
                    self.state, row, status=422, reason="odd", request_id="", now=NOW
                )

    def close(self) -> None:
        self.state.close()

    def _change(self, places: list[Where]) -> None:
        for number, place in enumerate(places):
            event = meeting(f"e{number}", days_of(number), summary="Changed")
            if place is Where.CHANGED:
                commit(self.state, Seen(event))
            elif place is Where.DELETED:
                commit(self.state, Gone(Key(event.id, event.ical_uid)))

    def _deliver(self) -> None:
        while rows := take(self.state, [1], 100, NOW + timedelta(hours=1)):
            for row in rows:
                self.salesloft.upsert(fields_of(row))
                outbox.settle_accepted(self.state, [row])

    def finish(self, *, job_first: bool) -> None:
        """Everything on its way arrives and is answered, and what waits is sent."""
        if not job_first:
            self._deliver()
        for row in self.flying:
            self.salesloft.upsert(fields_of(row))
            outbox.settle_accepted(self.state, [row])
        for row in self.job:
            self.salesloft.upsert(fields_of(row))
        if self.job_id is not None:
            bulk.settle(self.state, self.job_id, {}, {}, NOW)
        self._deliver()


places = st.lists(st.sampled_from(Where), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None)
@given(places, st.booleans(), st.booleans())
def test_ours_is_cancelled_and_the_rest_stays(
    where: list[Where], job_first: bool, twice: bool
) -> None:
    with closing(World(where)) as world:
        leave(world.state)
        if twice:
            leave(world.state, minutes=1)
        world.finish(job_first=job_first)
        for number, place in enumerate(where):
            held = world.salesloft.held.get((f"e{number}", f"e{number}@google.com"))
            if place in (Where.NEVER_SENT, Where.REFUSED):
                assert held is None
            else:
                assert held is not None
                wanted = "confirmed" if place is Where.ADOPTED else "cancelled"
                assert (number, held["status"]) == (number, wanted)
        assert count(world.state, "outbox") == count(world.state, "bulk_items") == 0
        left = leaving.farewell(world.state, 1)
        assert {c.outcome for c in left.cancellations} <= {leaving.Outcome.ACCEPTED}
        assert leave(world.state, minutes=2) == left
        assert count(world.state, "outbox") == 0


@settings(max_examples=25, deadline=None)
@given(places, st.booleans())
def test_an_erased_person_is_gone_wherever_they_stood(where: list[Where], job_first: bool) -> None:
    with closing(World(where)) as world:
        secure_delete(world.state)
        erase(world.state, DWIGHT, NOW)
        assert DWIGHT.encode() not in all_bytes(world.state)
        world.finish(job_first=job_first)
        commit(  # the full reading that an erasure asks for
            world.state,
            *(
                Seen(meeting(f"e{n}", days_of(n)))
                for n, place in enumerate(where)
                if place is not Where.DELETED
            ),
        )
        world.finish(job_first=job_first)
        for (event_id, _), held in world.salesloft.held.items():
            if where[int(event_id[1:])] is not Where.DELETED:
                assert DWIGHT not in {guest["email"] for guest in held["attendees"]}, event_id
        assert DWIGHT.encode() not in all_bytes(world.state)
