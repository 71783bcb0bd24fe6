"""What a change costs from Google's page to the accepted upsert, against a bare loop that keeps nothing.

    .venv/bin/python -m benchmarks change

A process of its own plays Google and Salesloft with constant work: every increment names the same meetings, each with
another title, and every upsert is accepted. The budget is out of the way. In a round each variant reads one page of
every calendar and sends an upsert for every meeting in it. The bare loop sends a body of the connector's again and
again, at the connector's concurrency, and decodes, decides and stores nothing; ratios are against it in the same round.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aiohttp import web

from benchmarks.paces import Sample, rows_of
from benchmarks.result import Benchmark, Picture, Result
from connector.app.opening import state_place
from connector.app.parts import Parts, Served, assemble
from connector.domain.model import SyncToken
from connector.google import CalendarRequests, make_session
from connector.google.requests import DEFAULT_PAGE_SIZE
from connector.observe.log import configure_logging
from connector.salesloft import make_session as make_salesloft_session
from connector.settings.files import load_settings
from connector.simulator.processes import serve
from connector.store import open_database
from connector.sync.delivery import CONCURRENCY
from tests.office import open_office

AT_ONCE = 16
"""Calendars that are read at the same time."""
POINTS = 100_000
"""The most that the settings allow: it must not be reached within a minute."""
UPSERT = "/v2/calendar/events/upsert"
LAST_BODY = "/last-body"
BARE = "bare aiohttp loop"

Round = Callable[[], Awaitable[None]]
"""One page of every calendar, and everything in it accepted."""


class Services:
    """Google and Salesloft in one process, with as little work as possible."""

    def __init__(self, changes: int) -> None:
        self._changes = changes
        self._turn = 0
        self._last_body = b""

    async def list_events(self, request: web.Request) -> web.Response:
        items = self._changed() if "syncToken" in request.query else []
        page = {
            "kind": "calendar#events",
            "timeZone": "UTC",
            "accessRole": "owner",
            "updated": _stamp(datetime.now(UTC)),
            "nextSyncToken": f"token-{self._turn}",
            "items": items,
        }
        return web.json_response(page)

    def _changed(self) -> Iterator[dict[str, Any]] | list[dict[str, Any]]:
        self._turn += 1
        now = datetime.now(UTC)
        start = now.replace(minute=0, second=0, microsecond=0) + timedelta(days=5)
        return [
            {
                "kind": "calendar#event",
                "id": f"meeting{number}",
                "iCalUID": f"meeting{number}@google.com",
                "status": "confirmed",
                "summary": f"Meeting {number}, version {self._turn}",
                "description": "What is to be talked about. " * 8,
                "updated": _stamp(now),
                "start": {"dateTime": _stamp(start), "timeZone": "UTC"},
                "end": {"dateTime": _stamp(start + timedelta(hours=1)), "timeZone": "UTC"},
                "organizer": {"email": "seller@example.com", "self": True},
                "attendees": [
                    {"email": "seller@example.com", "self": True, "responseStatus": "accepted"},
                    {"email": "prospect@example.org", "responseStatus": "needsAction"},
                ],
            }
            for number in range(self._changes)
        ]

    async def upsert(self, request: web.Request) -> web.Response:
        self._last_body = await request.read()
        return web.Response(
            body=_ACCEPTED,
            status=201,
            content_type="application/json",
            headers={
                "x-ratelimit-endpoint-cost": "1",
                "x-ratelimit-limit-minute": str(POINTS),
                "x-ratelimit-remaining-minute": str(POINTS),
                "x-request-id": "0123456789abcdef",
            },
        )

    async def last_body(self, _: web.Request) -> web.Response:
        return web.Response(body=self._last_body)

    async def nothing(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [], "metadata": {"paging": {"per_page": 100}}})

    async def serve(self) -> None:
        app = web.Application()
        app.router.add_post(UPSERT, self.upsert)
        app.router.add_get(LAST_BODY, self.last_body)
        app.router.add_get("/calendar/v3/{path:.*}", self.list_events)
        app.router.add_route("*", "/{path:.*}", self.nothing)
        async with serve(app) as url:
            print(f"READY {url}", flush=True)
            await asyncio.Event().wait()


_ACCEPTED = json.dumps(
    {
        "data": {
            "id": "1",
            "i_cal_uid": "meeting@google.com",
            "calendar_id": "external_00210d1a-df8a-459f-af75-89b953b618b0",
            "user_guid": "00210d1a-df8a-459f-af75-89b953b618b0",
            "title": "Meeting, version 1",
            "description": "What is to be talked about. " * 8,
            "status": "busy",
            "extended_properties": {"changed_attributes": ["title"]},
        },
        "metadata": {"upsert_type": "update"},
    }
).encode()


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@asynccontextmanager
async def services(changes: int) -> AsyncIterator[str]:
    """The address of the other process, which lives as long as the block."""
    command = ("-m", "benchmarks.change", "--serve", "--changes", str(changes))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().removeprefix("READY ").strip()
    finally:
        process.terminate()
        await process.wait()


async def measure(calendars: int, changes: int, rounds: int) -> dict[str, list[Sample]]:
    """The samples of both variants, after one round of each that is not timed."""
    configure_logging()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as directory:
        async with services(changes) as url, open_office(Path(directory)) as office:
            office.google_url = office.salesloft_url = url
            office.points_per_minute, office.bookings = POINTS, False
            for number in range(calendars):
                office.hire(
                    f"seller{number}",
                    google="requests_per_minute = 10000000",
                    extra="bulk_threshold = 1000000",
                )
            settings = load_settings(office.config)
            async with assemble(settings, open_database(state_place(settings))) as parts:
                for calendar in parts.calendars:
                    report = await parts.cycle.run(calendar.seller)
                    assert report.full, report
                async with delivering(parts) as through:
                    return await compare(parts, url, through, calendars * changes, changes, rounds)


async def compare(
    parts: Parts, url: str, through: Round, changed: int, changes: int, rounds: int
) -> dict[str, list[Sample]]:
    served = list(parts.served.values())
    tokens = [await one.tokens.token() for one in served]
    await through()
    async with make_session(version="0") as google, make_salesloft_session() as salesloft:
        async with salesloft.get(url + LAST_BODY) as answer:
            body = await answer.read()
        variants = {
            BARE: bare(google, salesloft, url, served, tokens, body, changes),
            "connector": through,
        }
        taken: dict[str, list[Sample]] = {name: [] for name in variants}
        for turn in range(rounds + 1):
            for name in sorted(variants, reverse=turn % 2 == 1):
                sample = await timed(variants[name], changed)
                if turn:
                    taken[name].append(sample)
        return taken


async def timed(variant: Round, changed: int) -> Sample:
    gc.collect()
    cpu, began = time.process_time(), time.perf_counter()
    await variant()
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return Sample(cpu / changed, wall / changed)


@asynccontextmanager
async def delivering(parts: Parts) -> AsyncIterator[Round]:
    """A round of the real cycles and the real delivery, which run as the engine runs them."""
    [delivery] = parts.deliveries.values()
    stopping = asyncio.Event()
    running = asyncio.create_task(delivery.run(stopping), name="delivery")
    served = list(parts.served.values())
    accepted = 0

    async def read(numbers: Iterator[int]) -> None:
        nonlocal accepted
        for number in numbers:
            report = await parts.cycle.run(served[number].calendar.seller)
            assert report.changed, report
            assert report.committed is not None
            accepted += report.committed.sends
            delivery.wake()

    async def through() -> None:
        numbers = iter(range(len(served)))
        async with asyncio.TaskGroup() as group:
            for one in range(AT_ONCE):
                group.create_task(read(numbers), name=f"read {one}")
        while delivery.tally.accepted < accepted:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)

    try:
        yield through
    finally:
        stopping.set()
        await running


def bare(
    google: aiohttp.ClientSession,
    salesloft: aiohttp.ClientSession,
    url: str,
    served: list[Served],
    tokens: list[str],
    body: bytes,
    changes: int,
) -> Round:
    requests = [
        CalendarRequests(url, one.settings.google.calendar_id).list_changes(
            SyncToken("token-1"), page_size=DEFAULT_PAGE_SIZE
        )
        for one in served
    ]
    key = {"Authorization": "Bearer key", "Content-Type": "application/json"}

    async def read(numbers: Iterator[int], waiting: asyncio.Queue[None]) -> None:
        for number in numbers:
            headers = {"Authorization": f"Bearer {tokens[number]}"}
            async with google.get(requests[number].url, headers=headers) as response:
                assert await response.read()
            for _ in range(changes):
                waiting.put_nowait(None)

    async def send(waiting: asyncio.Queue[None]) -> None:
        while True:
            await waiting.get()
            async with salesloft.post(url + UPSERT, data=body, headers=key) as response:
                assert await response.read()
                assert response.status == 201
            waiting.task_done()

    async def through() -> None:
        waiting: asyncio.Queue[None] = asyncio.Queue()
        numbers = iter(range(len(served)))
        senders = [asyncio.create_task(send(waiting), name="send") for _ in range(CONCURRENCY)]
        async with asyncio.TaskGroup() as group:
            for one in range(AT_ONCE):
                group.create_task(read(numbers, waiting), name=f"read {one}")
        await waiting.join()
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)

    return through


ABOUT = """
A changed meeting from Google's page to the accepted upsert: {calendars} calendars with {changes} changed meetings
each a round, {rounds} rounds, {at_once} upserts at once. A process of its own plays Google and Salesloft with
constant work (loopback, no TLS); the budget is out of the way. The bare loop reads the same pages and sends as many
upserts with a body of the connector's, at the same concurrency; it decodes, decides and keeps nothing.

