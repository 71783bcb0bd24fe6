"""A team's points are stored as they were handed over, though only what changed is written."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.domain.mapping import to_millis
from connector.store.points import Points
from tests.domain.builders import NOW
from tests.store.world import OpenState, an_empty_state

TEAM, OTHER = "team", "other"
Entries = list[tuple[datetime, float]]


def stored(state: OpenState, team: str = TEAM) -> list[tuple[int, float]]:
    return sorted(state.execute("SELECT at_ms, cost FROM points WHERE team = ?", (team,)))


def plain(entries: Entries) -> list[tuple[int, float]]:
    return sorted((to_millis(at), cost) for at, cost in entries)


def at(seconds: int, cost: float = 1.0) -> tuple[datetime, float]:
    return NOW + timedelta(seconds=seconds), cost


def test_what_changed_takes_the_place_of_what_was(state: OpenState) -> None:
    points = Points()
    for entries in ([at(1), at(2)], [at(1), at(2, 3.0), at(3)], [at(3, 2.0)], []):
        points.keep(state, TEAM, entries)
        points.keep(state, OTHER, [at(9)])
        assert stored(state) == plain(entries)
        assert stored(state, OTHER) == plain([at(9)])


def test_what_was_rolled_back_is_written_with_the_next(state: OpenState) -> None:
    points = Points()
    points.keep(state, TEAM, [at(1)])
    state.execute("BEGIN")
    points.keep(state, TEAM, [at(1), at(2)])
    state.execute("ROLLBACK")
    points.keep(state, TEAM, [at(1), at(2), at(3)])
    assert stored(state) == plain([at(1), at(2), at(3)])


def test_what_another_process_stored_is_replaced(state: OpenState) -> None:
    ours, theirs = Points(), Points()
    ours.keep(state, TEAM, [at(1), at(2)])
    theirs.keep(state, TEAM, [at(1), at(5)])
    ours.keep(state, TEAM, [at(1), at(2)])
    assert stored(state) == plain([at(1), at(2)])


def test_only_what_changed_is_written(state: OpenState) -> None:
    """As many rows are touched as entries differ, however many there are."""
    points = Points()
    usual = [at(second) for second in range(60)]
    points.keep(state, TEAM, usual)
    before = {row[0] for row in state.execute("SELECT id FROM points")}
    points.keep(state, TEAM, [*usual[1:], at(60)])
    assert len(before & {row[0] for row in state.execute("SELECT id FROM points")}) == 59


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=6), max_size=8))
def test_always_as_handed_over(rounds: list[list[tuple[int, int]]]) -> None:
    state, points = an_empty_state(), Points()
    for given_ in rounds:
        entries = [at(second, float(cost)) for second, cost in dict(given_).items()]
        points.keep(state, TEAM, entries)
        assert stored(state) == plain(entries)
    state.close()
