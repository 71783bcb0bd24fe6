"""A user leaves: marked in the state, and the cancellations delivered here where no daemon does it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from connector.app.clock import Clock, now
from connector.app.opening import state_place
from connector.app.parts import assemble
from connector.app.to_salesloft import team_of
from connector.domain.errors import StateUnusable
from connector.domain.model import UserGuid, UserName
from connector.settings.model import Settings, UserSettings
from connector.store import (
    CalendarState,
    State,
    StatePlace,
    is_locked,
    lock_state,
    open_copy,
    open_database,
)
from connector.store.leaving import Farewell, Outcome, farewell, leave
from connector.sync.delivery import until_drained
from connector.sync.reading import zone_named


class Carrier(StrEnum):
    """Who delivers the cancellations."""

    NOBODY_NEEDED = "nothing to deliver"
    COMMAND = "this command"
    DAEMON = "the running daemon"
    KEY_UNKNOWN = "nobody yet"
    """The user has no file, and the others' files name several teams."""
    DRY_RUN = "nobody: dry run"


@dataclass(frozen=True, slots=True)
class Leaver:
    """Whom a name on the command line means. `file` is None where no valid file is left."""

    name: UserName
    guid: UserGuid
    user: UserSettings | None
    team: str


@dataclass(frozen=True, slots=True)
class Offboarding:
    """The receipt. `refusal`: Salesloft's word on the team's key, where it was refused."""

    leaver: Leaver
    farewell: Farewell
    carrier: Carrier
    refusal: str | None = None

    @property
    def finished(self) -> bool:
        """False while something of it has not arrived and no daemon carries it."""
        if self.carrier in (Carrier.DAEMON, Carrier.DRY_RUN):
            return True
        return all(c.outcome is Outcome.ACCEPTED for c in self.farewell.cancellations)


async def offboard(
    settings: Settings,
    who: str,
    stopping: asyncio.Event,
    *,
    cancel_future: bool,
    dry_run: bool,
    clock: Clock = now,
) -> Offboarding | None:
    """Let a user leave, by name or GUID; None if neither the files nor the state know them. Repeatable."""
    path = state_place(settings)
    state = State(open_copy(path) if dry_run else open_database(path))
    try:
        leaver = find_leaver(settings, await state.calendars(), who)
        if leaver is None:
            return None
        calendar = await state.calendar(leaver.guid, leaver.name)
        left = await state.run(
            partial(
                leave,
                calendar=calendar.id,
                team=leaver.team,
                zone=zone_named(calendar.time_zone or "UTC"),
                cancel_future=cancel_future,
                now=clock(),
            )
        )
    finally:
        state.close()
    carrier, refusal = Carrier.DRY_RUN, None
    if not dry_run:
        carrier, refusal = await _deliver(settings, path, leaver, left, stopping, clock)
    if carrier is Carrier.COMMAND:
        left = await _as_it_is(path, calendar.id)
    return Offboarding(leaver, left, carrier, refusal)


def find_leaver(settings: Settings, calendars: Sequence[CalendarState], who: str) -> Leaver | None:
    """A user of the files, else one that the state remembers. Without a file, the files' only team is theirs."""
    for user in settings.users:
        if who in (user.name, user.salesloft.user_guid):
            return Leaver(user.name, user.salesloft.user_guid, user, team_of(user))
    known = [calendar for calendar in calendars if who in (calendar.name, calendar.user_guid)]
    if not known:
        return None
    # A name that was used twice means whoever it was used for last.
    latest = max(known, key=lambda calendar: calendar.id)
    teams = {team_of(user) for user in settings.users}
    team = teams.pop() if len(teams) == 1 else ""
    return Leaver(latest.name, latest.user_guid, None, team)


async def _deliver(
    settings: Settings,
    path: StatePlace,
    leaver: Leaver,
    left: Farewell,
    stopping: asyncio.Event,
    clock: Clock,
) -> tuple[Carrier, str | None]:
    if not any(c.outcome is Outcome.WAITING for c in left.cancellations):
        return Carrier.NOBODY_NEEDED, None
    users = tuple(user for user in settings.users if team_of(user) == leaver.team)
    if not users:
        return Carrier.KEY_UNKNOWN, None
    if is_locked(path):
        return Carrier.DAEMON, None
    try:
        with lock_state(path):
            refusal = await _drain(
                replace(settings, users=users), path, leaver, left, stopping, clock
            )
    except StateUnusable:
        if is_locked(path):  # a daemon was started this very moment
            return Carrier.DAEMON, None
        raise
    return Carrier.COMMAND, refusal


async def _drain(
    settings: Settings,
    path: StatePlace,
    leaver: Leaver,
    left: Farewell,
    stopping: asyncio.Event,
    clock: Clock,
) -> str | None:
    """Deliver what waits for this one calendar; Salesloft's word if it refuses the key."""
    async with assemble(settings, open_database(path), clock) as parts:
        delivery = parts.deliveries[leaver.team]
        delivery.calendars = {left.calendar}
        if delivery.bulk is not None:
            delivery.bulk.members.add(left.calendar)
        draining = asyncio.create_task(delivery.drain(stopping), name="delivery of cancellations")
        await until_drained([draining], stopping)
        refusal = delivery.tally.refusal
    return str(refusal) if refusal is not None else None


async def _as_it_is(path: StatePlace, calendar: int) -> Farewell:
    state = State(open_database(path))
    try:
        return await state.run(lambda c: farewell(c, calendar))
    finally:
        state.close()


def cancellations_by_outcome(left: Farewell) -> dict[Outcome, int]:
    """How many cancellations are how far."""
    return {outcome: sum(c.outcome is outcome for c in left.cancellations) for outcome in Outcome}


def next_steps(receipt: Offboarding) -> list[str]:
    """What a human still has to do, in their order."""
    leaver, steps = receipt.leaver, []
    counts = cancellations_by_outcome(receipt.farewell)
    if receipt.carrier is Carrier.KEY_UNKNOWN:
        steps.append(
            "put the user's file back (or leave files of the user's team only) and run this command again:"
            " which Salesloft key delivers the cancellations is not known"
        )
    elif counts[Outcome.WAITING] and receipt.carrier is Carrier.COMMAND:
        steps.append("run this command again: what still waits is tried once more")
    if counts[Outcome.REFUSED]:
        steps.append("look at what Salesloft refused: `gcal-salesloft dead-letters list`")
    if leaver.user is not None:
        steps.append(f"remove the user's file {leaver.user.file} and the credentials that it names")
    steps.append(
        "withdraw the access to the calendar in Google (the user's consent, or, if nobody else needs it, the"
        " service account's domain-wide delegation)"
    )
    if receipt.farewell.future_kept:
        steps.append(
            "the meetings to come stay in Salesloft; run this command with --cancel-future to cancel them"
        )
    return steps
