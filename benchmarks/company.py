"""A large simulated company: Google in one process, Salesloft in another, and the configuration of its sellers.

Each process keeps a record of what it saw: Google of the changes that people made and what must reach Salesloft of
each, Salesloft of what it stored and when. Both are written to files at the end and compared by `benchmarks.arrivals`,
so that looking costs no request. Parent and child speak in lines: a command in JSON to its stdin, an answer on its
stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.workload import MODEL, Change, Kind, changes, fill
from connector.domain.mapping import to_millis
from connector.simulator.google import GoogleWorld, make_google_app
from connector.simulator.google.quota import Quota
from connector.simulator.processes import serve, write_secret
from connector.simulator.salesloft import SalesloftWorld, make_salesloft_app
from connector.simulator.salesloft.journal import EventKey
from tests.office import Office, guid_of

ZONE = "America/New_York"
BUSY_HOUR = datetime(2026, 11, 24, 10, tzinfo=ZoneInfo(ZONE))
"""As what the first moment of the changes counts: a full hour of a working day, when a burst begins."""
USER_REQUESTS_PER_MINUTE = 600
PROJECT_REQUESTS_PER_MINUTE = 10_000


@dataclass(frozen=True, slots=True)
class Company:
    """How large it is. Sellers are numbered, and dealt out to teams in blocks and to Google projects in turn."""

    sellers: int
    teams: int
    projects: int
    occurrences: int = MODEL.occurrences
    points_per_minute: int = 600
    poll_interval: str = "30s"
    seed: int = 7
    pace: float = 1.0
    """How many times as often as the workload model says things are changed."""

    def team_of(self, seller: int) -> int:
        return seller * self.teams // self.sellers

    def project_of(self, seller: int) -> int:
        return seller % self.projects


def name_of(seller: int) -> str:
    return f"seller{seller:06}"


def key_of(team: int) -> str:
    return f"simulated-key-{team:04}"


def write_configuration(
    directory: Path, company: Company, google: str, salesloft: str, process: str
) -> None:
    """A file for each seller; `process` are the tables of the process in connector.toml."""
    users = directory / "users"
    users.mkdir(parents=True, exist_ok=True)
    for team in range(company.teams):
        write_secret(directory / f"team{team}.key", key_of(team))
    (directory / "connector.toml").write_text(
        f'{process}\n[google]\napi_url = "{google}"\nrequests_per_minute = {PROJECT_REQUESTS_PER_MINUTE - 500}\n'
        f'[salesloft]\napi_url = "{salesloft}"\npoints_per_minute = {company.points_per_minute}\n'
        f'[policy]\ninternal_domains = ["example.com"]\n[sync]\npoll_interval = "{company.poll_interval}"\n'
    )
    for seller in range(company.sellers):
        name = name_of(seller)
        (users / f"{name}.toml").write_text(
            f'[google]\ncredentials_file = "../project{company.project_of(seller)}.json"\n'
            f'subject = "{name}@example.com"\n'
            f'[salesloft]\napi_key_file = "../team{company.team_of(seller)}.key"\nuser_guid = "{guid_of(name)}"\n'
        )


# -- Google's process


class Calendars:
    """Google, the sellers' calendars in it, and what people do."""

    def __init__(self, company: Company, directory: Path) -> None:
        self.company = company
        self.directory = directory
        self.world = GoogleWorld(seed=company.seed)
        self.world.quota = Quota(PROJECT_REQUESTS_PER_MINUTE, USER_REQUESTS_PER_MINUTE)
        # Its reading of the policy says what must reach Salesloft of a change.
        self._judge = Office(
            directory, self.world, SalesloftWorld(), "", "", self.world.now, state_url="none"
        )
        self._made: list[dict[str, Any]] = []
        self._began = 0.0
        self._changing: asyncio.Task[None] | None = None

    def fill(self) -> int:
        """All calendars, filled by the workload model; how many occurrences there are in the window."""
        model = replace(MODEL, occurrences=self.company.occurrences)
        now, occurrences = self.world.now(), 0
        for seller in range(self.company.sellers):
            name = name_of(seller)
            calendar = self.world.add_calendar(f"{name}@example.com", ZONE)
            self._judge.sellers[name] = calendar
            fill(calendar, self.company.seed, seller, now, model)
            low, high = self._judge.window(name)
            occurrences += sum(1 for _ in calendar.occurrences(low, high))
        return occurrences

    def write_accounts(self, url: str) -> None:
        """A service account in each project."""
        self.world.base_url = url
        for project in range(self.company.projects):
            account = self.world.accounts.add_service_account(
                f"connector{project}", project=f"{100 + project}"
            )
            write_secret(self.directory / f"project{project}.json", json.dumps(account))

    def change(self, seconds: float) -> dict[str, Any]:
        """People begin to change things, for so many seconds."""
        self.world.log.clear()
        self._began = time.time()
        self._changing = asyncio.create_task(self._change(seconds))
        return {}

    async def changed(self) -> dict[str, Any]:
        """Wait until they have ended; what was made and asked is in files then."""
        assert self._changing is not None
        await self._changing
        (self.directory / "changes.json").write_text(json.dumps(self._made))
        return {"changes": len(self._made)}

    def move(self, pick: int) -> dict[str, Any]:
        """The first seller moves a meeting of the next days."""
        calendar = self._judge.sellers[name_of(0)]
        return {"moved": Change(Kind.MOVE, pick).make(calendar, self.world.now())}

    def asked(self) -> dict[str, Any]:
        """What was asked of Google since the changes began."""
        listed: dict[str, list[float]] = defaultdict(list)
        answers: Counter[str] = Counter()
        projects: dict[str, list[float]] = defaultdict(list)
        for entry in self.world.log:
            answers[f"{entry.route} {entry.status}"] += 1
            at = entry.at.timestamp()
            if entry.subject is not None:
                number = int(entry.subject.partition("@")[0].removeprefix("seller"))
                projects[str(self.company.project_of(number))].append(at)
            if entry.route == "events.list" and entry.calendar is not None:
                listed[entry.calendar].append(at)
        ended = time.time()
        edges = [self._began, ended]
        longest = [
            max(later - earlier for earlier, later in pairwise(sorted([*edges, *moments])))
            for moments in (listed.get(f"{name}@example.com", []) for name in self._judge.sellers)
        ]
        return {
            "answers": answers,
            "longest_pauses": longest,
            "unpolled": self.company.sellers - len(listed),
            "busiest_project": max(
                (_most_in_a_minute(all_) for all_ in projects.values()), default=0
            ),
        }

    async def _change(self, seconds: float) -> None:
        began = time.time()
        for at, seller, change in self._to_come(seconds):
            await asyncio.sleep(max(0.0, began + at - time.time()))
            self._make(seller, change)
        await asyncio.sleep(max(0.0, began + seconds - time.time()))

    def _to_come(self, seconds: float) -> Iterator[tuple[float, int, Change]]:
        seed, zone = self.company.seed, ZoneInfo(ZONE)
        pace = self.company.pace
        model = replace(
            MODEL,
            changes_a_week=MODEL.changes_a_week * pace,
            series_edits_a_week=MODEL.series_edits_a_week * pace,
        )

        def of(seller: int) -> Iterator[tuple[float, int, Change]]:
            for at, change in changes(seed, seller, zone, BUSY_HOUR, seconds, model):
                yield at, seller, change

        every = [of(seller) for seller in range(self.company.sellers)]
        return iter(heapq.merge(*every, key=lambda one: one[:2]))

    def _make(self, seller: int, change: Change) -> None:
        name = name_of(seller)
        calendar = self._judge.sellers[name]
        before = self._facts(name)
        at = time.time()
        touched = change.make(calendar, self.world.now())
        after = self._facts(name)
        expected = {
            event: (before.get(event, 0), after.get(event, 0))
            for event in before.keys() | after.keys()
            if before.get(event) != after.get(event)
        }
        if touched is not None:
            self._made.append(
                {
                    "at": at,
                    "stamp": calendar.last_stamp // 1000,
                    "calendar": f"external_{guid_of(name)}",
                    "series": change.of_series,
                    "expected": expected,
                }
            )

    def _facts(self, name: str) -> dict[str, int]:
        """What Salesloft is to hold of each occurrence in the window, as a number."""
        calendar = self._judge.sellers[name]
        return {
            seen.id: hash(frozenset(self._judge.expected(seen, calendar).items()))
            for seen in calendar.truth(*self._judge.window(name))
        }


