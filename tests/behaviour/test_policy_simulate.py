"""`policy simulate` tells what another policy then really changes, and prints nothing that is withheld today."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.command import command
from tests.office import Office

PROSPECT = {"email": "dwight@customer.example.org"}
PARTNER = {"email": "jan@partner.example.net"}


async def simulate(office: Office, text: str, *arguments: str) -> tuple[int, str, str]:
    file = office.directory / "other.toml"
    file.write_text(text)
    return await simulate_file(office, file, *arguments)


async def simulate_file(office: Office, file: Path, *arguments: str) -> tuple[int, str, str]:
    return await command(office, "policy", "simulate", "--with", str(file), *arguments)


async def filled(office: Office) -> dict[str, str]:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    events = {
        "pitch": pam.create("Pitch", now + timedelta(hours=4), attendees=[PROSPECT]),
        "partner": pam.create("Partner call", now + timedelta(hours=5), attendees=[PARTNER]),
        "standup": pam.create("Standup", now + timedelta(hours=6)),
        "secret": pam.create("Secret pitch", now + timedelta(hours=7), attendees=[PROSPECT]),
    }
    pam.set_visibility(events["secret"], "private")
    await office.once(full=True)
    return events


@pytest.mark.parametrize(
    ("policy", "counts"),
    [
        (
            'internal_domains = ["example.com", "partner.example.net"]',
            {"full_to_busy_only": 1},
        ),
        ('private = "full"', {"busy_only_to_full": 1}),
        ('internal = "nothing"', {"busy_only_to_nothing": 1}),
        ('internal_domains = ["example.com"]', {}),
    ],
)
async def test_simulation_is_what_a_changed_policy_then_sends(
    office: Office, policy: str, counts: dict[str, int]
) -> None:
    await filled(office)
    state, log = office.state.read_bytes(), len(office.salesloft.log)
    status, output, _ = await simulate(office, f"[policy]\n{policy}\n", "--json")
    assert status == 0
    (user,) = json.loads(output)["users"]
    assert user["counts"] == counts
    assert office.state.read_bytes() == state
    assert len(office.salesloft.log) == log
    changed = {change["event_id"] for change in user["changes"]}
    before = len(office.upserts())
    office.configure("pam", extra=f"[policy]\n{policy}\n")
    await office.once()
    assert {body["id"] for body in office.upserts()[before:]} == changed


async def test_titles_are_shown_only_where_they_are_shown_today(office: Office) -> None:
    await filled(office)
    policy = (
        '[policy]\nprivate = "full"\ninternal_domains = ["example.com", "partner.example.net"]\n'
    )
    status, output, errors = await simulate(office, policy)
    assert status == 0
    assert "Partner call" in output
    assert "Secret pitch" not in output
    assert "1 busy only -> full" in output
    assert "1 full -> busy only" in output
    status, output, errors = await simulate(office, policy, "--reveal")
    assert "Secret pitch" in output
    assert "warning" in errors


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[policy]\nprivate = "hidden"\n', "policy.private"),
        ("[policy]\nprivat = 'full'\n", "policy.privat"),
        ("[sync]\npast_days = 3\n", "policy"),
        ("not toml", "syntax error"),
    ],
)
async def test_a_mistaken_file_exits_78(office: Office, text: str, named: str) -> None:
    office.hire("pam")
    status, output, errors = await simulate(office, text)
    assert (status, output) == (78, "")
    assert named in errors


async def test_a_file_that_is_not_there_exits_78(office: Office) -> None:
    office.hire("pam")
    status, _, errors = await simulate_file(office, office.directory / "none.toml")
    assert status == 78
    assert "no such file" in errors


async def test_a_whole_user_file_will_do(office: Office) -> None:
    await filled(office)
    text: Any = (office.config / "users" / "pam.toml").read_text()
    status, output, _ = await simulate(office, f'{text}\n[policy]\nprivate = "full"\n', "--json")
    assert status == 0
    assert json.loads(output)["users"][0]["counts"] == {"busy_only_to_full": 1}
