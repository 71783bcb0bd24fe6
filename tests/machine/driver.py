"""One small company under one event loop: its calendars, its Salesloft, its connector, and all that can befall them.

Everything runs in this process and on this loop; the connector is the real one with its real HTTP clients on loopback.
A poll is what the program does (`run_once`): each begins from the state on the disk, as after a restart, unless the
parts are kept open. The clock is the company's own: it moves a millisecond each time somebody looks, over every wait as
if it had been waited, and by hours or weeks when a rule says so.
"""

from __future__ import annotations

import asyncio
import itertools
import selectors
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeVar

import stamina

import connector.google.transport
from connector.app.one_shot import ONE_SHOT_ROUNDS
from connector.app.parts import Parts, assemble
from connector.domain.errors import CredentialsRefused, RetryLater
from connector.domain.model import UserName
from connector.google.retry import RetryPolicy
from connector.settings.files import load_settings
from connector.simulator.google import Calendar
from connector.store import open_database
from connector.sync import breaker, bulk, delivery, team_answers
from connector.sync.cycle import Report
from tests.machine import judge
from tests.machine.judge import Key, Rules
from tests.office import KEY, Office, guid_of, open_office

T = TypeVar("T")
Reports = dict[UserName, Report]
PAST_DAYS, FUTURE_DAYS = 3, 10
PATIENCE_SECONDS = 900.0
_MEMORY = Path("/dev/shm")
SKIP_SECONDS = 0.25
_loop: list[HurriedLoop] = []


class _Impatient(selectors.DefaultSelector):
    """Waits a millisecond where a quarter of a second was asked for; the rest passes on every clock."""

    loop: HurriedLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout <= 0:
            return list(super().select(timeout))
        if events := super().select(min(timeout, 0.001)):
            return list(events)
        self.loop.skip(min(timeout, SKIP_SECONDS))
        return []


class HurriedLoop(asyncio.SelectorEventLoop):
    """An event loop on which waiting is cheap: `time()` and the company's clock run ahead while nothing happens.

    Not by more than `SKIP_SECONDS` a millisecond, so that work in threads is not taken for silence.
    """

    def __init__(self) -> None:
        self.skipped = 0.0
        self.clock: Clock | None = None
        selector = _Impatient()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return time.monotonic() + self.skipped

    def skip(self, seconds: float) -> None:
        self.skipped += seconds
        if self.clock is not None:
            self.clock.at += timedelta(seconds=seconds)


def event_loop() -> HurriedLoop:
    """One loop for all companies of this process."""
    if not _loop:
        _loop.append(HurriedLoop())
    return _loop[0]


def hurry() -> Callable[[], None]:
    """Shorten the backoff of retries, which is not what is tested here; gives what restores it."""
    kept = [(module, name, getattr(module, name)) for module, values in _HASTE for name in values]
    for module, values in _HASTE:
        for name, value in values.items():
            setattr(module, name, value)
    stamina.set_testing(True, attempts=3)

    def restore() -> None:
        for module, name, value in kept:
            setattr(module, name, value)
        stamina.set_testing(False)

    return restore


def _quick_policy() -> RetryPolicy:
    return RetryPolicy(base_seconds=0.01, cap_seconds=0.1)


_HASTE: tuple[tuple[Any, dict[str, Any]], ...] = (
    (connector.google.transport, {"RetryPolicy": _quick_policy}),
    (team_answers, {"BACKOFF_FIRST": 0.01, "BACKOFF_MOST": 0.5}),
    (delivery, {"GIVE_UP_BROKEN_AFTER": timedelta(seconds=4)}),
    (
        breaker,
        {"PAUSE_FIRST": timedelta(seconds=0.1), "PAUSE_MOST": timedelta(seconds=0.5)},
    ),
    (bulk, {"BACKOFF_MOST": 0.5}),
)


