"""What the whole team has left, by Salesloft's own count, made safe for answers that overtake each other.

Every answer says what was left *when its request was counted*. With several requests in flight the order in which the
server counted them is unknown, so no single answer can be trusted alone. But of all requests that have been answered,
one was counted last, and its number includes all the others: the **smallest** number among the answers cannot be
larger than what that one said. An answer stops mattering once a request that was *sent after it arrived* has been
answered too: that one was certainly counted later. What is still in flight may not be in any number yet and is
subtracted by the caller.

Others spend from the same points, and they show only here. When the answers are older than the window, nothing is
known.
"""

from __future__ import annotations

import math
from collections import deque

import msgspec

ANSWERS_WITHOUT = 3
"""After so many good answers in a row without the header, the server is taken not to send it."""


class _Answer(msgspec.Struct, frozen=True, gc=False):
    tick: int
    at: float
    remaining: float | None
    cost: float
    expired: float


class Remaining:
    """The answers that still matter. `tick` counts grants and answers in their order; times are one clock's seconds.

    `expired` is a running total of our own points that have left our window: what the server gave back since an
    answer, if its window slides.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._answers: deque[_Answer] = deque()
        self._silent = 0
        self._ever_told = False

    @property
    def is_never_told(self) -> bool:
        """The server answers without saying what is left."""
        return self._silent >= (ANSWERS_WITHOUT if self._ever_told else 1)

    def note(
        self,
        *,
        sent_tick: int,
        tick: int,
        now: float,
        remaining: float | None,
        cost: float,
        expired: float,
    ) -> None:
        """Take in an answer, or with `remaining=None` a request of which nothing was heard."""
        if remaining is not None:
            self._ever_told, self._silent = True, 0
            while self._answers and self._answers[0].tick < sent_tick:
                self._answers.popleft()
        elif not self._answers:
            return
        self._answers.append(_Answer(tick, now, remaining, cost, expired))

    def note_silence(self) -> None:
        """A good answer came without the header."""
        self._silent += 1

    def forget(self) -> None:
        """What was known no longer holds, as after a 429; also whether the server tells."""
        self._answers.clear()
        self._silent = 0

    def left(self, now: float) -> float | None:
        """A safe count of what is left before what is now in flight; None if nothing is known."""
        self._drop_old(now)
        least, unheard = math.inf, 0.0
        for answer in self._answers:
            if answer.remaining is None:
                unheard += answer.cost
            elif answer.remaining < least:
                least = answer.remaining
        return least - unheard if least < math.inf else None

    def left_if_sliding(self, now: float, expired: float) -> float:
        """The same, with our own points given back that have left the window since."""
        self._drop_old(now)
        told = [
            answer.remaining + expired - answer.expired
            for answer in self._answers
            if answer.remaining is not None
        ]
        return min(told, default=math.inf) - self._unheard()

    def until_changed(self, now: float) -> float:
        """Seconds until an answer becomes too old to matter."""
        return self._answers[0].at + self._seconds - now + 0.001 if self._answers else math.inf

    def _unheard(self) -> float:
        return sum(answer.cost for answer in self._answers if answer.remaining is None)

    def _drop_old(self, now: float) -> None:
        while self._answers and self._answers[0].at < now - self._seconds:
            self._answers.popleft()
