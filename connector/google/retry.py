"""How often and how long one request is repeated after passing failures.

stamina was weighed for this loop and left out: it can take a wait from a hook, but not refuse a wait that would end
after the deadline and hand `Retry-After` on to the caller instead, and its sleep and clock cannot be set per call.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds of the attempts at one request: exponential waits with full jitter, an end by count and one by time."""

    attempts: int = 5
    base_seconds: float = 0.5
    cap_seconds: float = 32.0
    deadline_seconds: float = 60.0
    """From the first sending; waiting for one's turn before it does not count."""

    def wait_seconds(self, failures: int, retry_after: float | None) -> float:
        """How long to wait after so many failures. Never less than what the service asked for."""
        ceiling = min(self.cap_seconds, self.base_seconds * 2 ** (failures - 1))
        jitter = random.uniform(0.0, ceiling)  # noqa: S311  # spreads load, keeps no secret
        if retry_after is None:
            return jitter
        # The jitter on top keeps all who were told the same second from coming back in it.
        return retry_after + min(jitter, self.base_seconds)


USUAL = RetryPolicy()
