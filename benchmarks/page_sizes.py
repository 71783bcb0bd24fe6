"""What the size of a page costs: requests, bytes and how long decoding one holds up the event loop.

    python -m benchmarks.page_sizes

The windows of two calendars of the workload model, of 450 and of 10,000 occurrences, listed from the simulated Google.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from benchmarks.result import Benchmark, Result, Row
from benchmarks.workload import MODEL, fill
from connector.google import CalendarRequests, make_session
from connector.google.wire import decode_page
from tests.office import Office, open_office

SIZES = (100, 250, 500, 1000, 2500)
REPEATED = 5


async def bodies(office: Office, name: str, size: int) -> AsyncIterator[tuple[int, bytes]]:
    """Every page of a calendar's window: its bytes as sent, and its body."""
    requests = CalendarRequests(office.google_url, "primary")
    token = office.google.accounts.access_token(f"{name}@example.com")
    page: str | None = None
    async with make_session(version="0") as session:
        while True:
            request = requests.list_window(*office.window(name), page_size=size, page_token=page)
            headers = {"Authorization": f"Bearer {token}"}
            async with session.get(request.url, headers=headers) as answer:
                answer.raise_for_status()
                body = await answer.read()
                yield int(answer.headers["Content-Length"]), body
            page = decode_page(body).next_page_token
            if page is None:
                return


def decode_seconds(body: bytes) -> float:
    """The least of several, because other work on the machine only adds to it."""
    taken = []
    for _ in range(REPEATED):
        began = time.perf_counter()
        decode_page(body)
        taken.append(time.perf_counter() - began)
    return min(taken)


ABOUT = """
The windows of two calendars of the workload model, listed from the simulated Google by pages of different sizes:
requests, compressed bytes, and how long decoding a full page takes, on the event loop or, above 600 kB, in a thread
that still holds Python's lock. **500 makes the usual calendar one page**; more spares requests only for calendars that
few people have, while every other calendar waits for the loop. Google's own limit is 2,500. A calendar whose pages time
out is asked for half, down to 50.
"""


async def measure(quick: bool) -> Result:
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        async with open_office(Path(directory)) as office:
            for occurrences in (20,) if quick else (450, 10_000):
                name = f"seller{occurrences}"
                model = replace(MODEL, occurrences=occurrences)
                fill(office.hire(name), 1, 0, office.clock(), model)
                for size in SIZES:
                    pages = [page async for page in bodies(office, name, size)]
                    full = pages[:-1] or pages  # the last one is seldom full
                    usual = statistics.median(decode_seconds(body) for _, body in full)
                    kilobytes = sum(sent for sent, _ in pages) / 1000
                    rows.append(
                        Row(
                            f"{occurrences:,} occurrences, pages of {size:,}",
                            len(pages),
                            "requests",
                            note=f"{kilobytes:,.0f} kB, {usual * 1000:.1f} ms to decode a page",
                        )
                    )
    return Result(tuple(rows))


BENCHMARK = Benchmark(
    name="page_sizes",
    title="The size of a page",
    about=ABOUT,
    run=lambda quick: asyncio.run(measure(quick)),
)


if __name__ == "__main__":
    for row in BENCHMARK.run(False).rows:
        print(f"{row.name}: {row.value} {row.unit}, {row.note}")
