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
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Literal, TypeVar
from unittest import mock
from zoneinfo import ZoneInfo

import structlog

from benchmarks.result import Benchmark, Result, Row
from benchmarks.workload import MODEL, Change, Model, changes, fill
from connector.app.opening import state_place
from connector.app.parts import Parts, Served, assemble
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
from tests.values import replace

T = TypeVar("T")

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


async def day_of(
    variant: Variant, start: datetime, users: int, seed: int, seconds: float, model: Model
) -> Cost:
    """What one day costs that begins at `start`, after the initial sync; or its first `seconds`."""
    clock = Clock(start - timedelta(minutes=10))
    with tempfile.TemporaryDirectory() as directory, _switched(variant):
        async with open_office(Path(directory), clock, seed=seed) as office:
            office.poll_interval = f"{POLL_SECONDS:.0f}s"
            for user in range(users):
                fill(office.hire(f"seller{user}", ZONE.key), seed, user, clock(), model)
            settings = load_settings(office.config)
            async with assemble(settings, open_database(state_place(settings)), clock) as parts:
                _set_clocks(parts, clock, variant)
                for calendar in parts.calendars:
                    await parts.cycle.run(calendar.seller)
                await _deliver(parts)
                office.google.log.clear()
                before = len(office.upserts())
                await _live(parts, office, clock, variant, start, seconds, seed)
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
    parts: Parts,
    office: Office,
    clock: Clock,
    variant: Variant,
    start: datetime,
    seconds: float,
    seed: int,
) -> None:
    """Polls and edits of one day in their order, then one more poll of everybody."""
    rng, served = Random(seed), list(parts.served.values())
    paces = [Pace() for _ in served]
    queue: list[tuple[float, int, Change | None]] = []
    for user in range(len(served)):
        queue.append((rng.uniform(0, POLL_SECONDS), user, None))
        queue += [(at, user, change) for at, change in changes(seed, user, ZONE, start, seconds)]
    heapq.heapify(queue)
    while queue and queue[0][0] < seconds:
        at, user, change = heapq.heappop(queue)
        clock.at = start + timedelta(seconds=at)
        if change is not None:
            change.make(office.sellers[served[user].settings.name], clock())
            continue
        pause = await _poll(parts, served[user], paces[user], clock, variant.idle)
        heapq.heappush(queue, (at + pause * rng.uniform(1 - variant.jitter, 1), user, None))
    clock.at = start + timedelta(seconds=seconds - 1)
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


@dataclass(frozen=True, slots=True)
class Week:
    """A variant's means of a calendar: of each day lived through, and a day of a week made of them."""

    variant: Variant
    wednesday: Cost
    sunday: Cost
    users: int

    def mean(self, of: Callable[[Cost], float]) -> float:
        """A calendar and day, of five Wednesdays and two Sundays."""
        return (5 * of(self.wednesday) + 2 * of(self.sunday)) / 7 / self.users

    @property
    def requests(self) -> float:
        """Without those for tokens: they go to another service, and no Calendar quota counts them."""
        return self.mean(lambda cost: cost.requests.total() - cost.requests["token"])

    @property
    def kilobytes(self) -> tuple[float, float]:
        """To Google and from Google, tokens included."""
        return (
            self.mean(lambda cost: cost.asked.total()) / 1000,
            self.mean(lambda cost: cost.answered.total()) / 1000,
        )


async def weeks(
    users: int, seed: int, seconds: float = DAY, model: Model = MODEL
) -> AsyncIterator[Week]:
    """Each variant through both days, or their first `seconds`."""
    for variant in VARIANTS:
        wednesday, sunday = [
            await day_of(variant, start, users, seed, seconds, model)
            for start in (WEDNESDAY, SUNDAY)
        ]
        yield Week(variant, wednesday, sunday, users)


