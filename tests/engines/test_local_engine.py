"""The due queue: who is read when, what a failure does to the pace, and how it all ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest

from connector.domain.errors import ParkReason, RetryLater, UserParked
from connector.engines import local
from connector.engines.local import Calendar, LocalEngine
from connector.observe.systemd import ServiceManager
from connector.store import State
from connector.store.state import Backlog
from connector.sync.cycle import CalendarCycle, Report
from connector.sync.delivery import TeamDelivery

SUNDAY = datetime(2026, 3, 8, 2, 0, tzinfo=UTC)
PARKED = UserParked("pam: no access", reason=ParkReason.FORBIDDEN)


@dataclass
class Manager(ServiceManager):
    """Remembers what systemd would be told."""

    told: list[str] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    watchdog_seconds: float = 0.0

    def _send(self, message: str) -> None:
        self.told.append(message.partition("=")[0])
        self.heard.set()


class Delivery:
    """Ends when it is told to, or never."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.woken, self.deaf, self.over = 0, deaf, False

    async def run(self, stopping: asyncio.Event) -> None:
        try:
            await (asyncio.Event() if self.deaf else stopping).wait()
        finally:
            self.over = True

    def wake(self) -> None:
        self.woken += 1


class Bench:
    """An engine for some calendars, under a clock of its own; `read` is what a reading does."""

    def __init__(
        self,
        *names: str,
        interval: float = 30.0,
        idle: float | None = None,
        deaf: bool = False,
    ) -> None:
        self.now = 1000.0
        self.read: Callable[[str], Awaitable[Report]] = self.quiet
        self.reads: list[tuple[str, float]] = []
        self.delivery, self.manager = Delivery(deaf=deaf), Manager()
        self.calendars = [
            Calendar(
                cast(Any, SimpleNamespace(name=name, past_days=30)), number, "team", interval, idle
            )
            for number, name in enumerate(names or ["pam"])
        ]
        self.engine = LocalEngine(
            self.calendars,
            cast(CalendarCycle, SimpleNamespace(run=self._run)),
            {"team": cast(TeamDelivery, self.delivery)},
            cast(State, SimpleNamespace(backlog=self._backlog, look=self._no_meeting)),
            self.manager,
            monotonic=lambda: self.now,
            clock=lambda: SUNDAY + timedelta(seconds=self.now),
        )
        self.engine._schedule_first()

    async def _run(self, seller: Any) -> Report:
        self.reads.append((seller.name, self.now))
        return await self.read(seller.name)

    async def _backlog(self, _: object) -> Backlog:
        return Backlog(pending=0, dead_letters=0, set_aside=0, held=0)

    async def _no_meeting(self, _: object) -> None:
        return None

    async def quiet(self, _: str) -> Report:
        return Report(1)

    async def parked(self, _: str) -> Report:
        return Report(1, error=PARKED)

    async def later(self, _: str) -> Report:
        return Report(1, error=RetryLater("later", after_seconds=120))

    async def pass_time(self, seconds: float, step: float = 0.5) -> None:
        for _ in range(int(seconds / step)):
            self.now += step
            await self.engine._tick()
            while self.engine._readings:
                await asyncio.gather(*self.engine._readings)
                await asyncio.sleep(0)

    def gaps(self, name: str = "pam") -> list[float]:
        times = [at for who, at in self.reads if who == name]
        return [later - earlier for earlier, later in pairwise(times)]


async def test_nobody_is_polled_more_slowly_than_was_asked_for() -> None:
    bench = Bench("pam", "jim", "kelly")
    await bench.pass_time(600)
    for name in ("pam", "jim", "kelly"):
        gaps = bench.gaps(name)
        assert len(gaps) >= 19
        assert all(25 <= gap <= 30.5 for gap in gaps)  # a tick late at the most


async def test_quiet_times_are_read_at_the_slower_pace_until_something_happens_or_fails() -> None:
    bench = Bench(idle=300.0)
    reports = [Report(1, time_zone="UTC")]

    async def as_told(_: str) -> Report:
        return reports[0]

    bench.read = as_told
    await bench.pass_time(3000)
    assert all(255 <= gap <= 300.5 for gap in bench.gaps())
    reports[0] = Report(1, time_zone="UTC", error=RetryLater("later"))
    await bench.pass_time(600)
    assert all(gap <= 30.5 for gap in bench.gaps()[-10:])
    reports[0] = Report(1, time_zone="UTC", touched=True)
    await bench.pass_time(60)
    reports[0] = Report(1, time_zone="UTC")
    await bench.pass_time(1500)
    assert all(gap <= 30.5 for gap in bench.gaps()[-45:])
    await bench.pass_time(1500)
    assert bench.gaps()[-1] > 200


async def test_first_polls_are_spread_but_within_one_interval() -> None:
    bench = Bench(*[f"user{number}" for number in range(300)])
    await bench.pass_time(15.5)
    firsts = dict(reversed(bench.reads))
    assert len(firsts) == 300
    assert max(firsts.values()) - min(firsts.values()) > 5


