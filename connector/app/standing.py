"""Takes the snapshot that metrics and the status page show: the state, the budgets and the files, in one picture."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from connector.observe.snapshot import (
    HeldDifference,
    RefusedEvent,
    Snapshot,
    TeamStanding,
    UserStanding,
    UserState,
    team_label,
)
from connector.salesloft.budget import BudgetSnapshot
from connector.store import CalendarState
from connector.store.standing import Standing


class Budget(Protocol):
    """What is shown of a team's points."""

    @property
    def spent_in_all(self) -> float: ...
    def snapshot(self) -> BudgetSnapshot: ...


@dataclass(frozen=True, slots=True)
class Served:
    """Who is served: calendars (rows in the state) → (user, team), team → budget, and users with broken files."""

    calendars: Mapping[int, tuple[str, str]]
    budgets: Mapping[str, Budget]
    broken: Mapping[str, str]


def snapshot_of(standing: Standing, served: Served, now: datetime) -> Snapshot:
    """Everything at this moment. Calendars that are no longer configured are left out."""
    rows = {row.id: row for row in standing.calendars}
    users = [
        _user(name, team_label(team), rows.get(calendar), calendar, standing)
        for calendar, (name, team) in served.calendars.items()
    ]
    users += [
        UserStanding(name, "", UserState.MISCONFIGURED, "broken_file", mistake)
        for name, mistake in served.broken.items()
    ]
    return Snapshot(
        at=now,
        users=tuple(sorted(users, key=lambda user: user.name)),
        teams=tuple(_teams(standing, served)),
        differences=tuple(
            HeldDifference(one.id, one.user, one.at, one.gone, one.tracked)
            for one in standing.differences
        ),
        refused=tuple(
            RefusedEvent(o.user, o.event_id, o.at, o.status, o.reason, o.request_id)
            for o in standing.refused
        ),
        bookings=standing.bookings,
        verified=standing.verified,
        verified_oldest=standing.verified_oldest,
        channels=standing.channels,
    )


def _user(
    name: str, team: str, row: CalendarState | None, calendar: int, standing: Standing
) -> UserStanding:
    state, reason, remedy, since = _judged(name, row)
    return UserStanding(
        name=name,
        team=team,
        state=state,
        reason=reason,
        remedy=remedy,
        since=since,
        last_success=row.last_success if row else None,
        pending=sum(standing.backlog.get(calendar, {}).values()),
        oldest_change=standing.oldest.get(calendar),
        held=standing.held.get(calendar, 0),
        dead_letters=standing.dead_letters.get(calendar, 0),
        set_aside=standing.set_aside.get(calendar, 0),
    )


def _judged(name: str, row: CalendarState | None) -> tuple[UserState, str, str, datetime | None]:
    """State, reason, remedy and since when; what an admin or Salesloft decided hides what Google says."""
    if row is None:
        return UserState.WAITING, "", "", None
    if row.left_at is not None:
        return UserState.LEFT, "offboarded", "Remove the user's file.", row.left_at
    if row.paused_since is not None:
        remedy = f"gcal-salesloft resume --user {name}"
        return UserState.PAUSED, "by an admin", remedy, row.paused_since
    if row.disconnected_since is not None:
        remedy = "In Salesloft, choose the external calendar for this user again."
        return UserState.DISCONNECTED, "not external in Salesloft", remedy, row.disconnected_since
    if row.parked_reason is not None:
        state = UserState.LOST if row.lost_since is not None else UserState.PARKED
        return state, row.parked_reason.value, row.parked_message or "", row.parked_since
    if row.last_success is None:
        return UserState.WAITING, "", "", None
    return UserState.OK, "", "", None


def _teams(standing: Standing, served: Served) -> Iterable[TeamStanding]:
    members: defaultdict[str, list[int]] = defaultdict(list)
    for calendar, (_, team) in served.calendars.items():
        members[team].append(calendar)
    for team, budget in served.budgets.items():
        points, own = budget.snapshot(), members[team]
        backlog: Counter[str] = Counter()
        for calendar in own:
            for lane, count in standing.backlog.get(calendar, {}).items():
                backlog[lane.name.lower()] += count
        yield TeamStanding(
            label=team_label(team),
            backlog=dict(backlog),
            oldest_change=min(
                (standing.oldest[c] for c in own if c in standing.oldest), default=None
            ),
            held=sum(standing.held.get(c, 0) for c in own),
            dead_letters=sum(standing.dead_letters.get(c, 0) for c in own),
            set_aside=sum(standing.set_aside.get(c, 0) for c in own),
            spent=points.spent,
            left=points.left,
            limit=points.limit,
            reserve=points.reserve,
            remaining=points.remaining,
            spent_in_all=budget.spent_in_all,
            paused_until=points.paused_until,
        )