def _most_in_a_minute(moments: list[float]) -> int:
    moments = sorted(moments)
    most = first = 0
    for last, at in enumerate(moments):
        while moments[first] <= at - 60:
            first += 1
        most = max(most, last - first + 1)
    return most


async def serve_google(company: Company, directory: Path) -> None:
    calendars = Calendars(company, directory)
    occurrences = calendars.fill()
    gc.collect()
    gc.freeze()  # what was filled stays: no collection need look through it
    async with serve(make_google_app(calendars.world)) as url:
        calendars.write_accounts(url)
        _say({"url": url, "occurrences": occurrences})
        async for command in _commands():
            match command["do"]:
                case "change":
                    _say(calendars.change(command["seconds"]))
                case "changed":
                    _say(await calendars.changed())
                case "move":
                    _say(calendars.move(command["pick"]))
                case "asked":
                    _say(calendars.asked())


# -- Salesloft's process


class Stored:
    """Salesloft, and what it stored since it was told to watch. Until then bulk jobs are done at once."""

    def __init__(self, company: Company) -> None:
        self.world = SalesloftWorld(seed=company.seed, limit_per_minute=company.points_per_minute)
        self.world.switches.keep_bodies = False
        self._job_seconds = self.world.switches.bulk_seconds_per_record
        self.world.switches.bulk_seconds_per_record = 0.0
        self._to_wall = time.time() - self.world.monotonic()
        self._stored: list[tuple[str, str, int, float]] = []
        for team in range(company.teams):
            self.world.add_team(key_of(team))
        for seller in range(company.sellers):
            name = name_of(seller)
            key = key_of(company.team_of(seller))
            self.world.add_user(key, f"{name}@example.com", guid=guid_of(name))

    def held(self) -> dict[str, Any]:
        """How many events there are."""
        self.world.advance()
        held = sum(len(rows) for team in self.world.teams for rows in team.calendars.values())
        return {"held": held}

    def keep(self) -> dict[str, Any]:
        """Keep what is sent."""
        self.world.switches.keep_bodies = True
        return {}

    def sent(self, file: Path) -> dict[str, Any]:
        """All requests go into a file, in order; their points are told."""
        requests = [
            (entry.method, entry.path, dict(entry.query), entry.body) for entry in self.world.log
        ]
        file.write_text(json.dumps(requests))
        peaks = [self.world.window_peaks(team) for team in self.world.teams]
        limited = sum(entry.status == 429 for entry in self.world.log)
        points = sum(entry.cost for entry in self.world.log)
        return {"points": points, "busiest_team": max(peaks), "limited": limited}

    def watch(self) -> dict[str, Any]:
        """Note from now on what is stored; bulk jobs take their time."""
        self.world.log.clear()
        self.world.switches.bulk_seconds_per_record = self._job_seconds
        for writer in self.world.writers.values():
            writer.on_stored = self._note
        for team in self.world.teams:
            team.budget.charges.clear()
        return {}

    def _note(self, key: EventKey, updated: datetime, at: float) -> None:
        self._stored.append((key.calendar_id, key.id, to_millis(updated), at + self._to_wall))

    def write(self, file: Path) -> dict[str, Any]:
        """What was stored goes into a file; what was asked since the watch began is told."""
        self.world.advance()
        file.write_text(json.dumps(self._stored))
        answers = Counter(f"{entry.route} {entry.status}" for entry in self.world.log)
        return {
            "answers": answers,
            "busiest_team": max(self.world.window_peaks(team) for team in self.world.teams),
            "overlaps": len(self.world.overlaps),
            "conflicts": len(self.world.bulk_conflicts),
        }


async def serve_salesloft(company: Company, directory: Path) -> None:
    stored = Stored(company)
    gc.collect()
    gc.freeze()
    async with serve(make_salesloft_app(stored.world)) as url:
        _say({"url": url})
        async for command in _commands():
            match command["do"]:
                case "held":
                    _say(stored.held())
                case "keep":
                    _say(stored.keep())
                case "sent":
                    _say(stored.sent(Path(command["file"])))
                case "watch":
                    _say(stored.watch())
                case "write":
                    _say(stored.write(directory / "stored.json"))


# -- how parent and child speak


def _say(answer: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _commands() -> AsyncIterator[dict[str, Any]]:
    """Commands from stdin, until it is closed: a child does not outlive its parent."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", choices=("google", "salesloft"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("company", type=json.loads)
    given = parser.parse_args()
    company = Company(**given.company)
    serving = serve_google if given.service == "google" else serve_salesloft
    run_fast(lambda: serving(company, given.directory))


def run_fast(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """On uvloop where it is installed, as the connector itself."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


if __name__ == "__main__":
    main()
