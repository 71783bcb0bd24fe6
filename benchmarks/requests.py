"""What a calendar costs at Google: requests and bytes a day, by what they are for, under the workload model.

    python -m benchmarks.requests [--users 6] [--seed 1]

The connector's own reading and delivery against both simulators, over a simulated Wednesday and a simulated Sunday of
sellers in New York: the clock jumps from one poll, or edit, to the next. Each variant lives through the same edits.
Bytes are those of request lines with headers, and of answers' bodies as they were sent, compressed where Google would;
the simulator writes its JSON without white space, and the connection's encryption is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import heapq
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Literal
from unittest import mock
from zoneinfo import ZoneInfo

import structlog

from benchmarks.workload import Change, changes, fill
from connector.app.parts import Parts, Served, assemble, state_place
from connector.engines.local import JITTER
from connector.google import GoogleTransport
from connector.google import requests as built
from connector.google.wire import PAGE_FIELDS
from connector.observe.log import configure_logging
from connector.settings.files import load_settings
from connector.simulator.google.world import LogEntry
from connector.store import open_database
from connector.sync import series_reading
from connector.sync.idle import Pace
from tests.office import Office, open_office

ZONE = ZoneInfo("America/New_York")
WEDNESDAY, SUNDAY = datetime(2026, 3, 4, tzinfo=ZONE), datetime(2026, 3, 1, tzinfo=ZONE)
DAY = 86_400.0
POLL_SECONDS, IDLE_SECONDS = 30.0, 300.0
MOST_A_DAY = 1_000_000
"""Requests a day and project from which on Google may want money (google-calendar.md 5.1)."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What is switched on. `jitter`: the largest share of the interval by which a poll comes early."""

    name: str
    fields: Literal["none", "everywhere", "as they are"] = "as they are"
    page_size: int | None = None
    at_once: bool = True
    jitter: float = JITTER
    idle: float | None = None


VARIANTS = (
    Variant("before", fields="none", page_size=250, at_once=False, jitter=0.15),
    Variant(
        "`fields` name all parts", fields="everywhere", page_size=250, at_once=False, jitter=0.15
    ),
    Variant("+ `fields`, the feed's without an event's", page_size=250, at_once=False, jitter=0.15),
    Variant("+ pages of 500, one window for several series", jitter=0.15),
    Variant("+ polls come early by 5 % at most, not 15 %: the default"),
    Variant('+ `poll_interval_idle = "5m"`', idle=IDLE_SECONDS),
)


@dataclass
class Clock:
    """The time of connector and simulators."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at.astimezone(UTC)

    def monotonic(self) -> float:
        return self.at.timestamp()


@dataclass
class Cost:
    """Requests and bytes, by what was asked for."""

    requests: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    upserts: int = 0
    """Of occurrences, to Salesloft; a point each."""

    def add(self, entry: LogEntry) -> None:
        what = _what(entry)
        self.requests[what] += 1
        self.asked[what] += entry.asked_bytes
        self.answered[what] += entry.answered_bytes


def _what(entry: LogEntry) -> str:
    if entry.route != "events.list":
        return {"events.instances": "series", "events.get": "event"}.get(entry.route, entry.route)
    if "syncToken" in entry.query:
        return "changes"
    return "window" if entry.query.get("singleEvents") == "true" else "full"


async def day_of(variant: Variant, start: datetime, users: int, seed: int) -> Cost:
    """What one day costs that begins at `start`, after the initial sync."""
    clock = Clock(start - timedelta(minutes=10))
    with tempfile.TemporaryDirectory() as directory, _switched(variant):
        async with open_office(Path(directory), clock, seed=seed) as office:
            office.poll_interval = f"{POLL_SECONDS:.0f}s"
            for user in range(users):
                fill(office.hire(f"seller{user}", ZONE.key), seed, user, clock())
            settings = load_settings(office.config)
            async with assemble(settings, open_database(state_place(settings)), clock) as parts:
                _set_clocks(parts, clock, variant)
                for calendar in parts.calendars:
                    await parts.cycle.run(calendar.seller)
                await _deliver(parts)
                office.google.log.clear()
                before = len(office.upserts())
                await _live(parts, office, clock, variant, start, seed)
            assert office.differences() == [], office.differences()[:5]
            cost = Cost()
            for entry in office.google.log:
                cost.add(entry)
            cost.upserts = len(office.upserts()) - before
            return cost


def _set_clocks(parts: Parts, clock: Clock, variant: Variant) -> None:
    """Google's limits and the life of tokens pass with the simulated time."""
    for limiter in parts.limiters.values():
        limiter._clock = clock.monotonic
    for served in parts.served.values():
        served.tokens._clock = clock.monotonic
        reader: Any = served.calendar.seller.reader
        if variant.page_size is not None:
            reader._page.size = reader._page._largest = variant.page_size


