"""How a command spends points of a team beside a daemon without both together exceeding `points_per_minute`.

The daemon may use the whole cap C, so a second process has none of its own: it *borrows* a tenth of C (at least one
point), A. Both sides go through the state:

1. The borrower writes its wish: A, and until when. It prolongs it while it works.
2. The process that holds the state looks once a second (`Lender`). It lowers its own limit to C - A **first**; once
   what it spent in the last 60 s is no more than that, it marks the loan as granted.
3. The borrower waits for the grant, then spends under a budget of its own whose cap is A.
4. The holder keeps its limit low until 60 s after the loan has ended or lapsed (its borrower died).

From the grant on, any 60 s hold at most C - A points of the holder and A of the borrower: C together. Before
it the borrower spends nothing; after the end its last points have left the minute before the holder takes A back.
If nobody holds the state, the borrower itself waits until what the last process spent has fallen to C - A; a process
that starts meanwhile looks for loans before its first request. Two borrowers cannot share a loan: the second is told.
What the borrower spends is kept under a name of its own, so that its next run counts it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from connector.domain.errors import RetryLater
from connector.domain.mapping import to_millis
from connector.observe.log import get_logger
from connector.salesloft import TeamBudget
from connector.store import State
from connector.store.sharing import Loan, ask, forget, grant, loans

_log = get_logger(__name__)

SHARE = 0.1
"""Of `points_per_minute`: what a command may spend beside the daemon."""
LOOK_EVERY = 1.0
PROLONGED_EVERY = 5.0
LASTS = timedelta(seconds=30)
MINUTE = timedelta(seconds=61)
MOMENT = timedelta(seconds=3)
"""A holder with room to spare grants within it."""
PATIENCE = timedelta(seconds=150)
"""A holder that has just spent its whole cap needs a minute to make room."""


def share_of(points_per_minute: float) -> float:
    """What may be borrowed of a cap."""
    return max(1.0, float(int(points_per_minute * SHARE)))


def borrowed_name(team: str) -> str:
    """Under which name what a borrower spent is kept in the state."""
    return f"{team}+borrowed"


class Lender:
    """Makes room in the budgets of the process that holds the state, for as long as somebody borrows."""

    def __init__(
        self,
        state: State,
        budgets: Mapping[str, TeamBudget],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state = state
        self._budgets = budgets
        self._clock = clock

    async def look(self) -> None:
        """Once: lower or restore each team's limit, and grant what is free."""
        found = await self._state.look(lambda c: loans(c, self._budgets.keys()))
        now = self._clock()
        over = [team for team, loan in found.items() if loan.is_over(now)]
        granted: dict[str, Loan] = {}
        for team, budget in self._budgets.items():
            loan = None if team in over else found.get(team)
            free = budget.lend(loan.points if loan else 0.0)
            if loan is not None and free and not loan.granted:
                granted[team] = loan
        if granted:
            await self._state.ask(lambda c: grant(c, granted))
        if over:
            await self._state.ask(lambda c: forget(c, over))

    @asynccontextmanager
    async def lending(self) -> AsyncIterator[None]:
        """Look before the first request, then once a second."""
        await self.look()
        looking = asyncio.create_task(self._look_on(), name="points lender")
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look()
            except RetryLater as later:
                _log.warning("state_busy", message=str(later))


@asynccontextmanager
async def borrowing(
    state: State,
    teams: Mapping[str, float],
    is_held: Callable[[], bool],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    waits: Callable[[str], None] = lambda _: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[dict[str, float]]:
    """Borrow `share_of` each team's points while inside; gives how much of each. Needs a state that can be written.

    `waits` is told, once, if that takes longer than a moment, and why. RetryLater if another command borrows already,
    or the process that holds the state makes no room.
    """
    borrower = uuid4().hex
    shares = {team: share_of(points) for team, points in teams.items()}

    async def prolong(lasts: timedelta) -> dict[str, Loan]:
        now = clock()
        until = to_millis(now + lasts)
        standing = await state.run(
            lambda c: {
                team: ask(c, team, Loan(borrower, share, until), now)
                for team, share in shares.items()
            }
        )
        if any(loan.borrower != borrower for loan in standing.values()):
            raise RetryLater(
                "another `verify` or `explain --live` is running on this state and uses the points that are lent to"
                " commands; wait until it is done"
            )
        return standing

    async def keep_on() -> None:
        while True:
            await sleep(PROLONGED_EVERY)
            await prolong(LASTS)

    began, told = clock(), False
    standing = await prolong(LASTS)
    prolonging = asyncio.create_task(keep_on(), name="points borrowed")
    prolonging.add_done_callback(_stop_with(asyncio.current_task()))
    try:
        while not await _has_room(state, teams, shares, standing, is_held, clock):
            if clock() - began > PATIENCE:
                raise RetryLater(
                    "the process that holds the state makes no room for this command's points; it may be stuck"
                    " or of an older version: see `gcal-salesloft status`, or try again when it is stopped"
                )
            if not told and clock() - began > MOMENT:
                told = True
                waits(_why_waiting(is_held(), shares))
            await sleep(0.2)
            standing = await prolong(LASTS)
        yield shares
    except asyncio.CancelledError:
        if prolonging.done() and not prolonging.cancelled():
            prolonging.result()  # why the loan could not be prolonged
        raise
    finally:
        prolonging.cancel()
        await asyncio.gather(prolonging, return_exceptions=True)
        with contextlib.suppress(RetryLater):
            await prolong(timedelta())


def _why_waiting(held: bool, shares: Mapping[str, float]) -> str:
    points = f"{sum(shares.values()):.0f} points"
    if held:
        return f"waiting up to a minute: the running gcal-salesloft has spent its limit and makes room for {points}"
    return f"waiting up to a minute: the last run has spent the limit, and {points} are needed"


def _stop_with(borrower: asyncio.Task[Any] | None) -> Callable[[asyncio.Task[None]], None]:
    """A loan that can not be prolonged will lapse: what is done with it ends at once."""

    def stop(prolonging: asyncio.Task[None]) -> None:
        if not prolonging.cancelled() and prolonging.exception() is not None and borrower:
            borrower.cancel()

    return stop


async def _has_room(
    state: State,
    teams: Mapping[str, float],
    shares: Mapping[str, float],
    standing: Mapping[str, Loan],
    is_held: Callable[[], bool],
    clock: Callable[[], datetime],
) -> bool:
    if is_held():
        return all(loan.granted for loan in standing.values())
    for team, points in teams.items():
        spent = await state.spent(team, clock() - MINUTE)
        if sum(cost for _, cost in spent) > points - shares[team]:
            return False
    return True