ABOUT = f"""
What one calendar costs at Google a day, under the workload model (`benchmarks/workload.py`: 450 occurrences in the
window, half of them recurring; 65 changes a week, 3 of them series edits; ten times as many in the first three minutes
of an hour; nine of ten in working hours): the connector's own readings and deliveries against both simulators, the
clock jumping from one poll or edit to the next, `poll_interval = "{POLL_SECONDS:.0f}s"`; means of {{users}} calendars
over a week of five simulated Wednesdays and two Sundays in New York. Each row has what is above it, but for the second.
Kilobytes are those of request lines with headers, and of compressed bodies, without TLS and the answers' headers.
After each day Salesloft was compared with Google: no difference.

- **Nearly all of it is the feed that finds nothing**: {{asked}} bytes there and {{answered}} back. Only fewer polls
  make it less: `poll_interval` is the promise, `poll_interval_idle` the leave to break it in quiet times.
- **By quotas**: the {MOST_A_DAY:,} requests a day and project from which Google announced to charge are
  {{free_before}} calendars before, {{free}} by default, {{free_idle}} with `poll_interval_idle`.
- **`fields`**: naming all parts of an event costs {{names}} bytes of a request, and spares {{spared}} of an empty
  answer. So the feed names only the parts of the page, and what lists events names all.
- **One window instead of several series** spares little here, where two series seldom change between two polls: "this
  and following" touches two, once a user and week. After an outage, or when somebody renames ten series, it is 2
  requests instead of 11. It is chosen only where it takes fewer requests, and where a page's worth of events does not
  outweigh them.
- The nightly verification lists the window once more: a request, two with pages of 250.
- Salesloft gets {{upserts}} upserts of a calendar a day, a point each. A team without any change costs 12 points a
  minute for bookings and 1 for the roster, and a calendar about 5 a night for verification.
"""


async def measure(quick: bool) -> Result:
    users, seconds = (1, 300.0) if quick else (5, DAY)
    model = replace(MODEL, occurrences=20) if quick else MODEL
    done = [week async for week in weeks(users, 1, seconds, model)]
    before, named, *_, default, idle = done
    polls = default.wednesday.requests["changes"]

    def a_poll(week: Week, of: Callable[[Cost], int]) -> float:
        return of(week.wednesday) / week.wednesday.requests["changes"]

    facts = {
        "users": f"{users}",
        "asked": f"{default.wednesday.asked['changes'] / polls:.0f}",
        "answered": f"{default.wednesday.answered['changes'] / polls:.0f}",
        "free_before": f"{MOST_A_DAY / before.requests:,.0f}",
        "free": f"{MOST_A_DAY / default.requests:,.0f}",
        "free_idle": f"{MOST_A_DAY / idle.requests:,.0f}",
        "names": f"{a_poll(named, _asked) - a_poll(before, _asked):.0f}",
        "spared": f"{a_poll(before, _answered) - a_poll(named, _answered):.0f}",
        "upserts": f"{default.mean(lambda cost: cost.upserts):.0f}",
    }
    rows = []
    for week in done:
        to, from_google = week.kilobytes
        rows.append(
            Row(
                week.variant.name,
                week.requests,
                "requests",
                week.requests / before.requests,
                note=f"{to:,.0f} kB to Google, {from_google:,.0f} kB from Google",
            )
        )
    return Result(tuple(rows), facts)


def _quietly(what: Coroutine[Any, Any, T]) -> T:
    configure_logging()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    return asyncio.run(what)


def _asked(cost: Cost) -> int:
    return cost.asked["changes"]


def _answered(cost: Cost) -> int:
    return cost.answered["changes"]


BENCHMARK = Benchmark(
    name="requests",
    title="Requests and bytes",
    about=ABOUT,
    run=lambda quick: _quietly(measure(quick)),
    alone=True,
    seconds=1200.0,
)


async def show(users: int, seed: int) -> None:
    """Every day of every variant, as a table."""
    print(f"{users} calendars, seed {seed}; a calendar and day")
    heads = ("", "day", *WHAT, "requests", "kB to Google", "kB from Google", "upserts")
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    async for week in weeks(users, seed):
        for day, cost in (("Wednesday", week.wednesday), ("Sunday", week.sunday)):
            counts = [f"{cost.requests[what] / users:,.1f}" for what in WHAT]
            totals = (
                cost.requests.total(),
                cost.asked.total() / 1000,
                cost.answered.total() / 1000,
                cost.upserts,
            )
            figures = [*counts, *(f"{total / users:,.0f}" for total in totals)]
            print(f"| {week.variant.name} | {day} | " + " | ".join(figures) + " |", flush=True)
        print(f"{week.variant.name}: {week.requests:,.0f} a day, without tokens", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    _quietly(show(given.users, given.seed))


if __name__ == "__main__":
    main()
