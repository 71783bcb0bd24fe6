"""Queries per minute: of a project, and of one user of it (reference 5.1)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from .errors import GoogleRefusal, quota_exceeded, user_rate_limit

_WINDOW = timedelta(minutes=1)
Style = Literal["429", "403", "mixed"]


@dataclass
class Quota:
    """The limits and what was used of them in the last minute; a refused query does not count."""

    project_per_minute: int = 10_000
    user_per_minute: int = 600
    style: Style = "mixed"
    """How a user's limit is refused: 429, 403 `userRateLimitExceeded`, or each in turn."""
    retry_after_seconds: int | None = None

    def __post_init__(self) -> None:
        self._used: dict[tuple[str, str], deque[datetime]] = {}
        self._refused = 0

    def spend(self, project: str, user: str, now: datetime) -> None:
        """Count one query; raises GoogleRefusal beyond a limit."""
        of_project = self._window((project, ""), now)
        of_user = self._window((project, user), now)
        if len(of_project) >= self.project_per_minute:
            raise self._headers(quota_exceeded("Queries per minute", project))
        if len(of_user) >= self.user_per_minute:
            raise self._headers(self._user_refusal(project))
        of_project.append(now)
        of_user.append(now)

    def used(self, project: str, user: str = "", *, now: datetime) -> int:
        """Queries of the last minute, of a project or of one user."""
        return len(self._window((project, user), now))

    def _window(self, key: tuple[str, str], now: datetime) -> deque[datetime]:
        window = self._used.setdefault(key, deque())
        while window and window[0] <= now - _WINDOW:
            window.popleft()
        return window

    def _user_refusal(self, project: str) -> GoogleRefusal:
        self._refused += 1
        if self.style == "403" or (self.style == "mixed" and self._refused % 2 == 0):
            return user_rate_limit()
        return quota_exceeded("Queries per minute per user", project)

    def _headers(self, refused: GoogleRefusal) -> GoogleRefusal:
        if self.retry_after_seconds is not None:
            refused.headers["Retry-After"] = str(self.retry_after_seconds)
        return refused
