"""The engine of one process: a due queue of calendars, drained by one APScheduler tick, and one delivery per team.

APScheduler has three jobs, however many users there are; a job per user would cost each of them a timer and memory, and
waking from suspend would start them all at once. A calendar is due `poll_interval` after its last reading began, a
little earlier by a random share, so that calendars drift apart and nobody is polled more slowly than was asked for.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from connector.domain.errors import RetryLater
from connector.observe.log import get_logger
from connector.observe.systemd import ServiceManager
from connector.store import State
from connector.store.state import RETENTION
from connector.sync.cycle import CalendarCycle, Report
from connector.sync.delivery import DRAIN_SECONDS, TeamDelivery
from connector.sync.seller import Seller

_log = get_logger(__name__)

READINGS_AT_ONCE = 64
JITTER = 0.15
"""The largest share of the interval by which a poll comes early."""
SPREAD_SECONDS = 0.05
"""First polls are spread over this much for each calendar, but at most over one interval."""
PROBE_SECONDS = 60.0
PROBE_EARLY_FOR = 300.0
STUCK_SECONDS = 900.0
"""A reading that takes longer than this is not work that advances: the watchdog is no longer fed."""


@dataclass(slots=True)
class Calendar:
    """One served calendar. `id` is its row in the state."""

    seller: Seller
    id: int
    team: str
    interval: float
    parked_at: float | None = None
    reading_since: float | None = None


@dataclass(order=True, slots=True)
class _Due:
    at: float
    calendar: Calendar = field(compare=False)


class LocalEngine:
    """Runs until `stopping` is set; then finishes what was sent, within ten seconds."""

    def __init__(
        self,
        calendars: Sequence[Calendar],
        cycle: CalendarCycle,
        deliveries: Mapping[str, TeamDelivery],
        state: State,
        manager: ServiceManager,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._calendars = calendars
        self._cycle = cycle
        self._deliveries = deliveries
        self._state = state
        self._manager = manager
        self._monotonic = monotonic
        self._clock = clock
        self._queue: list[_Due] = []
        self._readings: set[asyncio.Task[None]] = set()
        self._polls = 0
        self._failure: BaseException | None = None
        self._stopping = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Poll and deliver until `stopping`."""
        self._stopping = stopping
        self._schedule_first()
        scheduler = self._scheduler()
        deliveries = [
            asyncio.create_task(delivery.run(stopping), name=f"delivery {team}")
            for team, delivery in self._deliveries.items()
        ]
        for task in deliveries:
            task.add_done_callback(self._watch)
        scheduler.start()
        _log.info("started", users=len(self._calendars), teams=len(self._deliveries))
        self._manager.ready(f"{len(self._calendars)} users")
        try:
            await stopping.wait()
        finally:
            self._manager.stopping("finishing what was sent")
            scheduler.shutdown(wait=False)
            await self._drain(deliveries)
        if self._failure is not None:
            raise self._failure

    def _scheduler(self) -> AsyncIOScheduler:
        shortest = min(calendar.interval for calendar in self._calendars)
        tick = min(max(shortest / 20, 0.05), 0.5)
        # A run that comes late is run once, not dropped and not made up for: see STACK, "Traps".
        scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        scheduler.add_job(self._tick, "interval", seconds=tick, id="polls")
        scheduler.add_job(self._housekeeping, "interval", hours=6, id="housekeeping", jitter=600)
        pulse = self._manager.watchdog_seconds / 3 or 30.0
        scheduler.add_job(self._pulse, "interval", seconds=pulse, id="pulse")
        return scheduler

    def _schedule_first(self) -> None:
        now = self._monotonic()
        spread = len(self._calendars) * SPREAD_SECONDS
        for calendar in self._calendars:
            early = random.uniform(0, min(spread, calendar.interval))  # noqa: S311
            heapq.heappush(self._queue, _Due(now + early, calendar))

    async def _tick(self) -> None:
        """Start the readings that are due, as many as may run at once."""
        now = self._monotonic()
        while (
            self._queue
            and self._queue[0].at <= now
            and len(self._readings) < READINGS_AT_ONCE
            and not self._stopping.is_set()
        ):
            calendar = heapq.heappop(self._queue).calendar
            task = asyncio.create_task(self._read(calendar), name=f"read {calendar.seller.name}")
            self._readings.add(task)
            task.add_done_callback(self._readings.discard)
            task.add_done_callback(self._watch)

    async def _read(self, calendar: Calendar) -> None:
        """One reading of one calendar; it is due again only when this one is over."""
        began = calendar.reading_since = self._monotonic()
        report: Report | None = None
        try:
            report = await self._cycle.run(calendar.seller)
        except RetryLater as later:  # the state: nothing is taken in until it can be written
            _log.error("state_busy", user=calendar.seller.name, message=str(later))
        finally:
            calendar.reading_since = None
        self._polls += 1
        if report is not None and report.changed:
            self._deliveries[calendar.team].wake()
        heapq.heappush(self._queue, _Due(began + self._pause(calendar, report, began), calendar))

    def _pause(self, calendar: Calendar, report: Report | None, now: float) -> float:
        """Seconds from the start of this reading to the next."""
        pause = calendar.interval * random.uniform(1 - JITTER, 1)  # noqa: S311
        if report is None or not report.failed:
            calendar.parked_at = None
            return pause
        if isinstance(report.error, RetryLater):
            return max(pause, report.error.after_seconds or 0.0)
        calendar.parked_at = calendar.parked_at if calendar.parked_at is not None else now
        if now - calendar.parked_at > PROBE_EARLY_FOR:
            return PROBE_SECONDS
        return pause

    async def _housekeeping(self) -> None:
        await self._state.purge_journal(self._clock())
        for calendar in self._calendars:
            keep = timedelta(days=calendar.seller.past_days) + RETENTION
            await self._state.purge(calendar.id, self._clock() - keep)

    async def _pulse(self) -> None:
        """Feed the watchdog while work advances, and show the service manager how it stands."""
        stuck = self.stuck()
        if stuck:
            _log.error("reading_stuck", users=stuck)
            return
        backlog = await self._state.backlog([calendar.id for calendar in self._calendars])
        self._manager.status(
            f"{len(self._calendars)} users, {self._polls} polls, {backlog.pending} waiting,"
            f" {backlog.dead_letters} refused"
        )
        self._manager.alive()

    def stuck(self) -> list[str]:
        """Users whose reading does not advance: then neither the watchdog is fed nor /healthz good."""
        now = self._monotonic()
        return [
            calendar.seller.name
            for calendar in self._calendars
            if calendar.reading_since is not None and now - calendar.reading_since > STUCK_SECONDS
        ]

    def _watch(self, task: asyncio.Task[None]) -> None:
        """A task that dies of something nobody foresaw stops the process, loudly; the next start resumes."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self._stopping.set()

    async def _drain(self, deliveries: Sequence[asyncio.Task[None]]) -> None:
        """Readings are dropped (nothing of them was stored); requests that were sent are waited for."""
        for reading in self._readings:
            reading.cancel()
        await asyncio.gather(*self._readings, return_exceptions=True)
        _, late = await asyncio.wait(deliveries, timeout=DRAIN_SECONDS)
        for delivery in late:
            delivery.cancel()
        await asyncio.gather(*deliveries, return_exceptions=True)
        _log.info("stopped", polls=self._polls)
