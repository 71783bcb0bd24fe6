"""A backlog that is put in order once for many claims goes out as if it were put in order for each."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from connector.domain.mapping import to_millis
from connector.domain.plan import Key
from connector.store.line import AHEAD, COUNTS_FOR, Line
from connector.store.outbox import Row
from connector.store.state import State
from tests.domain.builders import NOW
from tests.store.test_outbox_order import DAY, HOUR, put
from tests.store.world import OpenState, a_cycle, add_calendar, take
from tests.sync.team import InlineDatabase, an_upsert

CALENDARS = [1, 2, 3]
BACKLOG = AHEAD + 40


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def line(clock: Clock) -> Line:
    return Line(clock)


def fill(state: OpenState, *, lanes: bool = True) -> None:
    """More than is looked up ahead, of three calendars, and of every lane or of one."""
    for calendar in CALENDARS[1:]:
        add_calendar(state, calendar)
    for number in range(BACKLOG):
        put(
            state,
            f"e{number}",
            timedelta(minutes=7 * ((number * 37) % BACKLOG))
            + (-DAY * (number % 5 == 0) if lanes else DAY),
            calendar=CALENDARS[number % 7 % 3],
            prospect=number % 3 == 0 or not lanes,
            backfill=number % 4 == 0 and lanes,
        )


def claim(state: OpenState, line: Line, limit: int, version: int = 0) -> list[Row]:
    return line.claim(state, CALENDARS, limit, NOW, version=version)


def names(rows: list[Row]) -> list[str]:
    return [row.key.event_id for row in rows]


@pytest.mark.parametrize("limit", [1, 8])
def test_the_order_is_that_of_claims_that_look_through_everything(
    state: OpenState, line: Line, limit: int
) -> None:
    fill(state, lanes=False)
    state.execute("BEGIN")
    expected: list[str] = []
    had: Counter[int] = Counter()
    while rows := take(state, CALENDARS, limit, NOW, recent=had):
        had.update(row.calendar for row in rows)
        expected += names(rows)
    state.execute("ROLLBACK")
    found: list[str] = []
    had.clear()
    while rows := line.claim(state, CALENDARS, limit, NOW, version=0, recent=had):
        had.update(row.calendar for row in rows)
        found += names(rows)
    assert len(found) == BACKLOG
    assert found == expected


def test_no_lane_goes_before_a_more_urgent_one(state: OpenState, line: Line) -> None:
    fill(state)
    found: list[Row] = []
    while rows := claim(state, line, 3):
        found += rows
    assert [row.lane for row in found] == sorted(row.lane for row in found)
    assert len(found) == BACKLOG


def test_what_was_written_since_and_is_more_urgent_goes_first(state: OpenState, line: Line) -> None:
    fill(state)
    claim(state, line, 2)
    put(state, "urgent", timedelta(minutes=1), prospect=True)
    assert names(claim(state, line, 1, version=1)) == ["urgent"]


def test_what_others_wrote_is_seen_in_a_moment(state: OpenState, line: Line, clock: Clock) -> None:
    fill(state)
    claim(state, line, 2)
    put(state, "urgent", timedelta(minutes=1), prospect=True)
    assert names(claim(state, line, 1)) != ["urgent"]
    clock.now += COUNTS_FOR
    assert names(claim(state, line, 1)) == ["urgent"]


def test_what_may_go_no_longer_is_passed_over(state: OpenState, line: Line) -> None:
    """Gone, put off, in flight already, or waiting for another one: a row goes by what it is when it is claimed."""
    fill(state)
    first = claim(state, line, 1)
    state.execute("BEGIN")
    gone, off, flying, blocked = claim(state, line, 4)
    state.execute("ROLLBACK")
    later = to_millis(NOW + HOUR / 2)
    alter(state, gone, "DELETE FROM outbox")
    alter(state, off, "UPDATE outbox SET next_attempt_ms = ?", later)
    alter(state, flying, "UPDATE outbox SET in_flight = TRUE")
    alter(state, blocked, "UPDATE outbox SET after_uid = 'other'")
    put(state, blocked.key.event_id, HOUR, calendar=blocked.calendar, uid="other", backfill=True)
    rest = [row for _ in range(BACKLOG) for row in claim(state, line, 1)]
    assert len(rest) == BACKLOG - 5 + 1  # without the four, and with the other one
    assert not {row.key for row in rest} & {row.key for row in (gone, off, flying, blocked, *first)}


def alter(state: OpenState, row: Row, statement: str, *values: object) -> None:
    state.execute(
        f"{statement} WHERE calendar_id = ? AND event_id = ?",  # own words
        (*values, row.calendar, row.key.event_id),
    )


def test_nothing_goes_twice(state: OpenState, line: Line) -> None:
    fill(state)
    seen: Counter[tuple[int, Key]] = Counter()
    for version in (0, 0, 0, 1, 1):
        seen.update((row.calendar, row.key) for row in claim(state, line, 8, version))
    assert set(seen.values()) == {1}


async def test_newer_content_of_what_was_in_flight_comes_at_once() -> None:
    """It was not in line when the others were put in order."""
    state = State(InlineDatabase())
    await state.commit(a_cycle(*(an_upsert(f"e{number:02}") for number in range(BACKLOG))))
    [first] = await state.claim([1], 1, NOW)
    await state.commit(a_cycle(an_upsert(first.key.event_id, "newer")))
    [second] = await state.claim([1], 1, NOW)
    await state.settle_accepted([first])
    [third] = await state.claim([1], 1, NOW)
    assert third.key == first.key != second.key
    state.close()


def test_calendars_that_are_served_no_longer_are_left_out(state: OpenState, line: Line) -> None:
    fill(state)
    claim(state, line, 1)
    rows = line.claim(state, [2], 8, NOW, version=0)
    assert {row.calendar for row in rows} == {2}
