"""An erased person is left out of everything, at once and for ever, and stands nowhere in the state."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from datetime import datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from connector.app.erasing import Erasure, erase_person
from connector.cli.commands import app
from connector.domain.erasure import Erased
from connector.observe.log import configure_logging
from connector.settings.files import load_settings
from connector.store import lock_state
from tests.daemon import Requests, daemon_of
from tests.office import Office

DWIGHT = "dwight@customer.example.org"
ANGELA = "angela@buyer.example.net"
PEOPLE = [{"email": DWIGHT}, {"email": ANGELA}]


def soon(office: Office, hours: int = 2) -> datetime:
    return office.clock().replace(minute=0, second=0, microsecond=0) + timedelta(hours=hours)


async def command(office: Office, *arguments: str) -> tuple[int, str, str]:
    """Run a command in a thread, since it brings its own loop: status, stdout, stderr."""
    result = await asyncio.to_thread(
        CliRunner().invoke, app, [*arguments, "--config", str(office.config)]
    )
    configure_logging("text")  # the command's logs went to the runner's own stderr
    return result.exit_code, result.stdout, result.stderr


async def erase(office: Office, email: str = DWIGHT, *, dry_run: bool = False) -> Erasure:
    return await erase_person(
        load_settings(office.config), email, asyncio.Event(), dry_run=dry_run, clock=office.clock
    )


def guests(office: Office, name: str, event_id: str) -> set[str]:
    (event,) = [e for (i, _), e in office.held(name).items() if i == event_id]
    return {guest.email for guest in event.attendees}


def stands_in_state(office: Office, text: str = DWIGHT) -> list[str]:
    """Files of the state that hold a text, byte for byte."""
    files = office.state.parent.glob("state.db*")
    return [file.name for file in files if text.encode() in file.read_bytes().lower()]


def sent_since(office: Office, count: int) -> str:
    """All bodies since an entry of Salesloft's log."""
    return json.dumps([entry.body for entry in office.salesloft.log[count:]], default=str).lower()


async def test_what_was_sent_is_sent_again_without_the_person(office: Office) -> None:
    pam, jim = office.hire("pam"), office.hire("jim")
    both = pam.create("Pitch", soon(office), attendees=PEOPLE)
    alone = jim.create("Call", soon(office), attendees=[{"email": DWIGHT}])
    other = jim.create("Other", soon(office, 5), attendees=[{"email": ANGELA}])
    assert (await office.once(full=True)).exit_status == 0
    before = len(office.salesloft.log)
    receipt = await erase(office, "  Dwight@CUSTOMER.example.org ")
    assert receipt.exit_status == 0
    assert guests(office, "pam", both) & {DWIGHT, ANGELA} == {ANGELA}
    assert DWIGHT not in guests(office, "jim", alone)
    # Still a meeting with a prospect: the rules see the whole event.
    (call,) = [e for (i, _), e in office.held("jim").items() if i == alone]
    assert call.title == "Call"
    assert {user.name: user.named for user in receipt.users} == {"pam": [both], "jim": [alone]}
    sent = sent_since(office, before)
    assert DWIGHT not in sent
    assert other not in sent
    assert stands_in_state(office) == []


async def test_quiet_after_an_erasure_is_silent(office: Office) -> None:
    pam = office.hire("pam")
    pam.create_series(
        "Weekly", soon(office), rule="FREQ=DAILY;COUNT=50", attendees=PEOPLE, time_zone="UTC"
    )
    assert (await office.once(full=True)).exit_status == 0
    receipt = await erase(office)
    assert len(receipt.users[0].named) == 50
    assert all(
        DWIGHT not in {guest.email for guest in event.attendees}
        for event in office.held("pam").values()
    )
    before = office.told()
    assert (await office.once()).exit_status == 0
    again = await erase(office)
    assert again.cleaned.already
    assert again.cleaned.erased_at == receipt.cleaned.erased_at
    assert office.told() == before


async def test_an_erased_organizer_is_blank_and_their_later_invitations_name_nobody(
    office: Office,
) -> None:
    pam = office.hire("pam")
    event = pam.invite({"email": DWIGHT}, "Theirs", start=soon(office), attendees=PEOPLE)
    assert (await office.once(full=True)).exit_status == 0
    assert (await erase(office)).exit_status == 0
    held = {i: e for (i, _), e in office.held("pam").items()}
    assert held[event].title == "Theirs"
    assert not held[event].organizer
    before = len(office.salesloft.log)
    later = pam.invite({"email": DWIGHT}, "Later", start=soon(office, 8), attendees=PEOPLE)
    pam.edit_one(event, summary="Renamed")
    assert (await office.once()).exit_status == 0
    held = {i: e for (i, _), e in office.held("pam").items()}
    assert held[event].title == "Renamed"
    assert held[later].title == "Later"
    assert DWIGHT not in sent_since(office, before)