async def test_a_relaxed_calendar_is_polled_more_slowly_while_it_can_be_read() -> None:
    """As long as notifications prove to come; a failure is probed as ever."""
    bench = Bench(interval=30.0)
    heard: list[tuple[int, bool, float]] = []
    bench.engine.heard = lambda calendar, report, began: heard.append(
        (calendar.id, report.failed, began)
    )
    bench.calendars[0].relaxed = 300.0
    await bench.pass_time(1200)
    assert all(300.0 * (1 - local.JITTER) - 1 <= gap <= 301.0 for gap in bench.gaps())
    assert heard == [(0, False, at) for _, at in bench.reads]
    bench.engine.hasten(0)
    bench.read = bench.parked
    await bench.pass_time(1)
    failing = len(bench.reads)
    await bench.pass_time(120)
    assert len(bench.reads) >= failing + 4
    bench.read = bench.quiet
    bench.calendars[0].relaxed = None
    await bench.pass_time(400)
    assert max(bench.gaps()[-8:]) <= 31.0


@pytest.mark.parametrize("interval", [1.0, 30.0, 300.0])
async def test_a_parked_calendar_is_probed_for_ever(interval: float) -> None:
    bench = Bench(interval=interval)
    bench.read = bench.parked
    await bench.pass_time(1500)
    began = bench.reads[0][1]
    late = [at for _, at in bench.reads if at > began + local.PROBE_EARLY_FOR + interval + 1]
    assert all(gap <= 60.5 for gap in [b - a for a, b in pairwise(late)])
    assert len(late) > 5
    early = [at for _, at in bench.reads if at <= began + local.PROBE_EARLY_FOR]
    assert len(early) >= local.PROBE_EARLY_FOR / interval
    bench.read = bench.quiet
    await bench.pass_time(61)
    since = len(bench.reads)
    await bench.pass_time(interval + 1)
    assert len(bench.reads) > since


async def test_what_a_service_asks_for_is_waited_for() -> None:
    bench = Bench()
    bench.read = bench.later
    await bench.pass_time(500)
    assert all(gap >= 120 for gap in bench.gaps())


async def test_a_state_that_cannot_be_written_stops_nothing() -> None:
    async def busy(_: str) -> Report:
        raise RetryLater("state: cannot be written now")

    bench = Bench()
    bench.read = busy
    await bench.pass_time(100)
    bench.read = bench.quiet
    await bench.pass_time(100)
    assert len(bench.reads) >= 6
    assert not bench.engine._stopping.is_set()


async def test_a_reading_that_lasts_is_not_begun_again() -> None:
    bench = Bench("slow", "pam")
    done = asyncio.Event()

    async def slow(name: str) -> Report:
        if name == "slow":
            await done.wait()
        return Report(1)

    bench.read = slow
    for _ in range(200):
        bench.now += 0.5
        await bench.engine._tick()
        await asyncio.sleep(0)
    assert [name for name, _ in bench.reads].count("slow") == 1
    assert [name for name, _ in bench.reads].count("pam") >= 3
    done.set()
    await asyncio.gather(*bench.engine._readings)


async def test_readings_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "READINGS_AT_ONCE", 3)
    bench = Bench(*[f"user{number}" for number in range(10)])
    done = asyncio.Event()

    async def slow(_: str) -> Report:
        await done.wait()
        return Report(1)

    bench.read = slow
    bench.now += 31
    await bench.engine._tick()
    await asyncio.sleep(0)
    assert len(bench.reads) == 3
    done.set()
    await asyncio.gather(*bench.engine._readings)


async def test_the_watchdog_is_fed_only_while_work_advances() -> None:
    bench = Bench("pam", "jim")
    await bench.engine._pulse()
    assert "WATCHDOG" in bench.manager.told
    bench.manager.told.clear()
    bench.calendars[0].reading_since = bench.now - local.STUCK_SECONDS - 1
    await bench.engine._pulse()
    assert bench.manager.told == []


async def test_ready_then_stopping_and_delivery_is_waited_for() -> None:
    bench = Bench()
    stopping = asyncio.Event()
    task = asyncio.create_task(bench.engine.run(stopping))
    await bench.manager.heard.wait()
    stopping.set()
    await task
    assert bench.manager.told[0] == "READY"
    assert "STOPPING" in bench.manager.told
    assert bench.delivery.over


async def test_a_delivery_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "DRAIN_SECONDS", 0.01)
    bench = Bench(deaf=True)
    stopping = asyncio.Event()
    stopping.set()
    await bench.engine.run(stopping)
    assert bench.delivery.over


async def test_what_nobody_foresaw_stops_the_process_loudly() -> None:
    async def broken(_: str) -> Report:
        raise LookupError("a mistake of ours")

    bench = Bench(interval=0.01)
    bench.read = broken
    bench.engine._schedule_first()
    bench.now += 1
    with pytest.raises(LookupError):
        await bench.engine.run(asyncio.Event())
