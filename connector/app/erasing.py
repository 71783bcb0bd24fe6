"""A person is erased: marked in the state, re-sent without where no daemon does it, and looked for in texts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from connector.app.clock import Clock, now
from connector.app.one_shot import run_once
from connector.app.opening import state_place
from connector.app.parts import Parts, assemble
from connector.domain.erasure import Erased, normalised, stands_in
from connector.domain.errors import (
    CredentialsRefused,
    RequestRefused,
    ResyncRequired,
    RetryLater,
    StateUnusable,
    UserParked,
)
from connector.domain.model import Event, EventId
from connector.domain.plan import Key, Known
from connector.domain.policy import Disclosure, classify
from connector.domain.window import window_at
from connector.engines.local import Calendar
from connector.settings.model import Settings
from connector.store import CalendarState, State, StatePlace, is_locked, open_copy, open_database
from connector.store.erasures import Cleaned, erase
from connector.store.place import empty_log
from connector.sync.reading import zone_named
from connector.sync.summary import Summary

_READINGS_AT_ONCE = 8
_OF_THIS_USER = (UserParked, RetryLater, CredentialsRefused, RequestRefused, ResyncRequired)


@dataclass(slots=True)
class AtUser:
    """What concerns the person in one user's window. Ids only, in the order of their start."""

    name: str
    error: str | None = None
    """Why the calendar could not be read for this report."""
    left: bool = False
    """Offboarded: nothing is sent for this user, so what Salesloft holds stays as it is."""
    without_file: bool = False
    """Only the state remembers this user: neither read nor sent for, so what Salesloft holds stays as it is."""
    stopped: bool = False
    """Paused, or no longer connected in Salesloft: re-sent when the user is served again."""
    named: list[EventId] = field(default_factory=list)
    """Sent in full, with the person as an attendee or as the organizer in Google."""
    waiting: int = 0
    refused: int = 0
    in_texts: list[EventId] = field(default_factory=list)
    """The address stands in the title, description or location: not altered."""
    cut_off: list[EventId] = field(default_factory=list)
    """Google shows a part of the guests only: the list that Salesloft holds may name the person."""

    @property
    def stays(self) -> bool:
        """True if Salesloft is known to hold the person for a user for whom nothing is sent."""
        return self.left and bool(self.named)


@dataclass(frozen=True, slots=True)
class Erasure:
    """The receipt. `summary` is of the round that this command did; None: a daemon does it, or a dry run."""

    cleaned: Cleaned
    users: tuple[AtUser, ...]
    dry_run: bool
    by_daemon: bool
    summary: Summary | None
    log_emptied: bool
    """False: a reader held on to the write-ahead log, which SQLite empties later."""
    own_users: tuple[str, ...]
    """Users of this connector whose own calendar the address names."""
    past_days: int
    """The shortest window into the past: what is older is not re-sent."""

    @property
    def exit_status(self) -> int:
        if self.summary is not None and self.summary.key_refused is not None:
            return 77
        unread = any(user.error or user.stays for user in self.users)
        undone = self.summary is not None and (
            any(user.error for user in self.summary.users)
            or any(user.waiting or user.refused for user in self.users)
        )
        return 1 if unread or undone else 0


async def erase_person(
    settings: Settings,
    email: str,
    stopping: asyncio.Event,
    *,
    dry_run: bool,
    clock: Clock = now,
) -> Erasure:
    """Erase one address for ever. Repeatable: what is done already is only reported again."""
    path = state_place(settings)
    cleaned = await _mark(path, email, clock(), dry_run=dry_run)
    summary, by_daemon, emptied = None, False, True
    if not dry_run:
        emptied = empty_log(path)
        summary = await _round(settings, path, stopping, clock)
        by_daemon = summary is None
        if summary is not None:
            emptied = empty_log(path)
    users = await _look(settings, path, email, clock) if not stopping.is_set() else ()
    wanted = normalised(email)
    return Erasure(
        cleaned=cleaned,
        users=users,
        dry_run=dry_run,
        by_daemon=by_daemon,
        summary=summary,
        log_emptied=emptied,
        own_users=tuple(
            user.name
            for user in settings.users
            if wanted
            in (normalised(user.google.subject or ""), normalised(user.google.calendar_id))
        ),
        past_days=min(user.sync.past_days for user in settings.users),
    )


