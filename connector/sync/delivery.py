"""Send what waits in the outbox to one Salesloft team: most urgent first, never two requests for one key.

The points decide how many may go; the outbox decides which. A row is claimed only when its points are there, so that
what became urgent a moment ago goes before what has waited for an hour. Whatever happens to a request, its row ends
settled, in line again, or as a dead letter; after a crash it is in line again, and sending it twice does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter, deque
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

from connector.domain.errors import (
    CredentialsRefused,
    RequestRefused,
    RetryLater,
    Stopping,
)
from connector.observe.log import get_logger
from connector.observe.observer import NOBODY, Observer
from connector.salesloft import Lease, UpsertAnswer
from connector.store import State
from connector.store.bulk import LocalJob
from connector.store.outbox import Row, Spare
from connector.sync.bulk import TeamBulk
from connector.sync.fields import without
from connector.sync.team_answers import (
    PROBE_LATER,
    STATE_PAUSE,
    Tally,
    TeamAnswers,
    persistently,
)

_log = get_logger(__name__)

CONCURRENCY = 24
"""Requests to one team at the same time; the points are the limit, this only bounds the sockets."""
CLAIMED_TOGETHER = 8
"""While more waits than may be in flight, so many answers are waited for before the next rows are claimed, at once."""
UNSETTLED = 64
"""Answers that are being written down: while the state takes its time, so many requests go on meanwhile."""
LOOK_AGAIN = 2.0
"""Seconds after which an empty outbox is looked at again: other processes may release or retry rows."""
LOOK_THROUGH = 0.2
"""Seconds for which claim follows upon claim, before it is looked again what waits and whether a bulk job should go."""
GIVE_UP_AFTER = 12
"""Attempts after which a one-shot leaves a row to the next run. The daemon goes on for ever."""
GIVE_UP_BROKEN_AFTER = timedelta(minutes=2)
"""How long a one-shot waits for a Salesloft that answers nothing at all."""
TURNS_KEPT = 64
"""Claims that count as recent when users take turns: points that trickle in are shared like those in a heap."""


class TeamClient(Protocol):
    """What delivery needs of Salesloft, for one team."""

    async def lease_upsert(self) -> Lease:
        """Wait for the points of one upsert."""

    def try_lease_upsert(self) -> Lease | None:
        """The points of one more upsert, if they are there now."""

    async def upsert(self, body: bytes, lease: Lease) -> UpsertAnswer:
        """Send one upsert; one attempt."""

    def is_short(self) -> bool:
        """Whether what is left of the minute's points is to be left to changes."""

    def spent(self) -> Sequence[tuple[datetime, float]]:
        """What was spent in the last minute, for keeping it over a restart."""


