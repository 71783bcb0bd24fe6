"""What is kept of a team's points over a restart: by the second, and the same from one look to the next."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from connector.salesloft.spending import Spending
from tests.domain.builders import NOW

SECONDS = st.floats(0, 90, allow_nan=False)


def wall_at(now: float) -> datetime:
    return NOW + timedelta(seconds=now)


def test_one_entry_a_second_at_the_time_of_the_last() -> None:
    spending = Spending(60)
    for at in (1.1, 1.9, 2.0):
        spending.record(at, 1.0)
    assert spending.entries(2.5, wall_at(2.5), 0.0) == (
        (wall_at(1.9), 2.0),
        (wall_at(2.0), 1.0),
    )


def test_what_is_in_flight_weighs_as_if_spent_now() -> None:
    spending = Spending(60)
    spending.record(1.0, 1.0)
    spending.record(7.0, 2.0)
    assert spending.entries(7.5, wall_at(7.5), 3.0) == ((wall_at(1.0), 1.0), (wall_at(7.5), 5.0))
    assert spending.entries(8.0, wall_at(8.0), 0.0)[-1] == (wall_at(7.0), 2.0)


def test_entries_stay_the_same_though_the_clocks_drift_a_little() -> None:
    spending = Spending(60)
    spending.record(1.0, 1.0)
    first = spending.entries(1.0, wall_at(1.0), 0.0)
    drifted = wall_at(2.0) + timedelta(milliseconds=3)
    assert spending.entries(2.0, drifted, 0.0) == first


def test_a_wall_clock_that_was_set_moves_every_entry() -> None:
    spending = Spending(60)
    spending.record(1.0, 1.0)
    spending.entries(1.0, wall_at(1.0), 0.0)
    hour = timedelta(hours=1)
    assert spending.entries(2.0, wall_at(2.0) + hour, 0.0) == ((wall_at(1.0) + hour, 1.0),)


@given(
    spent=st.lists(st.tuples(SECONDS, st.integers(1, 9)), max_size=40).map(sorted),
    looks=st.lists(SECONDS, max_size=5).map(sorted),
)
def test_nothing_of_the_last_minute_is_missing(
    spent: list[tuple[float, int]], looks: list[float]
) -> None:
    """Whenever it is looked at: at least what was spent in the minute before, and no more than in a second more."""
    spending = Spending(60)
    waiting = list(spent)
    for now in looks:
        while waiting and waiting[0][0] <= now:
            spending.record(*waiting.pop(0))
        found = sum(cost for _, cost in spending.entries(now, wall_at(now), 0.0))
        before = [(at, cost) for at, cost in spent if at <= now]
        assert found >= sum(cost for at, cost in before if at >= now - 60)
        assert found <= sum(cost for at, cost in before if at >= now - 61)