class Log(list[Any]):
    """A simulator's log that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._grown = asyncio.Event()

    def append(self, entry: Any) -> None:
        super().append(entry)
        self._grown.set()

    async def reach(self, length: int, task: asyncio.Future[Any]) -> None:
        """Until the log is so long, or the task is done."""
        while not task.done() and len(self) < length:
            self._grown.clear()
            growing = asyncio.ensure_future(self._grown.wait())
            await asyncio.wait({task, growing}, return_when=asyncio.FIRST_COMPLETED)
            growing.cancel()
            await asyncio.gather(growing, return_exceptions=True)


class Broken(AssertionError):
    """A promise was broken; the message says which, and how."""


@dataclass
class Clock:
    """Moves a millisecond at each look, and further when told to."""

    at: datetime

    def __call__(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at


@dataclass
class Company:
    """Sync façade over everything. `open` before, `close` after."""

    base: datetime
    zones: tuple[str, ...] = ("America/New_York",)
    page_size: int = 250
    bulk_threshold: int = 200
    seed: int = 0
    rules: Rules = field(default_factory=Rules)
    clean: bool = True
    """No fault and no crash since the last quiet cycle: every request sent since was needed."""

    def open(self) -> Company:
        directory = mkdtemp(prefix="machine-", dir=_MEMORY if _MEMORY.is_dir() else None)
        self.directory = Path(directory)
        self.clock = event_loop().clock = Clock(self.base)
        self._stack = AsyncExitStack()
        self._kept: Parts | None = None
        self._kept_stack = AsyncExitStack()
        self._numbers = itertools.count(1)
        self._judged = 0
        self._newest: dict[tuple[str, str, str], str] = {}
        self._stale = 0
        self._unsure = False
        self.office: Office = self._await(self._open())
        return self

    async def _open(self) -> Office:
        office = await self._stack.enter_async_context(
            open_office(self.directory, self.clock, seed=self.seed)
        )
        office.past_days, office.future_days = PAST_DAYS, FUTURE_DAYS
        self._asked, self._sent = Log(), Log()
        office.google.log, office.salesloft.log = self._asked, self._sent
        for name, zone in zip(("pam", "jim"), self.zones, strict=False):
            office.hire(name, zone)
        self._configure(office)
        fresh = _template()
        shutil.copy(fresh, office.state)
        return office

    def close(self) -> None:
        self._await(self._close())
        shutil.rmtree(self.directory, ignore_errors=True)

    async def _close(self) -> None:
        await self._kept_stack.aclose()
        await self._stack.aclose()

    def _await(self, what: Coroutine[Any, Any, T]) -> T:
        loop = event_loop()
        return loop.run_until_complete(_in_time(what))

    # What people do; everything else they do is in the calendars themselves

    @property
    def calendars(self) -> list[Calendar]:
        return list(self.office.sellers.values())

    def text(self, word: str = "text") -> str:
        """A text that is nowhere else."""
        return f"{word} {next(self._numbers)}"

    def set_rules(self, rules: Rules) -> None:
        """The configuration changes; the program has to be started again for it."""
        self.rules = rules
        self.forget_parts()
        self._configure(self.office)

    def _configure(self, office: Office) -> None:
        office.internal_domains = list(self.rules.internal_domains)
        for name in office.sellers:
            office.configure(
                name,
                extra=f"bulk_threshold = {self.bulk_threshold}\n"
                f'[policy]\nprivate = "{self.rules.private}"\n',
            )

    # What befalls the world

    def pass_time(self, **much: float) -> None:
        self.clock.at += timedelta(**much)

    def calm(self) -> None:
        """No more faults; every seller has at least free/busy access again."""
        self.office.google.faults.clear()
        self.office.google.list_faults.clear()
        self.office.salesloft.faults.clear()
        for calendar in self.calendars:
            if calendar.role_of(calendar.owner) == "none":
                calendar.set_role(calendar.owner, "owner")

    # What the connector does

    def keep_parts(self) -> None:
        """From now on polls use the same open parts, as the daemon does."""
        if self._kept is None:
            self._kept = self._await(self._enter(self._kept_stack))

    def forget_parts(self) -> None:
        """The process ends: the next poll begins from the disk."""
        if self._kept is not None:
            self._kept = None
            self._await(self._kept_stack.aclose())
            self._kept_stack = AsyncExitStack()

    async def _enter(self, stack: AsyncExitStack) -> Parts:
        settings = load_settings(self.office.config)
        parts = await stack.enter_async_context(
            assemble(settings, open_database(self.office.state), self.clock)
        )
        for calendar in parts.calendars:
            reader: Any = calendar.seller.reader
            reader._page.size = reader._page._largest = self.page_size
        return parts

    async def _with_parts(self, use: Callable[[Parts], Awaitable[T]]) -> T:
        if self._kept is not None:
            return await use(self._kept)
        async with AsyncExitStack() as stack:
            return await use(await self._enter(stack))

    def poll(self, *, full: bool = False) -> Reports:
        """Read every calendar and deliver everything, as `--once` does."""

        async def whole(parts: Parts) -> Reports:
            reports = await self._read(parts, full=full)
            await self._deliver(parts)
            return reports

        reports = self._await(self._with_parts(whole))
        self._judge_requests(reports)
        return reports

    def poll_and(self, after: int, act: Callable[[], None]) -> None:
        """Poll, and do something as soon as Google has answered so many requests of it."""
        self.clean = False
        log = self._asked
        enough = len(log) + after

        async def watched(parts: Parts) -> Reports:
            reading = asyncio.ensure_future(self._read(parts, full=False))
            await log.reach(enough, reading)
            act()
            reports = await reading
            await self._deliver(parts)
            return reports

        reports = self._await(self._with_parts(watched))
        self._judge_requests(reports, edited=True)

    def poll_without_key(self) -> None:
        """One poll during which Salesloft does not know the key."""
        self.clean = False
        self.forget_parts()
        self.office.salesloft.withdraw_key(KEY)
        try:
            self.poll()
        except CredentialsRefused:
            pass  # a first reading begins with Salesloft's list
        finally:
            self.office.salesloft.restore_key(KEY)

    def lose_state(self) -> None:
        """The state's file is gone; the next poll has to find out from both sides what there is."""
        self.clean = False
        self.forget_parts()
        for name in ("state.db", "state.db-wal", "state.db-shm"):
            (self.directory / name).unlink(missing_ok=True)
        shutil.copy(_template(), self.office.state)
        # Until Salesloft could be asked what it holds, what is sent may come too late, and is sent again.
        self._unsure = True
        # What was sent and never arrived is unknown to everybody now.
        self._newest = {
            (f"external_{guid_of(name)}", *key): event.updated_at.isoformat()
            for name in self.office.sellers
            for key, event in self.held(name).items()
        }

    def read_only(self) -> None:
        """Read and commit, and die before anything is sent."""
        self.clean = False
        self._await(self._with_parts(lambda parts: self._read(parts, full=False)))
        self.forget_parts()

    def die_while_reading(self, after: int) -> None:
        """Die as soon as Google has answered so many requests of a poll."""
        self.clean = False
        self._await(
            self._with_parts(
                lambda parts: self._until(self._read(parts, full=False), self._asked, after)
            )
        )
        self.forget_parts()

    def die_while_delivering(self, after: int) -> None:
        """Read, and die as soon as Salesloft has answered so many requests."""
        self.clean = False

        async def some(parts: Parts) -> Reports:
            reports = await self._read(parts, full=False)
            await self._until(self._deliver(parts), self._sent, after)
            return reports

        reports = self._await(self._with_parts(some))
        self.forget_parts()
        self._judge_requests(reports)

    @staticmethod
    async def _until(what: Coroutine[Any, Any, Any], log: Log, more: int) -> None:
        """Run until the log has grown by so much, then kill it."""
        task = asyncio.ensure_future(what)
        await log.reach(len(log) + more, task)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    @staticmethod
    async def _read(parts: Parts, *, full: bool) -> Reports:
        async def one(number: int) -> Report:
            report = await parts.cycle.run(parts.calendars[number].seller, full=full)
            for _ in range(ONE_SHOT_ROUNDS - 1):
                if not isinstance(report.error, RetryLater):
                    break
                report = await parts.cycle.run(parts.calendars[number].seller, full=full)
            return report

        done = await asyncio.gather(*(one(n) for n in range(len(parts.calendars))))
        return {c.seller.name: report for c, report in zip(parts.calendars, done, strict=True)}

    async def _deliver(self, parts: Parts) -> None:
        """As a one-shot, until nothing is left to do; as the daemon, until nothing waits or too much failed."""
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for team in parts.deliveries.values():
                how = team.drain if self._kept is None else team.run
                group.create_task(how(stopping))
            if self._kept is not None:
                await self._settled(parts)
                stopping.set()

    async def _settled(self, parts: Parts) -> None:
        ids = [calendar.id for calendar in parts.calendars]
        give_up = self.clock() + timedelta(seconds=20)
        while self.clock() < give_up:
            if (await parts.state.backlog(ids)).pending == 0:
                return
            await asyncio.sleep(0.05)

    # What must be true

    def _judge_requests(self, reports: Reports, *, edited: bool = False) -> None:
        """Promises about what was just sent: nothing withheld, nothing overtaken, nothing twice.

        `edited`: somebody edited meanwhile, so that what is sent may be what was true a moment before.
        """
        entries = self.office.salesloft.log[self._judged :]
        self._judged = len(self.office.salesloft.log)
        upserts = [entry for entry in entries if entry.route == "events.upsert" and entry.body]
        found: list[str] = []
        for name, calendar in self.office.sellers.items():
            if reports[UserName(name)].failed or edited:
                continue  # what was read before may be sent: Google could not be asked
            mine = f"external_{guid_of(name)}"
            bodies = [entry.body for entry in upserts if entry.body["calendar_id"] == mine]
            found += judge.leaks(calendar, self.rules, bodies, self.clock())
        for entry in upserts:
            body = entry.body
            key = (body["calendar_id"], body["id"], body["i_cal_uid"])
            newest = self._newest.get(key)
            at = datetime.fromisoformat(body["updated_at"])
            if not self._unsure and newest is not None and at < datetime.fromisoformat(newest):
                found.append(f"updated_at of {key} fell from {newest} to {body['updated_at']}")
            self._newest[key] = body["updated_at"]
        if self.clean:
            often = Counter(
                (e.body["calendar_id"], e.body["id"], e.body["i_cal_uid"]) for e in upserts
            )
            found += [
                f"{key} sent {times} times by one poll" for key, times in often.items() if times > 1
            ]
        found += [f"overlap {overlap}" for overlap in self.office.salesloft.overlaps]
        stale = self.office.salesloft.stale_writes
        found += [f"stale {one}" for one in stale[self._stale :] if not self._unsure]
        self._stale = len(stale)
        if found:
            raise Broken("\n".join(found))

    def held(self, name: str) -> dict[Key, Any]:
        return self.office.held(name)

    def differences(self) -> list[str]:
        found = []
        for name, calendar in self.office.sellers.items():
            start, end = judge.window(calendar, self.clock(), PAST_DAYS, FUTURE_DAYS)
            lines = judge.differences(calendar, self.rules, self.held(name), start, end)
            found += [f"{name}: {line}" for line in lines]
        return found

    def quiet(self) -> None:
        """After one quiet poll Salesloft equals the policy of Google's truth; one more poll sends nothing."""
        self.calm()
        self.pass_time(minutes=20)  # whatever backs off for a while has done so
        before = {name: self.held(name) for name in self.office.sellers}
        sent = len(self.office.salesloft.log)
        reports = self.poll()
        errors = [str(report.error) for report in reports.values() if report.error]
        if errors:
            raise Broken(f"the quiet poll failed: {errors}")
        if found := self.differences():
            raise Broken("after a quiet poll:\n" + "\n".join(found))
        if self.clean:
            self._judge_need(before, sent)
        self._judge_silence()
        self.clean, self._unsure = True, False

    def _judge_need(self, before: dict[str, dict[Key, Any]], sent: int) -> None:
        """Every request of a poll after no fault changed something in Salesloft but `updated_at`."""
        for entry in self.office.salesloft.log[sent:]:
            if entry.route != "events.upsert":
                continue
            key = (entry.body["id"], entry.body["i_cal_uid"])
            name = next(
                n for n in self.office.sellers if entry.body["calendar_id"].endswith(guid_of(n))
            )
            was, now = before[name].get(key), self.held(name)[key]
            if was is not None and _facts(was) == _facts(now):
                raise Broken(f"{name}: {key} was sent, and nothing of it was news: {entry.body}")

    def _judge_silence(self) -> None:
        sent, asked = len(self.office.salesloft.log), len(self.office.google.log)
        self.poll()
        if more := self.office.salesloft.log[sent:]:
            raise Broken(f"one more cycle sent {[(e.route, e.body) for e in more]}")
        lists = Counter(
            entry.route for entry in self.office.google.log[asked:] if entry.route != "token"
        )
        if lists != {"events.list": len(self.calendars)}:
            raise Broken(f"one more cycle asked Google for {dict(lists)}")