@dataclass(slots=True)
class TeamDelivery:
    """Delivery to one team. `calendars` are those served now; `wake()` after every commit.

    `probe_every` is the pace at which a refused key is tried again at first.
    """

    team: str
    client: TeamClient
    state: State
    probe_every: timedelta
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    bulk: TeamBulk | None = None
    calendars: set[int] = field(default_factory=set)
    observer: Observer = NOBODY
    names: dict[int, str] = field(default_factory=dict)
    """The user of each calendar, for log lines."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _flying: int = 0
    _settling: int = 0
    """Answered, with success, and not written down yet: their rows still count as in flight in the state."""
    _few: float = math.inf
    """With more in flight than so many, an answer changes nothing: it is no reason to look again."""
    _answers: TeamAnswers = field(init=False)
    _one_shot: bool = False
    _turns: deque[int] = field(default_factory=lambda: deque(maxlen=TURNS_KEPT))
    _bulk_runs: bool = False
    _bulk_resumed: bool = False
    _spare_bulk: bool = False
    _more: bool = False
    """The last claim was served in full."""
    _looked_at: float = 0.0

    def __post_init__(self) -> None:
        self._answers = TeamAnswers(self)
        if self.bulk is not None:
            self.bulk.may_send = lambda: self.calendars

    @property
    def tally(self) -> Tally:
        """What this delivery came to since the start."""
        return self._answers.tally

    def wake(self) -> None:
        """Something was committed, or an answer came."""
        self._changed.set()

    def look_for_jobs(self) -> None:
        """Users came whose changes may stand in a bulk job that another team began."""
        self._bulk_resumed = False
        self.wake()

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver until `stopping`; returns when what was sent by then is settled."""
        await self._deliver(stopping, until_settled=False)

    async def drain(self, stopping: asyncio.Event) -> None:
        """Deliver everything that waits, then return; rows that keep failing are left for the next run."""
        self._one_shot = True
        await self._deliver(stopping, until_settled=True)

    async def _deliver(self, stopping: asyncio.Event, *, until_settled: bool) -> None:
        async with asyncio.TaskGroup() as flights:
            stop = asyncio.create_task(stopping.wait(), name="delivery-stop")
            stop.add_done_callback(lambda _: self._changed.set())
            try:
                while not stopping.is_set():
                    self._changed.clear()
                    try:
                        if not await self._advance(flights, stopping, until_settled=until_settled):
                            return
                    except RetryLater as later:
                        # The state cannot be written now: nothing is sent that could not be settled.
                        _log.error("state_busy", team=self.team, message=str(later))
                        self._more = False
                        await _either(stopping, stopping, STATE_PAUSE)
            finally:
                stop.cancel()

    async def _advance(
        self, flights: asyncio.TaskGroup, stopping: asyncio.Event, *, until_settled: bool
    ) -> bool:
        """Send what may be sent now, or wait for a change. False: there is nothing left to wait for."""
        room = self._room()
        least = min(CLAIMED_TOGETHER, max(1, room)) if self._more else 1
        if self._flying > room - least:
            # Fewer than usual, it may also be something else than their number that is waited for.
            self._few = room - least if room == CONCURRENCY else math.inf
            await self._wait_for_change(None)
            self._few = math.inf
            return True
        if self._looks_like_more() and (lease := self.client.try_lease_upsert()) is not None:
            await self._launch(flights, lease)
            return True
        await self._consider_bulk(flights, stopping)
        pause = await self._pause(until_settled=until_settled)
        self._looked_at = asyncio.get_running_loop().time()
        if pause is None:
            return False
        if pause > 0:
            await self._wait_for_change(pause)
        elif lease := await self._lease(stopping):
            await self._launch(flights, lease, looked=True)
        return True

    async def _lease(self, stopping: asyncio.Event) -> Lease | None:
        """The points of one upsert, as soon as they are there; None if the process is stopped before."""
        at_once = self.client.try_lease_upsert()
        return at_once or await _unless(self.client.lease_upsert(), stopping)

    def _looks_like_more(self) -> bool:
        """The last claim got all that it asked for, a moment ago: the next is made without another look."""
        lately = asyncio.get_running_loop().time() - self._looked_at < LOOK_THROUGH
        return self._more and not self._answers.is_asking and lately

    async def _wait_for_change(self, seconds: float | None) -> None:
        """Until something was committed or answered, the process is stopped, or the time is over."""
        if seconds is None:
            await self._changed.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _pause(self, *, until_settled: bool) -> float | None:
        """Seconds until something may be sent (0.0: now), or None if there is nothing left to wait for."""
        if until_settled and self.tally.refusal is not None:
            return None
        limit = GIVE_UP_AFTER if until_settled else None
        now = self.clock()
        due, _ = await self.state.waiting(self._served(), now, limit, spare=self._spare())
        if due is None:
            idle = self._flying + self._settling == 0 and not self._bulk_runs
            return None if until_settled and idle else LOOK_AGAIN
        if until_settled and self._gave_up(now):
            return None
        for until in (self._answers.parked.until, self._answers.breaker.until):
            # Further ahead, it was set before the clock went back.
            if until is not None and until - now <= PROBE_LATER:
                due = max(due, until)
        return max(0.0, (due - now).total_seconds())

    def _spare(self) -> Spare:
        """What stays in line though it could be sent: the next bulk job's, or what would take the points of changes."""
        if self._spare_bulk:
            return Spare.BULKABLE
        short = not self._one_shot and self.client.is_short()
        return Spare.BACKFILL if short else Spare.NOTHING

    def _gave_up(self, now: datetime) -> bool:
        """A one-shot does not wait for ever for a Salesloft that does not answer."""
        since = self._answers.breaker.broken_since
        if since is None or now - since <= GIVE_UP_BROKEN_AFTER:
            return False
        return self._flying + self._settling == 0

    def _room(self) -> int:
        """How many requests may be in flight: one at a time while it is asked whether an outage is over."""
        if self._answers.is_asking:
            return 1 - self._settling
        return CONCURRENCY if self._settling < UNSETTLED else 0

    async def _consider_bulk(self, flights: asyncio.TaskGroup, stopping: asyncio.Event) -> None:
        """Start a bulk job where enough waits that nobody waits for, or go on with one that a crash left."""
        if self.bulk is None or self._answers.parked.since is not None:
            self._spare_bulk = False
            return
        job = None
        if not self._bulk_runs and not self._bulk_resumed:
            # While another team's job runs, users of ours may be in it: it is looked again.
            self._bulk_resumed = not self.bulk.running
            job = await self.bulk.unfinished()
        many = False
        if not self.bulk.refused:
            waiting = await self.state.bulkable(sorted(self.calendars), self.clock())
            many = waiting >= self.bulk.threshold
        if job is None and many and not self._bulk_runs:
            job, many = await self.bulk.open(), False
        self._spare_bulk = many  # what fills the next job must not go one by one meanwhile
        if job is not None:
            self._bulk_runs = True
            self.bulk.sleep = partial(_sleep_unless, stopping)
            self.bulk.gives_up_after = GIVE_UP_BROKEN_AFTER if self._one_shot else None
            flights.create_task(self._run_bulk(self.bulk, job), name=f"bulk {job.name}")

    async def _run_bulk(self, bulk: TeamBulk, job: LocalJob) -> None:
        bulk.dropped = frozenset(self._answers.dropped)
        try:
            done = await bulk.finish(job)
            self.tally.accepted += done.accepted
            self.tally.refused += done.refused
        except CredentialsRefused as refused:
            await persistently(partial(self._answers.park, None, refused, 0.0))
            self._bulk_resumed = False  # go on with the job when the key works again
        except Stopping:
            _log.info("bulk_left", team=self.team, job=job.name)
        finally:
            self._answers.dropped |= bulk.dropped
            self._bulk_runs, bulk.processed = False, 0
            self.wake()

    async def _launch(
        self, flights: asyncio.TaskGroup, first: Lease, *, looked: bool = False
    ) -> None:
        """Claim as many of the most urgent rows as there are points for, and send them.

        `looked`: rows wait, by what was looked up just now.
        """
        spare = self._spare()  # before the points of this claim look as if they were spent
        leases = [first]
        room = self._room() - self._flying
        while len(leases) < room and (another := self.client.try_lease_upsert()) is not None:
            leases.append(another)
        try:
            claimed = await self._claim(len(leases), spare)
        except BaseException:
            for lease in leases:
                lease.refund()
            raise
        for lease in leases[len(claimed) :]:
            lease.refund()
        self._more = len(claimed) == len(leases)
        if not claimed and looked:
            # Rows wait, but each for another one of its event that is still in flight.
            await self._wait_for_change(1.0)
        for row, lease in zip(claimed, leases, strict=False):
            self._flying += 1
            flights.create_task(self._send(row, lease), name=f"upsert {row.key.event_id}")

    async def _claim(self, most: int, spare: Spare) -> list[Row]:
        claimed = await self.state.claim(
            self._served(),
            most,
            self.clock(),
            spare=spare,
            recent=Counter(self._turns),
            # Together: whoever goes on after a death knows of every point that may have been spent.
            spent=(self.team, self.client.spent()),
        )
        self._turns.extend(row.calendar for row in claimed)
        return claimed

    async def _send(self, row: Row, lease: Lease) -> None:
        dropped = frozenset(self._answers.dropped)
        try:
            with lease:
                answer = await self.client.upsert(without(row.payload, dropped), lease)
        except RetryLater as later:
            await persistently(partial(self._answers.try_later, row, later, lease.cost))
        except CredentialsRefused as refused:
            park = (
                self._answers.park
                if self._answers.concerns_team(row, refused)
                else self._answers.shut
            )
            await persistently(partial(park, row, refused, lease.cost))
        except RequestRefused as refused:
            await persistently(partial(self._answers.refuse, row, refused, dropped, lease.cost))
        else:
            # The next request need not wait for this one's commit.
            self._settling += 1
            self._land()
            try:
                await persistently(partial(self._answers.accept, row, answer))
            finally:
                self._settling -= 1
                self._flying += 1
        finally:
            self._land()

    def _land(self) -> None:
        """One request fewer is in flight."""
        self._flying -= 1
        if self._flying <= self._few:
            self.wake()

    def _served(self) -> list[int]:
        """The calendars to send for; a one-shot leaves those that are forbidden to the next run."""
        return sorted(
            self.calendars - self._answers.shut_since.keys() if self._one_shot else self.calendars
        )


