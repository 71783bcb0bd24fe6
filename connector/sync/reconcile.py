"""Compare Google, the state and Salesloft's list over the window, and mark what mends them.

The three are read one after the other while a daemon may go on, so that what looks wrong at first may be a change on
its way. Every suspect therefore gets a second look: the state and Google are read again after Salesloft. Whatever
waits, moved between the two looks, or changed in Google after the last reading, is told apart from what is wrong.

What Salesloft holds and Google's listing lacks is *extra* only if Google, asked for it by its id, says that it is gone
(or shows it where the policy sends nothing): absence alone concludes nothing. What ended before the window is not
compared; what moved out of it is. Cancelled rows may stay; text in one, where none was ever to stand, is a leak.

Salesloft's pages are streamed: of each row no more is kept than that it was equal, or what is wrong with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Protocol

from msgspec.structs import replace

from connector.domain.errors import NotFound, ParkReason, RequestRefused, UserParked
from connector.domain.mapping import (
    CANCELLED_AND_BLANKED,
    Content,
    fingerprint,
    same,
)
from connector.domain.model import Event, EventId, ICalUid, Tombstone
from connector.domain.plan import Gone, Ground, Key, Known, Seen, wanted_of
from connector.domain.policy import Verdict
from connector.salesloft import SalesloftClient, StoredEvent, Urgency, calendar_id_of
from connector.store import CalendarState, State
from connector.store.erasures import erased_people
from connector.store.verifications import Adopt, Blank, Cure, Forget, InLine, Remedy, in_line, keep
from connector.store.verifications import repair as repair_rows
from connector.sync.compare import known_of
from connector.sync.fields_compared import differing_fields, is_alive, text_fields
from connector.sync.reading import zone_named
from connector.sync.seller import Seller
from connector.sync.verification import Difference, Kind, Slot, Verification
from connector.sync.window_reading import Shown, ground_of, list_shown

ASK_AT_MOST = 500
"""Occurrences that Google is asked for by id in one comparison; of more, the rest are reported and left alone."""
_PARALLEL = 8
_AHEAD = timedelta(days=400)
"""How far beyond the window a second look lists at the most."""
READ_SLACK = timedelta(seconds=60)
"""A quiet calendar notes its last reading once a minute, by another clock than Google's."""
NIGHT_FROM_HOUR, NIGHT_HOURS = 1, 4


class ListsEvents(Protocol):
    """Salesloft's list of events, page by page."""

    def list_events(
        self, calendar_id: str, start: datetime
    ) -> AsyncIterator[list[StoredEvent]]: ...


class LastInLine:
    """Salesloft's list for comparisons: in the last class of urgency, whatever else waits goes first."""

    def __init__(self, client: SalesloftClient) -> None:
        self._client = client

    def list_events(self, calendar_id: str, start: datetime) -> AsyncIterator[list[StoredEvent]]:
        return self._client.list_events(calendar_id, start, urgency=Urgency.BACKFILL)


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A key that needs a second look. `content` is what Google's first listing wanted of it."""

    key: Key
    stored: StoredEvent | None
    content: Content | None
    start: datetime
    end: datetime


def verification_is_due(
    calendar: CalendarState, now: datetime, verified_at: datetime | None
) -> bool:
    """True from a moment of the calendar's own in each night of its zone (01:00 to 05:00) until it was verified.

    A night that was slept through is made up for. A calendar is first verified in the night after its first full sync.
    """
    since = verified_at or calendar.last_full
    if since is None:
        return False
    digest = blake2b(b"verify " + calendar.user_guid.encode(), digest_size=4).digest()
    offset = timedelta(hours=NIGHT_HOURS) * (int.from_bytes(digest) / 2**32)
    local = now.astimezone(zone_named(calendar.time_zone or "UTC"))
    tonight = local.replace(hour=NIGHT_FROM_HOUR, minute=0, second=0, microsecond=0) + offset
    moment = tonight if tonight <= local else tonight - timedelta(days=1)
    return since < moment


async def verify_calendar(
    seller: Seller,
    calendar: CalendarState,
    source: ListsEvents,
    state: State,
    now: datetime,
    *,
    repair: bool = False,
    keep_result: bool = False,
) -> Verification:
    """Compare one calendar; with `repair`, mark and enqueue what mends it. Costs a point for every hundred rows.

    Raises what its readers raise (UserParked, RetryLater, RequestRefused, CredentialsRefused); nothing is changed then.
    `repair` and `keep_result` write to the state, the rest only reads it.
    """
    return await _Comparison(seller, calendar, source, state, now).run(
        repair=repair, keep_result=keep_result
    )