async def test_waiting_rows_and_dead_letters_lose_the_person_at_once(office: Office) -> None:
    pam = office.hire("pam")
    refused = pam.create("Cursed", soon(office), attendees=PEOPLE)
    office.salesloft.refuse_event(refused)
    await office.once(full=True)
    office.salesloft.accept_event(refused)
    assert stands_in_state(office) != []
    with lock_state(office.state):  # as beside a daemon: nothing is sent by the command
        receipt = await erase(office)
    assert receipt.by_daemon
    assert receipt.cleaned.dead_letters == 1
    assert stands_in_state(office) == []
    before = len(office.salesloft.log)
    assert (await command(office, "dead-letters", "retry", "--all"))[0] == 0
    assert (await office.once()).exit_status == 0
    assert DWIGHT not in sent_since(office, before)
    assert DWIGHT not in guests(office, "pam", refused)
    rows = office.told()
    office.sellers["pam"].expire_tokens()
    assert (await office.once()).exit_status == 0
    assert office.told() == rows


async def test_a_crash_between_marking_and_sending_sends_at_the_next_run(office: Office) -> None:
    pam = office.hire("pam")
    event = pam.create("Pitch", soon(office), attendees=PEOPLE)
    assert (await office.once(full=True)).exit_status == 0
    with lock_state(office.state):
        await erase(office)  # marked only
    assert DWIGHT in guests(office, "pam", event)
    assert (await office.once()).exit_status == 0
    assert DWIGHT not in guests(office, "pam", event)


async def test_a_cancelled_meeting_that_named_the_person_is_blanked(office: Office) -> None:
    pam = office.hire("pam")
    event = pam.create("Pitch", soon(office), attendees=PEOPLE)
    other = pam.create("Other", soon(office), attendees=[{"email": ANGELA}])
    await office.once(full=True)
    pam.cancel_one(event)
    pam.cancel_one(other)
    assert (await office.once()).exit_status == 0
    assert DWIGHT in guests(office, "pam", event)
    assert (await erase(office)).exit_status == 0
    assert guests(office, "pam", event) == set()
    held = {i: e for (i, _), e in office.held("pam").items()}
    assert held[event].status == held[other].status == "cancelled"


async def test_texts_are_reported_and_not_altered(office: Office) -> None:
    pam = office.hire("pam")
    text = f"Call <a href='mailto:{DWIGHT}'>him</a>"
    event = pam.create("Pitch", soon(office), description=text, attendees=[{"email": ANGELA}])
    pam.create("Secret", soon(office), description=text, visibility="private", attendees=PEOPLE)
    await office.once(full=True)
    status, out, err = await command(office, "erase", "--person", DWIGHT, "--json")
    assert status == 0
    (user,) = json.loads(out)["users"]
    assert user["address_in_texts"] == [event]
    assert user["named_in"] == []
    assert DWIGHT not in out + err
    (held,) = [e for (i, _), e in office.held("pam").items() if i == event]
    assert held.description == text


async def test_a_dry_run_shows_the_receipt_and_changes_nothing(office: Office) -> None:
    pam = office.hire("pam")
    event = pam.create("Pitch", soon(office), attendees=PEOPLE)
    await office.once(full=True)
    before = len(office.salesloft.log), office.state.read_bytes()
    status, out, _ = await command(office, "erase", "--person", DWIGHT, "--dry-run")
    assert status == 0
    assert "would be erased" in out
    assert event in out
    assert (len(office.salesloft.log), office.state.read_bytes()) == before
    assert (await office.once()).exit_status == 0
    assert DWIGHT in guests(office, "pam", event)


@pytest.mark.parametrize(
    "person", ["", "dwight", "Dwight <dwight@example.org>", "a@b@example.org", "a b@example.org"]
)
async def test_what_is_no_address_is_refused_and_not_repeated(office: Office, person: str) -> None:
    office.hire("pam")
    status, out, err = await command(office, "erase", "--person", person)
    assert (status, out) == (2, "")
    assert "--person" in err
    assert not office.state.exists()


