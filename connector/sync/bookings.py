"""Meetings booked in Salesloft → events on the sellers' Google calendars → `booked`.

One round of a team is one look-up of the pending meetings and one walk through what was updated since the last one
(the pending filter may not name reschedules, and never names cancellations). **An idle round costs 2 points**; each
meeting that is booked, moved or failed costs 1 more. A round with more to tell than a page shows costs more.

Both look-ups in each round, because Salesloft's documents leave open what each of them shows: that every change of a
meeting renews its `updated_at` (then the walk alone would do) is as little promised as that the filter names
reschedules. At the default interval that is 12 points a minute, the 2 % that are kept for bookings and banners.

Exactly once: what is about to be written is in the state first, the event's id is derived from the meeting, and every
step may be repeated. A crash after the insert meets 409 and reads the event back; a crash after the PUT finds nothing
to do. The cursor never passes a meeting that could not be dealt with, so a restart finds it again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from connector.domain.booking import (
    WAITING,
    BookedMeeting,
    Step,
    Unbookable,
    event_body,
    event_id_of,
    is_at,
    moved_times,
    next_step,
)
from connector.domain.errors import (
    ConnectorError,
    CredentialsRefused,
    RequestRefused,
    RetryLater,
    UserParked,
    WriteScopeMissing,
)
from connector.domain.model import Event, EventId, UserGuid, UserName
from connector.observe.log import get_logger
from connector.salesloft import Meeting, SalesloftClient, calendar_id_of
from connector.store import State
from connector.store.bookings import Booking, booking, cursor_of, save_booking, save_cursor

OVERLAP = timedelta(minutes=5)
"""How far a walk goes behind the last update that was dealt with: answers may be late, clocks may differ."""
FIRST_WALK = timedelta(days=7)
WALK_PAGE, FIRST_WALK_PAGE = 25, 100
"""Meetings a page. A walk soon after a complete one ends at its first page, whatever it shows: a small one will do."""
MOST_WALK_PAGES = 100
PROBED_OFTEN = timedelta(minutes=5)
PROBE_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 60.0
AT_ONCE = 8

_log = get_logger(__name__)


class BookingWriter(Protocol):
    """One user's Google calendar, for writing; see `google/bookings.py` for what is raised."""

    async def insert(self, body: dict[str, Any]) -> Event | None:
        """A new event; None if its id was taken before."""

    async def get(self, event_id: EventId) -> Event | None:
        """The living event."""

    async def move(self, event_id: EventId, times: dict[str, Any]) -> Event | None:
        """The event with other times; None if it is gone."""

    async def cancel(self, event_id: EventId) -> None:
        """Cancel an event; one that is gone is fine."""


@dataclass(frozen=True, slots=True)
class Booker:
    """A served user whose bookings are on. `calendar` is the row in the state, `client_id` a service account's."""

    name: UserName
    user_guid: UserGuid
    calendar: int
    writer: BookingWriter
    own_addresses: frozenset[str] = field(default=frozenset(), repr=False)
    conference: bool = False
    client_id: str = ""
    probe_every: timedelta = timedelta(seconds=30)


@dataclass(slots=True)
class RoundResult:
    """What a round did. `left` meetings wait for a later one; `error` if Salesloft could not be asked."""

    booked: int = 0
    moved: int = 0
    cancelled: int = 0
    failed: int = 0
    left: int = 0
    error: ConnectorError | None = None


@dataclass(slots=True)
class _Off:
    """Bookings of one user are off since then, and tried again at `next_probe`."""

    since: datetime
    next_probe: datetime


@dataclass(slots=True)
class _Put:
    """A meeting that is put off."""

    failures: int
    until: datetime
    meeting: BookedMeeting
    """As it was then: newer content of it does not wait."""


