"""The units as files: systemd understands every line, they are sealed, and they say what the contract promises."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from connector.cli import exits
from connector.sync.delivery import DRAIN_SECONDS
from tests.systemd.seed import ROOT

UNITS = ("gcal-salesloft.service", "gcal-salesloft@.service")
MOST_EXPOSURE = 1.5
needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def text_of(unit: str) -> str:
    return (ROOT / "systemd" / unit).read_text()


def values(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", text_of(unit), re.MULTILINE)


@pytest.fixture(params=UNITS)
def unit(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def startable(unit: str, tmp_path: Path) -> Path:
    """A copy whose program exists here, and which is an instance where the unit is a template."""
    path = tmp_path / unit.replace("@.", "@pam.")
    path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text_of(unit), flags=re.M))
    return path


@needs_analyze
def test_systemd_understands_every_line(startable: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", startable], capture_output=True, text=True
    )
    # It only says what it does not understand, and exits 0 all the same.
    assert (done.returncode, done.stderr) == (0, "")


@needs_analyze
def test_systemd_would_complain_about_an_unknown_key(startable: Path) -> None:
    startable.write_text(startable.read_text().replace("UMask=", "UMasque="))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", startable], capture_output=True, text=True
    )
    assert "UMasque" in done.stderr


@needs_analyze
def test_units_are_sealed(startable: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", startable],
        capture_output=True,
        text=True,
        check=True,
    )
    level = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert level is not None
    assert float(level[1]) <= MOST_EXPOSURE, done.stdout


def test_units_run_what_was_installed(unit: str) -> None:
    (command,) = values(unit, "ExecStart")
    assert command.startswith("/opt/gcal-salesloft/bin/gcal-salesloft run --config /etc/gcal-sales")


def test_what_a_restart_cannot_mend_is_not_restarted(unit: str) -> None:
    assert values(unit, "Restart") == ["on-failure"]
    (statuses,) = values(unit, "RestartPreventExitStatus")
    assert set(statuses.split()) == {str(exits.REFUSED), str(exits.MISCONFIGURED)}


def test_a_stop_leaves_time_for_what_was_sent(unit: str) -> None:
    (timeout,) = values(unit, "TimeoutStopSec")
    assert int(timeout.removesuffix("s")) >= DRAIN_SECONDS + 5


def test_a_reload_is_a_signal_to_the_program(unit: str) -> None:
    assert values(unit, "ExecReload") == ["/bin/kill -HUP $MAINPID"]


def test_nothing_but_the_state_is_the_services_own(unit: str) -> None:
    assert values(unit, "DynamicUser") == ["yes"]
    assert values(unit, "StateDirectoryMode") == ["0700"]
    assert values(unit, "ConfigurationDirectoryMode") == ["0755"]
    assert values(unit, "ProtectSystem") == ["strict"]
    assert values(unit, "ReadWritePaths") == []


def test_secrets_are_in_no_core_dump(unit: str) -> None:
    assert values(unit, "LimitCORE") == ["0"]


def test_readiness_and_watchdog_are_the_programs_own(unit: str) -> None:
    assert values(unit, "Type") == ["notify"]
    assert values(unit, "NotifyAccess") == ["main"]
    assert values(unit, "WatchdogSec") != []


def test_each_instance_has_a_state_and_a_file_of_its_own() -> None:
    plain, instance = UNITS
    (state,) = values(instance, "StateDirectory")
    assert "%i" in state
    # Nested directories of dynamic users exclude each other: the boot test starts both units.
    assert not state.startswith(values(plain, "StateDirectory")[0] + "/")
    assert "/etc/gcal-salesloft/users/%i.toml" in values(instance, "ExecStart")[0]
    assert "points_per_minute" in text_of(instance)


def test_both_units_differ_only_where_they_must() -> None:
    keys = set(re.findall(r"^(\w+)=", text_of(UNITS[0]), re.MULTILINE))
    assert keys == set(re.findall(r"^(\w+)=", text_of(UNITS[1]), re.MULTILINE))
    differing = {key for key in keys if values(UNITS[0], key) != values(UNITS[1], key)}
    assert differing == {"Description", "ExecStart", "StateDirectory"}


def test_secrets_come_from_the_service_manager(unit: str) -> None:
    loaded = dict(line.split(":", 1) for line in values(unit, "LoadCredential"))
    assert loaded == {
        "google.json": "/etc/gcal-salesloft/google.json",
        "salesloft.key": "/etc/gcal-salesloft/salesloft.key",
    }
