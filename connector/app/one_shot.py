"""One round of what the daemon does, for `--initial-sync`, `--once` and their dry runs."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from connector.app.bookings import rounds
from connector.app.clock import Clock, now
from connector.app.opening import open_for, state_place
from connector.app.parts import Parts, assemble
from connector.app.roster import LookedUp, connections_of
from connector.app.to_salesloft import team_of
from connector.domain.errors import (
    CredentialsRefused,
    RetryLater,
    UserParked,
)
from connector.domain.model import UserGuid
from connector.engines.local import Calendar
from connector.salesloft import TeamRefused
from connector.settings.model import Settings
from connector.store import is_locked, lock_state, open_copy, open_database
from connector.store.dead_letters import DeadLetter
from connector.store.state import Backlog
from connector.sync.bookings import RoundResult
from connector.sync.cycle import CalendarCycle, NotAsked, Report
from connector.sync.delivery import until_drained
from connector.sync.progress import Progress, telling
from connector.sync.summary import RefusedEvent, user_result
from connector.sync.summary import Summary as Summary

ONE_SHOT_ROUNDS = 3
"""How often a one-shot reads a calendar that could not be read for a passing reason."""
_READINGS_AT_ONCE = 16
_BESIDE = (
    "a gcal-salesloft runs on this state and has the points: Salesloft was not asked what it holds already,"
    " so more is shown here than will be sent"
)


async def run_once(
    settings: Settings,
    stopping: asyncio.Event,
    *,
    full: bool,
    clock: Clock = now,
    progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """One full (`full`) or incremental reading of every calendar, everything delivered; `progress` is told how far."""
    path = state_place(settings)
    with lock_state(path):
        database, looked_up = await open_for(settings, open_database(path), stopping, clock)
        async with assemble(looked_up.settings, database, clock) as parts:
            before = await parts.state.dead_letters()
            reports: list[Report] = []
            async with telling(progress, lambda: _progress(parts, len(reports), looked_up)):
                # First, so that what is booked now is read and delivered in the same run.
                booked = await rounds(tuple(parts.bookings.values()), stopping)
                await _read_unless(stopping, parts, reports, full=full)
                draining = [
                    asyncio.create_task(delivery.drain(stopping), name=f"delivery {team}")
                    for team, delivery in parts.deliveries.items()
                ]
                await until_drained(draining, stopping)
                if not stopping.is_set():
                    await _banners(parts, looked_up.settings, clock)
            summary = _summary(parts, reports, await parts.state.backlog(parts.ids), looked_up)
            return replace(_with_bookings(summary, booked), refusals=await _refusals(parts, before))


async def run_dry(
    settings: Settings,
    stopping: asyncio.Event,
    *,
    full: bool,
    show: Callable[[str, bytes, str], None],
) -> Summary:
    """Like `run_once`, on a copy of the state in memory, showing each upsert instead of sending it.

    `show` gets the user's name, the JSON body and the rule that decided. Nothing is written anywhere.
    """
    path = state_place(settings)
    beside = is_locked(path)
    database, looked_up = await open_for(settings, open_copy(path), stopping, now)
    async with assemble(looked_up.settings, database) as parts:
        reports: list[Report] = []
        unasked = NotAsked()
        if (
            beside
        ):  # the points are the running process's, and a dry run can not borrow: it writes nothing
            parts.cycle = CalendarCycle(parts.state, lambda _: unasked, now)
        await _read_unless(stopping, parts, reports, full=full)
        names = {calendar.id: calendar.seller.name for calendar in parts.calendars}
        for row in await parts.state.unsettled(sorted(names), datetime.now(UTC)):
            rules = await parts.state.known(row.calendar, [row.key.event_id], [])
            rule = next((known.rule for known in rules if known.key == row.key), None)
            show(names[row.calendar], row.payload, rule.value if rule else "cancelled")
        backlog = await parts.state.backlog(sorted(names))
        summary = _summary(parts, reports, replace(backlog, pending=0), looked_up)
        return replace(summary, notes=(_BESIDE,)) if unasked.was_needed else summary


async def _progress(parts: Parts, read: int, looked_up: LookedUp) -> Progress:
    far = await parts.progress(read)
    return replace(far, points=far.points + round(looked_up.points))


async def _banners(parts: Parts, settings: Settings, clock: Clock) -> None:
    """Show and take down what the readings concluded, of every team."""
    guids: dict[str, set[UserGuid]] = defaultdict(set)
    for user in settings.users:
        guids[team_of(user)].add(user.salesloft.user_guid)
    for team, of_team in guids.items():
        connections = connections_of(
            team, parts.clients[team], parts.state, partial(set, of_team), clock
        )
        await connections.round()


async def _read_unless(
    stopping: asyncio.Event, parts: Parts, reports: list[Report], *, full: bool
) -> None:
    """Read every calendar; at a stop drop the readings under way: nothing of them was stored."""
    reading = asyncio.create_task(_read_all(parts, reports, full=full), name="read all")
    stopped = asyncio.create_task(stopping.wait(), name="stop")
    try:
        await asyncio.wait((reading, stopped), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not reading.done():
            reading.cancel()
        await asyncio.gather(stopped, return_exceptions=True)
    try:
        await reading
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise
    read = {report.calendar for report in reports}
    reports += [
        Report(calendar.id, error=RetryLater("stopped before it was read; the next run reads it"))
        for calendar in parts.calendars
        if calendar.id not in read
    ]


async def _read_all(parts: Parts, reports: list[Report], *, full: bool) -> None:
    """Read every calendar, and add each one's report as it comes."""
    gate = asyncio.Semaphore(_READINGS_AT_ONCE)

    async def one(calendar: Calendar) -> None:
        async with gate:
            report = await parts.cycle.run(calendar.seller, full=full)
            for _ in range(ONE_SHOT_ROUNDS - 1):
                if not isinstance(report.error, RetryLater):
                    break
                report = await parts.cycle.run(calendar.seller, full=full)
            reports.append(report)

    async with asyncio.TaskGroup() as group:
        for calendar in parts.calendars:
            group.create_task(one(calendar), name=f"read {calendar.seller.name}")


