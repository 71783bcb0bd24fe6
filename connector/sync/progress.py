"""How far a one-shot is: what it has read and delivered, told now and then to whoever shows it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from connector.domain.errors import RetryLater

EVERY = 0.5
"""Seconds between two looks at the state: it has other work."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A one-shot at some moment. `settled` are occurrences that this run delivered or that were refused for good.

    Those that a running bulk job has done are among them.
    """

    calendars: int
    read: int
    settled: int
    waiting: int
    points: int

    @property
    def is_reading(self) -> bool:
        """Calendars are still being read: how much there is to deliver is not known yet."""
        return self.read < self.calendars

    @property
    def to_settle(self) -> int:
        return self.settled + self.waiting


@asynccontextmanager
async def telling(
    tell: Callable[[Progress], None] | None,
    look: Callable[[], Awaitable[Progress]],
    every: float = EVERY,
) -> AsyncIterator[None]:
    """Tell every so many seconds while inside, at once and at the end too. A state that is busy is not told of."""
    if tell is None:
        yield
        return
    telling_on = asyncio.create_task(_tell_on(tell, look, every), name="progress")
    try:
        yield
    finally:
        telling_on.cancel()
        await asyncio.wait((telling_on,))
    if telling_on.cancelled() or telling_on.exception() is None:
        await _tell(tell, look)


async def _tell_on(
    tell: Callable[[Progress], None], look: Callable[[], Awaitable[Progress]], every: float
) -> None:
    while True:
        await _tell(tell, look)
        await asyncio.sleep(every)


async def _tell(tell: Callable[[Progress], None], look: Callable[[], Awaitable[Progress]]) -> None:
    with contextlib.suppress(RetryLater):
        tell(await look())
