"""The engine of one process: a due queue of calendars, drained by one APScheduler tick, and one delivery per team.

APScheduler has a handful of jobs, however many users there are; a job per user would cost each of them a timer and
memory, and waking from suspend would start them all at once. A calendar is due `poll_interval` after its last reading
began, a little earlier by a random share, so that calendars drift apart and nobody is polled more slowly than was asked
for. Calendars and teams come and go while the engine runs (`serve`, `drop`, `serve_team`, `drop_team`).
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from connector.domain.errors import RetryLater
from connector.engines.rounds import Rounds
from connector.observe.log import get_logger
from connector.observe.systemd import ServiceManager
from connector.store import State
from connector.store.state import RETENTION
from connector.sync.cycle import CalendarCycle, Report
from connector.sync.delivery import DRAIN_SECONDS, TeamDelivery
from connector.sync.idle import Pace
from connector.sync.seller import Seller

_log = get_logger(__name__)

READINGS_AT_ONCE = 64
JITTER = 0.05
"""The largest share of the interval by which a poll comes early."""
SPREAD_SECONDS = 0.05
"""First polls are spread over this much for each calendar, but at most over one interval."""
PROBE_SECONDS = 60.0
PROBE_EARLY_FOR = 300.0
STUCK_SECONDS = 900.0
"""A reading that takes longer than this is not work that advances: the watchdog is no longer fed."""
SHORTEST_TICK, LONGEST_TICK = 0.05, 0.5


@dataclass(slots=True, eq=False)
class Calendar:
    """One served calendar. `id` is its row in the state; `idle_interval` is a slower pace for quiet times, if any."""

    seller: Seller
    id: int
    team: str
    interval: float
    idle_interval: float | None = None
    relaxed: float | None = None
    """A slower pace still, while push notifications tell of changes; failures are always probed at the usual one."""
    pace: Pace = field(default_factory=Pace)
    parked_at: float | None = None
    reading_since: float | None = None
    reading: asyncio.Task[None] | None = None


@dataclass(order=True, slots=True)
class _Due:
    at: float
    calendar: Calendar = field(compare=False)


@dataclass(slots=True)
class _Delivering:
    """A team's delivery that runs, and how it is told to end."""

    delivery: TeamDelivery
    stopping: asyncio.Event
    task: asyncio.Task[None]


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
        self._calendars = {calendar.id: calendar for calendar in calendars}
        self._cycle = cycle
        self._deliveries = dict(deliveries)
        self._state = state
        self._manager = manager
        self._monotonic = monotonic
        self._clock = clock
        self._queue: list[_Due] = []
        self._due: dict[int, _Due] = {}
        self._readings: set[asyncio.Task[None]] = set()
        self._running: dict[str, _Delivering] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._polls = 0
        self._failure: BaseException | None = None
        self._stopping = asyncio.Event()
        self._tick_seconds = 0.0
        self._scheduler: AsyncIOScheduler | None = None
        self.heard: Callable[[Calendar, Report, float], None] = lambda *_: None
        """Hears how each reading went, and when it began (monotonic)."""
        self.rounds = Rounds(monotonic)
        """What is done for a team, or for the process, again and again beside the readings."""

    # -- who is served

    @property
    def calendars(self) -> Collection[Calendar]:
        return self._calendars.values()

    def serve(self, calendar: Calendar, within: float = 0.0) -> None:
        """Read this calendar from now on, in place of one with the same row; the first time in so many seconds."""
        self.drop(calendar.id)
        self._calendars[calendar.id] = calendar
        early = random.uniform(0, min(within, calendar.interval))  # noqa: S311
        self._push(self._monotonic() + early, calendar)
        self._set_tick()

    def drop(self, calendar_id: int) -> asyncio.Task[None] | None:
        """Read a calendar no longer; a reading under way is given up, nothing of it was stored. Gives that, if any."""
        calendar = self._calendars.pop(calendar_id, None)
        self._due.pop(calendar_id, None)
        if calendar is None or calendar.reading is None:
            return None
        calendar.reading.cancel()
        return calendar.reading

    def is_in_line(self, calendar: Calendar) -> bool:
        """Whether a calendar will be read again; what was found paused is not, until it is hastened."""
        return calendar.id in self._due or calendar.reading is not None

    def hasten(self, calendar_id: int) -> None:
        """Read a calendar at the next tick, or again at once if it is being read now."""
        calendar = self._calendars.get(calendar_id)
        if calendar is not None:
            self._push(self._monotonic(), calendar)

    def serve_team(self, name: str, delivery: TeamDelivery) -> None:
        """Deliver for this team from now on."""
        self._deliveries[name] = delivery
        runs = self._scheduler is not None and not self._stopping.is_set()
        if runs and name not in self._running:
            self._start_delivery(name, delivery)

    def drop_team(self, name: str) -> None:
        """Deliver for a team no longer, once what was sent is settled."""
        self._deliveries.pop(name, None)
        running = self._running.pop(name, None)
        if running is not None:
            running.stopping.set()
            self._ending.add(running.task)
            running.task.add_done_callback(self._ending.discard)

    async def end_team(self, name: str, *, at_once: bool) -> None:
        """Deliver for a team no longer; returns when nothing of it runs any more.

        What was sent is settled before, within the time that a stop has; `at_once`, it is given up.
        """
        running = self._running.get(name)
        self.drop_team(name)
        if running is None:
            return
        if not at_once:
            await asyncio.wait({running.task}, timeout=DRAIN_SECONDS)
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)

    # -- running

    async def run(self, stopping: asyncio.Event) -> None:
        """Poll and deliver until `stopping`."""
        self._stopping = stopping
        self._schedule_first()
        scheduler = self._scheduler = self._make_scheduler()
        for name, delivery in self._deliveries.items():
            self._start_delivery(name, delivery)
        scheduler.start()
        _log.info("started", users=len(self._calendars), teams=len(self._deliveries))
        self._manager.ready(f"{len(self._calendars)} users")
        try:
            await stopping.wait()
        finally:
            self._manager.stopping("finishing what was sent")
            scheduler.shutdown(wait=False)
            await self._drain()
        if self._failure is not None:
            raise self._failure

    def _start_delivery(self, name: str, delivery: TeamDelivery) -> None:
        stopping = asyncio.Event()
        task = asyncio.create_task(delivery.run(stopping), name=f"delivery {name}")
        task.add_done_callback(self.watch)
        self._running[name] = _Delivering(delivery, stopping, task)

    def _make_scheduler(self) -> AsyncIOScheduler:
        # A run that comes late is run once, not dropped and not made up for: see STACK, "Traps".
        scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._tick_seconds = self._tick_wanted()
        scheduler.add_job(self._tick, "interval", seconds=self._tick_seconds, id="polls")
        scheduler.add_job(self._housekeeping, "interval", hours=6, id="housekeeping", jitter=600)
        pulse = self._manager.watchdog_seconds / 3 or 30.0
        scheduler.add_job(self._pulse, "interval", seconds=pulse, id="pulse")
        return scheduler

    def _tick_wanted(self) -> float:
        shortest = min((calendar.interval for calendar in self.calendars), default=10.0)
        return min(max(min(shortest, self.rounds.shortest) / 20, SHORTEST_TICK), LONGEST_TICK)

    def _set_tick(self) -> None:
        """Calendars came that want to be read more often than the tick was made for."""
        wanted = self._tick_wanted()
        if self._scheduler is not None and wanted < self._tick_seconds:
            self._tick_seconds = wanted
            self._scheduler.reschedule_job("polls", trigger="interval", seconds=wanted)

    def _schedule_first(self) -> None:
        now = self._monotonic()
        spread = len(self._calendars) * SPREAD_SECONDS
        for calendar in self.calendars:
            early = random.uniform(0, min(spread, calendar.interval))  # noqa: S311
            if calendar.id not in self._due:
                self._push(now + early, calendar)

    def _push(self, at: float, calendar: Calendar) -> None:
        """Put a calendar in line; what stood there for it before counts no more."""
        due = self._due[calendar.id] = _Due(at, calendar)
        heapq.heappush(self._queue, due)

    async def _tick(self) -> None:
        """Start the readings and rounds that are due, as many as may run at once."""
        now = self._monotonic()
        while (
            self._queue
            and self._queue[0].at <= now
            and len(self._readings) < READINGS_AT_ONCE
            and not self._stopping.is_set()
        ):
            due = heapq.heappop(self._queue)
            calendar = due.calendar
            if self._due.get(calendar.id) is not due:
                continue  # dropped, replaced or hastened since
            if calendar.reading is not None:
                due.at = now + self._tick_seconds
                heapq.heappush(self._queue, due)  # hastened while it is read: once more after that
                continue
            del self._due[calendar.id]
            task = asyncio.create_task(self._read(calendar), name=f"read {calendar.seller.name}")
            calendar.reading = task
            self._readings.add(task)
            task.add_done_callback(self._readings.discard)
            task.add_done_callback(self.watch)
        if not self._stopping.is_set():
            self.rounds.start_due()

    async def _read(self, calendar: Calendar) -> None:
        """One reading of one calendar; it is due again only when this one is over."""
        began = calendar.reading_since = self._monotonic()
        report: Report | None = None
        try:
            report = await self._cycle.run(calendar.seller)
            if calendar.idle_interval is not None:
                await calendar.pace.look_ahead(
                    self._state, calendar.id, self._clock(), calendar.idle_interval
                )
        except RetryLater as later:  # the state: nothing is taken in until it can be written
            _log.error("state_busy", user=calendar.seller.name, message=str(later))
        finally:
            calendar.reading_since = calendar.reading = None
        self._polls += 1
        if report is not None:
            self.heard(calendar, report, began)
        delivery = self._deliveries.get(calendar.team)
        if report is not None and report.changed and delivery is not None:
            delivery.wake()
        is_served = self._calendars.get(calendar.id) is calendar
        unserved = report is not None and report.unserved
        if is_served and not unserved and calendar.id not in self._due:
            self._push(began + self._pause(calendar, report, began), calendar)

    def _pause(self, calendar: Calendar, report: Report | None, now: float) -> float:
        """Seconds from the start of this reading to the next."""
        if report is not None and report.time_zone is not None:
            calendar.pace.zone = report.time_zone
        interval = calendar.pace.interval(
            calendar.interval,
            calendar.idle_interval,
            self._clock(),
            changed=report is not None and report.touched,
            failed=report is None or report.failed,
        )
        if report is not None and not report.failed:
            interval = max(interval, calendar.relaxed or 0.0)
        pause = interval * random.uniform(1 - JITTER, 1)  # noqa: S311
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
        try:
            await self._state.purge_journal(self._clock())
            for calendar in tuple(self.calendars):
                keep = timedelta(days=calendar.seller.past_days) + RETENTION
                await self._state.purge(calendar.id, self._clock() - keep)
        except RetryLater as later:  # the next time, then
            _log.warning("state_busy", message=str(later))

    def stuck(self) -> list[str]:
        """Users whose reading does not advance: then neither the watchdog is fed nor /healthz good."""
        now = self._monotonic()
        return [
            calendar.seller.name
            for calendar in self.calendars
            if calendar.reading_since is not None and now - calendar.reading_since > STUCK_SECONDS
        ]

    async def _pulse(self) -> None:
        """Feed the watchdog while work advances, and show the service manager how it stands."""
        stuck = self.stuck()
        if stuck:
            _log.error("reading_stuck", users=stuck)
            return
        try:
            backlog = await self._state.backlog([calendar.id for calendar in self.calendars])
        except RetryLater as later:  # it works on, as far as it can
            self._manager.status(str(later))
        else:
            self._manager.status(
                f"{len(self._calendars)} users, {self._polls} polls, {backlog.pending} waiting,"
                f" {backlog.dead_letters} refused"
            )
        self._manager.alive()

    def watch(self, task: asyncio.Task[None]) -> None:
        """A task that dies of something nobody foresaw stops the process, loudly; the next start resumes."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self._stopping.set()

    async def _drain(self) -> None:
        """Readings are dropped (nothing of them was stored); requests that were sent are waited for."""
        for reading in self._readings:
            reading.cancel()
        await asyncio.gather(*self._readings, return_exceptions=True)
        deliveries = [running.task for running in self._running.values()] + list(self._ending)
        for running in self._running.values():
            running.stopping.set()
        ending: list[Awaitable[object]] = [self.rounds.end(DRAIN_SECONDS)]
        if deliveries:
            ending.append(asyncio.wait(deliveries, timeout=DRAIN_SECONDS))
        await asyncio.gather(*ending)
        for delivery in deliveries:
            delivery.cancel()
        await asyncio.gather(*deliveries, return_exceptions=True)
        _log.info("stopped", polls=self._polls)
