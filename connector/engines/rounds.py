"""What is done again and again beside the readings: look-ups of a team, bookings, the nightly comparison.

A round is due its interval after the last one began; two of one name never run at once. A round that fails is logged
and comes again: it must never stop its neighbours, nor the readings.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from connector.domain.errors import ConnectorError
from connector.observe.log import get_logger

_log = get_logger(__name__)

Step = Callable[[], Awaitable[object]]
NEVER = 1e9
PATIENCE_SECONDS = 8.0
"""How long a round under way is waited for when it is not to come again."""


@dataclass(slots=True)
class _Round:
    name: str
    seconds: float
    step: Step
    due: float
    task: asyncio.Task[None] | None = None


class Rounds:
    """The rounds of one process, by name. `start_due` is called by the engine's tick."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._rounds: dict[str, _Round] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def shortest(self) -> float:
        """The shortest interval in seconds."""
        return min((one.seconds for one in self._rounds.values()), default=NEVER)

    def every(self, seconds: float, name: str, step: Step) -> None:
        """Do this again and again, the first time at once; in place of another round of this name."""
        before, now = self._rounds.get(name), self._monotonic()
        due = min(before.due, now + seconds) if before is not None else now
        task = before.task if before is not None else None
        self._rounds[name] = _Round(name, seconds, step, due, task)

    def drop(self, name: str) -> None:
        """Do this no longer; one that runs ends by itself."""
        self._rounds.pop(name, None)

    async def finish(self, names: Iterable[str], *, at_once: bool) -> None:
        """Do these no longer; returns when none of them runs. `at_once`: they are given up, which does no harm."""
        found = (self._rounds.pop(name, None) for name in names)
        tasks = {one.task for one in found if one is not None and one.task is not None}
        if tasks and not at_once:
            await asyncio.wait(tasks, timeout=PATIENCE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hasten(self, name: str) -> None:
        """Do this at the next tick."""
        if name in self._rounds:
            self._rounds[name].due = self._monotonic()

    def start_due(self) -> None:
        now = self._monotonic()
        for one in tuple(self._rounds.values()):
            if one.due > now or (one.task is not None and not one.task.done()):
                continue
            one.due = now + one.seconds
            one.task = asyncio.create_task(_run(one), name=f"round {one.name}")
            self._tasks.add(one.task)
            one.task.add_done_callback(self._tasks.discard)

    async def end(self, seconds: float) -> None:
        """Start no more; wait a while for those that run, then give them up: each is safe to be repeated."""
        self._rounds.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _run(one: _Round) -> None:
    try:
        await one.step()
    except ConnectorError as error:
        _log.warning("round_failed", round=one.name, message=str(error))
    except Exception as error:
        # As with readings: only where it happened, because an error's own words may quote the calendar.
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
        _log.error("round_failed", round=one.name, message=f"unexpected {where}")
