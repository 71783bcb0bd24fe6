"""Never more than the limit in any window, and no longer a wait than that takes."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.domain.rate import SlidingWindow

SECONDS = 60.0
requests = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.001, 0.4, 3.7, 29.0, 59.999, 60.0, 75.0]),  # since the last
        st.sampled_from([0.5, 1.0, 1.0, 3.0, 8.0]),
    ),
    min_size=1,
    max_size=60,
)


def spend(plan: list[tuple[float, float]], limit: float) -> list[tuple[float, float, float]]:
    """(when it was wanted, when it was spent, cost) of requests that wait as long as they are told to."""
    window = SlidingWindow(limit, SECONDS)
    now, spent = 1_000_000.0, []
    for pause, cost in plan:
        now += pause
        wanted = now
        now += window.wait(now, cost)
        assert window.wait(now, cost) == 0.0
        window.record(now, cost)
        spent.append((wanted, now, cost))
    return spent


@given(plan=requests, limit=st.integers(8, 40))
def test_no_window_holds_more_than_the_limit(plan: list[tuple[float, float]], limit: int) -> None:
    spent = spend(plan, limit)
    for _, end, _ in spent:
        held = sum(cost for _, at, cost in spent if end - SECONDS <= at <= end)
        assert held <= limit


@given(plan=requests, limit=st.integers(8, 40))
def test_nothing_waits_longer_than_it_must(plan: list[tuple[float, float]], limit: int) -> None:
    spent = spend(plan, limit)
    for index, (wanted, at, cost) in enumerate(spent):
        just_before = at - 0.002
        if just_before < wanted:
            continue
        held = sum(c for _, t, c in spent[:index] if just_before - SECONDS <= t <= just_before)
        assert held + cost > limit


def test_a_cost_above_the_limit_fits_into_an_empty_window() -> None:
    window = SlidingWindow(10)
    assert window.wait(0.0, 30) == 0.0
    window.record(0.0, 30)
    assert window.wait(1.0, 1) == pytest.approx(59.0, abs=0.01)
    assert window.wait(60.0, 1) > 0
    assert window.wait(60.001, 30) == 0.0


def test_what_is_spent_leaves_the_window_after_its_length() -> None:
    window = SlidingWindow(10)
    window.record(0.0, 4)
    window.record(30.0, 5)
    assert window.spent(30.0) == 9
    assert window.entries() == ((0.0, 4), (30.0, 5))
    assert window.spent(60.0) == 9  # both ends of a closed window
    assert window.spent(60.1) == 5
    assert window.entries() == ((30.0, 5),)
    assert window.spent(91.0) == 0


def test_another_limit_counts_at_once() -> None:
    window = SlidingWindow(10)
    window.record(0.0, 8)
    window.limit = 20
    assert window.wait(1.0, 12) == 0.0
    window.limit = 5
    assert window.wait(1.0, 1) == pytest.approx(59.0, abs=0.01)


@given(
    times=st.lists(st.floats(0, 200, allow_nan=False), min_size=1, max_size=60).map(sorted),
    limit=st.integers(1, 20),
)
def test_a_grain_never_lets_more_through(times: list[float], limit: int) -> None:
    """Costs that are kept together weigh a little longer, never shorter, and no more than a grain."""
    exact, grained = SlidingWindow(limit), SlidingWindow(limit, grain=0.05)
    for now in times:
        assert grained.spent(now) >= exact.spent(now)
        assert deepcopy(grained).spent(now + 0.05) <= exact.spent(now)
        exact.record(now, 1)
        grained.record(now, 1)
    assert len(grained.entries()) <= len(exact.entries())
