"""Ends requests that take too long, with one timer for all: aiohttp sets and cancels three for each of its own.

It looks once a second, so a request may take a second longer than it should.
"""

from __future__ import annotations

import asyncio

LOOK_SECONDS = 1.0


class Patience:
    """Each request may take so many `seconds` in all. Belongs to one event loop; a task has one request at a time."""

    __slots__ = ("_over", "_seconds", "_timer", "_until")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # In the order of beginning, which is that of ending: all have the same time.
        self._until: dict[asyncio.Task[object], float] = {}
        self._over: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, task: asyncio.Task[object]) -> None:
        """The task, the current one, begins a request; `end` must follow."""
        loop = task.get_loop()
        self._until[task] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(LOOK_SECONDS, self._look, loop)

    def end(self, task: asyncio.Task[object]) -> bool:
        """The request is over. True if it took too long, and its task was cancelled for that."""
        self._until.pop(task, None)
        if task in self._over:
            self._over.discard(task)
            return True
        return False

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, until in list(self._until.items()):
            if until > now:
                break
            del self._until[task]
            self._over.add(task)
            task.cancel()
        self._timer = loop.call_later(LOOK_SECONDS, self._look, loop) if self._until else None
