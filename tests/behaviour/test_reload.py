"""A changed configuration, and an admin's decisions, take effect while the daemon runs and disturb nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, MutableMapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from connector.app import run_daemon
from connector.cli import status, steering
from connector.settings.files import load_settings
from connector.simulator.faults import Fault
from connector.store import State, open_reader
from tests.daemon import Requests
from tests.office import Office, guid_of

PROSPECT = {"email": "dwight@customer.example.org"}
SECRET = "Kündigung besprechen"


class Serving(Requests):
    """The daemon in this process, watching its files; what it logs is heard."""

    def __init__(self, office: Office, logs: Sequence[MutableMapping[str, Any]]) -> None:
        super().__init__(office)
        self.logs = logs

    async def heard(self, event: str) -> None:
        """Wait until this was logged."""
        await self.until(lambda: any(one["event"] == event for one in self.logs))


@asynccontextmanager
async def serving(office: Office) -> AsyncIterator[Serving]:
    stopping = asyncio.Event()
    with capture_logs() as logs:
        requests = Serving(office, logs)
        task = asyncio.create_task(
            run_daemon(load_settings(office.config), stopping, office.config)
        )
        try:
            yield requests
            assert not task.done()
        finally:
            stopping.set()
            await task


def meeting(office: Office, name: str, title: str = "Pitch", *, hours: int = 30) -> str:
    return office.sellers[name].create(
        title, office.clock() + timedelta(hours=hours), attendees=[PROSPECT]
    )


def titles(office: Office, name: str) -> set[str | None]:
    return {event.title for event in office.alive(name).values()}


def polls(office: Office, name: str) -> int:
    return sum(
        entry.route == "events.list" and entry.subject == f"{name}@example.com"
        for entry in office.google.log
    )


async def test_a_user_who_comes_is_served_and_one_who_goes_is_not(office: Office) -> None:
    office.hire("pam")
    async with serving(office) as requests:
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})
        office.hire("jim")
        meeting(office, "jim", "Demo")
        await requests.until(lambda: titles(office, "jim") == {"Demo"})
        (office.config / "users" / "jim.toml").unlink()
        await requests.heard("user_removed")
        jims = polls(office, "jim")
        meeting(office, "jim", "Too late")
        before = polls(office, "pam")
        await requests.until(lambda: polls(office, "pam") >= before + 3)
        assert polls(office, "jim") == jims
        assert titles(office, "jim") == {"Demo"}


async def test_a_broken_file_parks_its_user_only_and_a_mended_one_brings_the_user_back(
    office: Office,
) -> None:
    office.hire("pam")
    office.hire("jim")
    file = office.config / "users" / "jim.toml"
    good = file.read_text()
    async with serving(office) as requests:
        meeting(office, "jim", "Demo")
        await requests.until(lambda: titles(office, "jim") == {"Demo"})
        file.write_text(good + "\n[sync]\npoll_interwal = '1s'\n")
        await requests.heard("user_misconfigured")
        await requests.heard("user_removed")
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})
        meeting(office, "jim", "Waits")
        before = polls(office, "pam")
        await requests.until(lambda: polls(office, "pam") >= before + 2)
        assert titles(office, "jim") == {"Demo"}
        file.write_text(good)
        await requests.until(lambda: titles(office, "jim") == {"Demo", "Waits"})


async def test_a_broken_connector_toml_changes_nothing(office: Office) -> None:
    office.hire("pam")
    async with serving(office) as requests:
        (office.config / "connector.toml").write_text("[state\n")
        await requests.heard("configuration_kept")
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})


async def test_a_stricter_policy_takes_the_text_away_again(office: Office) -> None:
    office.hire("pam")
    async with serving(office) as requests:
        meeting(office, "pam", SECRET)
        await requests.until(lambda: titles(office, "pam") == {SECRET})
        office.configure("pam", extra='[policy]\ninternal_domains = ["customer.example.org"]\n')
        await requests.until(lambda: titles(office, "pam") <= {"", None})


async def test_what_waits_under_the_old_policy_is_not_sent_under_the_new_one(
    office: Office,
) -> None:
    office.hire("pam")
    async with serving(office) as requests:
        office.salesloft.faults.add(Fault("events.upsert", "status", status=503, times=10_000))
        meeting(office, "pam", SECRET)
        await requests.until(lambda: office.salesloft.count("events.upsert") > 0)
        # Google does not answer either: nothing can be read, and so planned, anew.
        office.google.faults.add(Fault("events.list", "status", status=503, times=10_000))
        office.configure("pam", extra='[policy]\ninternal_domains = ["customer.example.org"]\n')
        await requests.heard("user_changed")
        before = office.salesloft.count("events.upsert")
        office.salesloft.faults.clear()
        listed = len(office.google.log)
        await requests.until(lambda: len(office.google.log) > listed + 3)
        sent = office.salesloft.log
        assert [e.status for e in sent if e.route == "events.upsert"].count(201) == 0, before
        office.google.faults.clear()
        await requests.until(lambda: bool(office.alive("pam")))
        assert titles(office, "pam") <= {"", None}


async def test_changed_credentials_are_used_at_the_next_call(office: Office) -> None:
    office.hire("pam")
    async with serving(office) as requests:
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})
        office.google.revoke("pam@example.com")
        await requests.until(lambda: any(e.status == 400 for e in office.google.log[-5:]))
        fresh = office.google.add_authorized_user("pam@example.com")
        (office.config / "users" / "pam.json").write_text(json.dumps(fresh))
        meeting(office, "pam", "Again")
        await requests.until(lambda: titles(office, "pam") == {"Pitch", "Again"})


async def test_a_hangup_reloads_too(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    async def blind(*_: object, **__: object) -> AsyncIterator[set[object]]:
        await asyncio.Event().wait()
        yield set()

    monkeypatch.setattr("connector.app.reload.awatch", blind)
    office.hire("pam")
    async with serving(office) as requests:
        await requests.until(lambda: polls(office, "pam") > 1)
        office.hire("jim")
        meeting(office, "jim", "Demo")
        before = polls(office, "pam")
        await requests.until(lambda: polls(office, "pam") > before + 2)
        assert titles(office, "jim") == set()
        os.kill(os.getpid(), signal.SIGHUP)
        await requests.until(lambda: titles(office, "jim") == {"Demo"})


async def test_a_paused_user_rests_until_resumed(office: Office) -> None:
    office.hire("pam")
    office.hire("jim")
    async with serving(office) as requests:
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})
        assert await steering.run(office.config, "pam", "pause", as_json=False) == 0
        before = polls(office, "jim")
        await requests.until(lambda: polls(office, "jim") >= before + 4)
        rests = polls(office, "pam")
        meeting(office, "pam", "Later")
        before = polls(office, "jim")
        await requests.until(lambda: polls(office, "jim") >= before + 3)
        assert polls(office, "pam") == rests
        assert await steering.run(office.config, "pam", "resume", as_json=False) == 0
        await requests.until(lambda: titles(office, "pam") == {"Pitch", "Later"})


async def test_a_resync_is_a_full_pass_with_an_id(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.hire("pam")
    async with serving(office) as requests:
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})
        capsys.readouterr()
        assert await steering.run(office.config, "pam", "resync", as_json=True) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["daemon"] is True
        full = len(office.google.log)
        await requests.until(
            lambda: any("timeMin" in entry.query for entry in office.google.log[full:])
        )
        before = polls(office, "pam")
        await requests.until(lambda: polls(office, "pam") > before + 1)
    state = State(open_reader(office.place))
    try:
        row = next(row for row in await state.calendars() if row.user_guid == guid_of("pam"))
    finally:
        state.close()
    assert row.resync_done == answer["pass_id"]
    assert not row.resync_is_due
    assert await status.run(office.config, as_json=False) == 0
    assert f"resync {answer['pass_id']}: done at" in capsys.readouterr().out


async def test_one_shots_leave_a_paused_user_alone(office: Office) -> None:
    office.hire("pam")
    meeting(office, "pam")
    assert await steering.run(office.config, "pam", "pause", as_json=False) == 0
    await office.once(full=True)
    assert office.alive("pam") == {}
    assert polls(office, "pam") == 0
    await steering.run(office.config, "pam", "resume", as_json=False)
    await office.once()
    assert titles(office, "pam") == {"Pitch"}