class _Comparison:
    def __init__(
        self,
        seller: Seller,
        calendar: CalendarState,
        source: ListsEvents,
        state: State,
        now: datetime,
    ) -> None:
        self.seller, self.calendar, self.source = seller, calendar, source
        self.state, self.now = state, now
        self.result = Verification(seller.name, now)
        self.before: dict[Key, Known] = {}
        self.suspects: dict[Key, _Suspect] = {}
        self.remedies: list[Remedy] = []
        self.ground: Ground
        self.shown: Shown

    async def run(self, *, repair: bool, keep_result: bool) -> Verification:
        since = self.now - timedelta(days=self.seller.past_days + 2)
        rows = await self.state.known_since(self.calendar.id, since)
        self.before = {row.key: row for row in rows}
        self.shown = await list_shown(self.seller, self.now)
        self.ground = await self._ground()
        self.result.google_pages += self.shown.pages
        await self._compare()
        if self.suspects:
            await self._look_again()
        self.result.differences.sort(key=lambda d: (d.day, d.start or self.now, d.key.event_id))
        if repair and self.remedies:
            self.result.repaired = await self.state.run(
                lambda c: repair_rows(
                    c, self.calendar.id, self.ground, self.remedies, self.seller.hold, self.now
                )
            )
        if keep_result:
            summary = self.result.summary()
            await self.state.run(lambda c: keep(c, self.calendar.id, summary))
        return self.result

    # -- the first look

    async def _compare(self) -> None:
        wanted = {
            Key(event.id, event.ical_uid): content
            for event in self.shown.inside()
            if (content := self._wanted(event)[1]) is not None
        }
        keys = set(wanted)
        met: set[Key] = set()
        start = self.shown.window.start
        async for page in self.source.list_events(calendar_id_of(self.seller.user_guid), start):
            for stored in page:
                key = Key(EventId(stored.id), ICalUid(stored.i_cal_uid))
                # The list is paged by number: what was written meanwhile may come twice.
                if key not in met:
                    self.result.salesloft_rows += 1
                    met.add(key)
                    self._meet(key, stored, wanted.pop(key, None))
                    self._keep_stale(key, stored, keys)
        for key, content in wanted.items():
            self._suspect(key, None, content, content.start, content.end)
        for key, known in self.before.items():
            if known.alive and key not in keys and key not in met and known.end > start:
                self._suspect(key, None, None, known.start, known.end)

    def _meet(self, key: Key, stored: StoredEvent, content: Content | None) -> None:
        """One row of Salesloft's list, and what Google's first listing wants of it."""
        start, end = stored.start_time, stored.end_time
        if content is not None:
            if differing_fields(content, stored) or not self._in_step(key, content):
                self._suspect(key, stored, content, content.start, content.end)
            else:
                self._equal(content.start)
        elif start is None or end is None:
            self._suspect(key, stored, None, self.now, self.now)
        elif (is_alive(stored) and end > self.shown.window.start) or self._leaks(key, stored):
            self._suspect(key, stored, None, start, end)

    def _keep_stale(self, key: Key, stored: StoredEvent, wanted: set[Key]) -> None:
        """A row that is cancelled in Salesloft and not in Google, which the state believes alive."""
        known = self.before.get(key)
        if (
            known is not None
            and known.alive
            and key not in wanted
            and known.end > self.shown.window.start
            and not is_alive(stored)
        ):
            self._suspect(key, stored, None, known.start, known.end)

    def _leaks(self, key: Key, stored: StoredEvent) -> bool:
        """True if a cancelled row holds text that was taken away, or that was never sent in full."""
        known = self.before.get(key)
        if known is None or is_alive(stored) or not text_fields(stored):
            return False
        return known.accepted == CANCELLED_AND_BLANKED or not known.exposed

    def _in_step(self, key: Key, content: Content) -> bool:
        known = self.before.get(key)
        return known is not None and known.alive and same(fingerprint(content), known.accepted)

    def _wanted(self, event: Event) -> tuple[Verdict, Content | None]:
        return wanted_of(self.ground, event, self.before.get(Key(event.id, event.ical_uid)))

    def _suspect(
        self,
        key: Key,
        stored: StoredEvent | None,
        content: Content | None,
        start: datetime,
        end: datetime,
    ) -> None:
        self.suspects[key] = _Suspect(key, stored, content, start, end)

    def _equal(self, start: datetime) -> None:
        self.result.equal[start.astimezone(self.shown.zone).date()] += 1

    # -- the second look

    async def _look_again(self) -> None:
        suspects = list(self.suspects.values())
        after_rows = await self.state.known(
            self.calendar.id, {suspect.key.event_id for suspect in suspects}, []
        )
        after = {row.key: row for row in after_rows}
        line = await self.state.look(lambda c: in_line(c, self.calendar.id))
        far = min(
            max(suspect.end for suspect in suspects) + timedelta(days=1),
            self.shown.window.end + _AHEAD,
        )
        self.shown = await list_shown(self.seller, self.now, far)
        self.ground = await self._ground()
        self.result.google_pages += self.shown.pages
        asked = await self._ask(suspects)
        for suspect in suspects:
            self._judge(suspect, after.get(suspect.key), line, asked)

    async def _ground(self) -> Ground:
        erased = await self.state.look(erased_people)
        return ground_of(self.seller, self.calendar, self.shown, erased)

    async def _ask(
        self, suspects: list[_Suspect]
    ) -> Mapping[EventId, Event | Tombstone | RequestRefused | None]:
        """What Google says of each id that its listing lacks; None: it does not know it."""
        ids = list(
            dict.fromkeys(
                suspect.key.event_id
                for suspect in suspects
                if suspect.key.event_id not in self.shown.events
                and suspect.key.event_id not in self.shown.unreadable
            )
        )[:ASK_AT_MOST]
        gate = asyncio.Semaphore(_PARALLEL)
        answers: dict[EventId, Event | Tombstone | RequestRefused | None] = {}

        async def one(event_id: EventId) -> None:
            async with gate:
                answers[event_id] = await self._get(event_id)

        try:
            async with asyncio.TaskGroup() as group:
                for event_id in ids:
                    group.create_task(one(event_id), name="verify-ask")
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return answers

    async def _get(self, event_id: EventId) -> Event | Tombstone | RequestRefused | None:
        try:
            for _ in range(2):  # a 404 may pass (google-calendar.md 3.2)
                with contextlib.suppress(NotFound):
                    return await self.seller.reader.get_event(event_id)
        except RequestRefused as refused:
            return refused
        except UserParked as parked:
            if parked.reason is not ParkReason.FORBIDDEN:
                raise
            return RequestRefused(str(parked), status=403, reason=parked.reason.value)
        return None

    def _judge(
        self,
        suspect: _Suspect,
        known: Known | None,
        line: InLine,
        asked: Mapping[EventId, Event | Tombstone | RequestRefused | None],
    ) -> None:
        key = suspect.key
        event_id = key.event_id
        if event_id in self.shown.events:
            found: Event | Tombstone | RequestRefused | None = self.shown.events[event_id]
        elif event_id in asked:
            found = asked[event_id]
        else:
            unreadable = event_id in self.shown.unreadable
            unasked = Kind.EXTRA if suspect.stored is not None else Kind.OUT_OF_STEP
            kind = Kind.UNREADABLE if unreadable else unasked
            self._report(suspect, kind, None, known, mendable=False)
            return
        if isinstance(found, RequestRefused):
            self._report(suspect, Kind.UNREADABLE, None, known, mendable=False)
            return
        waits = self._waits(key, known, line)
        if isinstance(found, Event) and not found.is_series and found.ical_uid == key.ical_uid:
            verdict, content = self._wanted(found)
            if content is not None:
                self._judge_shown(suspect, found, verdict, content, known, waits)
                return
            self._judge_gone(suspect, Seen(found), None, known, waits)
            return
        tombstone = found if isinstance(found, Tombstone) else None
        self._judge_gone(suspect, Gone(key, tombstone), tombstone, known, waits)

    def _waits(self, key: Key, known: Known | None, line: InLine) -> Kind | None:
        """Why a difference is none: it is in line, held, refused, or was settled between the two looks."""
        before = self.before.get(key)
        if key in line.held:
            return Kind.HELD
        if known is not None and known.pending is not None:
            return Kind.ON_THE_WAY
        if key in line.refused:
            return Kind.REFUSED
        moved = before is not None and (
            before.pending is not None
            or known is None
            or (before.accepted, before.alive, before.updated_at)
            != (known.accepted, known.alive, known.updated_at)
        )
        return Kind.ON_THE_WAY if moved else None

    def _judge_shown(
        self,
        suspect: _Suspect,
        event: Event,
        verdict: Verdict,
        content: Content,
        known: Known | None,
        waits: Kind | None,
    ) -> None:
        stored = suspect.stored
        inside = self.shown.window.overlaps(content.start, content.end)
        overlaps = self.shown.window.overlaps(suspect.start, suspect.end)
        if not inside and not overlaps and not (known and known.alive):
            return  # beyond the window, and never sent from here: nobody's promise
        fields = differing_fields(content, stored) if stored is not None else ()
        if stored is not None and not fields:
            self._equal(content.start)
            believed = (
                known is not None and known.alive and same(fingerprint(content), known.accepted)
            )
            if not believed and waits is None:
                cure = Adopt(self._adopted(stored, event, verdict, content, known))
                self._report(suspect, Kind.OUT_OF_STEP, content, known, cure=cure)
            return
        kind = Kind.MISSING if stored is None else Kind.DIFFERENT
        if waits is None and self._unread(event, content, known):
            waits = Kind.NOT_READ
        if waits is None and suspect.content is not None and suspect.content != content:
            waits = Kind.ON_THE_WAY  # it changed between the two looks
        leak = stored is not None and content.text is None and bool(text_fields(stored))
        self._report(
            suspect, waits or kind, content, known, fields=fields, leak=leak, cure=Seen(event)
        )

    def _judge_gone(
        self,
        suspect: _Suspect,
        cure: Seen | Gone,
        tombstone: Tombstone | None,
        known: Known | None,
        waits: Kind | None,
    ) -> None:
        """Google has it no more, or the policy sends nothing of it."""
        stored = suspect.stored
        alive = stored is not None and is_alive(stored)
        believed = known is not None and known.alive
        recent = believed and tombstone is not None and self._recent(tombstone.updated)
        if waits is None and (recent or (isinstance(cure, Seen) and not self.ground.same_policy)):
            waits = Kind.NOT_READ
        if alive:
            self._report(suspect, waits or Kind.EXTRA, None, known, cure=cure)
        elif stored is not None and self._leaks(suspect.key, stored):
            fields = text_fields(stored)
            self._report(
                suspect,
                waits or Kind.DIFFERENT,
                None,
                known,
                fields=fields,
                leak=True,
                cure=Blank(suspect.key),
            )
        elif believed:
            kind = waits or Kind.OUT_OF_STEP
            self._report(suspect, kind, None, known, cure=Forget(suspect.key))

    def _unread(self, event: Event, content: Content, known: Known | None) -> bool:
        """True if nobody can have read this yet: it changed, or entered the window, after the last reading."""
        if not (self.ground.same_policy and self.ground.same_people):
            return True
        if known is not None and same(fingerprint(content), known.accepted):
            return False
        listed = self.calendar.listed
        if known is None and (listed is None or not listed.overlaps(content.start, content.end)):
            return True
        if event.updated is None or not self._recent(event.updated):
            return False
        at = event.updated.replace(microsecond=event.updated.microsecond // 1000 * 1000)
        return known is None or known.updated_at is None or known.updated_at < at

    def _recent(self, updated: datetime | None) -> bool:
        last = self.calendar.last_success
        return updated is not None and (last is None or updated > last - READ_SLACK)

    def _adopted(
        self,
        stored: StoredEvent,
        event: Event,
        verdict: Verdict,
        content: Content,
        known: Known | None,
    ) -> Known:
        base = known or known_of(stored)
        assert base is not None  # its times were compared and are equal
        times = [at for at in (base.updated_at, stored.updated_at) if at is not None]
        return replace(
            base,
            series_id=event.series_id,
            start=content.start,
            end=content.end,
            all_day=content.all_day,
            alive=True,
            accepted=fingerprint(content),
            exposed=base.exposed or content.text is not None,
            prospect=content.text is not None and not event.attendees_omitted,
            updated_at=max(times, default=None),
            canceled_at=None,
            rule=verdict.rule,
        )

    def _report(
        self,
        suspect: _Suspect,
        kind: Kind,
        content: Content | None,
        known: Known | None,
        *,
        fields: tuple[str, ...] = (),
        leak: bool = False,
        cure: Cure | None = None,
        mendable: bool = True,
    ) -> None:
        stored = suspect.stored
        google = Slot(content.start, content.end, content.status) if content else None
        at = content.start if content else suspect.start
        believed = "unknown" if known is None else "other"
        if content is not None and known is not None and same(fingerprint(content), known.accepted):
            believed = "accepted"
        self.result.differences.append(
            Difference(
                kind=kind,
                key=suspect.key,
                day=at.astimezone(self.shown.zone).date(),
                google=google,
                salesloft=_slot(stored) if stored else None,
                fields=fields,
                leak=leak,
                state=believed,
                mendable=mendable,
            )
        )
        wrong = kind in (Kind.MISSING, Kind.EXTRA, Kind.DIFFERENT, Kind.OUT_OF_STEP)
        if wrong and mendable and cure is not None:
            held = known_of(stored) if stored is not None else None
            self.remedies.append(
                Remedy(
                    suspect.key,
                    cure,
                    self.before.get(suspect.key),
                    held,
                    extra=kind is Kind.EXTRA,
                )
            )


def _slot(stored: StoredEvent) -> Slot | None:
    if stored.start_time is None or stored.end_time is None:
        return None
    return Slot(stored.start_time, stored.end_time, stored.status or "unknown")
