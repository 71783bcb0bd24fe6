"""One cycle of one calendar: read what changed, decide, commit. The unit that engines call."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec

from connector.domain.errors import (
    ConnectorError,
    CredentialsRefused,
    RequestRefused,
    ResyncRequired,
    RetryLater,
    UserParked,
)
from connector.domain.mapping import calendar_id_of
from connector.domain.model import Listing, UserGuid
from connector.domain.plan import Ground, Known
from connector.observe.log import get_logger
from connector.observe.observer import NOBODY, Observer, PollResult
from connector.store import CalendarState, State
from connector.store.commit import Committed, Cycle
from connector.sync.causes import explained
from connector.sync.reading import Reading, is_quiet, read_changes, read_everything
from connector.sync.resync import Resyncs, full_resync_is_due
from connector.sync.seller import Seller

_log = get_logger(__name__)
UNLISTED_AT_MOST = 3
"""Failures of Salesloft's list after which a first reading goes on without it; a later full reading compares."""
COMPARE_AGAIN = timedelta(minutes=10)
"""How often a calendar that was never compared with Salesloft's list tries to be."""
_TOUCH_EVERY = timedelta(seconds=60)


class Destination(Protocol):
    """What a first reading asks of Salesloft."""

    async def held(self, user_guid: UserGuid, since: datetime) -> list[Known]:
        """What Salesloft holds of a user's calendar that ends after `since`, as if the state remembered it."""


class NotAsked:
    """A destination for those that may spend no points: what Salesloft holds already is unknown."""

    def __init__(self) -> None:
        self.was_needed = False

    async def held(self, user_guid: UserGuid, since: datetime) -> list[Known]:
        self.was_needed = True
        return []


class Report(msgspec.Struct, frozen=True):
    """How a cycle ended. `error` is set if the calendar could not be read; then nothing was changed."""

    calendar: int
    full: bool = False
    committed: Committed | None = None
    error: UserParked | RetryLater | CredentialsRefused | RequestRefused | None = None
    time_zone: str | None = None
    """The calendar's, if it was ever read."""
    unserved: bool = False
    """It was not read: an admin paused or offboarded it, or Salesloft no longer has it as external."""
    ours: bool = False
    """The error is a mistake of ours."""
    touched: bool = False
    """Google's listing of changes named something, whatever came of it; unknown of a full reading."""

    @property
    def failed(self) -> bool:
        return self.error is not None

    @property
    def changed(self) -> bool:
        done = self.committed
        return done is not None and bool(done.sends or done.cancels or done.withdrawn)

    @property
    def result(self) -> PollResult:
        """The same in one word, for metrics."""
        match self.error:
            case None if self.full:
                return "full"
            case None:
                return "changed" if self.changed else "quiet"
            case RetryLater():
                return "failed" if self.ours else "later"
            case UserParked():
                return "parked"
            case _:
                return "refused"


