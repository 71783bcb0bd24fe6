"""Push with several nodes: any of them takes a notification in, whoever serves the calendar is woken."""

from __future__ import annotations

import signal
from datetime import timedelta
from functools import partial

import pytest

from connector.simulator.google.push import Push
from tests.behaviour.test_nodes import nodes_of, office, shared_out
from tests.behaviour.test_push import address, ask_for_push, push, reached
from tests.daemon import Requests
from tests.office import Office

__all__ = ["address", "office", "push"]
PROSPECT = {"email": "dwight@customer.example.org"}


async def told_of_everybody(office: Office, requests: Requests, word: str) -> None:
    """Four changes of each: the first ones may be found by first readings."""
    for number in range(4):
        title = f"{word} {number}"
        for name in office.sellers:
            office.sellers[name].create(
                title, office.clock() + timedelta(hours=30), attendees=[PROSPECT]
            )
        await requests.until(partial(_all_have, office, title))


def _all_have(office: Office, title: str) -> bool:
    return all(
        title in {event.title for event in office.alive(name).values()} for name in office.sellers
    )


@pytest.mark.long
async def test_whichever_node_takes_it_in_the_holder_reads(
    office: Office, push: Push, address: str
) -> None:
    ask_for_push(office, address)
    config = office.config / "connector.toml"
    config.write_text(config.read_text().replace('poll_interval = "1s"', 'poll_interval = "10m"'))
    requests = Requests(office)
    async with nodes_of(office, 2) as nodes:
        await shared_out(office, 2)
        await requests.until(lambda: reached(push, len(office.sellers)))
        await told_of_everybody(office, requests, "Both")
        before = set(push.channels)
        await nodes[0].end(signal.SIGKILL)
        await shared_out(office, 1)
        await told_of_everybody(office, requests, "One")
        assert set(push.channels) == before  # they outlive their node
        assert await nodes[1].end() == 0
        assert not any("Traceback" in node.log for node in nodes)
    assert {one.status for one in push.sent} <= {0, 204}
