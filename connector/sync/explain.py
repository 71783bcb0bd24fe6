"""Answer "why isn't my meeting there?" for one event of one user. Reads Google, the state and, if asked, Salesloft.

Google is asked through the user's own reader, never with the daemon's sync token; nothing is written anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from connector.domain.errors import (
    ConnectorError,
    CredentialsRefused,
    NotFound,
    RequestRefused,
    RetryLater,
    UserParked,
)
from connector.domain.links import Asked, asked_for
from connector.domain.mapping import calendar_id_of, same
from connector.domain.model import Event, EventId, Item, Malformed
from connector.domain.plan import Ground
from connector.domain.policy import Disclosure
from connector.domain.window import span, window_at
from connector.salesloft import StoredEvent
from connector.store import CalendarState, State
from connector.store.erasures import erased_people
from connector.store.lookup import Remembered, ids_of_uid, remembered, set_aside
from connector.sync.compare import ListsEvents, known_of
from connector.sync.explanation import Explanation, Held, Match, Standing
from connector.sync.judged import Context, Judged, judge, moment, rules_of, told
from connector.sync.reading import zone_named
from connector.sync.seller import Seller

MOST_MATCHES = 20
_SECOND = timedelta(seconds=1)


async def explain(
    text: str,
    seller: Seller,
    state: State,
    *,
    now: datetime,
    origins: Mapping[str, Path] | None = None,
    salesloft: ListsEvents | None = None,
) -> Explanation:
    """Everything known of what `text` names: an id, an iCalUID, a link, or words of a title sent in full.

    `salesloft`: also list what Salesloft holds of it, a point for every hundred events. Raises only StateUnusable and
    RetryLater of the state.
    """
    return await _Inquiry(text, seller, state, now, origins or {}, salesloft).answer()


@dataclass(slots=True)
class _Inquiry:
    text: str
    seller: Seller
    state: State
    now: datetime
    origins: Mapping[str, Path]
    salesloft: ListsEvents | None
    notes: list[str] = field(default_factory=list)
    reached: bool = True
    """Google answered every question so far."""
    unreadable: dict[str, str] = field(default_factory=dict)

    async def answer(self) -> Explanation:
        asked = asked_for(self.text)
        calendar = next(
            (row for row in await self.state.calendars() if row.user_guid == self.seller.user_guid),
            None,
        )
        context = await self._context(calendar)
        self._note_user(calendar)
        item, rows = await self._found(asked, calendar)
        if item is None and not rows and (asked.words or asked.ical_uid) and self.reached:
            events = await self._search(asked, context, calendar)
            series = {event.series_id for event in events}
            if len(events) == 1:
                item = events[0]
            elif len(series) == 1 and None not in series:
                item = await self._get(EventId(str(next(iter(series)))))
            elif events:
                return self._several(context, events)
            if item is not None:
                rows = await self._rows(calendar, [item.id])
        if item is None and not rows:
            return await self._nothing(asked, context)
        if (isinstance(item, Event) and item.is_series) or _is_series(item, rows, asked):
            return await self._series(context, item, rows)
        return await self._single(context, item, rows)

    async def _context(self, calendar: CalendarState | None) -> Context:
        seller = replace(self.seller, erased=calendar.erased if calendar else "")
        token = calendar.token_fingerprint if calendar else None
        zone = zone_named((calendar and calendar.time_zone) or "UTC")
        ground = Ground(
            calendar_id=calendar_id_of(self.seller.user_guid),
            zone=zone,
            window=window_at(self.now, zone, self.seller.past_days, self.seller.future_days),
            rules=self.seller.rules,
            answered_at=self.now,
            same_policy=seller.judged_alike(token),
            same_people=seller.same_people(token),
            erased=await self.state.run(erased_people),
        )
        return Context(ground, calendar, self.origins)

    def _note_user(self, calendar: CalendarState | None) -> None:
        """What is wrong with the user as a whole."""
        if calendar is None or calendar.last_success is None:
            self.notes.append("this calendar was never read successfully: is the daemon running?")
        if calendar is None:
            return
        since = {
            "paused by an admin": calendar.paused_since,
            "offboarded": calendar.left_at,
            "no longer connected in Salesloft (calendar type is not external)": (
                calendar.disconnected_since
            ),
        }
        self.notes += [f"{what} since {moment(at)}" for what, at in since.items() if at]
        if calendar.parked_reason and calendar.parked_since:
            self.notes.append(
                f"parked since {moment(calendar.parked_since)}: {calendar.parked_message}"
            )

    # -- finding it

    async def _found(
        self, asked: Asked, calendar: CalendarState | None
    ) -> tuple[Item | None, list[Remembered]]:
        ids = [asked.event_id] if asked.event_id else []
        if asked.ical_uid and calendar is not None:
            uid = asked.ical_uid
            ids += await self.state.run(lambda c: ids_of_uid(c, calendar.id, uid))
        if asked.calendar and asked.calendar not in self.seller.source:
            self.notes.append(
                "the link was copied from some calendar; it is looked for in this user's, where a"
                " meeting has the same id"
            )
        rows = await self._rows(calendar, ids)
        item = await self._get(EventId(asked.event_id)) if asked.event_id else None
        if item is None and asked.ical_uid and rows:
            of = rows[0].known
            item = await self._get(of.series_id or of.key.event_id)
        if calendar is not None and asked.event_id:
            wanted = asked.event_id
            reason = await self.state.run(lambda c: set_aside(c, calendar.id, wanted))
            if reason:
                self.unreadable[wanted] = reason
        return item, rows

    async def _rows(self, calendar: CalendarState | None, ids: Sequence[str]) -> list[Remembered]:
        if calendar is None or not ids:
            return []
        return await self.state.run(lambda c: remembered(c, calendar.id, ids))

    async def _get(self, event_id: EventId) -> Item | None:
        try:
            return await self.seller.reader.get_event(event_id)
        except NotFound:
            return None
        except RequestRefused as refused:
            if refused.reason == "malformed":
                self.unreadable[event_id] = str(refused)
            return None
        except (RetryLater, UserParked, CredentialsRefused) as error:
            self._unreached(error)
            return None

    def _unreached(self, error: ConnectorError) -> None:
        if self.reached:
            self.notes.append(f"Google could not be asked, answered from the state alone: {error}")
        self.reached = False

    async def _search(
        self, asked: Asked, context: Context, calendar: CalendarState | None
    ) -> list[Event]:
        """Events of the window with this iCalUID, or those sent in full whose title has all the words."""
        window = context.ground.window
        try:
            listing = await self.seller.reader.list_window(window.start - _SECOND, window.end)
        except (RetryLater, UserParked, CredentialsRefused, RequestRefused) as error:
            self._unreached(error)
            return []
        events = [item for item in listing.items if isinstance(item, Event)]
        if asked.ical_uid:
            return [event for event in events if event.ical_uid == asked.ical_uid]
        # Only what is sent in full may be found by its title: a search must not tell what a withheld one says.
        likely = [e for e in events if all(word in e.summary.casefold() for word in asked.words)]
        rows = {
            row.known.key: row for row in await self._rows(calendar, [event.id for event in likely])
        }
        by_id: dict[str, Remembered] = {key.event_id: row for key, row in rows.items()}
        return [
            event
            for event in likely
            if judge(
                context, event, by_id.get(event.id), asked=True, event_id=event.id
            ).short.verdict
            == Disclosure.FULL.value
        ]

    # -- answering

    def _several(self, context: Context, events: Sequence[Event]) -> Explanation:
        matches = tuple(
            Match(
                event.id,
                told(event.start),
                event.summary
                if judge(context, event, None, asked=True, event_id=event.id).short.verdict
                == Disclosure.FULL.value
                else None,
            )
            for event in sorted(events, key=lambda one: told(one.start))[:MOST_MATCHES]
        )
        return self._explanation(
            context,
            found=False,
            answer=f"{len(events)} events match; ask again with one of these ids",
            matches=matches,
        )

    async def _nothing(self, asked: Asked, context: Context) -> Explanation:
        window = context.ground.window
        reason = self.unreadable.get(asked.event_id or "")
        if reason:
            return self._explanation(
                context,
                found=True,
                answer=f"Not sent: Google's event cannot be read and was set aside: {reason}",
            )
        if not asked.event_id and not asked.ical_uid and "eid" in asked.text:
            self.notes.append("the link holds no event id: copy it anew, whole")
        self.notes += [
            f"looked in: {'Google, ' if self.reached else ''}the state, and for titles the window"
            f" {window.start:%Y-%m-%d} to {window.end:%Y-%m-%d} (UTC)",
            "usual reasons: it is on another calendar of the user; it lies outside the window; it was deleted for"
            " good; its title is withheld (private or internal), so that only its id or link finds it",
        ]
        where = "in Google or in the state" if self.reached else "in the state"
        return self._explanation(
            context, found=False, answer=f"Nothing like that was found {where}."
        )

    async def _single(
        self, context: Context, item: Item | None, rows: Sequence[Remembered]
    ) -> Explanation:
        event_id = item.id if item else rows[0].known.key.event_id
        uid = item.ical_uid if isinstance(item, Event) else None
        row = next((r for r in rows if uid in (None, r.known.key.ical_uid)), None)
        unreadable = self.unreadable.get(event_id)
        if unreadable:
            self.notes.append(f"set aside, what Salesloft holds of it stays: {unreadable}")
        asked = self.reached and not unreadable
        judged = judge(context, item, row, asked=asked, event_id=event_id)
        held, points = await self._live(context, [(judged, item, row)])
        detail = replace(judged.detail, live=held)
        others = [r for r in rows if r is not row]
        return self._explanation(
            context,
            found=True,
            answer=_sentence(judged.short.words),
            occurrences=(
                judged.short,
                *(
                    judge(context, None, r, asked=self.reached, event_id=event_id).short
                    for r in others
                ),
            ),
            detail=detail,
            points=points,
        )

    async def _series(
        self, context: Context, item: Item | None, rows: Sequence[Remembered]
    ) -> Explanation:
        series_id = item.id if item else rows[0].known.series_id or rows[0].known.key.event_id
        shown: dict[str, Event] = {}
        unread: tuple[Malformed, ...] = ()
        window = context.ground.window
        if isinstance(item, Event):
            try:
                listing = await self.seller.reader.list_occurrences(
                    item.id, window.start - _SECOND, window.end
                )
                shown = {e.id: e for e in listing.items if isinstance(e, Event)}
                unread = listing.malformed
            except NotFound:
                pass
            except (RetryLater, UserParked, CredentialsRefused, RequestRefused) as error:
                self._unreached(error)
        self.notes += [f"occurrence {bad.id} cannot be read: {bad.reason}" for bad in unread]
        more = await self._rows(context.calendar, [series_id, *shown])
        by_id: dict[str, Remembered] = {
            row.known.key.event_id: row for row in more if row.known.key.event_id != series_id
        }
        judged = [
            judge(context, shown.get(one), by_id.get(one), asked=self.reached, event_id=one)
            for one in dict.fromkeys((*shown, *by_id))
        ]
        short = tuple(sorted((j.short for j in judged), key=lambda one: one.start))
        counts = {standing: sum(one.standing is standing for one in short) for standing in Standing}
        told_of = ", ".join(f"{n} {standing.value}" for standing, n in counts.items() if n)
        return self._explanation(
            context,
            found=True,
            answer=f"A series with {len(short)} occurrences in the window: {told_of or 'none'}.",
            series=rules_of(context, item) if isinstance(item, Event) else None,
            occurrences=short,
        )

    def _explanation(self, context: Context, **answer: object) -> Explanation:
        window, calendar = context.ground.window, context.calendar
        return Explanation(
            user=self.seller.name,
            notes=tuple(self.notes),
            window=(window.start, window.end),
            last_read=calendar.last_success if calendar else None,
            **answer,  # type: ignore[arg-type]  # the fields that differ by kind of answer
        )

    # -- Salesloft

    async def _live(
        self, context: Context, of: Sequence[tuple[Judged, Item | None, Remembered | None]]
    ) -> tuple[Held | None, float]:
        """What Salesloft holds of one key: listed around its times, then over the whole window."""
        judged, item, row = of[0]
        if self.salesloft is None:
            return None, 0.0
        spans = [context.ground.window]
        times = []
        if isinstance(item, Event):
            times.append(span(item.start, item.end, context.ground.zone))
        if row is not None:
            times.append((row.known.start, row.known.end))
        pages = 0
        bounds = [(min(t[0] for t in times), max(t[1] for t in times) + _SECOND)] if times else []
        bounds += [(one.start, one.end) for one in spans]
        try:
            for start, end in bounds:
                async for page in self.salesloft.list_events(
                    context.ground.calendar_id, start, end
                ):
                    pages += 1
                    for stored in page:
                        key = (stored.id, stored.i_cal_uid)
                        if key == (judged.short.event_id, judged.short.ical_uid):
                            return _held(stored, judged), float(pages)
        except (RetryLater, RequestRefused, CredentialsRefused) as error:
            self.notes.append(f"Salesloft could not be asked: {error}")
            return None, float(pages)
        return Held(found=False), float(max(pages, len(bounds)))


def _held(stored: StoredEvent, judged: Judged) -> Held:
    known = known_of(stored)
    payload = judged.detail.payload or {}
    differs: list[str] = []
    for name in ("start_time", "end_time"):
        at = getattr(stored, name)
        if name in payload and at != datetime.fromisoformat(str(payload[name])):
            differs.append(name)
    differs += [
        name
        for name in ("status", "transparency", "title", "description", "location", "organizer")
        if name in payload and (getattr(stored, name) or "") != payload[name]
    ]
    if judged.short.verdict == Disclosure.BUSY_ONLY.value:
        texts = ("title", "description", "location", "organizer", "attendees")
        differs += [n for n in texts if getattr(stored, n) and n not in differs]
    equal = None
    if judged.wanted is not None and known is not None:
        equal = same(judged.wanted, known.accepted) or None if not differs else False
    return Held(
        found=True,
        status=stored.status,
        start=stored.start_time,
        end=stored.end_time,
        updated_at=stored.updated_at,
        text=bool(stored.title or stored.description or stored.location or stored.attendees),
        equal=equal,
        differs=tuple(differs),
    )


def _is_series(item: Item | None, rows: Sequence[Remembered], asked: Asked) -> bool:
    """Google no longer shows it, but the state knows occurrences of it."""
    if isinstance(item, Event) or not rows:
        return False
    wanted = item.id if item else asked.event_id
    return any(row.known.series_id == wanted for row in rows)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")