async def _refusals(parts: Parts, before: Sequence[DeadLetter]) -> tuple[RefusedEvent, ...]:
    """What became a dead letter since `before`, of these calendars."""
    older = {(letter.calendar, letter.key, letter.at) for letter in before}
    return tuple(
        RefusedEvent(letter.user, letter.key.event_id, letter.reason)
        for letter in await parts.state.dead_letters()
        if letter.calendar in parts.ids and (letter.calendar, letter.key, letter.at) not in older
    )


def _with_bookings(summary: Summary, booked: Sequence[RoundResult]) -> Summary:
    """A key that Salesloft does not know (401) ends the run as anywhere else; one that may not book (403) does not."""
    errors = [one.error for one in booked if one.error is not None]
    unknown = [error for error in errors if isinstance(error, TeamRefused) and error.status == 401]
    return replace(
        summary,
        key_refused=summary.key_refused or next(map(str, unknown), None),
        bookings_made=sum(one.booked for one in booked),
        bookings_moved=sum(one.moved for one in booked),
        bookings_cancelled=sum(one.cancelled for one in booked),
        bookings_failed=sum(one.failed for one in booked),
        bookings_left=sum(one.left for one in booked),
        bookings_error=next(map(str, errors), None),
    )


def _summary(
    parts: Parts, reports: Sequence[Report], backlog: Backlog, looked_up: LookedUp
) -> Summary:
    names = {calendar.id: calendar.seller.name for calendar in parts.calendars}
    refusals = [
        str(delivery.tally.refusal)
        for delivery in parts.deliveries.values()
        if delivery.tally.refusal is not None
    ]
    refusals += [str(r.error) for r in reports if isinstance(r.error, CredentialsRefused)]
    refusals += [str(looked_up.refused)] if looked_up.refused is not None else []
    return Summary(
        users=tuple(
            user_result(names[report.calendar], report)
            for report in sorted(reports, key=lambda report: names[report.calendar])
        ),
        accepted=sum(delivery.tally.accepted for delivery in parts.deliveries.values()),
        refused=backlog.dead_letters,
        pending=backlog.pending,
        held=backlog.held,
        points=parts.points + round(looked_up.points),
        key_refused=refusals[0] if refusals else None,
        nobody_served=bool(reports) and all(isinstance(r.error, UserParked) for r in reports),
        not_served=tuple(map(str, looked_up.not_served)),
        unknown=looked_up.unknown,
    )
