"""`gcal-salesloft run` as users start it: exit status, streams, and what a dry run leaves alone."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from connector.simulator.faults import Fault
from connector.store import lock_state
from tests.daemon import Requests
from tests.office import KEY, Office, open_office

PATIENCE_SECONDS = 60
PROSPECT = {"email": "dwight@customer.example.org", "displayName": "Dwight"}


@dataclass(frozen=True)
class Ended:
    status: int | None
    out: str
    err: str


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


async def start(office: Office, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "connector", "run", "--config", str(office.config), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """The end of a process; whatever happened, no traceback is shown."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    found = Ended(process.returncode, out.decode(), err.decode())
    for stream in (found.out, found.err):
        assert "Traceback" not in stream
        assert "never retrieved" not in stream
    return found


async def run(office: Office, *arguments: str) -> Ended:
    return await ended(await start(office, *arguments))


def soon(office: Office) -> datetime:
    return office.clock().replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)


def with_meetings(office: Office, *names: str) -> None:
    for name in names:
        calendar = office.hire(name)
        calendar.create("Pitch", soon(office), attendees=[PROSPECT])
        calendar.create("Standup", soon(office) + timedelta(hours=1))


def files(office: Office) -> dict[str, bytes]:
    return {
        str(file): file.read_bytes()
        for file in sorted(office.directory.rglob("*"))
        if file.is_file()
    }


def is_log(line: str) -> bool:
    return "[info" in line or "[warning" in line or "[error" in line or '"event"' in line


# 0


async def test_all_done(office: Office) -> None:
    with_meetings(office, "pam")
    first = await run(office, "--initial-sync")
    assert first.status == 0
    assert office.differences() == []
    lines = first.out.splitlines()
    assert lines[0].startswith("pam: full sync: 2 to send, 0 to cancel")
    assert lines[1].startswith("delivered 2, refused 0, still waiting 0;")
    assert not [line for line in lines if is_log(line)]
    office.sellers["pam"].create("Third", soon(office))
    then = await run(office, "--once")
    assert then.status == 0
    assert then.out.startswith("pam: changes: 1 to send")
    assert office.differences() == []


async def test_json_logs_go_to_stderr(office: Office) -> None:
    with_meetings(office, "pam")
    with (office.config / "connector.toml").open("a") as file:
        file.write('[observability]\nlog_format = "json"\n')
    found = await run(office, "--once")
    assert found.status == 0
    logged = [line for line in found.err.splitlines() if not line.startswith("read ")]
    events = [json.loads(line)["event"] for line in logged if line.startswith("{")]
    assert "calendar_read" in events
    assert not [line for line in found.out.splitlines() if line.startswith("{")]


async def test_the_daemon_writes_nothing_to_stdout_and_ends_with_0(office: Office) -> None:
    with_meetings(office, "pam")
    requests = Requests(office)
    process = await start(office)
    await requests.until(lambda: len(office.alive("pam")) == 2)
    process.send_signal(signal.SIGTERM)
    found = await ended(process)
    assert (found.status, found.out) == (0, "")
    assert "stopped" in found.err


# 1


async def test_a_dead_letter(office: Office) -> None:
    office.hire("pam").create("Refused", soon(office), event_id="refused0")
    office.sellers["pam"].create("Fine", soon(office))
    office.salesloft.refuse_event("refused0")
    found = await run(office, "--initial-sync")
    assert found.status == 1
    assert "refused 1" in found.out
    assert "refused0" in found.out + found.err
    assert len(office.alive("pam")) == 1
    again = await run(office, "--once")
    assert again.status == 1  # it is still not delivered
    office.salesloft.accept_event("refused0")
    office.sellers["pam"].edit_one("refused0", status="tentative")
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


async def test_a_malformed_event_is_set_aside_with_its_id(office: Office) -> None:
    with_meetings(office, "pam")
    office.sellers["pam"].create("Backwards", soon(office), event_id="backwards0")
    office.sellers["pam"].tamper("backwards0", "end_before_start")
    found = await run(office, "--initial-sync")
    assert found.status == 1
    assert "1 set aside" in found.out
    assert "backwards0" in found.err
    assert "Backwards" not in found.err + found.out
    assert len(office.alive("pam")) == 2


