"""The package under a real systemd: nothing starts unasked, an upgrade restarts what runs, a removal stops it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.packaging.packages import built, bumped
from tests.systemd.boot import booted, obstacle
from tests.systemd.seed import plant_configuration

PROBE = Path(__file__).with_name("booted.sh")
pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(obstacle()), reason=obstacle())]


@pytest.fixture(scope="module")
def facts() -> dict[str, str]:
    """What the probe found: one boot for all tests."""
    with tempfile.TemporaryDirectory(prefix="gcal-salesloft-seed-", dir="/var/tmp") as room:
        seed = Path(room) / "seed"
        packages = seed / "packages"
        bumped(built(packages), packages)
        plant_configuration(seed / "configuration", seed / "world.json")
        return booted(PROBE, seed)


def test_nothing_was_waited_for_in_vain(facts: dict[str, str]) -> None:
    assert "TIMED-OUT" not in facts


def test_an_installation_starts_and_enables_nothing(facts: dict[str, str]) -> None:
    assert facts["install.status"] == "0"
    assert (facts["install.active"], facts["install.enabled"]) == ("inactive", "disabled")
    assert (facts["idle.upgrade.status"], facts["idle.upgrade.active"]) == ("0", "inactive")


def test_the_service_runs_what_the_package_brought(facts: dict[str, str]) -> None:
    assert facts["start.status"] == "0"
    assert facts["start.program"].startswith("/usr/bin/python3")
    assert facts["start.verified"] == "0"


def test_an_upgrade_restarts_what_runs(facts: dict[str, str]) -> None:
    assert facts["upgrade.status"] == "0"
    assert (facts["upgrade.active"], facts["upgrade.restarted"]) == ("active", "yes")
    assert (facts["upgrade.enabled"], facts["upgrade.crashes"]) == ("enabled", "0")


def test_a_service_that_does_not_come_up_is_said_and_the_package_is_whole(
    facts: dict[str, str],
) -> None:
    assert facts["refused.status"] == "0"
    assert int(facts["refused.said"]) >= 1
    assert facts["refused.state"] == "installed"
    assert facts["mended.status"] == "0"


def test_a_removal_stops_the_service_and_keeps_the_state(facts: dict[str, str]) -> None:
    assert (facts["remove.status"], facts["remove.active"]) == ("0", "inactive")
    assert facts["remove.state"].endswith("state.db")
    assert int(facts["remove.stop"]) >= 1


def test_a_purge_leaves_nothing(facts: dict[str, str]) -> None:
    assert facts["purge.status"] == "0"
    assert facts["purge.left"] == ""


def test_no_traceback_anywhere(facts: dict[str, str]) -> None:
    assert facts["tracebacks"] == "0"
