"""Lasting loss of access: what counts, how often, how long; and when a banner goes up or down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.domain.connection import (
    LASTING,
    Evidence,
    Standing,
    after_refusal,
    banner_wanted,
    refined,
)
from connector.domain.errors import ParkReason

NOW = datetime(2026, 10, 20, 14, tzinfo=UTC)
MINUTE = timedelta(seconds=60)
REVOKED = ParkReason.TOKEN_REVOKED


def refuse(*seconds: float, reason: ParkReason = REVOKED) -> Evidence:
    evidence = Evidence()
    for second in seconds:
        evidence = after_refusal(evidence, reason, NOW + timedelta(seconds=second), MINUTE)
    return evidence


@pytest.mark.parametrize("reason", sorted(LASTING))
def test_two_refusals_over_lost_after_are_a_loss(reason: ParkReason) -> None:
    assert refuse(0, 60, reason=reason).lost_since == NOW + MINUTE


@pytest.mark.parametrize("reason", sorted(set(ParkReason) - LASTING))
def test_what_is_no_loss_never_counts(reason: ParkReason) -> None:
    assert refuse(*range(0, 3600, 60), reason=reason) == Evidence()


def test_the_contract_names_what_counts() -> None:
    assert {
        ParkReason.CLOCK_SKEWED,
        ParkReason.API_DISABLED,
        ParkReason.UNAUTHENTICATED,
        ParkReason.NOT_A_CALENDAR_USER,
    } == set(ParkReason) - LASTING


@pytest.mark.parametrize("seconds", [(0,), (0, 59.9), (0, 1, 2, 3, 30)])
def test_fewer_or_sooner_is_no_loss(seconds: tuple[float, ...]) -> None:
    assert refuse(*seconds).lost_since is None


def test_a_loss_keeps_its_time() -> None:
    assert refuse(0, 60, 120, 600).lost_since == NOW + MINUTE


def test_what_does_not_count_neither_adds_nor_takes_away() -> None:
    first = refuse(0)
    between = after_refusal(first, ParkReason.API_DISABLED, NOW + timedelta(seconds=90), MINUTE)
    assert between == first


def test_a_clock_set_back_starts_anew_and_still_ends_in_a_loss() -> None:
    assert refuse(0, -3600).lost_since is None
    assert refuse(0, -3600, -3590).lost_since is None
    assert refuse(0, -3600, -3540).lost_since == NOW - timedelta(seconds=3540)
    assert refuse(0, 60, -3600).lost_since == NOW + MINUTE


@given(st.lists(st.floats(0, 59.9), max_size=30))
def test_within_lost_after_nothing_is_lost(seconds: list[float]) -> None:
    assert refuse(*sorted(seconds)).lost_since is None


@pytest.mark.parametrize(
    ("days", "reason"),
    [
        (0.1, ParkReason.TOKEN_REVOKED),
        (5.9, ParkReason.TOKEN_REVOKED),
        (6.5, ParkReason.CONSENT_EXPIRED),
        (7.0, ParkReason.CONSENT_EXPIRED),
        (7.9, ParkReason.CONSENT_EXPIRED),
        (8.1, ParkReason.TOKEN_REVOKED),
        (200, ParkReason.TOKEN_REVOKED),
    ],
)
def test_a_token_that_dies_after_about_seven_days_expired(days: float, reason: ParkReason) -> None:
    served = NOW - timedelta(days=days)
    assert refined(REVOKED, served, None, NOW) is reason
    # and it does not change its name while it lasts
    assert refined(REVOKED, served, NOW, NOW + timedelta(days=30)) is reason


def test_only_a_dead_refresh_token_of_known_age_is_told_apart() -> None:
    week = NOW - timedelta(days=7)
    for reason in set(ParkReason) - {REVOKED}:
        assert refined(reason, week, None, NOW) is reason
    assert refined(REVOKED, None, None, NOW) is REVOKED


EARLIER, LATER = NOW - MINUTE, NOW + MINUTE
TIMES = (None, EARLIER, NOW, LATER)


@pytest.mark.parametrize(("lost", "parked", "success", "up"), list(product(TIMES, repeat=4)))
def test_the_banner_follows_the_conclusion(
    lost: datetime | None, parked: datetime | None, success: datetime | None, up: datetime | None
) -> None:
    wanted = banner_wanted(Standing(lost, parked, success, up), NOW)
    if lost is not None:
        assert wanted is (None if up else True)
    elif up is None or parked is not None or success is None:
        assert wanted is None
    else:
        assert wanted is (False if success >= up or up > NOW else None)
