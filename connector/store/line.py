"""Who is next in line, looked up once for many claims: to put a large backlog in order takes longer than to send of it.

What was looked up counts for a moment, and only until this process writes anything that may change the order. A row is
claimed by what it is at that moment all the same; the order alone may be so old.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from connector.domain.plan import Key
from connector.store import outbox
from connector.store.connection import Connection
from connector.store.outbox import Row, Spare

AHEAD = 64
"""So many rows more than are claimed are put in order."""
COUNTS_FOR = 2.0
"""Seconds. Others may write, too: a command that releases rows, say."""


class Line:
    """The rows of one team's calendars that come next. Used on the writer's thread only."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._keys: deque[tuple[int, Key]] = deque()
        self._of: tuple[int, tuple[int, ...], Spare] | None = None
        self._until = 0.0

    def forget(self) -> None:
        """Something is in line again."""
        self._of = None

    def claim(
        self,
        connection: Connection,
        calendars: Sequence[int],
        limit: int,
        now: datetime,
        *,
        version: int,
        spare: Spare = Spare.NOTHING,
        recent: Mapping[int, int] | None = None,
        holder: str | None = None,
    ) -> list[Row]:
        """The most urgent rows (`outbox.most_urgent`), marked as in flight and as tried before anything is sent.

        Another `version` than before: something was written that may change the order.
        """
        of = (version, tuple(calendars), spare)
        rows: list[Row] = []
        if of == self._of and self._monotonic() < self._until and limit <= outbox.MOST_NAMED:
            rows = self._next(connection, calendars, limit, now, spare=spare)
        if len(rows) < limit:
            rows = outbox.most_urgent(
                connection, calendars, limit + AHEAD, now, spare=spare, recent=recent
            )
            self._keys = deque((row.calendar, row.key) for row in rows[limit:])
            self._of, self._until = of, self._monotonic() + COUNTS_FOR
            rows = rows[:limit]
        outbox.mark(connection, rows, holder)
        return rows

    def _next(
        self,
        connection: Connection,
        calendars: Sequence[int],
        limit: int,
        now: datetime,
        *,
        spare: Spare,
    ) -> list[Row]:
        """So many of what was looked up before; fewer where they are used up, or became something else."""
        if len(self._keys) < limit:
            return []
        keys = [self._keys.popleft() for _ in range(limit)]
        return outbox.still_ready(connection, keys, calendars, now, spare=spare)
