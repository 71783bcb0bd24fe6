"""`doctor` names each fault of a connection, with its evidence, its remedy and the right exit status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from connector.app import doctor
from connector.cli.commands import app
from connector.google import READ_SCOPE, WRITE_SCOPE
from connector.settings.files import load_settings
from connector.simulator.faults import Fault
from tests.daemon import Requests, daemon_of
from tests.office import KEY, Office, guid_of, open_office
from tests.upkeep.test_state_commands import names


async def doctor_of(office: Office, *arguments: str) -> Result:
    words = ["doctor", "--config", str(office.config), *arguments]
    return await asyncio.to_thread(CliRunner().invoke, app, words)


def lines_of(result: Result, what: str) -> str:
    """The line of a check, with its remedy."""
    lines = result.stdout.splitlines()
    found = [
        line + (lines[n + 1] if n + 1 < len(lines) and "→" in lines[n + 1] else "")
        for n, line in enumerate(lines)
        if f"{what}: " in line and "→" not in line
    ]
    assert len(found) == 1, result.output
    return found[0]


def delegated(office: Office, name: str) -> dict[str, str]:
    """Let a seller be read by a service account."""
    key = office.google.add_service_account()
    office.configure(name, google=f'subject = "{name}@example.com"')
    (office.config / "users" / f"{name}.json").write_text(json.dumps(key))
    return key


async def test_all_is_well_and_nothing_is_written(office: Office) -> None:
    office.hire("pam")
    result = await doctor_of(office)
    assert result.exit_code == 0, result.output
    assert "0 failed" in result.stdout
    assert "4 points" in result.stdout
    assert names(office.directory, "state.db*") == []
    assert office.upserts() == []
    assert {entry.method for entry in office.google.log} == {"GET", "POST"}
    assert {entry.route for entry in office.google.log} == {"token", "events.list"}


async def test_beside_a_daemon(office: Office) -> None:
    office.hire("pam")
    requests = Requests(office)
    async with daemon_of(office) as daemon:
        await daemon.start()
        await requests.until(lambda: len(office.google.requests("events.list")) > 3)
        result = await doctor_of(office)
        assert await daemon.end() == 0
    assert result.exit_code == 0, result.output
    assert "held by process" in lines_of(result, "state")


async def test_json_is_json_and_nothing_else(office: Office) -> None:
    office.hire("pam")
    answer = json.loads((await doctor_of(office, "--json")).stdout)
    assert answer["failed"] == 0
    assert {"scope", "what", "verdict", "evidence", "remedy"} <= answer["checks"][0].keys()


# Google's faults


def revoked(office: Office) -> None:
    office.google.revoke("pam@example.com")


def gone(office: Office) -> None:
    office.google.delete_calendar(office.sellers["pam"])


def reading_only(office: Office) -> None:
    office.google.grant_scopes("pam@example.com", [READ_SCOPE])


def no_scope(office: Office) -> None:
    office.google.grant_scopes(
        "pam@example.com", ["https://www.googleapis.com/auth/calendar.calendars"]
    )


def busy_times_only(office: Office) -> None:
    office.google.set_role(office.sellers["pam"], "pam@example.com", "freeBusyReader")


@pytest.mark.parametrize(
    ("fault", "what", "verdict", "told", "remedy", "status"),
    [
        (revoked, "Google token", "FAILED", "token_revoked", "consent again", 77),
        (no_scope, "Google token", "FAILED", "scope_missing", WRITE_SCOPE, 77),
        (gone, "Google calendar", "FAILED", "calendar_gone", "share calendar primary", 1),
        (busy_times_only, "Google calendar", "warning", "freeBusyReader", "See all event", 0),
        (reading_only, "write scope for bookings", "warning", "not granted", WRITE_SCOPE, 0),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
async def test_google_faults(
    office: Office,
    fault: Callable[[Office], None],
    what: str,
    verdict: str,
    told: str,
    remedy: str,
    status: int,
) -> None:
    office.hire("pam")
    fault(office)
    result = await doctor_of(office)
    line = lines_of(result, what)
    assert line.startswith(verdict)
    assert told in line.partition("→")[0]
    assert remedy in line.partition("→")[2]
    assert result.exit_code == status


@pytest.mark.parametrize("granted", [[], [READ_SCOPE]], ids=["nothing", "reading"])
async def test_missing_delegation_names_what_to_paste(office: Office, granted: list[str]) -> None:
    office.hire("pam")
    key = delegated(office, "pam")
    office.google.grant_scopes(key["client_email"], granted)
    result = await doctor_of(office)
    line = lines_of(result, "write scope for bookings" if granted else "Google token")
    assert "delegation_missing" in line
    for needed in (key["client_id"], READ_SCOPE, WRITE_SCOPE, "Domain-wide delegation"):
        assert needed in line.partition("→")[2]
    assert result.exit_code == (0 if granted else 77)


async def test_a_service_account_without_subject_reads_nobody(office: Office) -> None:
    office.hire("pam")
    delegated(office, "pam")
    file = office.config / "users/pam.toml"
    file.write_text(file.read_text().replace('subject = "pam@example.com"', ""))
    service = next(iter(office.google.accounts.service_accounts.values()))
    office.google.add_calendar(service.email)
    line = lines_of(await doctor_of(office), "whose calendar")
    assert line.startswith("FAILED")
    assert "[google] subject" in line


async def test_one_refused_user_of_two_is_no_77(office: Office) -> None:
    office.hire("pam")
    office.hire("jim")
    revoked(office)
    assert (await doctor_of(office)).exit_code == 1
    assert (await doctor_of(office, "--user", "jim")).exit_code == 0
    assert (await doctor_of(office, "--user", "pam")).exit_code == 77
    assert (await doctor_of(office, "--user", "dwight")).exit_code == 2


# Salesloft's faults


async def test_a_withdrawn_key(office: Office) -> None:
    office.hire("pam")
    office.salesloft.withdraw_key(KEY)
    result = await doctor_of(office)
    line = lines_of(result, "Salesloft key")
    assert line.startswith("FAILED")
    assert "new API key" in line
    assert result.exit_code == 77


@pytest.mark.parametrize(
    ("routes", "what", "remedy"),
    [
        ("settings.search", "permission manage_team", "manage_team"),
        ("meetings.list", "permission to list meetings", "meetings"),
        ("events.list", "permission to list events", "calendar events"),
    ],
)
async def test_a_missing_permission_is_a_warning(
    office: Office, routes: str, what: str, remedy: str
) -> None:
    office.hire("pam")
    office.salesloft.deny(KEY, routes)
    result = await doctor_of(office)
    line = lines_of(result, what)
    assert line.startswith("warning")
    assert "403" in line
    assert remedy in line.partition("→")[2]
    assert result.exit_code == 0


async def test_another_type_of_calendar(office: Office) -> None:
    office.hire("pam")
    office.hire("jim")
    office.salesloft.set_calendar_type(guid_of("pam"), "google")
    result = await doctor_of(office)
    bad = next(line for line in result.stdout.splitlines() if "pam: Salesloft calendar" in line)
    assert bad.startswith("FAILED")
    assert "`google`" in bad
    assert "ok       user jim: Salesloft calendar" in result.stdout
    assert result.exit_code == 1


async def test_an_unknown_user_guid(office: Office) -> None:
    office.hire("pam")
    del office.salesloft.team_of(guid_of("pam")).users[guid_of("pam")]
    line = lines_of(await doctor_of(office), "Salesloft calendar")
    assert line.startswith("FAILED")
    assert "no user with this user_guid" in line


async def test_more_points_than_there_are(office: Office) -> None:
    office.hire("pam")
    office.salesloft.set_limit(KEY, 300)
    line = lines_of(await doctor_of(office), "points")
    assert line.startswith("warning")
    assert "at most 300" in line


# The machine


@pytest.fixture
async def shifted(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path, lambda: datetime.now(UTC) + timedelta(seconds=200)) as opened:
        yield opened


async def test_a_wrong_clock(shifted: Office) -> None:
    shifted.hire("pam")
    result = await doctor_of(shifted)
    line = lines_of(result, "clock")
    assert line.startswith("FAILED")
    assert "s ahead of" in line
    assert "timedatectl" in line
    assert "Google's is 199" in line or "Google's is 200" in line
    assert "Salesloft's is" in line
    assert result.exit_code == 1


async def test_hosts_that_cannot_be_reached(office: Office) -> None:
    office.hire("pam")
    files = [office.config / "users/pam.toml", office.config / "connector.toml"]
    for file in files:
        text = file.read_text()
        file.write_text(
            text.replace(office.google_url, "http://127.0.0.1:9").replace(
                office.salesloft_url, "http://127.0.0.1:9"
            )
        )
    result = await doctor_of(office)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert lines_of(result, "Salesloft reachable").startswith("FAILED")
    assert lines_of(result, "Google reachable").startswith("FAILED")


async def test_hosts_that_hang_are_named(office: Office) -> None:
    office.hire("pam")
    office.google.faults.add(Fault("events.list", "hang", times=None))
    office.salesloft.faults.add(Fault("me", "hang", times=None))
    office.salesloft.faults.add(Fault("*", "hang", times=None))
    report = doctor.DoctorReport()
    settings = load_settings(office.config)
    seen = [c async for c in doctor.examine(office.config, settings, report, patience=0.5)]
    assert seen == report.checks
    evidence = {check.what: check.evidence for check in seen}
    assert "did not answer within 0.5 s" in evidence["Salesloft reachable"]
    assert "Google reachable" in evidence


async def test_a_readable_secret_names_the_chmod(office: Office) -> None:
    office.hire("pam")
    key = office.config / "salesloft.key"
    key.chmod(0o644)
    result = await doctor_of(office)
    assert result.exit_code == 78
    assert f"chmod 600 '{key}'" in result.stdout or f"chmod 600 {key}" in result.stdout


async def test_one_bad_file_leaves_the_others_checked(office: Office) -> None:
    office.hire("pam")
    (office.config / "users/jim.toml").write_text("[google]\nsubjekt = 1\n")
    result = await doctor_of(office)
    assert result.exit_code == 78
    assert "subjekt" in result.stdout
    assert lines_of(result, "Google token").startswith("ok")


async def test_instances_of_one_team_need_a_share(office: Office) -> None:
    office.points_per_minute = 600
    office.hire("pam")
    office.hire("jim")
    words = ["doctor", "--config", str(office.config / "users/pam.toml")]
    result = await asyncio.to_thread(CliRunner().invoke, app, words)
    line = lines_of(result, "share of points")
    assert line.startswith("warning")
    assert "points_per_minute = 300" in line
    assert "share of points" not in (await doctor_of(office)).stdout


async def test_a_damaged_state_is_named(office: Office) -> None:
    office.hire("pam")
    office.state.write_bytes(b"no database " * 1000)
    result = await doctor_of(office)
    assert lines_of(result, "state").startswith("FAILED")
    assert result.exit_code == 1
    assert office.state.read_bytes() == b"no database " * 1000
