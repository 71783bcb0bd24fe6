"""Takes notifications in: judged and kept in one transaction for many, then told to who reads the calendars.

Any process on this state may be the one that Google's call reaches. So what is kept is what counts: each process looks
for news in the state, every second and whenever it kept some itself, and wakes the calendars that it serves.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from connector.domain.errors import RetryLater
from connector.domain.mapping import to_millis
from connector.domain.push import Notification, Verdict
from connector.observe.log import get_logger
from connector.observe.observer import NOBODY, Observer
from connector.store import State
from connector.store import channels as rows

_log = get_logger(__name__)

ROOM = 1000
"""So many wait to be judged at most; more are turned away, and Google's come again."""
BATCH = 250
BREATH_SECONDS = 0.1
"""Between two transactions: a flood, also a forged one, costs ten a second and no more."""
BUSY_SECONDS = 1.0
OVERLAP = timedelta(seconds=60)
"""How far the clocks of two processes may differ."""


class Notifications:
    """`told` hears of each calendar (its row) with news."""

    def __init__(
        self,
        state: State,
        clock: Callable[[], datetime],
        *,
        told: Callable[[int], None],
        observer: Observer = NOBODY,
    ) -> None:
        self._state = state
        self._clock = clock
        self._told = told
        self._observer = observer
        self._waiting: deque[Notification] = deque()
        self._arrived = asyncio.Event()
        self._looking = asyncio.Lock()
        self._seen: dict[int, int] | None = None
        self._latest = to_millis(clock())

    def take(self, said: Notification | None) -> bool:
        """Take one in, without waiting; False if there is no room. None is what was no notification at all."""
        if said is None:
            self._observer.notified("malformed")
            return True
        if len(self._waiting) >= ROOM:
            self._observer.notified("turned_away")
            return False
        self._waiting.append(said)
        self._arrived.set()
        return True

    async def run(self) -> None:
        """Judge what comes, until cancelled. What is lost with the process is a hint; the next poll finds it."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                if not await self._judged():
                    await asyncio.sleep(BUSY_SECONDS)
                await asyncio.sleep(BREATH_SECONDS)

    async def _judged(self) -> bool:
        """`judge_some`, where no mistake of ours that somebody out there provokes may end the process."""
        try:
            return await self.judge_some()
        except Exception as error:
            # Only where it happened: its own words may quote what came.
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
            _log.error("push_failed", message=f"unexpected {where}; they are dropped")
            return True

    async def judge_some(self) -> bool:
        """One transaction's worth; False if the state could not take it: it waits."""
        some = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
        try:
            heard = await self._state.ask(partial(rows.accept, said=some, now=self._clock()))
        except RetryLater as later:
            self._waiting.extendleft(reversed(some))
            _log.warning("state_busy", message=str(later))
            return False
        for one in heard:
            self._observer.notified(one.verdict)
        if any(one.verdict is Verdict.ACCEPTED for one in heard):
            await self.look()
        return True

    async def look(self) -> None:
        """Tell of each calendar that was notified since the last look, by whichever process took it in.

        The first look only notes how things stand: every calendar is read at a start anyway.
        """
        async with self._looking:
            since = self._latest - to_millis_of(OVERLAP)
            found = await self._state.ask(partial(rows.notified_since, since_ms=since))
            seen = self._seen
            if seen is None:
                self._seen = dict(found)
            for calendar, at in found:
                self._latest = max(self._latest, at)
                if seen is not None and seen.get(calendar) != at:
                    seen[calendar] = at
                    self._told(calendar)
            if seen is not None:
                self._seen = {calendar: at for calendar, at in seen.items() if at > since}


def to_millis_of(length: timedelta) -> int:
    """A length in milliseconds."""
    return round(length.total_seconds() * 1000)
