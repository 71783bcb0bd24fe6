"""`plan` tells what `--once` then really sends, and leaves no trace."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.behaviour.command import command, process
from tests.office import Office

PROSPECT = {"email": "dwight@customer.example.org"}


async def plan(office: Office, *arguments: str) -> tuple[int, str]:
    status, stdout, _ = await command(office, "plan", *arguments)
    return status, stdout


async def planned(office: Office) -> tuple[dict[str, Any], dict[str, Any]]:
    status, output = await plan(office, "--json")
    assert status == 0
    answer = json.loads(output)
    return answer, answer["users"][0]


async def test_plan_is_what_once_then_sends(office: Office) -> None:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    pitch = pam.create("Pitch", now + timedelta(hours=4), attendees=[PROSPECT])
    gone = pam.create("Gone", now + timedelta(hours=5), attendees=[PROSPECT])
    await office.once(full=True)
    pam.edit_one(pitch, summary="Pitch, again")
    pam.cancel_all(gone)
    lunch = pam.create("Lunch", now + timedelta(days=3))
    state, log = office.state.read_bytes(), len(office.salesloft.log)
    answer, user = await planned(office)
    assert (user["new"], user["changed"], user["cancelled"]) == (1, 1, 1)
    assert office.state.read_bytes() == state
    assert len(office.salesloft.log) == log
    rows = {row["event_id"]: row for row in user["rows"]}
    assert rows[pitch]["shown"] == "full"
    assert rows[pitch]["class"] == "soon"
    assert rows[lunch]["shown"] == "busy_only"
    assert rows[lunch]["rule"] == "internal"
    assert (answer["costs"][0]["singles"], answer["costs"][0]["points"]) == (3, 3)
    assert answer["google_requests"] > 0
    output = (await plan(office))[1]
    assert "1 new, 1 changed, 1 cancelled" in output
    assert "Lunch" not in output
    before = len(office.upserts())
    summary = await office.once()
    assert {body["id"] for body in office.upserts()[before:]} == set(rows)
    assert summary.points == 3 + 1  # and one look-up of who is connected
    assert (await planned(office))[1]["rows"] == []


async def test_plan_tells_who_is_paused(office: Office) -> None:
    office.hire("pam").create("Pitch", office.clock() + timedelta(hours=4), attendees=[PROSPECT])
    await office.once(full=True)
    await command(office, "pause", "--user", "pam")
    assert "pam: paused: nothing is read" in (await plan(office))[1]
    assert (await planned(office))[1]["skipped"].startswith("paused")


async def test_plan_of_a_first_sync_goes_by_bulk_and_costs_few_points(office: Office) -> None:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    for number in range(210):
        pam.create(f"Meeting {number}", now + timedelta(hours=number - 100))
    answer, user = await planned(office)
    assert user["new"] == 210
    assert {row["via"] for row in user["rows"]} == {"bulk"}
    (cost,) = answer["costs"]
    assert (cost["bulk_records"], cost["singles"]) == (210, 0)
    assert cost["points"] < 10
    assert not office.state.exists()


async def test_what_waits_already_is_told_apart(office: Office) -> None:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    pitch = pam.create("Pitch", now + timedelta(hours=4), attendees=[PROSPECT])
    await office.once(full=True)
    events = [
        pam.create(f"M{n}", now + timedelta(hours=n), attendees=[PROSPECT]) for n in range(30)
    ]
    await office.once()
    for event in events:
        pam.cancel_all(event)
    pam.purge_tombstones()
    pam.expire_tokens()
    await office.once()
    pam.edit_one(pitch, summary="Again")
    user = (await planned(office))[1]
    assert [row["event_id"] for row in user["rows"]] == [pitch]
    assert len(user["held"]) == 30


@pytest.mark.parametrize("name", ["plan", "verify", "policy"])
async def test_stdout_of_a_real_process_is_json_alone(office: Office, name: str) -> None:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    pam.create("Pitch", now + timedelta(hours=4), attendees=[PROSPECT])
    if name != "plan":
        await office.once(full=True)
    other = office.directory / "other.toml"
    other.write_text('[policy]\nprivate = "full"\n')
    words = {"policy": ["policy", "simulate", "--with", str(other)]}.get(name, [name])
    status, stdout, _ = await process(office, *words, "--json")
    assert status == 0
    assert json.loads(stdout)["users"][0]["user"] == "pam"
