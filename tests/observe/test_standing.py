"""How each user stands, from what the state knows: the gravest thing is what is shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.app.standing import Served, snapshot_of
from connector.domain.errors import ParkReason
from connector.domain.model import UserGuid, UserName
from connector.observe.snapshot import LANES, UserState
from connector.salesloft.budget import TeamBudget, Urgency
from connector.store import CalendarState
from connector.store.outbox import Lane
from connector.store.standing import Standing

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=1)


def standing(**facts: Any) -> Standing:
    nothing: dict[str, Any] = {
        name: {}
        for name in (
            "backlog",
            "oldest",
            "held",
            "dead_letters",
            "set_aside",
            "bookings",
            "verified",
        )
    }
    rows = (CalendarState(1, UserGuid("guid"), UserName("pam"), **facts),)
    return Standing(calendars=rows, differences=(), refused=(), verified_oldest=None, **nothing)


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({}, UserState.WAITING),
        ({"last_success": EARLIER}, UserState.OK),
        ({"parked_reason": ParkReason.FORBIDDEN, "last_success": EARLIER}, UserState.PARKED),
        ({"parked_reason": ParkReason.FORBIDDEN, "lost_since": EARLIER}, UserState.LOST),
        (
            {"parked_reason": ParkReason.FORBIDDEN, "disconnected_since": EARLIER},
            UserState.DISCONNECTED,
        ),
        ({"paused_since": EARLIER, "disconnected_since": EARLIER}, UserState.PAUSED),
        ({"paused_since": EARLIER, "left_at": EARLIER}, UserState.LEFT),
    ],
)
def test_the_gravest_is_shown(facts: dict[str, Any], state: UserState) -> None:
    served = Served({1: ("pam", "team")}, {"team": TeamBudget(600)}, {})
    (user,) = snapshot_of(standing(**facts), served, NOW).users
    assert user.state is state
    assert bool(user.reason) is (state not in (UserState.OK, UserState.WAITING))


def test_users_without_a_row_and_with_broken_files_are_shown_too() -> None:
    served = Served({7: ("new", "team")}, {"team": TeamBudget(600)}, {"toby": "no such key"})
    users = snapshot_of(standing(), served, NOW).users
    assert [(user.name, user.state) for user in users] == [
        ("new", UserState.WAITING),
        ("toby", UserState.MISCONFIGURED),
    ]


def test_lanes_are_those_of_the_outbox() -> None:
    assert tuple(lane.name.lower() for lane in Lane) == LANES


def test_a_teams_points_are_those_of_its_budget() -> None:
    budget = TeamBudget(600, reserve=0.05)
    lease = budget.try_acquire("GET /v2/me", Urgency.CHANGE)
    assert lease is not None
    lease.settle({"x-ratelimit-limit-minute": "600"}, status=200)
    served = Served({1: ("pam", "team")}, {"team": budget}, {})
    (team,) = snapshot_of(standing(last_success=EARLIER), served, NOW).teams
    assert (team.spent, team.left, team.limit, team.reserve, team.spent_in_all) == (
        1,
        599,
        600,
        30,
        1,
    )