@contextlib.contextmanager
def _switched(variant: Variant) -> Iterator[None]:
    """Switch off what a variant is without."""
    with contextlib.ExitStack() as stack:
        if variant.fields == "everywhere":
            feed = mock.patch.object(built, "FEED_FIELDS", PAGE_FIELDS)
            stack.enter_context(feed)
        if variant.fields == "none":
            whole = GoogleTransport.fetch

            async def fetch(self: Any, request: Any, *rest: Any, **named: Any) -> Any:
                request = replace(request, url=request.url.without_query_params("fields"))
                return await whole(self, request, *rest, **named)

            stack.enter_context(mock.patch.object(GoogleTransport, "fetch", fetch))
        if not variant.at_once:
            never = mock.patch.object(series_reading, "cheaper_at_once", return_value=False)
            stack.enter_context(never)
        yield


async def _live(
    parts: Parts, office: Office, clock: Clock, variant: Variant, start: datetime, seed: int
) -> None:
    """Polls and edits of one day in their order, then one more poll of everybody."""
    rng, served = Random(seed), list(parts.served.values())
    paces = [Pace() for _ in served]
    queue: list[tuple[float, int, Change | None]] = []
    for user in range(len(served)):
        queue.append((rng.uniform(0, POLL_SECONDS), user, None))
        queue += [(at, user, change) for at, change in changes(seed, user, ZONE, start, DAY)]
    heapq.heapify(queue)
    while queue and queue[0][0] < DAY:
        at, user, change = heapq.heappop(queue)
        clock.at = start + timedelta(seconds=at)
        if change is not None:
            change.make(office.sellers[served[user].settings.name], clock())
            continue
        pause = await _poll(parts, served[user], paces[user], clock, variant.idle)
        heapq.heappush(queue, (at + pause * rng.uniform(1 - variant.jitter, 1), user, None))
    clock.at = start + timedelta(seconds=DAY - 1)
    for user, one in enumerate(served):
        await _poll(parts, one, paces[user], clock, variant.idle)


async def _poll(
    parts: Parts, served: Served, pace: Pace, clock: Clock, idle: float | None
) -> float:
    """One reading, and the delivery of what it found; the seconds to the next one."""
    report = await parts.cycle.run(served.calendar.seller)
    assert report.error is None, report.error
    if report.changed:
        await _deliver(parts)
    pace.zone = report.time_zone
    if idle is not None:
        await pace.look_ahead(parts.state, served.calendar.id, clock(), idle)
    return pace.interval(POLL_SECONDS, idle, clock(), changed=report.touched)


async def _deliver(parts: Parts) -> None:
    for delivery in parts.deliveries.values():
        await delivery.drain(asyncio.Event())


WHAT = ("changes", "series", "window", "full", "event", "token")


async def measure(users: int, seed: int) -> None:
    print(f"{users} calendars, seed {seed}; a calendar and day")
    print("| | " + " | ".join(WHAT) + " | requests | to Google, kB | from Google, kB | upserts |")
    print("|---" * (len(WHAT) + 5) + "|")
    for variant in VARIANTS:
        week = 0.0
        for day, start, days in (("Wednesday", WEDNESDAY, 5), ("Sunday", SUNDAY, 2)):
            cost = await day_of(variant, start, users, seed)
            requests = cost.requests.total() / users
            # Tokens come from another service, whose requests no Calendar quota counts.
            week += (requests - cost.requests["token"] / users) * days
            counts = " | ".join(f"{cost.requests[what] / users:.1f}" for what in WHAT)
            print(
                f"| {variant.name}, {day} | {counts} | {requests:,.0f}"
                f" | {cost.asked.total() / users / 1000:,.0f}"
                f" | {cost.answered.total() / users / 1000:,.0f} | {cost.upserts / users:.1f} |",
                flush=True,
            )
        print(f"{variant.name}: {week / 7:,.0f} a day over a week, without tokens", flush=True)
        print(f"  calendars under {MOST_A_DAY:,} a day: {MOST_A_DAY / (week / 7):,.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    configure_logging()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.run(measure(given.users, given.seed))


if __name__ == "__main__":
    main()
