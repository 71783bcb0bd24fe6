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


async def measure() -> None:
    print("| occurrences | events a page | requests | kB | ms to decode a full page |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        async with open_office(Path(directory)) as office:
            for occurrences in (450, 10_000):
                name = f"seller{occurrences}"
                model = replace(MODEL, occurrences=occurrences)
                fill(office.hire(name), 1, 0, office.clock(), model)
                for size in SIZES:
                    pages = [page async for page in bodies(office, name, size)]
                    full = pages[:-1] or pages  # the last one is seldom full
                    usual = statistics.median(decode_seconds(body) for _, body in full)
                    print(
                        f"| {occurrences:,} | {size:,} | {len(pages)} | {sum(sent for sent, _ in pages) / 1000:,.0f}"
                        f" | {usual * 1000:.1f} |"
                    )


if __name__ == "__main__":
    asyncio.run(measure())
