"""`policy simulate`: reads the windows anew and tells what another policy would show or hide."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

from connector.app.asking import UNREAD, Asked, asking, status_of_errors
from connector.app.clock import Clock, now
from connector.app.opening import state_place
from connector.domain.model import UserName
from connector.domain.policy import PolicyRules
from connector.settings.model import Settings
from connector.store import CalendarState, State, open_copy
from connector.store.erasures import erased_people
from connector.sync.policy_changes import PolicyChange, policy_changes
from connector.sync.window_reading import ground_of, list_shown


@dataclass(frozen=True, slots=True)
class UserSimulated:
    """One user: how many occurrences were judged, and those that would be sent differently."""

    name: str
    judged: int = 0
    changes: tuple[PolicyChange, ...] = ()
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Simulated:
    users: tuple[UserSimulated, ...]

    @property
    def exit_status(self) -> int:
        errors = [user.error for user in self.users if user.error is not None]
        return status_of_errors(errors, len(self.users))


async def simulate_policy(
    settings: Settings, policies: Mapping[UserName, PolicyRules], clock: Clock = now
) -> Simulated:
    """Judge each user's window by today's rules and by the other ones. Nothing is written, Salesloft is not asked."""
    async with AsyncExitStack() as stack:
        state = State(open_copy(state_place(settings)))
        stack.callback(state.close)
        asked = await stack.enter_async_context(asking(settings))
        rows = {row.user_guid: row for row in await state.calendars()}
        users = [
            await _simulate(
                one,
                rows.get(one.user.salesloft.user_guid),
                policies[one.user.name],
                state,
                clock,
            )
            for one in asked
        ]
        return Simulated(tuple(users))


async def _simulate(
    asked: Asked,
    row: CalendarState | None,
    rules: PolicyRules,
    state: State,
    clock: Clock,
) -> UserSimulated:
    seller = asked.seller
    calendar = row or await state.calendar(seller.user_guid, seller.name)
    try:
        shown = await list_shown(seller, clock())
    except UNREAD as error:
        return UserSimulated(seller.name, error=error)
    since = clock() - timedelta(days=seller.past_days + 2)
    known = {one.key: one for one in await state.known_since(calendar.id, since)}
    ground = ground_of(seller, calendar, shown, await state.run(erased_people))
    changes = policy_changes(shown, ground, rules, known)
    found = sorted(changes, key=lambda change: (change.start, change.key.event_id))
    return UserSimulated(seller.name, sum(1 for _ in shown.inside()), tuple(found))
