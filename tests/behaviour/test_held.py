"""A full reading that would cancel an implausible share of a calendar waits for a human."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from connector.cli.commands import app
from connector.store import State, open_database
from tests.office import Office

PROSPECT = {"email": "dwight@customer.example.org"}


def fill(office: Office, count: int = 30) -> list[str]:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    return [
        pam.create(f"Meeting {n}", now + timedelta(hours=n), attendees=[PROSPECT])
        for n in range(count)
    ]


async def lose(office: Office, events: list[str], *, tombstones: bool) -> None:
    """The events are gone, and Google's token with them."""
    pam = office.sellers["pam"]
    for event in events:
        pam.cancel_all(event)
    if not tombstones:
        pam.purge_tombstones()
    pam.expire_tokens()


async def test_implausible_resync_is_held_and_released(office: Office) -> None:
    events = fill(office)
    await office.once(full=True)
    await lose(office, events[:25], tombstones=False)
    before = len(office.upserts())
    summary = await office.once()
    assert (summary.held, summary.exit_status) == (25, 1)
    assert len(office.upserts()) == before
    assert len(office.alive("pam")) == 30
    state = State(open_database(office.place))
    (held,) = await state.held()
    assert (held.user, held.gone, held.tracked, held.waiting) == ("pam", 25, 30, 25)
    assert await state.release_held([held.id]) == 25
    state.close()
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


async def test_discarded_difference_leaves_salesloft_as_it_is(office: Office) -> None:
    events = fill(office)
    await office.once(full=True)
    await lose(office, events[:25], tombstones=False)
    await office.once()
    state = State(open_database(office.place))
    assert await state.discard_held([held.id for held in await state.held()]) == 25
    state.close()
    before = len(office.upserts())
    assert (await office.once()).exit_status == 0
    assert len(office.upserts()) == before
    assert len(office.alive("pam")) == 30


async def test_what_google_confirms_is_not_held(office: Office) -> None:
    events = fill(office)
    await office.once(full=True)
    await lose(office, events[:25], tombstones=True)
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


async def test_few_cancellations_are_not_held(office: Office) -> None:
    events = fill(office)
    await office.once(full=True)
    await lose(office, events[:19], tombstones=False)
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


async def test_changes_go_on_while_a_difference_is_held(office: Office) -> None:
    events = fill(office)
    await office.once(full=True)
    await lose(office, events[:25], tombstones=False)
    await office.once()
    pam = office.sellers["pam"]
    pam.edit_one(events[28], summary="Changed meanwhile")
    before = len(office.upserts())
    await office.once()
    assert [body["title"] for body in office.upserts()[before:]] == ["Changed meanwhile"]


async def test_split_series_counts_events_not_keys(office: Office) -> None:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    series = pam.create_series("Daily", now + timedelta(hours=1), rule="FREQ=DAILY")
    await office.once(full=True)
    second = [o for o in pam.truth(*office.window("pam")) if o.recurring_event_id == series][1]
    pam.edit_following(second.id, summary="New half")
    pam.expire_tokens()
    summary = await office.once()
    assert (summary.held, summary.exit_status) == (0, 0)
    assert office.differences() == []


@pytest.mark.parametrize("verb", ["release", "discard"])
async def test_a_human_decides_on_the_command_line(office: Office, verb: str) -> None:
    events = fill(office)
    await office.once(full=True)
    await lose(office, events[:25], tombstones=False)
    await office.once()

    async def command(*arguments: str) -> tuple[int, str]:
        result = await asyncio.to_thread(
            CliRunner().invoke, app, [*arguments, "--config", str(office.config)]
        )
        return result.exit_code, result.output

    status, output = await command("held", "list")
    assert status == 0
    assert "25 of 30 events" in output
    assert "Meeting" not in output
    status, output = await command("held", "list", "--json")
    assert (status, json.loads(output)["held"][0]["waiting"]) == (0, 25)
    assert "25 held" in (await command("status"))[1]
    assert (await command("held", verb))[0] == 2
    assert (await command("held", verb, "99"))[0] == 2
    assert (await command("held", verb, "1"))[0] == 0
    assert "nothing is held" in (await command("held", "list"))[1]
    assert (await office.once()).exit_status == 0
    assert len(office.alive("pam")) == (5 if verb == "release" else 30)
