"""What Salesloft refuses blocks nothing else, and a human decides what becomes of it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from connector.cli.commands import app
from tests.office import Office

PROSPECT = {"email": "dwight@customer.example.org"}


async def refused(office: Office) -> str:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    event = pam.create("Cursed", now + timedelta(hours=1), attendees=[PROSPECT])
    pam.create("Fine", now + timedelta(hours=2), attendees=[PROSPECT])
    office.salesloft.refuse_event(event)
    summary = await office.once(full=True)
    assert (summary.exit_status, summary.refused, summary.accepted) == (1, 1, 1)
    return event


async def command(office: Office, *arguments: str) -> tuple[int, str]:
    """Run a command in a thread: it brings its own loop."""
    result = await asyncio.to_thread(
        CliRunner().invoke, app, [*arguments, "--config", str(office.config)]
    )
    return result.exit_code, result.output


async def test_list_and_show_tell_why(office: Office) -> None:
    event = await refused(office)
    status, listed = await command(office, "dead-letters", "list")
    assert status == 0
    assert event in listed
    assert "422" in listed
    assert "Cursed" not in listed
    status, shown = await command(office, "dead-letters", "show", event)
    assert status == 0
    assert "Cursed" in shown
    assert (await command(office, "dead-letters", "show", "unknown"))[0] == 2


async def test_retry_sends_the_same_content_again(office: Office) -> None:
    event = await refused(office)
    office.salesloft.accept_event(event)
    assert (await command(office, "dead-letters", "retry", event))[0] == 0
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


async def test_discarded_is_not_sent_again_until_it_changes(office: Office) -> None:
    event = await refused(office)
    assert (await command(office, "dead-letters", "discard", "--all"))[0] == 0
    office.sellers["pam"].expire_tokens()
    before = office.told()
    assert (await office.once()).exit_status == 0
    assert office.told() == before
    office.salesloft.accept_event(event)
    office.sellers["pam"].edit_one(event, summary="Changed")
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


@pytest.mark.parametrize("verb", ["retry", "discard"])
async def test_without_a_choice_nothing_happens(office: Office, verb: str) -> None:
    await refused(office)
    assert (await command(office, "dead-letters", verb))[0] == 2
    assert (await office.once()).refused == 1


async def test_status_names_it(office: Office) -> None:
    await refused(office)
    status, output = await command(office, "status")
    assert status == 0
    assert "pam: ok" in output
    assert "1 refused" in output


async def test_every_answer_can_be_json(office: Office) -> None:
    event = await refused(office)
    _, shown = await command(office, "dead-letters", "show", event, "--json")
    assert json.loads(shown)[0]["event_id"] == event
    _, retried = await command(office, "dead-letters", "retry", event, "--json")
    assert json.loads(retried) == {"did": "retry", "event_ids": [event]}
    _, dropped = await command(office, "dead-letters", "discard", "--all", "--json")
    assert json.loads(dropped) == {"did": "discard", "event_ids": []}
    _, released = await command(office, "held", "release", "--all", "--json")
    assert json.loads(released) == {"did": "release", "ids": [], "upserts": 0}


@pytest.mark.parametrize("words", [["list"], ["retry", "--all"], ["discard", "--all"]])
async def test_a_mistyped_user_is_told(office: Office, words: list[str]) -> None:
    await refused(office)
    status, output = await command(office, "dead-letters", *words, "--user", "pma")
    assert (status, output) == (2, "gcal-salesloft: no user 'pma'; there are: pam\n")


@pytest.mark.parametrize("group", ["dead-letters", "held"])
async def test_deciding_about_nothing_makes_no_state(office: Office, group: str) -> None:
    office.hire("pam")
    for verb in ("retry" if group == "dead-letters" else "release", "discard"):
        assert (await command(office, group, verb))[0] == 2
        status, output = await command(office, group, verb, "--all")
        assert (status, "does not exist yet" in output) == (1, True)
    assert not office.state.exists()