def _facts(event: Any) -> tuple[Any, ...]:
    return (
        event.start,
        event.end,
        event.all_day,
        event.title,
        event.description,
        event.location,
        event.organizer,
        frozenset(event.attendees),
        event.status,
        event.transparency,
        event.recurring,
    )


async def _in_time(what: Coroutine[Any, Any, T]) -> T:
    """Nothing here takes longer than a moment; what does has hung, and says where."""
    task = asyncio.ensure_future(what)
    done, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
    if not done:
        places = [_place(each) for each in asyncio.all_tasks()]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise Broken(f"hung: {sorted(set(places))}")
    return task.result()


def _place(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack(limit=1)
    where = f" {Path(frames[-1].f_code.co_filename).name}:{frames[-1].f_lineno}" if frames else ""
    return f"{task.get_name()}{where}"


_made: list[Path] = []


def _template() -> Path:
    """An empty state, migrated once: alembic takes longer than a whole sequence of edits."""
    if not _made:
        directory = Path(
            mkdtemp(prefix="machine-template-", dir=_MEMORY if _MEMORY.is_dir() else None)
        )
        path = directory / "state.db"
        open_database(path).close()
        _made.append(path)
    return _made[0]


__all__ = ["KEY", "Broken", "Clock", "Company", "hurry"]