DRAIN_SECONDS = 8.0
"""How long requests that were sent before a stop are waited for; a stop has ten seconds in all."""


async def until_drained(
    deliveries: Collection[asyncio.Task[None]], stopping: asyncio.Event
) -> None:
    """Wait for deliveries to end; once the process is stopped, for what was sent and not for long.

    What is cut off then is in line again at the next start. Raises what a delivery died of.
    """
    stopped = asyncio.create_task(stopping.wait(), name="stop")
    try:
        pending: set[asyncio.Task[Any]] = set(deliveries)
        while pending and not stopped.done():
            done, rest = await asyncio.wait(
                (*pending, stopped), return_when=asyncio.FIRST_COMPLETED
            )
            pending = rest - {stopped}
            if any(task is not stopped and task.exception() for task in done):
                stopping.set()
        if pending:
            await asyncio.wait(pending, timeout=DRAIN_SECONDS)
    finally:
        for task in (*deliveries, stopped):
            task.cancel()
        ended = await asyncio.gather(*deliveries, stopped, return_exceptions=True)
    for end in ended:
        if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError):
            raise end


async def _either(one: asyncio.Event, other: asyncio.Event, seconds: float | None) -> None:
    """Until one of two events, or a time, has come."""
    waits = [asyncio.create_task(event.wait(), name="delivery-wait") for event in (one, other)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _sleep_unless(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep, but not into the end of the process. Raises Stopping."""
    await _either(stopping, stopping, seconds)
    if stopping.is_set():
        raise Stopping("the process is being stopped")


async def _unless(lease: Coroutine[None, None, Lease], stopping: asyncio.Event) -> Lease | None:
    """The lease, or None if the process is stopped before its points are there."""
    waiting = asyncio.create_task(lease, name="delivery-lease")
    stopped = asyncio.create_task(stopping.wait(), name="delivery-stop")
    try:
        await asyncio.wait((waiting, stopped), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        return None
    finally:
        waiting.cancel()
        stopped.cancel()
        await asyncio.gather(waiting, stopped, return_exceptions=True)
