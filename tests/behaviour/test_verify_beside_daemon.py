"""`verify` beside the real daemon: it only enqueues, and both together keep the team's cap."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta

from connector.app import run_daemon
from connector.settings.files import load_settings
from tests.behaviour.command import process
from tests.behaviour.test_verify import drop, tamper
from tests.daemon import Requests
from tests.office import KEY, Office

PROSPECT = {"email": "dwight@customer.example.org"}


@contextlib.asynccontextmanager
async def running(office: Office) -> AsyncIterator[None]:
    """The daemon, in this process."""
    stopping = asyncio.Event()
    daemon = asyncio.create_task(run_daemon(load_settings(office.config), stopping))
    try:
        yield
    finally:
        stopping.set()
        await daemon


async def test_repair_beside_a_daemon_is_sent_by_the_daemon(office: Office) -> None:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    pitch = pam.create("Pitch", now + timedelta(hours=4), attendees=[PROSPECT])
    demo = pam.create("Demo", now + timedelta(hours=6), attendees=[PROSPECT])
    await office.once(full=True)
    requests = Requests(office)
    async with running(office):
        await requests.more(1)
        drop(office, pitch)
        tamper(office, demo, title="Other")
        status, stdout, _ = await process(office, "verify", "--json", "--repair")
        (answer,) = json.loads(stdout)["users"]
        assert (status, answer["missing"], answer["different"]) == (1, 1, 1)
        assert answer["repaired"]["enqueued"] == 2
        await requests.until(lambda: office.differences() == [])
        await requests.until(lambda: office.salesloft.count("events.upsert") == 4)
    assert office.salesloft.overlaps == []
    assert (await process(office, "verify"))[0] == 0


async def test_daemon_and_verify_together_keep_the_cap(office: Office) -> None:
    office.points_per_minute = 100
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    events = [
        pam.create(f"Meeting {n}", now + timedelta(hours=2, minutes=n), attendees=[PROSPECT])
        for n in range(250)
    ]
    for n in range(150):
        pam.create(f"Later {n}", now + timedelta(days=5, minutes=n), attendees=[PROSPECT])
    await office.once(full=True)
    requests = Requests(office)
    async with running(office):
        await requests.more(1)
        before = office.salesloft.count("events.list")
        asking = asyncio.create_task(process(office, "verify"))
        await requests.until(lambda: office.salesloft.count("events.list") > before)
        # The daemon has more to send now than the minute allows.
        for event in events:
            pam.edit_one(event, summary="Changed")
        await asking
        await requests.until(lambda: office.salesloft.count("events.upsert") > 60)
    assert office.salesloft.count("events.list") - before >= 4
    assert office.salesloft.window_peaks(KEY) <= 100