class TeamBookings:
    """The bookings of one Salesloft team. Add and remove users at any time; call `round` every `interval`."""

    def __init__(
        self, team: str, client: SalesloftClient, state: State, clock: Callable[[], datetime]
    ) -> None:
        self._team = team
        self._client = client
        self._state = state
        self._clock = clock
        self._bookers: dict[str, Booker] = {}
        self._running = asyncio.Lock()
        self._cursor: datetime | None = None
        self._has_walked = False
        self._carried: dict[str, BookedMeeting] = {}
        """Moves and cancellations that are still to be done: no filter of Salesloft's shows them again."""
        self._put_off: dict[str, _Put] = {}
        self._off: dict[UserGuid, _Off] = {}
        self._refused: str | None = None
        self._said: str | None = None

    def add(self, booker: Booker) -> None:
        """Book for this user from the next round on; another booker of the user replaces what was known."""
        if self._bookers.get(calendar_id_of(booker.user_guid)) is booker:
            return
        self._bookers[calendar_id_of(booker.user_guid)] = booker
        self._off.pop(booker.user_guid, None)

    def remove(self, guid: UserGuid) -> None:
        """Book no longer for this user (left, parked, switched off); meetings stay as they are."""
        self._bookers.pop(calendar_id_of(guid), None)

    async def round(self, stopping: asyncio.Event | None = None) -> RoundResult:
        """Look up and deal with everything that is due; at once if another round runs or nobody is served.

        Never raises for what Salesloft or Google answer. After `stopping` no new request is begun.
        """
        result = RoundResult()
        if self._running.locked() or not self._bookers:
            return result
        async with self._running:
            stop = stopping or asyncio.Event()
            self._said, self._refused = self._refused, None
            try:
                found, newest = await self._look_up()
            except ConnectorError as error:
                result.error = error
                self._say_refused(error)
                return result
            await self._deal_with(found, result, stop)
            await self._keep_cursor(newest)
        return result

    # -- looking up

    async def _look_up(self) -> tuple[list[tuple[Booker, BookedMeeting]], datetime | None]:
        """What concerns us, the newest telling of each meeting, and the newest update seen."""
        meetings = dict(self._carried)
        async for page in self._client.list_meetings(status="pending"):
            meetings |= {one.id: _meeting(one) for one in page if self._ours(one)}
        newest = None
        try:
            async for one in self._walk():
                moment = one.updated_at
                newest = max(filter(None, (newest, moment)), default=None)
                if self._ours(one):
                    meetings[one.id] = _meeting(one)
        except RequestRefused as refused:
            # What is pending is dealt with all the same; only cancellations, and moves that the filter hides, are not.
            newest = None
            self._say_refused(refused)
        found = [
            (self._bookers[meeting.calendar_id], meeting)
            for meeting in meetings.values()
            if meeting.calendar_id in self._bookers
        ]
        return found, newest

    async def _walk(self) -> AsyncIterator[Meeting]:
        """Meetings by their last update, newest first, down to the last one dealt with."""
        if self._cursor is None:
            self._cursor = await self._state.look(lambda c: cursor_of(c, self._team))
        until = self._cursor - OVERLAP if self._cursor else self._clock() - FIRST_WALK
        pages, per_page = 0, WALK_PAGE if self._has_walked else FIRST_WALK_PAGE
        self._has_walked = False
        async for page in self._client.list_meetings(newest_first=True, per_page=per_page):
            pages += 1
            for one in page:
                yield one
            if pages >= MOST_WALK_PAGES or any(
                one.updated_at is not None and one.updated_at < until for one in page
            ):
                break
        self._has_walked = True

    def _ours(self, meeting: Meeting) -> bool:
        return (
            bool(meeting.id)
            and meeting.calendar_type in ("external", "")
            and meeting.calendar_id in self._bookers
        )

    async def _keep_cursor(self, newest: datetime | None) -> None:
        """Go on from here; in the state only as far as everything was dealt with, for the next start."""
        if newest is not None:
            self._cursor = max(filter(None, (self._cursor, newest)))
        if self._cursor is None:
            return
        open_since = [one.updated_at for one in self._carried.values() if one.updated_at]
        safe = min([self._cursor, *open_since])
        await self._state.ask(lambda c: save_cursor(c, self._team, safe))

    def _say_refused(self, error: ConnectorError) -> None:
        """Once, until a look-up goes well or fails for something else."""
        self._refused = type(error).__name__
        if self._refused == self._said:
            return
        if isinstance(error, CredentialsRefused):
            _log.error("bookings_not_looked_up", team=self._team, message=str(error))
        else:
            _log.warning("bookings_not_looked_up", team=self._team, message=str(error))

    # -- dealing with it

    async def _deal_with(
        self, found: list[tuple[Booker, BookedMeeting]], result: RoundResult, stop: asyncio.Event
    ) -> None:
        gate = asyncio.Semaphore(AT_ONCE)
        by_booker: dict[str, list[tuple[Booker, BookedMeeting]]] = {}
        for booker, meeting in found:
            by_booker.setdefault(booker.user_guid, []).append((booker, meeting))

        async def one_user(work: list[tuple[Booker, BookedMeeting]]) -> None:
            async with gate:
                for booker, meeting in work:
                    await self._one(booker, meeting, result, stop)

        async with asyncio.TaskGroup() as group:
            for guid, work in by_booker.items():
                group.create_task(one_user(work), name=f"bookings {guid}")

    async def _one(
        self, booker: Booker, meeting: BookedMeeting, result: RoundResult, stop: asyncio.Event
    ) -> None:
        """One meeting, whatever happens to it: the neighbours go on."""
        ours = event_id_of(booker.user_guid, meeting.id)
        known = await self._state.ask(lambda c: booking(c, booker.calendar, meeting.id))
        step = next_step(meeting, ours, known.state if known else None)
        if step is Step.NOTHING:
            self._done(meeting)
            return
        now = self._clock()
        put_off, off = self._put_off.get(meeting.id), self._off.get(booker.user_guid)
        is_same = put_off is not None and put_off.meeting == meeting
        waits = (put_off and is_same and now < put_off.until) or (off and now < off.next_probe)
        if stop.is_set() or waits:
            self._carry(meeting, step, result)
            return
        then = None
        try:
            then = await self._take(step, booker, meeting, ours, result)
        except WriteScopeMissing as missing:
            self._switch_off(booker, missing)
            self._carry(meeting, step, result)
            return
        except (RetryLater, UserParked, CredentialsRefused) as error:
            self._later(booker, meeting, error)
            self._carry(meeting, step, result)
            return
        except (RequestRefused, Unbookable) as error:
            if not await self._fail(step, booker, meeting, ours, str(error), result):
                self._carry(meeting, step, result)
                return
        if self._off.pop(booker.user_guid, None) is not None:
            _log.info("bookings_on", user=booker.name)
        self._done(meeting)
        if then is not None:
            await self._one(booker, then, result, stop)

    async def _take(
        self,
        step: Step,
        booker: Booker,
        meeting: BookedMeeting,
        ours: EventId,
        result: RoundResult,
    ) -> BookedMeeting | None:
        """Do it; what is to be done for the meeting next, if anything."""
        match step:
            case Step.BOOK:
                return await self._book(booker, meeting, ours, result)
            case Step.MOVE:
                await self._move(booker, meeting, ours, result)
            case Step.CANCEL:
                await booker.writer.cancel(ours)
                await self._note(booker, meeting, ours, "cancelled")
                result.cancelled += 1
                _log.info("booking_cancelled", user=booker.name, meeting=meeting.id)
        return None

    async def _book(
        self, booker: Booker, meeting: BookedMeeting, ours: EventId, result: RoundResult
    ) -> BookedMeeting | None:
        body = event_body(
            meeting, ours, own_addresses=booker.own_addresses, conference=booker.conference
        )
        # Before the insert: a meeting that is cancelled after a crash here must have its event looked for.
        await self._note(booker, meeting, ours, "booking")
        event = await booker.writer.insert(body)
        if event is None:
            event = await booker.writer.get(ours)
            if event is not None and not is_at(event, meeting):
                event = await booker.writer.move(ours, moved_times(meeting))
            if event is None:
                await self._gone(Step.BOOK, booker, meeting, ours, result)
                return None
        await self._note(booker, meeting, ours, "inserted", event)
        told = _meeting(
            await self._client.update_meeting(
                meeting.id,
                status="booked",
                event_id=event.id,
                i_cal_uid=event.ical_uid,
                reschedule_status="booked" if meeting.reschedule_status in WAITING else None,
            )
        )
        then = _what_changed(event, meeting, told)
        # What changed meanwhile may be shown by no filter again: the state remembers that a move is still to be done.
        moving = then is not None and not then.canceled
        await self._note(booker, meeting, ours, "moving" if moving else "booked", event)
        result.booked += 1
        _log.info("booking_made", user=booker.name, meeting=meeting.id, google_event=event.id)
        return then

    async def _move(
        self, booker: Booker, meeting: BookedMeeting, ours: EventId, result: RoundResult
    ) -> None:
        """Move the event that Salesloft names, ours otherwise."""
        event_id, times = EventId(meeting.event_id or ours), moved_times(meeting)
        event = await booker.writer.get(event_id)
        if event is not None and event.is_series:
            raise Unbookable(
                f"event {event_id}, which Salesloft names, is a whole series by now: move the occurrence in Google"
            )
        # A crash after the patch comes back here: nobody is sent the same news twice.
        if event is not None and not is_at(event, meeting):
            event = await booker.writer.move(event_id, times)
        if event is None:
            await self._gone(Step.MOVE, booker, meeting, ours, result)
            return
        if meeting.reschedule_status in WAITING:
            await self._client.update_meeting(meeting.id, reschedule_status="booked")
        await self._note(booker, meeting, event_id, "booked", event)
        result.moved += 1
        _log.info("booking_moved", user=booker.name, meeting=meeting.id, google_event=event_id)

    # -- what went wrong

    async def _gone(
        self,
        step: Step,
        booker: Booker,
        meeting: BookedMeeting,
        ours: EventId,
        result: RoundResult,
    ) -> None:
        why = (
            "the event is gone from the Google calendar: the seller removed it; "
            "it is not booked anew, book another meeting in Salesloft"
        )
        if not await self._fail(step, booker, meeting, ours, why, result):
            raise RetryLater(f"meeting {meeting.id} could not be marked failed; tried again")

    async def _fail(
        self,
        step: Step,
        booker: Booker,
        meeting: BookedMeeting,
        ours: EventId,
        why: str,
        result: RoundResult,
    ) -> bool:
        """Tell Salesloft and the log that repeating cannot help; False if Salesloft could not be told."""
        try:
            if step is Step.BOOK:
                await self._client.update_meeting(meeting.id, status="failed")
            elif step is Step.MOVE:
                await self._client.update_meeting(meeting.id, reschedule_status="failed")
        except (RetryLater, CredentialsRefused) as error:
            self._later(booker, meeting, error)
            return False
        except RequestRefused:
            pass  # the meeting is gone from Salesloft, or it takes no word of it: nothing is left to tell
        await self._note(booker, meeting, ours, "failed", message=why)
        result.failed += 1
        _log.error(
            "booking_failed",
            user=booker.name,
            meeting=meeting.id,
            what=step.name.lower(),
            message=why,
        )
        return True

    def _switch_off(self, booker: Booker, missing: WriteScopeMissing) -> None:
        now = self._clock()
        off = self._off.get(booker.user_guid)
        if off is None:
            client = {"client_id": booker.client_id} if booker.client_id else {}
            _log.error("bookings_off", user=booker.name, message=str(missing), **client)
        since = off.since if off else now
        pause = booker.probe_every
        if now - since >= PROBED_OFTEN:
            pause = max(pause, timedelta(seconds=PROBE_SECONDS))
        self._off[booker.user_guid] = _Off(since, now + pause)

    def _later(self, booker: Booker, meeting: BookedMeeting, error: ConnectorError) -> None:
        """Put a meeting off, with growing pauses and jitter, never shorter than the service asked for."""
        before = self._put_off.get(meeting.id)
        failures = before.failures + 1 if before else 1
        ceiling = min(LONGEST_WAIT_SECONDS, 2.0 ** min(failures, 16))
        wait = random.uniform(ceiling / 2, ceiling)  # noqa: S311  # spreads load, keeps no secret
        asked = error.after_seconds if isinstance(error, RetryLater) else None
        until = self._clock() + timedelta(seconds=max(wait, asked or 0.0))
        self._put_off[meeting.id] = _Put(failures, until, meeting)
        if failures == 1:
            _log.warning("booking_later", user=booker.name, meeting=meeting.id, message=str(error))

    def _carry(self, meeting: BookedMeeting, step: Step, result: RoundResult) -> None:
        result.left += 1
        if step is not Step.BOOK:
            self._carried[meeting.id] = meeting

    def _done(self, meeting: BookedMeeting) -> None:
        self._put_off.pop(meeting.id, None)
        if self._carried.get(meeting.id) is meeting:
            del self._carried[meeting.id]

    async def _note(
        self,
        booker: Booker,
        meeting: BookedMeeting,
        event_id: EventId,
        state: str,
        event: Event | None = None,
        message: str = "",
    ) -> None:
        row = Booking(
            calendar=booker.calendar,
            meeting_id=meeting.id,
            event_id=event_id,
            state=state,
            at=self._clock(),
            ical_uid=event.ical_uid if event else None,
            start=meeting.start,
            end=meeting.end,
            message=message,
        )
        await self._state.ask(lambda c: save_booking(c, row))


