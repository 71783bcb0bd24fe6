"""A made-up company at one moment, for the page's tests and the pictures in docs/."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from connector.observe.board import Board
from connector.observe.health import Health
from connector.observe.history import SAMPLE_SECONDS, History
from connector.observe.metrics import Metrics, Standings
from connector.observe.snapshot import (
    HeldDifference,
    RefusedEvent,
    Snapshot,
    TeamStanding,
    UserStanding,
    UserState,
)
from connector.observe.web import Site

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


def ago(**how: float) -> datetime:
    return NOW - timedelta(**how)


def example_users() -> tuple[UserStanding, ...]:
    fine = [
        UserStanding(name, "3f9a1c2e-77b0", UserState.OK, last_success=ago(seconds=9 + at))
        for at, name in enumerate(("andy", "angela", "erin", "kevin", "oscar", "pam"))
    ]
    return (
        *fine,
        UserStanding(
            "creed",
            "3f9a1c2e-77b0",
            UserState.LOST,
            "token_revoked",
            "creed: Google refused the token (invalid_grant); sign in again and replace the credentials file",
            ago(hours=5),
            ago(hours=5),
            pending=3,
            oldest_change=ago(hours=5),
        ),
        UserStanding(
            "dwight",
            "3f9a1c2e-77b0",
            UserState.OK,
            last_success=ago(seconds=12),
            pending=41,
            oldest_change=ago(seconds=75),
            held=212,
        ),
        UserStanding(
            "jim",
            "3f9a1c2e-77b0",
            UserState.OK,
            last_success=ago(seconds=4),
            dead_letters=2,
            set_aside=1,
        ),
        UserStanding(
            "ryan",
            "3f9a1c2e-77b0",
            UserState.PAUSED,
            "by an admin",
            "gcal-salesloft resume --user ryan",
            ago(days=3),
            ago(days=3),
        ),
        UserStanding(
            "toby",
            "",
            UserState.MISCONFIGURED,
            "broken_file",
            "/etc/gcal-salesloft/users/toby.toml: sync.poll_intervall: found an unknown key;"
            " expected perhaps sync.poll_interval",
        ),
    )


def example_snapshot(at: datetime = NOW, backlog: int = 44, spent: float = 212.0) -> Snapshot:
    team = TeamStanding(
        "3f9a1c2e-77b0",
        {
            "soon": backlog // 6,
            "prospect": backlog // 3,
            "later": backlog // 4,
            "backfill": backlog // 4,
        },
        oldest_change=ago(hours=5),
        held=212,
        dead_letters=2,
        set_aside=1,
        spent=spent,
        left=600 - spent,
        limit=600,
        reserve=30,
        remaining=355,
        spent_in_all=18_204,
    )
    refused = (
        RefusedEvent(
            "jim",
            "7k2m9c0v1pq3",
            ago(minutes=12),
            422,
            "end_time must be later than … start_time",
            "req-81f2",
        ),
        RefusedEvent(
            "jim", "0d8j3b5n6tt2", ago(hours=2), 422, "attendees.3.email is invalid", "req-55a0"
        ),
    )
    return Snapshot(
        at,
        tuple(sorted(example_users(), key=lambda user: user.name)),
        (team,),
        (HeldDifference(7, "dwight", ago(minutes=42), 212, 403),),
        refused,
        {"booked": 31, "failed": 1},
        {"equal": 4810, "missing": 0, "extra": 0, "different": 0, "repaired": 2},
        ago(hours=8),
    )


def example_history() -> History:
    """Six hours with an initial sync, quiet, and a burst at the hour."""
    history = History()
    samples = 6 * 360
    for index in range(samples):
        hour = index / 360
        initial = 900 * math.exp(-hour * 2.2)
        burst = 260 * max(0.0, 1 - abs((hour % 1.0) - 0.05) * 14) if hour >= 1 else 0.0
        spent = min(570.0, 40 + 25 * math.sin(index / 7) + (initial + burst) * 1.6)
        at = NOW - timedelta(seconds=SAMPLE_SECONDS * (samples - index))
        history.add(example_snapshot(at, int(initial + burst), spent))
    return history


def example_site(history: History | None = None) -> Site:
    """A site that shows the example."""
    metrics = Metrics("1.2.3")
    snapshot = example_snapshot()

    async def take() -> Snapshot:
        return snapshot

    board = Board(take, history or History())
    metrics.registry.register(Standings(lambda: board.latest, lambda: NOW, names=False))
    health = Health(served=lambda: ["pam", "jim"], polled=lambda: metrics.turns.keys())
    health.state_age = lambda: board.age
    return Site("127.0.0.1", "1.2.3", metrics, health, board=board, now=lambda: NOW)
