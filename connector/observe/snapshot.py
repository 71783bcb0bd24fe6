"""How everything stands at one moment, as metrics and the status page show it. Holds no calendar text and no address.

`app` takes a snapshot from the state and the budgets; this package only shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

LANES = ("soon", "prospect", "later", "backfill")
"""The classes of urgency in the outbox, most urgent first."""


class UserState(StrEnum):
    """How a user stands; what is graver hides what is lesser."""

    OK = "ok"
    WAITING = "waiting"  # configured, and not read yet
    PARKED = "parked"  # cannot be read now, probed again
    LOST = "lost"  # access is lost for good, as far as evidence goes
    PAUSED = "paused"  # by an admin
    DISCONNECTED = "disconnected"  # no longer `external` in Salesloft
    LEFT = "left"  # offboarded
    MISCONFIGURED = "misconfigured"  # a mistake in the user's file


@dataclass(frozen=True, slots=True)
class UserStanding:
    """One user. `reason` is a stable word, `remedy` a sentence for people; both are empty while all is well."""

    name: str
    team: str
    state: UserState
    reason: str = ""
    remedy: str = ""
    since: datetime | None = None
    last_success: datetime | None = None
    pending: int = 0
    oldest_change: datetime | None = None
    held: int = 0
    dead_letters: int = 0
    set_aside: int = 0


@dataclass(frozen=True, slots=True)
class TeamStanding:
    """One Salesloft team, by its label. Points are of the last 60 s; `remaining` is what the server last told."""

    label: str
    backlog: Mapping[str, int] = field(default_factory=dict)
    oldest_change: datetime | None = None
    held: int = 0
    dead_letters: int = 0
    set_aside: int = 0
    spent: float = 0.0
    left: float = 0.0
    limit: float = 0.0
    reserve: float = 0.0
    remaining: float | None = None
    spent_in_all: float = 0.0
    paused_until: datetime | None = None

    @property
    def waiting(self) -> int:
        return sum(self.backlog.values())


@dataclass(frozen=True, slots=True)
class HeldDifference:
    """A mass cancellation that waits for a human: `gone` of `tracked` events."""

    id: int
    user: str
    at: datetime
    gone: int
    tracked: int


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """A dead letter, without its payload. `reason` is redacted where it arises."""

    user: str
    event_id: str
    at: datetime
    status: int
    reason: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment. `refused` are the newest few of `dead_letters`."""

    at: datetime
    users: tuple[UserStanding, ...] = ()
    teams: tuple[TeamStanding, ...] = ()
    differences: tuple[HeldDifference, ...] = ()
    refused: tuple[RefusedEvent, ...] = ()
    bookings: Mapping[str, int] = field(default_factory=dict)
    verified: Mapping[str, int] = field(default_factory=dict)
    verified_oldest: datetime | None = None
    channels: Mapping[str, int] = field(default_factory=dict)
    """Push channels, by how they stand."""

    @property
    def dead_letters(self) -> int:
        return sum(team.dead_letters for team in self.teams)

    def users_by_state(self) -> dict[UserState, int]:
        """Every state, also those that nobody is in."""
        counts = dict.fromkeys(UserState, 0)
        for user in self.users:
            counts[user.state] += 1
        return counts


def team_label(team: str) -> str:
    """A short stable name of a team's one-way name: enough to tell teams apart, and the beginning of what logs show."""
    key, _, address = team.partition("-")
    return f"{key[:8]}-{address[:4]}" if address else key[:8]
