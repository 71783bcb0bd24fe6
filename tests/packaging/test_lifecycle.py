"""The package installed, upgraded, removed and purged by dpkg, in a private root without a service manager.

By default a package without its libraries goes through all of it; the long run builds the whole one and tries it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging.packages import LATER, built, bumped, facts, hollow, obstacle
from tests.project.files import pyproject

HERE = Path(__file__).parent
VERSION = str(pyproject()["project"]["version"])
pytestmark = pytest.mark.skipif(bool(obstacle()), reason=obstacle())


def lived_through(room: Path, seconds: int) -> dict[str, str]:
    return facts([HERE / "overlay.sh", HERE / "lifecycle.sh", room], seconds)


@pytest.fixture(scope="module")
def hollow_facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    room = tmp_path_factory.mktemp("hollow")
    hollow(VERSION, room)
    hollow(LATER, room)
    return lived_through(room, 120)


@pytest.fixture(scope="module")
def whole_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make deb` builds."""
    return built(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def whole_facts(whole_package: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    room = tmp_path_factory.mktemp("upgrade")
    shutil.copy(whole_package, room)
    bumped(whole_package, room)
    return lived_through(room, 600)


KINDS = ["hollow_facts", pytest.param("whole_facts", marks=pytest.mark.long)]


@pytest.fixture(params=KINDS)
def told(request: pytest.FixtureRequest) -> dict[str, str]:
    found: dict[str, str] = request.getfixturevalue(request.param)
    return found


def test_installs_where_no_service_manager_runs(told: dict[str, str]) -> None:
    assert told["install.status"] == "0"
    assert told["install.state"] == f"installed {VERSION}"
    assert told["install.unit"] == "yes"
    assert told["install.verify"] == "0"


def test_an_installation_is_neither_enabled_nor_silent_about_the_next_step(
    told: dict[str, str],
) -> None:
    assert told["install.enabled"] == "0"
    assert told["install.said"] == "1"


def test_the_configurations_folder_can_be_read_by_the_service(told: dict[str, str]) -> None:
    assert told["install.etc"] == "755 root"


def test_an_upgrade_keeps_configuration_and_state(told: dict[str, str]) -> None:
    assert told["upgrade.status"] == "0"
    assert told["upgrade.state"] == f"installed {LATER}"
    assert told["upgrade.configuration.kept"] == "yes"
    assert told["upgrade.database"] == "kept"


def test_a_removal_takes_the_program_and_leaves_what_is_the_admins(told: dict[str, str]) -> None:
    assert told["remove.status"] == "0"
    assert (told["remove.lib"], told["remove.program"]) == ("no", "no")
    assert (told["remove.etc"], told["remove.database"]) == ("yes", "kept")
    assert told["again.status"] == "0"


def test_a_purge_asks_nothing_and_leaves_nothing(told: dict[str, str]) -> None:
    assert told["purge.status"] == "0"
    assert told["purge.state"] == "absent"
    assert told["purge.left"] == ""


@pytest.mark.long
def test_the_installed_program_works(whole_facts: dict[str, str]) -> None:
    assert whole_facts["program.version"] == f"gcal-salesloft {VERSION}"
    assert whole_facts["program.check-config"] == "0"
    assert whole_facts["upgrade.program"] == f"gcal-salesloft {VERSION}"
    assert whole_facts["install.compiled"] == "1"


@pytest.mark.long
def test_nothing_of_the_callers_reaches_the_program(whole_facts: dict[str, str]) -> None:
    assert whole_facts["program.isolated"] == f"gcal-salesloft {VERSION}"


@pytest.mark.long
def test_the_manual_is_readable(whole_facts: dict[str, str]) -> None:
    assert whole_facts["program.man"] == "0"


@pytest.mark.long
@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not installed")
def test_lintian_finds_no_error(whole_package: Path) -> None:
    command = ["lintian", "--no-cfg", "--allow-root", "--fail-on", "error", str(whole_package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.long
def test_two_builds_of_one_commit_are_equal(whole_package: Path, tmp_path: Path) -> None:
    assert built(tmp_path).read_bytes() == whole_package.read_bytes()