def _what_changed(
    event: Event, meeting: BookedMeeting, told: BookedMeeting
) -> BookedMeeting | None:
    """The meeting as it is to be moved or cancelled: what became of it while it was being booked, as `told` says."""
    now = replace(
        meeting,
        status="booked",
        reschedule_status=told.reschedule_status,
        event_id=event.id,
        canceled=told.canceled,
        start=told.start or meeting.start,
        end=told.end or meeting.end,
        updated_at=told.updated_at or meeting.updated_at,
    )
    has_moved = (now.start, now.end) != (meeting.start, meeting.end) and not is_at(event, now)
    return now if now.canceled or has_moved else None


def _meeting(told: Meeting) -> BookedMeeting:
    return BookedMeeting(
        id=told.id,
        calendar_id=told.calendar_id,
        status=told.status,
        reschedule_status=told.reschedule_status,
        start=told.start_time,
        end=told.end_time,
        all_day=bool(told.all_day),
        event_id=told.event_id,
        canceled=told.canceled_at is not None,
        updated_at=told.updated_at,
        time_zone=told.owned_by.time_zone if told.owned_by else "",
        title=told.title,
        description=told.description,
        location=told.location,
        recipient=(told.recipient_email, told.recipient_name),
        guests=told.guests,
        owner=told.owned_by.email_address if told.owned_by else "",
    )
