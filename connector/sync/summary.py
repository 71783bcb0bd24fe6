"""How a one-shot ended, user by user, and the exit status that follows."""

from __future__ import annotations

from dataclasses import dataclass

from connector.domain.model import EventId, UserName
from connector.sync.cycle import Report


@dataclass(frozen=True, slots=True)
class UserResult:
    """How a one-shot fared for one user; `error` if the calendar could not be read."""

    name: str
    full: bool = False
    to_send: int = 0
    to_cancel: int = 0
    unchanged: int = 0
    set_aside: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An occurrence that Salesloft refused for good, and why."""

    user: UserName
    event_id: EventId
    reason: str


@dataclass(frozen=True, slots=True)
class Summary:
    """How a one-shot ended. `refused` counts all dead letters, `refusals` are those of this run; `points` it spent.

    `not_served`: a line for each user who is not external in Salesloft, which is no failure. `unknown`: why users
    without a file could not be found.
    """

    users: tuple[UserResult, ...]
    accepted: int
    refused: int
    pending: int
    held: int
    points: int
    key_refused: str | None
    nobody_served: bool
    refusals: tuple[RefusedEvent, ...] = ()
    not_served: tuple[str, ...] = ()
    unknown: str | None = None
    bookings_made: int = 0
    bookings_moved: int = 0
    bookings_cancelled: int = 0
    notes: tuple[str, ...] = ()
    """What to know about the answer."""
    bookings_failed: int = 0
    bookings_left: int = 0
    """Meetings booked in Salesloft that were refused for good, and that wait for the next run; the log names them."""
    bookings_error: str | None = None
    """Why Salesloft could not be asked for them."""

    @property
    def exit_status(self) -> int:
        if self.key_refused is not None or self.nobody_served:
            return 77
        failed = self.unknown or any(user.error or user.set_aside for user in self.users)
        failed = failed or bool(self.bookings_failed or self.bookings_left)
        return 1 if failed or self.refused or self.pending or self.held else 0


def user_result(name: str, report: Report) -> UserResult:
    done = report.committed
    return UserResult(
        name=name,
        full=report.full,
        to_send=done.sends if done else 0,
        to_cancel=done.cancels if done else 0,
        unchanged=done.unchanged if done else 0,
        set_aside=done.set_aside if done else 0,
        error=str(report.error) if report.error else None,
    )
