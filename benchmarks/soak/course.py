"""A soak from its start to its verdict."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import aiohttp

from benchmarks.soak.commands import Connector
from benchmarks.soak.company import POINTS_PER_MINUTE, Company
from benchmarks.soak.disturbances import Disturbances
from benchmarks.soak.gauges import TITLE, Gauges, Sample, Site
from benchmarks.soak.plants import Plants
from benchmarks.soak.search import (
    Place,
    Searched,
    bundle_places,
    search,
    sent_place,
    state_places,
    sync_tokens_of,
)
from tests.office import KEY, Office, open_office

SAMPLE_SECONDS = 15.0
DRAIN_SECONDS = 420.0
READY_SECONDS = 240.0
LOOK_SECONDS = 5.0
EXPLAINED = 5
"""So many planted meetings of each kind are asked for with `explain` and on the page."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asked for."""

    minutes: float
    users: int
    seed: int
    edits_per_second: float
    poll_interval: str


@dataclass
class Outcome:
    """What a soak came to."""

    plan: Plan
    samples: list[Sample] = field(default_factory=list)
    synced_seconds: float = 0.0
    edited_seconds: float = 0.0
    drained_seconds: float | None = None
    edits: int = 0
    disturbances: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    refused_before: int = 0
    statuses: list[tuple[str, int]] = field(default_factory=list)
    """Of the commands at the end."""
    verified: dict[str, int] = field(default_factory=dict)
    planted: dict[str, int] = field(default_factory=dict)
    searched: Searched = field(default_factory=lambda: Searched(Counter()))
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Lines of the log by level and event."""
    odd_lines: list[str] = field(default_factory=list)
    """What the daemon wrote that is no line of its log."""
    most_points: int = 0
    limited: int = 0
    requests: dict[str, int] = field(default_factory=dict)
    broken_rules: dict[str, int] = field(default_factory=dict)
    """What the simulated Salesloft saw that must never be."""
    exit_status: int | None = None
    stop_seconds: float = 0.0


class Soak:
    """The parts of one soak while it runs."""

    def __init__(self, plan: Plan, office: Office, http: aiohttp.ClientSession) -> None:
        self.outcome = Outcome(plan)
        self._office = office
        port, rng = free_port(), Random(plan.seed)
        self._plants = Plants(rng)
        self._company = Company(office, rng, self._plants, port, poll_interval=plan.poll_interval)
        self._company.found(plan.users)
        self.connector = Connector(office.config, office.directory / "daemon.log")
        token = (office.config / "listen.token").read_text()
        self._site = Site(http, port, token)
        self._places: list[Place] = []

    async def run(self) -> Outcome:
        outcome, plan = self.outcome, self.outcome.plan
        await self.connector.start()
        await self._until_synced()
        disturbances = Disturbances(self._company, self.connector, plan.minutes * 60)
        disturbances.begin()
        gauges = Gauges(self.connector.pid, self._office.state, self._site)
        outcome.samples = gauges.samples
        _say(TITLE)
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            sampling = group.create_task(self._sample(gauges))
            disturbing = group.create_task(self._disturb(disturbances, plan.minutes * 60))
            await self._edit(plan)
            outcome.edited_seconds = time.monotonic() - began
            await disturbing
            await disturbances.end()
            outcome.disturbances = disturbances.done
            await self._refusals(disturbances)
            await self._drain()
            sampling.cancel()
        await self._ask_everything()
        await self._finish()
        return outcome

    async def _until_synced(self) -> None:
        """The initial sync of everybody, without disturbances."""
        began = time.monotonic()
        async with asyncio.timeout(READY_SECONDS):
            while not await self._is_ready() or self._office.differences():  # noqa: ASYNC110  # another process
                await asyncio.sleep(LOOK_SECONDS)
        self.outcome.synced_seconds = time.monotonic() - began
        held = sum(len(self._office.alive(name)) for name in self._office.sellers)
        _say(f"initial sync: {held} occurrences in {self.outcome.synced_seconds:.0f} s")

    async def _is_ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return b'"ready"' in await self._site.get("readyz")
        return False

    async def _edit(self, plan: Plan) -> None:
        """Edits at a steady pace on average; what could not be made in time is made up for."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < plan.minutes * 60:
            while self._company.edits < passed * plan.edits_per_second:
                self._company.edit()
                await asyncio.sleep(0)
            await asyncio.sleep(0.1)
        self.outcome.edits = self._company.edits

    async def _disturb(self, disturbances: Disturbances, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await disturbances.act()
            await asyncio.sleep(1)

    async def _sample(self, gauges: Gauges) -> None:
        turn = 0
        while True:
            sample = await gauges.take(self._company.edits)
            _say(sample.line())
            if turn % 4 == 0:  # somebody has the page open
                self._places.append(Place("page", await self._site.get("")))
            turn += 1
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _refusals(self, disturbances: Disturbances) -> None:
        """Look at the dead letters, then let Salesloft take them."""
        await asyncio.sleep(LOOK_SECONDS)
        self._places += state_places(self._office.state, ended=False)
        self._places.append(Place("page with refusals", await self._site.get("")))
        _, listed = await self.connector.command("dead-letters", "list", "--json")
        letters = json.loads(listed)["dead_letters"]
        self.outcome.refused_before = len(letters)
        for letter in letters[:EXPLAINED]:
            await self.connector.command("dead-letters", "show", letter["event_id"])
        await self._bundle("refusals")
        disturbances.accept()
        await self.connector.command("dead-letters", "retry", "--all")

    async def _drain(self) -> None:
        """Until both sides are equal and nothing waits, or patience ends."""
        began = time.monotonic()
        while time.monotonic() - began < DRAIN_SECONDS:
            sample = self.outcome.samples[-1]
            self.outcome.differences = self._office.differences()
            if not self.outcome.differences and not sample.backlog and not sample.dead_letters:
                self.outcome.drained_seconds = time.monotonic() - began
                return
            if time.monotonic() - began > POINTS_PER_MINUTE / 10:
                # What was refused while the letters were retried.
                await self.connector.command("dead-letters", "retry", "--all")
            await asyncio.sleep(LOOK_SECONDS)

    async def _ask_everything(self) -> None:
        """Every look that an admin may take, kept to be searched."""
        for path in ("metrics", "", "healthz", "readyz"):
            self._places.append(Place(f"/{path}", await self._site.get(path)))
        for kind in (self._company.hidden, self._company.full):
            for name in sorted(name for name, ids in kind.items() if ids)[:EXPLAINED]:
                event_id, shown = kind[name][0], kind is self._company.full
                page = await self._site.get(f"events?user={name}&id={event_id}")
                self._places.append(Place("page of an event", page, shown))
                await self.connector.command("explain", "--user", name, event_id, "--json")
        first = len(self.connector.said)
        _, answer = await self.connector.command("verify", "--json")
        with contextlib.suppress(ValueError):
            told = json.loads(answer)
            self.outcome.verified = {
                key: value for key, value in told.get("totals", told).items() if type(value) is int
            }
        for words in ("status --json", "status", "held list --json", "plan --json", "doctor"):
            await self.connector.command(*words.split())
        await self._bundle("end")
        self.outcome.statuses = [
            (words, status) for words, status, _, _ in self.connector.said[first:]
        ]
        self._places += state_places(self._office.state, ended=False)

    async def _bundle(self, name: str) -> None:
        bundle = self._office.directory / f"bundle-{name}.tar.gz"
        log = str(self.connector.log)
        await self.connector.command("support-bundle", "--to", str(bundle), "--log", log)
        self._places += bundle_places(bundle)

    async def _finish(self) -> None:
        """Stop the daemon, then look through all that is left."""
        outcome, salesloft = self.outcome, self._office.salesloft
        sync_tokens = sync_tokens_of(self._office.state)
        outcome.exit_status, outcome.stop_seconds = await self.connector.stop()
        log = self.connector.log.read_bytes()
        self._places.append(Place("log", log))
        self._places += state_places(self._office.state, ended=True)
        self._places.append(sent_place(self._office))
        for words, _, stdout, stderr in self.connector.said:
            self._places.append(Place(f"answer of {words.split(' ')[0]}", stdout, True))
            self._places.append(Place(f"stderr of {words.split(' ')[0]}", stderr))
        outcome.searched = search(self._places, self._plants, sync_tokens)
        outcome.planted = {
            "withheld words": len(self._plants.withheld),
            "words of meetings with prospects": len(self._plants.shown),
            "secrets": len(self._plants.secrets),
        }
        outcome.events, outcome.odd_lines = read_log(log)
        outcome.most_points = salesloft.window_peaks(KEY)
        outcome.limited = sum(
            entry.status == 429 and entry.fault is None for entry in salesloft.log
        )
        outcome.requests = {"Google": len(self._office.google.log), "Salesloft": len(salesloft.log)}
        outcome.broken_rules = {
            "two requests in flight for one key": len(salesloft.overlaps),
            "bulk overtaken without a newer time": len(salesloft.bulk_conflicts),
        }


async def soak(plan: Plan, directory: Path) -> Outcome:
    """Run a soak in a directory; its log, state and configuration stay there."""
    async with open_office(directory, seed=plan.seed) as office, _http() as http:
        running = Soak(plan, office, http)
        try:
            return await running.run()
        finally:
            await running.connector.kill()


def read_log(log: bytes) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Lines by level and event, and the lines that are none of the log's."""
    events: Counter[tuple[str, str]] = Counter()
    odd = []
    for line in log.decode(errors="replace").splitlines():
        try:
            entry = json.loads(line)
            events[entry["level"], entry["event"]] += 1
        except (ValueError, KeyError, TypeError):
            odd.append(line)
    return events, odd


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def _http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


def _say(text: str) -> None:
    print(text, flush=True)