async def test_googles_refusal_of_one_user_of_two(office: Office) -> None:
    with_meetings(office, "pam", "jim")
    office.google.revoke("jim@example.com")
    found = await run(office, "--initial-sync")
    assert found.status == 1
    assert "jim: not read:" in found.err
    assert found.out.startswith("pam: full sync: 2 to send")
    assert len(office.alive("pam")) == 2


async def test_a_broken_users_file_beside_a_good_one(office: Office) -> None:
    with_meetings(office, "pam", "jim")
    (office.config / "users" / "jim.toml").write_text("[google]\ncalender_id = 'primary'\n")
    found = await run(office, "--initial-sync")
    assert found.status == 1
    assert "jim" in found.err
    assert "calender_id" in found.err
    assert found.out.startswith("pam: full sync: 2 to send")
    assert len(office.alive("pam")) == 2


async def test_a_state_that_cannot_be_used(office: Office) -> None:
    with_meetings(office, "pam")
    office.state.write_text("no database" * 100)
    found = await run(office)
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith(f"gcal-salesloft: state {office.state}")
    assert len(found.err.splitlines()) == 1


async def test_a_one_shot_beside_a_daemon(office: Office) -> None:
    with_meetings(office, "pam")
    requests = Requests(office)
    daemon = await start(office)
    await requests.until(lambda: len(office.alive("pam")) == 2)
    found = await run(office, "--once")
    assert found.status == 1
    assert f"process {daemon.pid}" in found.err
    daemon.send_signal(signal.SIGINT)
    assert (await ended(daemon)).status == 0


# 2


@pytest.mark.parametrize(
    "arguments",
    [["--dry-run"], ["--once", "--initial-sync"], ["--no-such-option"]],
)
async def test_wrong_command_line(office: Office, arguments: list[str]) -> None:
    with_meetings(office, "pam")
    found = await run(office, *arguments)
    assert (found.status, found.out) == (2, "")
    assert office.salesloft.log == []


# 77


async def test_salesloft_refuses_the_key(office: Office) -> None:
    with_meetings(office, "pam")
    office.salesloft.withdraw_key(KEY)
    found = await run(office, "--initial-sync")
    assert found.status == 77
    assert "key refused" in found.err
    assert KEY not in found.err + found.out


async def test_salesloft_refuses_the_key_later(office: Office) -> None:
    with_meetings(office, "pam")
    await office.once(full=True)
    office.salesloft.withdraw_key(KEY)
    office.sellers["pam"].create("Third", soon(office))
    assert (await run(office, "--once")).status == 77
    office.salesloft.restore_key(KEY)
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


async def test_google_refuses_everybody(office: Office) -> None:
    with_meetings(office, "pam", "jim")
    for name in ("pam", "jim"):
        office.google.revoke(f"{name}@example.com")
    found = await run(office, "--once")
    assert found.status == 77
    for name in ("pam", "jim"):
        assert f"{name}: not read:" in found.err


# 78


async def test_no_valid_user(office: Office) -> None:
    with_meetings(office, "pam")
    (office.config / "users" / "pam.toml").write_text("[google]\ncalender_id = 'primary'\n")
    found = await run(office)
    assert (found.status, found.out) == (78, "")
    assert found.err.startswith("gcal-salesloft: configuration invalid: ")
    assert "pam.toml" in found.err


async def test_a_bad_connector_toml(office: Office) -> None:
    with_meetings(office, "pam")
    with (office.config / "connector.toml").open("a") as file:
        file.write('[sink]\nto = "x"\n')
    found = await run(office, "--once")
    assert found.status == 78
    assert "sink" in found.err
    assert not office.state.exists()
    assert not office.google.log
    assert not office.salesloft.log


# Dry run


def writes(office: Office) -> list[str]:
    """Requests that change something, at either service; asking for a token or searching changes nothing."""
    google = [e.route for e in office.google.log if e.method != "GET" and e.route != "token"]
    reads = ("settings.search",)
    return google + [
        e.route for e in office.salesloft.log if e.method != "GET" and e.route not in reads
    ]