class CalendarCycle:
    """Runs cycles; one at a time for one calendar is the caller's duty."""

    def __init__(
        self,
        state: State,
        destination: Callable[[Seller], Destination],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        committed: Callable[[Seller], None] = lambda _: None,
        observer: Observer = NOBODY,
    ) -> None:
        """`committed` is called after each reading that was stored, or that found nothing to store."""
        self._state = state
        self._observer = observer
        self._destination = destination
        self._clock = clock
        self._committed = committed
        self._resyncs = Resyncs(clock)
        self._unlisted: dict[int, int] = {}
        self._compare_after: dict[int, datetime] = {}
        self._told_left: set[int] = set()

    async def run(self, seller: Seller, *, full: bool = False) -> Report:
        """Bring the state up to what Google shows. Never raises for what concerns this user only."""
        report = await self._run(seller, full=full)
        self._observer.polled(seller.name, report.result)
        return report

    async def _run(self, seller: Seller, *, full: bool) -> Report:
        calendar = await self._state.recent(seller.user_guid, seller.name)
        if not calendar.is_served:
            return self._not_read(seller, calendar)
        self._told_left.discard(calendar.id)
        if seller.erased != calendar.erased:
            seller = replace(seller, erased=calendar.erased)
        try:
            report = await self._read(seller, calendar, full=full)
            self._committed(seller)
            return report
        except UserParked as parked:
            parked = await self._park(seller, calendar, parked)
            return Report(calendar.id, error=parked)
        except RetryLater as later:
            _log.warning("calendar_unread", user=seller.name, message=str(later))
            return Report(calendar.id, error=later)
        except (CredentialsRefused, RequestRefused) as refused:
            _log.error("calendar_unread", user=seller.name, message=str(refused))
            return Report(calendar.id, error=refused)
        except ConnectorError:
            raise
        except Exception as error:
            # A mistake of ours, met by one calendar, must not stop its neighbours. Only where it happened is
            # logged: the error's own words may quote the calendar.
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
            _log.error("calendar_unread", user=seller.name, message=f"unexpected {where}")
            return Report(
                calendar.id,
                ours=True,
                error=RetryLater(
                    f"user {seller.name}: unexpected {where}; nothing of this reading was stored,"
                    " it is tried again. Please report it."
                ),
            )

    def _not_read(self, seller: Seller, calendar: CalendarState) -> Report:
        """This user is paused, left, or no longer connected: nothing is read. A leaving is said once."""
        if calendar.left_at is not None and calendar.id not in self._told_left:
            self._told_left.add(calendar.id)
            _log.warning(
                "user_left",
                user=seller.name,
                message="offboarded, not read any more; remove the user's file, or bring the user back with"
                f" `gcal-salesloft resume --user {seller.name}`",
            )
        return Report(calendar.id, unserved=True)

    async def _park(
        self, seller: Seller, calendar: CalendarState, parked: UserParked
    ) -> UserParked:
        """Keep why the calendar cannot be read, and conclude whether access is lost for good."""
        now = self._clock()
        served = calendar.credentials_since if calendar.credentials == seller.consent else None
        parked = explained(parked, seller, served, calendar.parked_since, now)
        stands = await self._state.park(
            calendar.id, parked.reason, str(parked), now, seller.lost_after
        )
        if calendar.parked_reason != parked.reason:
            _log.error(
                "calendar_parked",
                user=seller.name,
                reason=parked.reason.value,
                since=stands.since.isoformat(),
                message=str(parked),
            )
        if stands.lost_now:
            _log.error(
                "access_lost",
                user=seller.name,
                reason=parked.reason.value,
                message=f"access to this calendar is lost; what Salesloft holds stays as it is. {parked}",
            )
        return parked

    async def _read(self, seller: Seller, calendar: CalendarState, *, full: bool) -> Report:
        feed = None if full else await self._changes(seller, calendar)
        if feed is None:
            if not full:
                self._resyncs.check(calendar.id, seller.name)
            report = await self._read_in_full(seller, calendar)
            self._resyncs.done(calendar.id)
            return report
        if not calendar.compared and self._may_compare(calendar):
            # The first reading went without Salesloft's list, which failed then: made up for when it answers.
            held: list[Known] | None = None
            with contextlib.suppress(RetryLater):
                held = await self._destination(seller).held(seller.user_guid, self._since(seller))
            if held is not None:
                return await self._read_in_full(seller, calendar, held)
        now = self._clock()
        if is_quiet(seller, calendar, feed, now) and not _tells_more(seller, calendar):
            self._note_quiet(calendar, feed, now)
            return Report(calendar.id, time_zone=calendar.time_zone)
        reading = await read_changes(seller, calendar, feed, self._state, now)
        return await self._commit(seller, calendar, reading, ())

    async def _changes(self, seller: Seller, calendar: CalendarState) -> Listing | None:
        """The incremental listing, or None where only a full one will do."""
        if calendar.token is None or calendar.token_fingerprint != seller.token_fingerprint:
            return None
        if calendar.resync_is_due or full_resync_is_due(calendar, self._clock()):
            return None
        try:
            feed = await seller.reader.list_changes(calendar.token)
        except ResyncRequired as required:
            _log.warning("token_reset", user=seller.name, message=str(required))
            self._observer.token_reset()
            return None
        if feed.time_zone != calendar.time_zone or feed.access_role != calendar.access_role:
            _log.info("calendar_changed", user=seller.name, role=feed.access_role)
            return None
        return feed

    def _note_quiet(self, calendar: CalendarState, feed: Listing, now: datetime) -> None:
        """A quiet listing is noted for a new token, and once a minute as a sign of life."""
        token = feed.next_token
        assert calendar.last_success is not None
        assert token is not None
        if token != calendar.token or now - calendar.last_success >= _TOUCH_EVERY:
            self._state.note_quiet(calendar, token, now)

    def _may_compare(self, calendar: CalendarState) -> bool:
        """Once in a while: a list that fails costs points all the same."""
        now = self._clock()
        if now < self._compare_after.get(calendar.id, now):
            return False
        self._compare_after[calendar.id] = now + COMPARE_AGAIN
        return True

    def _since(self, seller: Seller) -> datetime:
        return self._clock() - timedelta(days=seller.past_days + 2)

    async def _read_in_full(
        self, seller: Seller, calendar: CalendarState, held: list[Known] | None = None
    ) -> Report:
        adopted, compared = held or [], calendar.compared or held is not None
        if not compared:
            # A calendar that this state never knew: what Salesloft already holds (a lost state, an earlier
            # installation) is compared too, or it would stay there for ever.
            adopted, compared = await self._held(seller, calendar)
        reading = await read_everything(seller, calendar, adopted, self._state, self._clock())
        return await self._commit(seller, calendar, reading, adopted, compared=compared)

    async def _held(self, seller: Seller, calendar: CalendarState) -> tuple[list[Known], bool]:
        """What Salesloft holds of a calendar. A list that fails again and again does not hold up the first sync."""
        try:
            held = await self._destination(seller).held(seller.user_guid, self._since(seller))
        except RetryLater as later:
            self._unlisted[calendar.id] = self._unlisted.get(calendar.id, 0) + 1
            if self._unlisted[calendar.id] < UNLISTED_AT_MOST:
                raise
            _log.error("salesloft_not_listed", user=seller.name, message=str(later))
            return [], False
        return held, True

    async def _commit(
        self,
        seller: Seller,
        calendar: CalendarState,
        reading: Reading,
        adopted: list[Known] | tuple[()],
        *,
        compared: bool = False,
    ) -> Report:
        listing = reading.listing
        committed = await self._state.commit(
            Cycle(
                calendar=calendar.id,
                ground=Ground(
                    calendar_id=calendar_id_of(seller.user_guid),
                    zone=reading.zone,
                    window=reading.window,
                    rules=seller.rules,
                    answered_at=listing.answered_at,
                    same_policy=seller.judged_alike(calendar.token_fingerprint),
                    same_people=seller.same_people(calendar.token_fingerprint),
                ),
                findings=reading.findings,
                malformed=reading.malformed,
                token=listing.next_token,
                token_fingerprint=seller.token_fingerprint,
                time_zone=listing.time_zone,
                access_role=listing.access_role,
                listed=reading.window,
                full=reading.full,
                backfill=reading.backfill,
                now=self._clock(),
                hold=seller.hold,
                adopted=adopted,
                compared=compared,
                passed=calendar.resync_asked,
                credentials=seller.consent,
            )
        )
        self._tell(seller, calendar, reading, committed)
        touched = not reading.full and bool(listing.items or listing.malformed)
        return Report(
            calendar.id,
            full=reading.full,
            committed=committed,
            time_zone=calendar.time_zone,
            touched=touched,
        )

    def _tell(
        self, seller: Seller, calendar: CalendarState, reading: Reading, committed: Committed
    ) -> None:
        if calendar.parked_reason is not None:
            _log.info("calendar_back", user=seller.name, reason=calendar.parked_reason.value)
        for item in reading.malformed:
            _log.warning("event_set_aside", user=seller.name, event_id=item.id, reason=item.reason)
        if committed.held is not None:
            _log.error(
                "difference_held",
                user=seller.name,
                held=committed.held,
                to_cancel=committed.cancels,
                message="a full reading would cancel an implausible share of the calendar; nothing of it is"
                " sent. See `gcal-salesloft held list`, then release or discard it.",
            )
        if committed.sends or committed.cancels or committed.withdrawn or reading.full:
            _log.info(
                "calendar_read",
                user=seller.name,
                full=reading.full,
                to_send=committed.sends,
                to_cancel=committed.cancels,
                withdrawn=committed.withdrawn,
                unchanged=committed.unchanged,
            )


def _tells_more(seller: Seller, calendar: CalendarState) -> bool:
    """Whether a quiet listing is to be committed: it ends a park or a banner, or other credentials served."""
    return (
        calendar.banner_since is not None
        or calendar.credentials != seller.consent
        or calendar.parked_since is not None
        or calendar.last_success is None
    )
