"""Push, with the real daemon: a notification wakes a reading, and nothing depends on it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from random import Random
from typing import Any

import aiohttp
import pytest

from connector.simulator.faults import Fault
from connector.simulator.google.push import Channel, Message, Push
from connector.store import open_reader
from connector.store.channels import overview
from tests.behaviour.test_reload import Serving, meeting, polls, serving, titles
from tests.daemon import Requests, daemon_of
from tests.office import KEY, Office, guid_of
from tests.people import fill, random_edit

SLOW = "10m"
"""No test waits for a poll this far away: what arrives came by a notification."""
FORGED = 200


@pytest.fixture
def push(office: Office) -> Push:
    made = office.google.push
    made.allow_http = True
    made.sync_first = 0.0
    made.retry_seconds = 0.01
    office.poll_interval = SLOW
    return made


@pytest.fixture
def address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/google/notifications"


def ask_for_push(office: Office, address: str, poll_interval: str = "20m") -> None:
    """The daemon wants notifications; after everybody was hired."""
    port = address.split("/")[2]
    with (office.config / "connector.toml").open("a") as file:
        file.write(
            f'[google.push]\naddress = "{address}"\nlisten = "{port}"\npoll_interval = "{poll_interval}"\n'
        )


def reached(push: Push, number: int) -> bool:
    """Whether so many channels are alive, and each has heard Google's first message."""
    live = push.live()
    heard = {one.message.channel.id for one in push.sent if one.status == 204}
    return len(live) == number and {one.id for one in live} <= heard


async def until(requests: Requests, push: Push, number: int) -> list[Channel]:
    async with asyncio.timeout(20):
        while not reached(push, number):
            await asyncio.sleep(0.02)
    return push.live()


async def rows(office: Office) -> dict[str, Any]:
    reader = open_reader(office.place)
    try:
        found = await reader.run(overview)
        return {one.id: one for one in found.channels}
    finally:
        reader.close()


async def test_a_change_arrives_by_its_notification_long_before_the_next_poll(
    office: Office, push: Push, address: str
) -> None:
    office.hire("pam")
    office.hire("jim")
    ask_for_push(office, address)
    async with serving(office) as requests:
        await until(requests, push, 2)
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})
        pams = polls(office, "pam")
        meeting(office, "jim", "Demo")
        await requests.until(lambda: titles(office, "jim") == {"Demo"})
        assert polls(office, "pam") == pams
    assert {one.status for one in push.sent} == {204}
