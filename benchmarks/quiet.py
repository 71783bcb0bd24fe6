"""What a poll costs that finds nothing: the connector's, against the same request by a bare loop and by two libraries.

    .venv/bin/python -m benchmarks quiet

A process of its own answers every listing with one constant empty page, so that only the client's processor time
counts. Each round times every variant once, in an order that rotates; ratios are against the bare loop of the same
round. The connector's clock stands still, but for the variant that commits a sign of life with each poll.
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
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import google_auth_httplib2  # type: ignore[import-untyped]
import httplib2
import structlog
from aiohttp import web
from gcal_sync.api import GoogleCalendarService, SyncEventsRequest
from gcal_sync.auth import AbstractAuth
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build

from benchmarks.paces import Sample, rows_of
from benchmarks.result import Benchmark, Picture, Result
from connector.app.opening import state_place
from connector.app.parts import Parts, Served, assemble
from connector.domain.model import SyncToken
from connector.google import CalendarRequests, make_session
from connector.google.requests import DEFAULT_PAGE_SIZE
from connector.observe.log import configure_logging
from connector.settings.files import load_settings
from connector.simulator.processes import serve
from connector.store import open_database
from tests.office import open_office

AT_ONCE = 16
"""Polls under way at the same time, and threads of the variant that has them."""
SIGN_OF_LIFE = timedelta(seconds=61)
BARE = "bare aiohttp loop"
SYNC_TOKEN = "CPDAlvWDx70CEPDAlvWDx70CGAUg0LXQtAI="  # noqa: S105 - a place in a listing, no secret
PAGE = {
    "kind": "calendar#events",
    "etag": '"p32oe5u6q3bk8o0o"',
    "summary": "seller@example.com",
    "description": "",
    "updated": "2026-11-20T09:00:00.000Z",
    "timeZone": "UTC",
    "accessRole": "owner",
    "defaultReminders": [{"method": "popup", "minutes": 10}],
    "nextSyncToken": SYNC_TOKEN,
    "items": [],
}

Poll = Callable[[int], Awaitable[object]]
"""One poll of the calendar of this number."""
Timed = Callable[[int], Awaitable[None]]
"""So many polls of every calendar."""


@dataclass
class Clock:
    """Stands still at noon, so that no new day begins."""

    now: datetime = field(
        default_factory=lambda: datetime.now(UTC).replace(hour=12, minute=0, second=0)
    )

    def __call__(self) -> datetime:
        return self.now


async def serve_pages() -> None:
    """The other process: one constant page for whatever is asked, until it is ended."""
    body = json.dumps(PAGE).encode()

    async def page(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json", charset="utf-8")

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    async with serve(app) as url:
        print(f"READY {url}", flush=True)
        await asyncio.Event().wait()


@asynccontextmanager
async def pages() -> AsyncIterator[str]:
    """The address of the other process, which lives as long as the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.quiet", "--serve", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().removeprefix("READY ").strip()
    finally:
        process.terminate()
        await process.wait()


async def measure(calendars: int, polls: int, rounds: int) -> dict[str, list[Sample]]:
    configure_logging()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as directory:
        async with pages() as url, open_office(Path(directory)) as office:
            office.google_url = url
            for number in range(calendars):
                office.hire(f"seller{number}", google="requests_per_minute = 10000000")
            settings, clock = load_settings(office.config), Clock()
            async with assemble(settings, open_database(state_place(settings)), clock) as parts:
                for calendar in parts.calendars:
                    report = await parts.cycle.run(calendar.seller)
                    assert report.full, report
                return await compare(parts, clock, url, polls, rounds)


async def compare(
    parts: Parts, clock: Clock, url: str, polls: int, rounds: int
) -> dict[str, list[Sample]]:
    """The samples of every variant, after one poll of each calendar that is not timed."""
    served = list(parts.served.values())
    tokens = [await one.tokens.token() for one in served]
    async with make_session(version="0") as session, aiohttp.ClientSession() as plain:
        with ExitStack() as stack:
            variants: dict[str, Timed] = {
                BARE: at_once(bare(session, url, served, tokens), len(served)),
                "connector": connector(parts, served),
                "connector, each poll committed": connector(parts, served, clock),
                "gcal_sync": at_once(with_gcal_sync(plain, url, served, tokens), len(served)),
                "google-api-python-client": in_threads(stack, url, served, tokens),
            }
            for variant in variants.values():
                await variant(1)
            taken: dict[str, list[Sample]] = {name: [] for name in variants}
            for turn in range(rounds):
                names = list(variants)
                for name in names[turn % len(names) :] + names[: turn % len(names)]:
                    taken[name].append(await timed(variants[name], polls, len(served)))
            return taken


async def timed(variant: Timed, polls: int, calendars: int) -> Sample:
    gc.collect()
    cpu, began = time.process_time(), time.perf_counter()
    await variant(polls)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return Sample(cpu / (polls * calendars), wall / (polls * calendars))


def at_once(poll: Poll, calendars: int) -> Timed:
    async def worker(numbers: Iterator[int]) -> None:
        for number in numbers:
            await poll(number)

    async def run(polls: int) -> None:
        for _ in range(polls):
            numbers = iter(range(calendars))
            async with asyncio.TaskGroup() as group:
                for one in range(AT_ONCE):
                    group.create_task(worker(numbers), name=f"poll {one}")

    return run


