"""What the steps tell of their work, to whoever listens. Nobody does unless `[observability] listen` is set.

Steps call an `Observer` without asking whether anybody listens: this class does nothing, `metrics.Metrics` counts.
Every method is called on the hot path, so it must be cheap, never wait and never raise.
"""

from __future__ import annotations

from typing import Literal

from connector.domain.push import Verdict

PollResult = Literal["quiet", "changed", "full", "later", "parked", "refused", "failed"]
"""`later`: a passing failure; `parked`: this user cannot be read; `failed`: a mistake of ours."""
NOTIFIED: tuple[str, ...] = (*Verdict, "malformed", "turned_away")
"""What a push notification was worth; `turned_away`: too many waited to be judged."""
DeliveryOutcome = Literal["accepted", "refused", "put_off", "ignored"]


class Observer:
    """Listens to nothing."""

    __slots__ = ()

    def polled(self, user: str, result: PollResult) -> None:
        """A calendar had its turn."""

    def token_reset(self) -> None:
        """Google no longer accepts a sync token; the calendar is read in full."""

    def delivered(
        self, team: str, outcome: DeliveryOutcome, seconds: float | None = None, count: int = 1
    ) -> None:
        """What became of so many upserts. `seconds`: from Google's `updated` to Salesloft's answer, of a change."""

    def google_answered(self, call: str, status: int, seconds: float) -> None:
        """One request, sent and answered; 0 stands for no answer."""

    def salesloft_answered(self, route: str, status: int, seconds: float) -> None:
        """One request, sent and answered; 0 stands for no answer. `route` holds no ids."""

    def notified(self, worth: str) -> None:
        """A push notification came, or what calls itself one: a word of `NOTIFIED`."""


NOBODY = Observer()
