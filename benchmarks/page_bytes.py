"""Bytes of one full page from the simulated Google, with and without `fields`, plain and compressed.

    .venv/bin/python -m benchmarks page_bytes

A seller with 240 single events and 60 series as the tests make them; every other event has a Meet conference and 300
characters of description. The page is the first 250 of a listing of the window.
"""

from __future__ import annotations

import asyncio
import gzip
import tempfile
from pathlib import Path
from random import Random

import aiohttp

from benchmarks.result import Benchmark, Result, Row
from connector.google import CalendarRequests
from connector.google.wire import Page, decode_page
from connector.simulator.google import Calendar
from connector.simulator.google.content import meet
from tests.office import Office, open_office
from tests.people import fill
from tests.values import replace

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


ABOUT = """
A full page of 250 events from the simulated Google, every other one with a Meet conference and 300 characters
of description, as a whole and with the `fields` that the program asks for; compressed, as pages are sent. The
program reads the same from both. The simulator's JSON has no white space; Google's has by default, which
makes all figures larger there. The ratio is to the page as a whole.
"""


async def measure() -> Result:
    with tempfile.TemporaryDirectory() as directory:
        async with open_office(Path(directory)) as office:
            furnish(office.hire("pam"), office)
            whole, partial = await page(office, fields=False), await page(office, fields=True)
    assert read(whole) == read(partial), "reading loses something by `fields`"
    rows = []
    for name, of_whole, body in (("the page", whole, whole), ("with fields", whole, partial)):
        plain, packed = len(body), len(gzip.compress(body, 6))
        rows.append(Row(name, plain, "bytes", plain / len(of_whole)))
        rows.append(
            Row(f"{name}, compressed", packed, "bytes", packed / len(gzip.compress(of_whole, 6)))
        )
    return Result(tuple(rows))


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


def run(_: bool) -> Result:
    return asyncio.run(measure())


BENCHMARK = Benchmark("page_bytes", "Bytes of a page from Google", ABOUT, run)
