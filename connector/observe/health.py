"""Whether the process lives and is ready, with the reasons why not. Names nobody: these routes ask for no token."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer of /healthz or /readyz."""

    word: str
    reasons: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        return not self.reasons

    def body(self, version: str) -> Mapping[str, Any]:
        return {"status": self.word, "reasons": list(self.reasons), "version": version}


@dataclass(slots=True)
class Health:
    """What is asked at each look. `served`: users to be polled; `polled`: users who had a turn since the start.

    `stuck`: users whose reading does not advance, the same as systemd's watchdog asks.
    """

    served: Callable[[], Collection[str]] | None = None
    polled: Callable[[], Collection[str]] = tuple
    stuck: Callable[[], Collection[str]] = tuple
    is_stopping: Callable[[], bool] = bool
    state_age: Callable[[], float | None] = lambda: None

    def alive(self) -> Verdict:
        """The loop turns (or nobody would answer) and work advances."""
        stuck = len(self.stuck())
        if stuck:
            return Verdict("stuck", (f"{stuck} readings have not advanced for 15 minutes",))
        return Verdict("ok")

    def ready(self) -> Verdict:
        """The state is open and every calendar had its first turn; what is parked had one, too."""
        if self.is_stopping():
            return Verdict("stopping", ("the process is being stopped",))
        if self.served is None:
            return Verdict("starting", ("the parts are being put together",))
        reasons = []
        age = self.state_age()
        if age is None or age > 120.0:
            reasons.append("the state does not answer")
        served = set(self.served())
        waiting = len(served - set(self.polled()))
        if waiting:
            reasons.append(f"{waiting} of {len(served)} calendars have not had their first turn")
        return Verdict("starting" if reasons else "ready", tuple(reasons))