- The connector also decodes pages and answers, compares with what it remembers, decides, and makes four rows of each
  change durable (occurrence, outbox, journal, and its settling), in two commits for many changes.
- Changes/s depend on the answering process, too, which shares the two cores; the CPU of a change does not count it.
"""


def result_of(taken: dict[str, list[Sample]], calendars: int, changes: int, rounds: int) -> Result:
    """Processor and pace of both variants, rated by the bare loop's."""
    rows = rows_of(taken, BARE, "changes/s")
    facts = {"calendars": calendars, "changes": changes, "rounds": rounds, "at_once": CONCURRENCY}
    bars = {
        name: [(0.0, statistics.median(1 / sample.wall for sample in samples))]
        for name, samples in taken.items()
    }
    return Result(rows, {name: str(value) for name, value in facts.items()}, bars)


def run(quick: bool) -> Result:
    calendars, changes, rounds = (2, 2, 1) if quick else (20, 25, 9)
    return result_of(asyncio.run(measure(calendars, changes, rounds)), calendars, changes, rounds)


BENCHMARK = Benchmark(
    "change",
    "A change",
    ABOUT,
    run,
    Picture(y="changes a second", bars=True),
    seconds=300,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--changes", type=int, default=25)
    asyncio.run(Services(parser.parse_args().changes).serve())


if __name__ == "__main__":
    main()
