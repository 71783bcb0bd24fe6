"""Bytes of one full page from the simulated Google, with and without `fields`, plain and compressed.

    .venv/bin/python -m benchmarks.page_bytes

A seller with 240 single events and 60 series as the tests make them; every other event has a Meet conference and 300
characters of description. The page is the first 250 of a listing of the window.
"""

from __future__ import annotations

import asyncio
import gzip
import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random

import aiohttp

from connector.google import CalendarRequests
from connector.google.wire import Page, decode_page
from connector.simulator.google import Calendar
from connector.simulator.google.content import meet
from tests.office import Office, open_office
from tests.people import fill

WORDS = (
    "agenda",
    "pricing",
    "renewal",
    "contract",
    "pilot",
    "rollout",
    "security",
    "next",
    "owner",
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


async def measure() -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with open_office(Path(directory)) as office:
            furnish(office.hire("pam"), office)
            whole, partial = await page(office, fields=False), await page(office, fields=True)
    assert read(whole) == read(partial), "reading loses something by `fields`"
    for name, body in (("whole", whole), ("fields", partial)):
        print(f"{name}: {len(body):,} bytes, compressed {len(gzip.compress(body, 6)):,}")


def furnish(calendar: Calendar, office: Office) -> None:
    rng = Random(7)
    fill(calendar, rng, office.clock(), singles=240, series=60)
    for number, (event_id, row) in enumerate(sorted(calendar.rows.items())):
        if number % 2:
            text = " ".join(rng.choices(WORDS, k=60))[:300]
            calendar.rows[event_id] = replace(
                row,
                fields={
                    **row.fields,
                    "description": text,
                    **meet("".join(rng.choices(LETTERS, k=10))),
                },
            )


async def page(office: Office, *, fields: bool) -> bytes:
    request = CalendarRequests(office.google_url, "primary").list_window(
        *office.window("pam"), page_size=250
    )
    url = request.url if fields else request.url.without_query_params("fields")
    token = office.google.accounts.access_token("pam@example.com")
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        answer.raise_for_status()
        return await answer.read()


def read(body: bytes) -> Page:
    """What the program makes of a page; its page token is bound to the parameters and differs."""
    return replace(decode_page(body), next_page_token=None)


if __name__ == "__main__":
    asyncio.run(measure())
