"""Delivery to one team: whatever happens to a request, its row ends settled, in line again, or as a dead letter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise

import pytest

from connector.domain.errors import ConnectorError, RetryLater
from connector.domain.model import ICalUid
from connector.domain.plan import Gone, Key, Seen
from connector.salesloft import TeamRefused
from connector.sync import delivery
from connector.sync.delivery import GIVE_UP_AFTER
from tests.salesloft.virtual_time import clock, run, wall
from tests.sync.team import Request, Team, an_upsert, refusing
from tests.values import replace

LATER = RetryLater("Salesloft answered 503")
KEY_REFUSED = TeamRefused("Salesloft: key refused", status=401)


@asynccontextmanager
async def daemon(team: Team) -> AsyncIterator[None]:
    """Delivery as the daemon runs it, stopped at the end."""
    task = asyncio.create_task(team.delivery.run(team.stopping))
    yield
    team.stopping.set()
    await task


def test_everything_is_delivered_and_settled() -> None:
    async def main() -> None:
        team = Team()
        await team.put("a", "b", "c")
        await team.delivery.drain(team.stopping)
        assert sorted(team.sent()) == ["a", "b", "c"]
        assert team.waiting() == []
        assert all(row["accepted"] for row in team.database.rows("occurrences"))
        assert team.delivery.tally.accepted == 3
        await team.delivery.drain(team.stopping)  # nothing waits: nothing is sent
        assert len(team.sent()) == 3

    run(main())


def test_a_passing_failure_is_retried_with_growing_pauses() -> None:
    async def main() -> None:
        team = Team(answers=lambda r: LATER if r.number <= 6 else None)
        await team.put("a")
        await team.delivery.drain(team.stopping)
        assert len(team.sent()) == 7
        assert {str(r.body) for r in team.requests} == {str(team.requests[0].body)}
        ends, starts = [r.ended or 0.0 for r in team.requests], [r.at for r in team.requests]
        pauses = [start - end for start, end in zip(starts[1:], ends, strict=False)]
        for number, pause in enumerate(pauses):
            assert pause <= 0.5 * 2**number + 0.01
        assert team.delivery.tally.retried == 6
        assert team.dead() == team.waiting() == []

    run(main())


def test_retry_after_is_waited_for() -> None:
    async def main() -> None:
        asked = RetryLater("Salesloft answered 429", after_seconds=20)
        team = Team(answers=lambda r: asked if r.number == 1 else None)
        await team.put("a")
        await team.delivery.drain(team.stopping)
        first, second = team.requests
        assert 20 <= second.at - (first.ended or 0) < 22

    run(main())


def test_one_put_off_does_not_hold_up_the_others() -> None:
    async def main() -> None:
        asked = RetryLater("Salesloft answered 429", after_seconds=300)
        team = Team(answers=lambda r: asked if r.event == "a" and r.number == 1 else None)
        await team.put("a", "b", "c")
        await team.delivery.drain(team.stopping)
        assert team.sent()[-1] == "a"
        assert sorted(team.sent()[:-1]) == ["a", "b", "c"]

    run(main())


def test_newer_content_does_not_wait_for_the_pause_of_the_old() -> None:
    async def main() -> None:
        asked = RetryLater("Salesloft answered 429", after_seconds=3000)
        team = Team(answers=lambda r: asked if r.number == 1 else None)
        async with daemon(team):
            await team.put("a")
            await team.until(lambda: len(team.sent()) == 1)
            await asyncio.sleep(5)
            await team.put("a", title="Pitch 2")
            await team.until(lambda: team.waiting() == [])
        assert clock() < 100
        assert team.requests[-1].body["title"] == "Pitch 2"
        assert team.requests[-1].body["updated_at"] > team.requests[0].body["updated_at"]

    run(main())


def test_a_refused_event_becomes_a_dead_letter_and_blocks_nothing() -> None:
    async def main() -> None:
        team = Team(answers=lambda r: refusing("end_time") if r.event == "b" else None)
        await team.put("a", "b", "c")
        await team.delivery.drain(team.stopping)
        assert sorted(team.sent()) == ["a", "b", "c"]
        [letter] = team.database.rows("dead_letters")
        assert (letter["event_id"], letter["status"], letter["request_id"]) == ("b", 422, "r-422")
        assert team.waiting() == []
        assert (team.delivery.tally.accepted, team.delivery.tally.refused) == (2, 1)

    run(main())


@pytest.mark.parametrize("field", ["transparency", "updated_at"])
def test_a_field_that_an_older_salesloft_refuses_is_dropped_for_the_team(field: str) -> None:
    async def main() -> None:
        team = Team(answers=lambda r: refusing(field) if field in r.body else None)
        names = [
            f"e{number}" for number in range(30)
        ]  # several are in flight when the first is refused
        await team.put(*names)
        await team.delivery.drain(team.stopping)
        assert team.dead() == []
        assert team.waiting() == []
        assert {r.event for r in team.requests if field not in r.body} == set(names)
        refused = [r for r in team.requests if field in r.body]
        assert 1 <= len(refused) <= delivery.CONCURRENCY
        await team.put("later")
        await team.delivery.drain(team.stopping)
        assert field not in team.requests[-1].body

    run(main())


def test_a_field_refused_while_the_state_fails_is_dropped_all_the_same() -> None:
    async def main() -> None:
        team = Team(
            answers=lambda r: refusing("transparency") if "transparency" in r.body else None
        )
        await team.put("a")

        def broken(_: int) -> bool:
            return bool(team.requests) and 0.5 < clock() < 20

        team.database.broken = broken
        await team.delivery.drain(team.stopping)
        assert team.dead() == team.waiting() == []

    run(main())


def test_another_field_is_not_dropped() -> None:
    async def main() -> None:
        team = Team(answers=lambda r: refusing("title") if "title" in r.body else None)
        await team.put("a")
        await team.delivery.drain(team.stopping)
        assert team.dead() == ["a"]
        assert len(team.sent()) == 1

    run(main())


def test_a_refused_key_parks_the_team_which_probes_and_comes_back_by_itself() -> None:
    async def main() -> None:
        valid_at = 500.0
        team = Team(answers=lambda _: KEY_REFUSED if clock() < valid_at else None)
        names = [f"e{number}" for number in range(40)]
        async with daemon(team):
            await team.put(*names)
            await team.until(lambda: bool(team.requests) and clock() > 10)
            assert team.delivery.tally.refusal
            await team.until(lambda: team.waiting() == [])
        assert not team.delivery.tally.refusal
        assert {r.event for r in team.requests} == set(names)
        assert team.dead() == []
        probes = [r.at for r in team.requests if 10 < r.at < valid_at]
        gaps = [b - a for a, b in pairwise(probes)]
        early = [gap for at, gap in zip(probes, gaps, strict=False) if at < 290]
        late = [gap for at, gap in zip(probes, gaps, strict=False) if at > 310]
        assert early
        assert all(2 <= gap <= 4 for gap in early)  # every `probe_every`
        assert late
        assert all(60 <= gap <= 63 for gap in late)
        back = next(r.at for r in team.requests if r.at >= valid_at)
        assert back <= valid_at + 62

    run(main())


def test_while_parked_only_one_request_at_a_time_asks() -> None:
    async def main() -> None:
        team = Team(answers=lambda _: KEY_REFUSED)
        async with daemon(team):
            await team.put(*[f"e{number}" for number in range(40)])
            await team.until(lambda: clock() > 60)
        asking = [r for r in team.requests if r.at > 5]
        for one, other in pairwise(asking):
            assert other.at >= (one.ended or 0)

    run(main())


def test_a_one_shot_ends_when_the_key_is_refused() -> None:
    async def main() -> None:
        team = Team(answers=lambda _: KEY_REFUSED)
        await team.put("a", "b")
        await team.delivery.drain(team.stopping)
        assert team.delivery.tally.refusal is KEY_REFUSED
        assert sorted(team.waiting()) == ["a", "b"]
        assert all(not row["in_flight"] for row in team.database.rows("outbox"))
        assert clock() < 10

    run(main())


def test_a_one_shot_gives_up_one_row_and_delivers_the_others() -> None:
    async def main() -> None:
        team = Team(answers=lambda r: LATER if r.event == "a" else None)
        names = [f"e{number}" for number in range(60)]
        await team.put("a", *names)
        await team.delivery.drain(team.stopping)
        assert team.sent().count("a") == GIVE_UP_AFTER
        assert team.waiting() == ["a"]
        assert team.dead() == []

    run(main())


def test_a_one_shot_does_not_wait_for_a_key_whose_successor_was_given_up() -> None:
    async def main() -> None:
        team = Team()
        seen = an_upsert("a")
        await team.commit(seen)
        await team.delivery.drain(team.stopping)
        team.answers = lambda r: LATER
        await team.commit(Seen(replace(seen.event, ical_uid=ICalUid("new"), updated=wall())))
        async with asyncio.timeout(5000):
            await team.delivery.drain(team.stopping)
        assert len(team.waiting()) == 2
        assert {r.body["i_cal_uid"] for r in team.requests[1:]} == {"new"}

    run(main())


def test_the_daemon_never_gives_up() -> None:
    async def main() -> None:
        team = Team(answers=lambda r: LATER if clock() < 3000 else None)
        async with daemon(team):
            await team.put("a")
            await team.until(lambda: team.waiting() == [])
        assert team.dead() == []

    run(main())


def test_at_most_one_request_in_flight_for_a_key() -> None:
    """Newer content comes every half second, a request takes five."""

    async def main() -> None:
        team = Team(seconds=5.0, answers=lambda r: LATER if r.number % 3 == 0 else None)
        async with daemon(team):
            for number in range(60):
                await team.put("a", title=f"Pitch {number}")
                await asyncio.sleep(0.5)
            await team.until(lambda: team.waiting() == [])
        times = [r.body["updated_at"] for r in team.requests]
        assert times == sorted(times)
        assert team.requests[-1].body["title"] == "Pitch 59"
        assert len(team.requests) < 15

    run(main())


def test_the_points_are_a_cap() -> None:
    async def main() -> None:
        team = Team(points=10, seconds=0.1)
        await team.put(*[f"e{number}" for number in range(35)])
        await team.delivery.drain(team.stopping)
        assert len(team.requests) == 35
        for request in team.requests:
            minute = [r for r in team.requests if request.at - 60 <= r.at <= request.at]
            assert len(minute) <= 10

    run(main())


def test_what_was_spent_is_kept_for_the_next_start() -> None:
    async def main() -> None:
        team = Team(seconds=0.1)
        await team.put("a", "b", "c")
        await team.delivery.drain(team.stopping)
        kept = await team.state.spent("team", wall() - timedelta(minutes=1))
        assert sum(cost for _, cost in kept) >= 2

    run(main())


def test_the_most_urgent_goes_first_though_it_came_last() -> None:
    async def main() -> None:
        team = Team(points=5, seconds=0.1)
        async with daemon(team):
            await team.put(*[f"e{number:02}" for number in range(30)])
            await team.until(lambda: len(team.sent()) >= 5)
            soon = an_upsert("soon").event
            await team.commit(
                Gone(Key(soon.id, soon.ical_uid)),
                Seen(replace(soon, start=type(soon.start)(wall() + timedelta(hours=1)))),
            )
            await team.until(lambda: team.waiting() == [])
        assert team.sent().index("soon") <= 6

    run(main())


def test_an_initial_sync_leaves_points_to_changes() -> None:
    """Else a change would wait for the whole minute that a burst of backfill has used up."""

    async def main() -> None:
        team = Team(points=100, seconds=0.1)
        names = [f"e{number:03}" for number in range(190)]
        await team.commit(*map(an_upsert, names), backfill=names)
        async with daemon(team):
            await team.until(lambda: len(team.sent()) >= 80)
            await asyncio.sleep(10)
            began, before = clock(), len(team.sent())
            assert before < 98  # what bookings may need is left, and this
            await team.put("change")
            await team.until(lambda: "change" in team.sent())
            assert clock() - began < 1
            await team.until(lambda: team.waiting() == [])
            assert clock() < 140
        assert sorted(team.sent()) == sorted(["change", *names])

    run(main())


def test_a_one_shot_spends_all_points_on_an_initial_sync() -> None:
    """Nothing else will come."""

    async def main() -> None:
        team = Team(points=100, seconds=0.1)
        names = [f"e{number:03}" for number in range(98)]
        await team.commit(*map(an_upsert, names), backfill=names)
        await team.delivery.drain(team.stopping)
        assert clock() < 5
        assert sorted(team.sent()) == names

    run(main())


def test_stopping_finishes_what_was_sent_and_sends_nothing_more() -> None:
    async def main() -> None:
        team = Team(seconds=3.0)
        names = [f"e{number}" for number in range(60)]
        await team.put(*names)
        task = asyncio.create_task(team.delivery.run(team.stopping))
        await team.until(lambda: len(team.requests) == delivery.CONCURRENCY + 1 or clock() > 4)
        sent = len(team.requests)
        team.stopping.set()
        at = clock()
        await task
        assert clock() - at <= 3.5
        assert len(team.requests) == sent < 60
        assert len(team.waiting()) == 60 - sent
        assert all(not row["in_flight"] for row in team.database.rows("outbox"))

    run(main())


@pytest.mark.parametrize("why", ["points", "put off", "parked", "nothing waits", "state"])
def test_stopping_ends_every_wait_at_once(why: str) -> None:
    def answer(_: Request) -> ConnectorError | None:
        if why == "put off":
            return RetryLater("Salesloft answered 429", after_seconds=3000)
        return KEY_REFUSED if why == "parked" else None

    async def main() -> None:
        team = Team(points=2 if why == "points" else 1000, seconds=0.1, answers=answer)
        if why != "nothing waits":
            await team.put("a", "b", "c", "d")
        task = asyncio.create_task(team.delivery.run(team.stopping))
        await asyncio.sleep(10.05)
        if why == "state":
            team.database.broken = lambda _: True
            await asyncio.sleep(10)
        at = clock()
        team.stopping.set()
        await task
        assert clock() - at < 0.2
        assert team.budget.snapshot().in_flight == 0

    run(main())


def test_a_state_that_fails_loses_no_answer() -> None:
    async def main() -> None:
        team = Team()
        team.answers = lambda r: refusing("title") if r.event == "b" else None
        await team.put("a", "b")
        team.database.broken = lambda _: 0.5 < clock() < 60  # while both are in flight
        await team.delivery.drain(team.stopping)
        assert sorted(team.sent()) == ["a", "b"]  # each once: the answer was kept
        assert team.waiting() == []
        assert team.dead() == ["b"]
        assert clock() < 70

    run(main())


@pytest.mark.parametrize("nth", range(1, 12))
def test_a_state_that_fails_at_any_access_loses_nothing(nth: int) -> None:
    """Also one that fails between claiming a row and keeping the points."""

    async def main() -> None:
        team = Team()
        await team.put("a", "b", "c")
        base = team.database.accesses
        team.database.broken = lambda number: number == base + nth
        async with asyncio.timeout(1000):
            await team.delivery.drain(team.stopping)
        assert sorted(set(team.sent())) == ["a", "b", "c"]
        assert len(team.sent()) == 3
        assert team.waiting() == team.dead() == []
        assert team.budget.snapshot().in_flight == 0

    run(main())


def test_while_the_state_fails_nothing_is_sent() -> None:
    async def main() -> None:
        team = Team()
        await team.put("a")
        team.database.broken = lambda _: clock() < 30
        await team.delivery.drain(team.stopping)
        assert team.requests[0].at >= 30
        assert team.waiting() == []

    run(main())


def test_an_outage_is_asked_about_by_one_request_at_a_time() -> None:
    async def main() -> None:
        team = Team(answers=lambda _: LATER if 5 < clock() < 300 else None, seconds=0.1, points=600)
        async with daemon(team):
            await asyncio.sleep(6)
            await team.put(*[f"e{number}" for number in range(200)])
            await team.until(lambda: team.waiting() == [])
        during = [r for r in team.requests if 40 < r.at < 300]
        assert 5 <= len(during) <= 60
        assert clock() < 400  # all is delivered soon after

    run(main())
