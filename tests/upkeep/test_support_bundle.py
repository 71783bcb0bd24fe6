"""A support bundle holds what helps, and nothing that was planted to be withheld."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import stat
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from connector.cli.commands import app
from connector.observe.scrub import Scrubber
from connector.store.migrations import HEAD
from tests.office import KEY, Office, guid_of
from tests.upkeep.test_state_commands import soon

PLANTED = ("Zanzibar", "zanzibar.example.org", "dwight@", "pam@example.com", "example.com", KEY)


async def bundle(office: Office, *arguments: str) -> tuple[Result, Path]:
    target = office.directory / "bundle.tar.gz"
    words = ["support-bundle", "--config", str(office.config), "--to", str(target), *arguments]
    return await asyncio.to_thread(CliRunner().invoke, app, words), target


def contents(target: Path) -> dict[str, str]:
    with tarfile.open(target) as archive:
        return {
            Path(entry.name).name: archive.extractfile(entry).read().decode()  # type: ignore[union-attr]
            for entry in archive.getmembers()
        }


async def a_busy_office(office: Office) -> str:
    """Calendar text in every place that the state has for it, or might by mistake."""
    calendar = office.hire("pam")
    event = calendar.create(
        "Zanzibar pitch",
        soon(),
        description="Zanzibar terms",
        location="Zanzibar road",
        attendees=[{"email": "dwight@zanzibar.example.org"}],
    )
    private = calendar.create("Zanzibar surgery", soon(28), visibility="private")
    office.salesloft.refuse_event(event, 'title "Zanzibar pitch" of dwight@zanzibar.example.org')
    await office.once(full=True)
    office.salesloft.withdraw_key(KEY)
    calendar.create(
        "Zanzibar later", soon(30), attendees=[{"email": "dwight@zanzibar.example.org"}]
    )
    await office.once()
    message = f"pam: Google refused pam@example.com for event {event} 'Zanzibar pitch'; see https://x.example.com/?t=1"
    with contextlib.closing(sqlite3.connect(office.state, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE calendars SET parked_message = ?, parked_reason = 'forbidden'", (message,)
        )
        connection.execute("UPDATE journal SET message = ?", (message,))
        connection.execute("UPDATE outbox SET last_error = ?", (message,))
        connection.execute("INSERT INTO set_aside VALUES (1, ?, ?, 5)", (private, message))
        connection.execute(
            "INSERT INTO bookings (calendar_id, meeting_id, event_id, state, message, at_ms)"
            " VALUES (1, '5', ?, 's', ?, 1)",
            (event, message),
        )
    return event


async def test_nothing_planted_is_in_it(office: Office) -> None:
    event = await a_busy_office(office)
    log = office.directory / "some.log"
    credentials = json.loads((office.config / "users/pam.json").read_text())
    log.write_text(
        f"2026-11-25 [error    ] calendar_parked      user=pam message='pam: event {event} of pam@example.com'\n"
        f'title="Zanzibar pitch" Authorization: Bearer {KEY} ya29.sim-0123 at https://zanzibar.example.org/x\n'
        + json.dumps({"event": "x", "user": "pam", "message": f"guid {guid_of('pam')} 'Zanzibar'"})
        + f"\nrefresh_token={credentials['refresh_token']} client_secret={credentials['client_secret']}\n"
    )
    result, target = await bundle(office, "--log", str(log))
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    files = contents(target)
    secrets = [credentials[name] for name in ("refresh_token", "client_secret", "client_id")]
    everything = "\n".join(files.values())
    for withheld in (
        *PLANTED,
        *secrets,
        event,
        guid_of("pam"),
        "pam:",
        "user=pam",
        str(office.directory),
    ):
        assert withheld not in everything, withheld
    assert "calendar_parked" in files["log.txt"]
    [calendar] = json.loads(files["state.json"])["calendars"]
    assert f"user={calendar['user']} " in files["log.txt"]


async def test_it_tells_what_helps(office: Office) -> None:
    await a_busy_office(office)
    _, target = await bundle(office)
    files = contents(target)
    manifest = json.loads(files["manifest.json"])
    assert set(manifest["files"]) == set(files) - {"manifest.json"}
    assert json.loads(files["versions.json"])["packages"]["aiohttp"]
    state = json.loads(files["state.json"])
    assert state["schema"] == HEAD
    [calendar] = state["calendars"]
    assert calendar["parked_reason"] == "forbidden"
    assert "Google refused" in calendar["parked_message"]
    assert calendar["rows"]["dead_letters"] == 1
    [user] = json.loads(files["settings.json"])["users"]
    assert user["user"] == calendar["user"]
    assert user["policy"]["internal_domains"] == 1
    assert {"refused", "set aside", "put off"} == {
        one["kind"] for one in json.loads(files["reasons.json"])
    }


@pytest.mark.parametrize("state", [None, b"no database at all " * 100], ids=["none", "damaged"])
async def test_without_a_usable_state(office: Office, state: bytes | None) -> None:
    office.hire("pam")
    if state is not None:
        office.state.write_bytes(state)
    result, target = await bundle(office)
    assert result.exit_code == 0, result.output
    assert "unusable" in json.loads(contents(target)["state.json"])


async def test_a_folder_that_does_not_exist_is_said(office: Office) -> None:
    office.hire("pam")
    words = [
        "support-bundle",
        "--config",
        str(office.config),
        "--to",
        str(office.directory / "x/y"),
    ]
    result = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert result.exit_code == 1
    assert "--to" in result.stderr


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("pam.beesly@example.com left", "<address> left"),
        ("see https://calendar.google.com/event?eid=abc", "see <link>"),
        ("the title “Lunch with Karl” is bad", "the title <text> is bad"),
        ("PAM: read", "user-1: read"),
        ("spam and pamela", "spam and pamela"),
        ("10.1.2.3 refused", "<host> refused"),
        ("answered 503; tried again", "answered 503; tried again"),
        ("user's key and Google's", "user's key and Google's"),
    ],
)
def test_scrubbing(text: str, becomes: str) -> None:
    assert Scrubber({"pam": "user-1"}).text(text) == becomes
