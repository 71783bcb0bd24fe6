"""One round of keeping the state small: old answers forgotten, free pages given back, the log brought in."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import datetime

from connector.observe.log import get_logger
from connector.store import Server, State, StatePlace
from connector.store.connection import Connection as StateConnection
from connector.store.upkeep import checkpoint, purge_journal_step, reclaim_step

_log = get_logger(__name__)
MOST_STEPS = 2000
"""Of one kind in one round; the next round goes on."""


async def keep_small(
    state: State, place: StatePlace, now: datetime, stopping: asyncio.Event
) -> None:
    """A round of small steps, with everybody else's turns in between. RetryLater if the state cannot be written."""
    steps = await _repeat(state, lambda c: purge_journal_step(c, now), stopping)
    if isinstance(place, Server):  # it vacuums by itself
        return
    steps += await _repeat(state, reclaim_step, stopping)
    try:
        await asyncio.to_thread(checkpoint, place)
    except sqlite3.Error as error:
        # Nothing is lost: SQLite does it itself, when the log has grown.
        _log.warning("log_not_merged", message=f"{place}: {error}; it is tried again later")
    _log.debug("state_kept_small", steps=steps)


async def _repeat(
    state: State, step: Callable[[StateConnection], bool], stopping: asyncio.Event
) -> int:
    for done in range(1, MOST_STEPS + 1):
        if stopping.is_set() or not await state.run(step):
            return done
    return MOST_STEPS