async def test_the_running_daemon_sends_without_the_person_within_a_poll(office: Office) -> None:
    pam = office.hire("pam")
    event = pam.create("Pitch", soon(office), attendees=PEOPLE)
    requests = Requests(office)
    async with daemon_of(office) as daemon:
        await daemon.start()
        await requests.until(lambda: event in {i for i, _ in office.held("pam")})
        status, out, err = await command(office, "erase", "--person", DWIGHT)
        assert status == 0
        assert "running daemon" in out
        await requests.until(lambda: DWIGHT not in guests(office, "pam", event))
        before = len(office.salesloft.log)
        later = pam.create("Later", soon(office, 5), attendees=PEOPLE)
        await requests.until(lambda: later in {i for i, _ in office.held("pam")})
        assert DWIGHT not in sent_since(office, before)
        assert await daemon.end() == 0
        assert DWIGHT not in daemon.log.lower() + out + err
    assert stands_in_state(office) == []


async def test_an_own_users_address_points_at_offboard(office: Office) -> None:
    office.hire("pam", google='calendar_id = "pam@example.com"')
    status, out, _ = await command(office, "erase", "--person", "pam@example.com")
    assert status == 0
    assert "offboard --user pam" in out


async def test_the_state_keeps_a_keyed_hash_and_its_key_apart(office: Office) -> None:
    office.hire("pam")
    receipt = await erase(office)
    connection = sqlite3.connect(office.state)
    try:
        rows: list[Any] = connection.execute("SELECT digest FROM erased").fetchall()
        (key,) = connection.execute(
            "SELECT value FROM cursors WHERE scope = 'erasure' AND name = 'key'"
        ).fetchone()
    finally:
        connection.close()
    assert rows == [(receipt.cleaned.digest,)]
    assert Erased(bytes.fromhex(key)).digest_of(DWIGHT) == receipt.cleaned.digest


async def test_users_for_whom_nothing_is_sent_are_named(office: Office) -> None:
    pam, _, _ = office.hire("pam"), office.hire("jim"), office.hire("kelly")
    event = pam.create("Pitch", soon(office), attendees=PEOPLE)
    await office.once(full=True)
    assert (await command(office, "offboard", "--user", "pam"))[0] == 0
    (office.config / "users" / "jim.toml").unlink()
    (office.config / "users" / "toby.toml").write_text("[google]\nunknown = 1\n")
    status, out, _ = await command(office, "erase", "--person", DWIGHT, "--json")
    assert status == 1
    users = {user["user"]: user for user in json.loads(out)["users"]}
    assert (users["pam"]["left"], users["pam"]["named_in"]) == (True, [event])
    assert users["jim"]["without_file"]
    assert "check-config" in users["toby"]["error"]
    assert any("resume" in step for step in json.loads(out)["left_to_do"])


async def test_a_calendar_that_google_does_not_show_is_reported(office: Office) -> None:
    office.hire("pam")
    jim = office.hire("jim")
    event = jim.create("Call", soon(office), attendees=PEOPLE)
    await office.once(full=True)
    office.google.revoke("pam@example.com")
    status, out, _ = await command(office, "erase", "--person", DWIGHT, "--json")
    assert status == 1
    users = {user["user"]: user for user in json.loads(out)["users"]}
    assert users["pam"]["error"]
    assert users["jim"]["error"] is None
    assert DWIGHT not in guests(office, "jim", event)


async def test_a_bulk_sized_calendar_is_sent_again_without_the_person(office: Office) -> None:
    pam = office.hire("pam")
    for number in range(5):
        pam.create_series(
            f"Daily {number}",
            soon(office, number),
            rule="FREQ=DAILY;COUNT=60",
            attendees=PEOPLE,
            time_zone="UTC",
        )
    assert (await office.once(full=True)).exit_status == 0
    before = len(office.salesloft.log)
    assert (await erase(office)).exit_status == 0
    assert len(office.held("pam")) == 300
    assert all(
        DWIGHT not in {guest.email for guest in event.attendees}
        for event in office.held("pam").values()
    )
    assert DWIGHT not in sent_since(office, before)
    assert stands_in_state(office) == []


async def test_a_daemon_that_is_killed_meanwhile_remembers_at_its_next_start(
    office: Office,
) -> None:
    pam = office.hire("pam")
    pam.create_series(
        "Daily", soon(office), rule="FREQ=DAILY;COUNT=50", attendees=PEOPLE, time_zone="UTC"
    )
    requests = Requests(office)
    async with daemon_of(office) as daemon:
        await daemon.start()
        await requests.until(lambda: len(office.held("pam")) == 50)
        status, _, _ = await command(office, "erase", "--person", DWIGHT)
        assert status == 0
        await daemon.end(signal.SIGKILL)
        await daemon.start()
        await requests.until(
            lambda: all(
                DWIGHT not in {guest.email for guest in event.attendees}
                for event in office.held("pam").values()
            )
        )
        assert await daemon.end() == 0
    assert (await office.once()).exit_status == 0
    assert office.salesloft.stale_writes == []
    assert stands_in_state(office) == []
