"""`verify`: compares every user's calendar, beside a daemon or without one, within a borrowed share of the points."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector import salesloft
from connector.app.asking import UNREAD, Asked, asking, status_of_errors
from connector.app.borrowed import borrowed_clients
from connector.app.clock import Clock, now
from connector.app.opening import state_place
from connector.domain.errors import CredentialsRefused
from connector.domain.mapping import to_millis
from connector.domain.model import UserGuid
from connector.salesloft.calls import PER_PAGE, page_cost
from connector.settings.model import Settings
from connector.store import CalendarState, State, no_state, open_database
from connector.sync.reconcile import LastInLine, verify_calendar
from connector.sync.verification import Verification


@dataclass(frozen=True, slots=True)
class UserVerified:
    """One user: what was found, why it could not be, or why there was nothing to compare."""

    name: str
    verification: Verification | None = None
    error: Exception | None = None
    skipped: str | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a comparison will cost, by what the state knows; a minute allows `per_minute`."""

    points: int
    per_minute: float


@dataclass(frozen=True, slots=True)
class Verdicts:
    users: tuple[UserVerified, ...]
    estimate: Estimate
    points: int

    @property
    def exit_status(self) -> int:
        """0 only if every user was compared, nothing differs and nothing waits."""
        compared = [user for user in self.users if user.skipped is None]
        errors = [user.error for user in compared if user.error is not None]
        failed = status_of_errors(errors, len(compared))
        unclean = any(user.verification and not user.verification.clean for user in compared)
        return failed or int(unclean)


async def verify_users(
    settings: Settings,
    *,
    repair: bool,
    clock: Clock = now,
    tell: Callable[[Estimate], None] = lambda _: None,
    waits: Callable[[str], None] = lambda _: None,
) -> Verdicts:
    """Compare each user's calendar. Writes to the state the points and the result; with `repair` what mends it.

    `waits` is told, once, if points have to be waited for, and why.

    RetryLater if the points cannot be had, StateUnusable if there is no state yet.
    """
    path = state_place(settings)
    if not path.exists():
        raise no_state(path)
    async with AsyncExitStack() as stack:
        state = State(open_database(path))
        stack.callback(state.close)
        asked = await stack.enter_async_context(asking(settings))
        rows = {row.user_guid: row for row in await state.calendars()}
        users_of = {one.team: [o.user for o in asked if o.team == one.team] for one in asked}
        clients = await stack.enter_async_context(
            borrowed_clients(users_of, state, path, waits=waits)
        )
        share = sum(client.budget.limit for client in clients.values())
        estimate = Estimate(await _estimated(state, asked, rows, clock()), share)
        tell(estimate)
        users = []
        for one in asked:
            row = rows.get(one.user.salesloft.user_guid)
            users.append(await _verify(one, row, clients[one.team], state, clock(), repair=repair))
        spent = sum(client.budget.spent_in_all for client in clients.values())
        return Verdicts(tuple(users), estimate, round(spent))


async def _verify(
    asked: Asked,
    row: CalendarState | None,
    client: salesloft.SalesloftClient,
    state: State,
    at: datetime,
    *,
    repair: bool,
) -> UserVerified:
    name = asked.user.name
    if row is None:
        return UserVerified(name, skipped="never read yet: `gcal-salesloft run` reads it first")
    if row.left_at is not None:
        return UserVerified(name, skipped="offboarded: nothing is sent any more")
    if row.disconnected_since is not None:
        return UserVerified(
            name, skipped="not on an external calendar in Salesloft: nothing is sent"
        )
    try:
        found = await verify_calendar(
            asked.seller, row, LastInLine(client), state, at, repair=repair, keep_result=True
        )
    except (*UNREAD, CredentialsRefused) as error:
        return UserVerified(name, error=error)
    return UserVerified(name, found)


async def _estimated(
    state: State, asked: tuple[Asked, ...], rows: dict[UserGuid, CalendarState], at: datetime
) -> int:
    """A point for each page of a hundred rows that the state knows of, more for deep ones."""
    points = 0.0
    for one in asked:
        row = rows.get(one.user.salesloft.user_guid)
        if row is None:
            continue
        since = to_millis(at - timedelta(days=one.seller.past_days))
        count = await state.run(
            lambda c, row=row, since=since: c.execute(  # type: ignore[misc]
                "SELECT count(*) FROM occurrences WHERE calendar_id = ? AND end_ms > ?",
                (row.id, since),
            ).fetchone()[0]
        )
        pages = max(1, -(-int(count) // PER_PAGE))
        points += sum(page_cost(page) or 1.0 for page in range(1, pages + 1))
    return round(points)
