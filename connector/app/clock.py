"""The wall clock of the program, which tests replace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now() -> datetime:
    """The wall clock, aware and in UTC."""
    return datetime.now(UTC)