async def test_a_dry_run_of_nothing_yet_leaves_nothing_behind(office: Office) -> None:
    with_meetings(office, "pam")
    before = files(office)
    found = await run(office, "--initial-sync", "--dry-run")
    assert found.status == 0
    assert files(office) == before
    assert writes(office) == []
    lines = found.out.splitlines()
    assert lines[0].startswith("pam: would upsert (external_attendee): ")
    assert json.loads(lines[0].partition("): ")[2])["title"] == "Pitch"
    assert lines[1].startswith("pam: would upsert (internal): ")
    assert "title" not in json.loads(lines[1].partition("): ")[2])
    assert lines[-1] == "dry run: nothing was sent or stored"


async def test_a_dry_run_shows_every_upsert_and_changes_nothing(office: Office) -> None:
    with_meetings(office, "pam")
    pam = office.sellers["pam"]
    moved = pam.create("Moved", soon(office), attendees=[PROSPECT])
    gone = pam.create("Gone", soon(office))
    await office.once(full=True)
    pam.set_ical_uid(moved, "other@example.org")
    pam.cancel_all(gone)
    pam.create("New", soon(office), attendees=[PROSPECT])
    before, wrote = files(office), len(writes(office))
    dry = await run(office, "--once", "--dry-run")
    assert dry.status == 0
    assert files(office) == before
    assert len(writes(office)) == wrote
    shown = [json.loads(x.partition("): ")[2]) for x in dry.out.splitlines() if "would upsert" in x]
    sent = len(office.upserts())
    assert (await office.once()).exit_status == 0
    really = office.upserts()[sent:]
    facts = [(b["id"], b["i_cal_uid"], b["status"], b.get("title")) for b in really]
    assert sorted(facts, key=str) == sorted(
        ((b["id"], b["i_cal_uid"], b["status"], b.get("title")) for b in shown), key=str
    )
    assert len(facts) == 4  # new, gone, and both keys of the moved one
    assert office.differences() == []


async def test_a_dry_run_beside_the_daemon(office: Office) -> None:
    with_meetings(office, "pam")
    requests = Requests(office)
    daemon = await start(office)
    await requests.until(lambda: len(office.alive("pam")) == 2)
    found = await run(office, "--once", "--dry-run")
    assert found.status == 0
    assert "0 would be sent, 0 would be cancelled" in found.out
    daemon.send_signal(signal.SIGTERM)
    assert (await ended(daemon)).status == 0


async def test_a_dry_run_beside_a_daemon_spends_none_of_its_points_on_lists(office: Office) -> None:
    """Of a calendar that was never compared: the daemon has the whole cap, and a dry run can not borrow."""
    with_meetings(office, "pam")
    with lock_state(office.state):
        found = await run(office, "--once", "--dry-run")
    assert found.status == 0
    assert "2 would be sent" in found.out
    assert "Salesloft was not asked what it holds already" in found.err
    assert office.salesloft.count("events.list") == 0


# Stopping


@pytest.mark.parametrize(
    "mode",
    [
        [],
        ["--once"],
    ],
)
async def test_sigterm_while_google_does_not_answer(office: Office, mode: list[str]) -> None:
    with_meetings(office, "pam")
    office.google.faults.add(Fault("events.list", "hang", times=None))
    requests = Requests(office)
    process = await start(office, *mode)
    await requests.until(lambda: any(e.route == "token" for e in office.google.log))
    async with asyncio.timeout(12):  # ten, and a little for a busy machine
        while not office.google.faults.fired:  # noqa: ASYNC110  # a request that hangs tells nobody
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        found = await ended(process)
    assert found.status == (1 if mode else 0)
    assert office.upserts() == []


async def test_sigterm_finishes_what_was_sent(office: Office) -> None:
    """The answers come, are settled, and the next run sends only the rest."""
    pam = office.hire("pam")
    for number in range(60):
        pam.create(f"Pitch {number}", soon(office) + timedelta(minutes=number))
    office.salesloft.faults.add(Fault("events.upsert", "slow", seconds=0.7, times=None))
    requests = Requests(office)
    process = await start(office, "--initial-sync")
    await requests.until(lambda: len(office.upserts()) >= 1)
    process.send_signal(signal.SIGTERM)
    found = await ended(process)
    assert found.status == 1
    sent = len(office.upserts())
    assert 0 < sent < 60
    assert f"still waiting {60 - sent}" in found.out
    office.salesloft.faults.clear()
    assert (await office.once()).exit_status == 0
    assert len(office.upserts()) == 60
    assert office.differences() == []