def connector(parts: Parts, served: list[Served], clock: Clock | None = None) -> Timed:
    """The real cycle. With a `clock` a minute passes before each poll, so that each one commits a sign of life.

    In the hours that pass so, the weekly full reading of a calendar may fall due: about one poll in 10,000.
    """

    async def poll(number: int) -> None:
        report = await parts.cycle.run(served[number].calendar.seller)
        assert report.result == "quiet" or (clock is not None and report.full), report

    everyone = at_once(poll, len(served))

    async def run(polls: int) -> None:
        for _ in range(polls):
            if clock is not None:
                clock.now += SIGN_OF_LIFE
            await everyone(1)

    return run


def bare(session: aiohttp.ClientSession, url: str, served: list[Served], tokens: list[str]) -> Poll:
    """The connector's own request, built beforehand, sent by its kind of session; the body is read, not decoded."""
    requests = [
        CalendarRequests(url, one.settings.google.calendar_id).list_changes(
            SyncToken(SYNC_TOKEN), page_size=DEFAULT_PAGE_SIZE
        )
        for one in served
    ]
    headers = [
        {**dict(request.headers), "Authorization": f"Bearer {token}"}
        for request, token in zip(requests, tokens, strict=True)
    ]

    async def poll(number: int) -> None:
        async with session.get(requests[number].url, headers=headers[number]) as response:
            body = await response.read()
            assert body
            assert response.status == 200

    return poll


class _Token(AbstractAuth):
    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        super().__init__(session, f"{url}/calendar/v3")
        self._token = token

    async def async_get_access_token(self) -> str:
        return self._token


def with_gcal_sync(
    session: aiohttp.ClientSession, url: str, served: list[Served], tokens: list[str]
) -> Poll:
    """Its request and its models; it asks for `fields` and 1,000 events a page, and keeps nothing here."""
    services = [GoogleCalendarService(_Token(session, url, token)) for token in tokens]

    async def poll(number: int) -> None:
        calendar_id = served[number].settings.google.calendar_id
        request = SyncEventsRequest(calendarId=calendar_id, syncToken=SYNC_TOKEN)
        answer = await services[number].async_list_events(request)
        assert answer.sync_token == SYNC_TOKEN
        assert not answer.items

    return poll


def in_threads(stack: ExitStack, url: str, served: list[Served], tokens: list[str]) -> Timed:
    """`events().list(…).execute()`, a connection a thread: httplib2 allows no sharing."""
    here = threading.local()
    pool = ThreadPoolExecutor(AT_ONCE)
    endpoint = {"api_endpoint": f"{url}/calendar/v3/"}
    events: Any = build(
        "calendar", "v3", http=httplib2.Http(), static_discovery=True, client_options=endpoint
    ).events()
    credentials = [Credentials(token) for token in tokens]  # type: ignore[no-untyped-call]
    stack.callback(pool.shutdown)

    def poll(number: int) -> None:
        if not hasattr(here, "http"):
            here.http = httplib2.Http()
            stack.callback(here.http.close)
        http = google_auth_httplib2.AuthorizedHttp(credentials[number], http=here.http)
        answer = events.list(
            calendarId=served[number].settings.google.calendar_id,
            singleEvents=False,
            maxResults=DEFAULT_PAGE_SIZE,
            syncToken=SYNC_TOKEN,
        ).execute(http=http)
        assert answer["nextSyncToken"] == SYNC_TOKEN

    async def run(polls: int) -> None:
        for _ in range(polls):
            list(pool.map(poll, range(len(served))))  # nothing else wants the event loop meanwhile

    return run


ABOUT = """
Nearly all polls find nothing. {calendars} calendars are polled, {at_once} at once, at a process of its own
that answers each with one constant empty page: loopback, no TLS, no compression, an empty state. Measured is
the client process alone, all its threads. {rounds} rounds time every variant once, in turn, {polls} polls of
each calendar; ratios are medians of those against the bare loop in the same round. The bare loop sends the
same request, built beforehand, and reads the body; gcal_sync (its request and models) and
google-api-python-client (`.execute()` in {at_once} threads) keep no state.

- A poll of the connector also decodes the page, waits for its turn under Google's limits, and judges token, policy and
  window; the calendar's row is remembered between polls.
- Once a minute as a sign of life, and whenever Google hands out another sync token, what a quiet poll found is stored,
  with that of all others within a second. What Google does with the token of an unchanged calendar was not measured,
  so the truth lies between the two rows.
- Polls/s depend on the answering process too, which shares the two cores; the CPU of a poll does not count it.
"""


def result_of(taken: dict[str, list[Sample]], calendars: int, polls: int, rounds: int) -> Result:
    """Processor and pace of every variant, rated by the bare loop's."""
    rows = rows_of(taken, BARE, "polls/s")
    facts = {"calendars": calendars, "at_once": AT_ONCE, "polls": polls, "rounds": rounds}
    bars = {
        name: [(0.0, statistics.median(1000 * sample.cpu for sample in samples))]
        for name, samples in taken.items()
    }
    return Result(rows, {name: str(value) for name, value in facts.items()}, bars)


def run(quick: bool) -> Result:
    calendars, polls, rounds = (2, 2, 1) if quick else (100, 25, 9)
    return result_of(asyncio.run(measure(calendars, polls, rounds)), calendars, polls, rounds)


BENCHMARK = Benchmark(
    "quiet",
    "A quiet poll",
    ABOUT,
    run,
    Picture(y="ms of the processor a poll", bars=True),
    seconds=300,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", required=True, help=argparse.SUPPRESS)
    parser.parse_args()
    asyncio.run(serve_pages())


if __name__ == "__main__":
    main()
