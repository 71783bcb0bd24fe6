"""The units under a real systemd, booted in namespaces of its own: started, killed, hung, stopped, misconfigured."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

from tests.systemd.boot import booted, obstacle
from tests.systemd.seed import plant

PROBE = Path(__file__).with_name("probe.sh")
pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(obstacle()), reason=obstacle())]


@pytest.fixture(scope="module")
def facts() -> dict[str, str]:
    """What the probe found: one boot for all tests."""
    with tempfile.TemporaryDirectory(prefix="gcal-salesloft-seed-", dir="/var/tmp") as room:
        seed = Path(room) / "seed"
        plant(seed)
        return booted(PROBE, seed)


def test_nothing_was_waited_for_in_vain(facts: dict[str, str]) -> None:
    assert "TIMED-OUT" not in facts


def test_start_waits_for_ready(facts: dict[str, str]) -> None:
    assert (facts["start.status"], facts["start.active"]) == ("0", "active")


def test_a_state_made_by_hand_is_taken_over_and_given_back(facts: dict[str, str]) -> None:
    assert facts["by.hand.status"] == "0"
    assert facts["process.uid"] == facts["state.file.owner"]
    assert facts["status.command"].startswith("pam: ok")
    assert facts["second.run.status"] == "1"  # the state has one process at a time
    assert facts["by.hand.again.status"] == "0"
    assert facts["again.status"] == "0"


def test_status_shows_how_it_stands(facts: dict[str, str]) -> None:
    assert re.fullmatch(r"1 users?, \d+ polls?, 0 waiting, 0 refused", facts["status.text"])


def test_runs_as_nobody_in_particular_and_owns_its_state(facts: dict[str, str]) -> None:
    assert int(facts["process.uid"]) >= 61184  # systemd's range for dynamic users
    assert facts["state.file.owner"] == facts["process.uid"]
    assert facts["state.mode"] == "700"


def test_secrets_stay_roots(facts: dict[str, str]) -> None:
    assert facts["secret.owner"] == "0 600"
    assert facts["secrets.logged"] == "0"


def test_a_reload_leaves_the_process_at_work(facts: dict[str, str]) -> None:
    assert facts["reload.status"] == "0"
    assert (facts["reload.active"], facts["reload.same.process"]) == ("active", "yes")
    assert facts["reload.restarts"] == "0"
    assert facts["reload.polls.on"] == "yes"


def test_a_restart_goes_on_where_it_was(facts: dict[str, str]) -> None:
    assert facts["restart.status"] == "0"
    assert facts["restart.active"] == "active"
    assert facts["restart.full.readings"] == "0"


def test_secrets_are_in_no_core_dump(facts: dict[str, str]) -> None:
    assert facts["core.limit"] == "0"


def test_killed_is_restarted(facts: dict[str, str]) -> None:
    assert facts["killed.restarts"] == "1"


def test_hung_is_restarted_by_the_watchdog(facts: dict[str, str]) -> None:
    assert facts["watchdog.restarts"] == "2"


def test_stop_is_clean(facts: dict[str, str]) -> None:
    assert facts["stop.status"] == "0"
    assert (facts["stop.active"], facts["stop.result"], facts["stop.exit"]) == (
        "inactive",
        "success",
        "0",
    )


def test_an_instance_has_a_state_of_its_own_and_runs_beside_the_plain_service(
    facts: dict[str, str],
) -> None:
    assert facts["one.status"] == "0"
    assert facts["one.state"] == "/var/lib/gcal-salesloft-pam/state.db"
    assert facts["both.status"] == "0"
    assert facts["one.result"] == "success"


def test_a_missing_credential_is_named(facts: dict[str, str]) -> None:
    assert facts["credential.missing.exit"] == "78"
    assert int(facts["credential.missing.said"]) >= 1


def test_a_wrong_configuration_is_not_restarted(facts: dict[str, str]) -> None:
    assert facts["misconfigured.exit"] == "78"
    assert facts["misconfigured.active"] == "failed"
    assert facts["misconfigured.restarts"] == "0"
    assert int(facts["misconfigured.said"]) >= 1


def test_no_traceback_anywhere(facts: dict[str, str]) -> None:
    assert facts["tracebacks"] == "0"
