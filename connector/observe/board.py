"""The newest snapshot, taken at most every few seconds however many ask for it, and never waited for long."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from connector.observe.history import SAMPLE_SECONDS, History
from connector.observe.log import get_logger
from connector.observe.snapshot import Snapshot

_log = get_logger(__name__)

FRESH_SECONDS = 5.0
WAIT_SECONDS = 2.0
Take = Callable[[], Awaitable[Snapshot]]


class Board:
    """Keeps what `take` gave last. For one event loop."""

    def __init__(
        self, take: Take, history: History, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.latest: Snapshot | None = None
        self.history = history
        self._take = take
        self._monotonic = monotonic
        self._taken_at = 0.0
        self._taking: asyncio.Task[None] | None = None
        self._failing = False

    async def fresh(self) -> Snapshot | None:
        """A snapshot that is at most a few seconds old; the last one where the state answers too slowly."""
        is_old = self.latest is None or self._monotonic() - self._taken_at >= FRESH_SECONDS
        if is_old:
            await asyncio.wait({self._refresh()}, timeout=WAIT_SECONDS)
        return self.latest

    @property
    def age(self) -> float | None:
        """Seconds since the newest snapshot was taken."""
        return None if self.latest is None else self._monotonic() - self._taken_at

    async def sample(self) -> None:
        """Add a moment to the history; one turn of `run`."""
        task = self._refresh()
        await asyncio.wait({task})
        if self.latest is not None and not self._failing:
            self.history.add(self.latest)

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await self.sample()
            await asyncio.sleep(SAMPLE_SECONDS)

    async def close(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._taking

    def _refresh(self) -> asyncio.Task[None]:
        """One taking at a time: whoever comes meanwhile gets the same."""
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take_one(), name="snapshot")
        return self._taking

    async def _take_one(self) -> None:
        try:
            self.latest = await self._take()
        except Exception as error:  # what is shown grows old and says so; the work goes on
            if not self._failing:
                _log.warning("snapshot_failed", reason=type(error).__name__)
            self._failing = True
        else:
            self._failing = False
            self._taken_at = self._monotonic()