async def _mark(path: StatePlace, email: str, at: datetime, *, dry_run: bool) -> Cleaned:
    state = State(open_copy(path) if dry_run else open_database(path))
    try:
        return await state.run(lambda c: erase(c, email, at))
    finally:
        state.close()


async def _round(
    settings: Settings, path: StatePlace, stopping: asyncio.Event, clock: Clock
) -> Summary | None:
    """Read and send everything, as `run --once` does; None if a daemon holds the state and does it."""
    if is_locked(path):
        return None
    try:
        return await run_once(settings, stopping, full=False, clock=clock)
    except StateUnusable:
        if is_locked(path):  # a daemon was started this very moment
            return None
        raise


async def _look(
    settings: Settings, path: StatePlace, email: str, clock: Clock
) -> tuple[AtUser, ...]:
    """List every calendar's window once, on a copy of the state: nothing is stored and no token used."""
    async with assemble(settings, open_copy(path), clock) as parts:
        gate = asyncio.Semaphore(_READINGS_AT_ONCE)
        rows = {calendar.id: calendar for calendar in await parts.state.calendars()}

        async def one(calendar: Calendar) -> AtUser:
            row = rows[calendar.id]
            found = AtUser(calendar.seller.name, left=row.left_at is not None)
            found.stopped = not found.left and not row.is_served
            async with gate:
                try:
                    await _look_at(parts, calendar, row, email, found, clock())
                except _OF_THIS_USER as error:
                    found.error = _without(str(error), email)
            return found

        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(one(calendar), name=f"look {calendar.seller.name}")
                for calendar in parts.calendars
            ]
        users = [task.result() for task in tasks]
        served = {calendar.id for calendar in parts.calendars}
        broken = {user.name for user in settings.broken}
        users += [
            AtUser(row.name, left=row.left_at is not None, without_file=True)
            for row in rows.values()
            if row.id not in served and row.name not in broken
        ]
        users += [
            AtUser(name, error="the file has mistakes, see `gcal-salesloft check-config`")
            for name in broken
        ]
        return tuple(sorted(users, key=lambda user: user.name))


async def _look_at(
    parts: Parts,
    calendar: Calendar,
    row: CalendarState,
    email: str,
    found: AtUser,
    at: datetime,
) -> None:
    seller = calendar.seller
    person = _only(email)
    window = window_at(at, zone_named(row.time_zone or "UTC"), seller.past_days, seller.future_days)
    listing = await seller.reader.list_window(window.start, window.end)
    known = {one.key: one for one in await parts.state.known_since(calendar.id, window.start)}
    for event in listing.items:
        if not isinstance(event, Event) or event.is_series:
            continue
        _judge(event, known.get(Key(event.id, event.ical_uid)), calendar, email, person, found)


def _judge(
    event: Event,
    known: Known | None,
    calendar: Calendar,
    email: str,
    person: Erased,
    found: AtUser,
) -> None:
    rules = calendar.seller.rules
    verdict = classify(event, rules, known_prospect=bool(known and known.prospect))
    if verdict.disclosure is not Disclosure.FULL:
        return
    organizer = event.organizer.email if event.organizer else None
    if person.has(organizer) or any(person.has(guest.email) for guest in event.attendees):
        found.named.append(event.id)
        found.waiting += bool(known and known.pending is not None)
        found.refused += bool(known and known.pending is None and known.refused is not None)
    elif event.attendees_omitted:
        found.cut_off.append(event.id)
    link = event.video_link if rules.video_link_as_location else ""
    texts = (event.summary, event.description, event.location or link)
    if any(stands_in(text, email) for text in texts):
        found.in_texts.append(event.id)


def _only(email: str) -> Erased:
    """This one person, under a key of no worth: for comparing addresses as an erasure does."""
    key = Erased(b"report")
    return Erased(b"report", frozenset((key.digest_of(email),)))


def _without(message: str, email: str) -> str:
    return message if not stands_in(message, email) else "it could not be read"
