"""What is laid over the root of the machine that is booted: the program in /opt, its configuration, its units."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
SYSTEM_PYTHON = Path("/usr/bin/python3")
"""A python below /root would be invisible to a unit with ProtectHome."""
GOOGLE_PORT, SALESLOFT_PORT = 9411, 9412
_DEVELOPMENT_ONLY = shutil.ignore_patterns(
    "__pycache__",
    "mypy*",
    "*mypyc*",
    "_pytest",
    "hypothesis",
    "pip",
    "setuptools",
    "grimp",
    "ruff*",
)
_PROCESS = f"""
[google]
credentials_credential = "google.json"
api_url = "http://127.0.0.1:{GOOGLE_PORT}"
[salesloft]
api_key_credential = "salesloft.key"
api_url = "http://127.0.0.1:{SALESLOFT_PORT}"
[policy]
internal_domains = ["example.com"]
[sync]
poll_interval = "1s"
"""
_PAM = """
[google]
subject = "pam.beesly@example.com"
[salesloft]
user_guid = "00210d1a-df8a-459f-af75-89b953b618b0"
"""
_WORLD = {
    "google": {"calendars": [{"email": "pam.beesly@example.com", "time_zone": "Europe/Paris"}]},
    "salesloft": {
        "teams": [
            {
                "key": "simulated-key",
                "users": [
                    {
                        "email": "pam.beesly@example.com",
                        "guid": "00210d1a-df8a-459f-af75-89b953b618b0",
                    }
                ],
            }
        ]
    },
}
_QUICK = "[Service]\nWatchdogSec=2s\nRestartSec=200ms\n"


def plant(seed: Path) -> None:
    """Everything that the booted machine needs and this one lacks."""
    _install(seed / "opt/gcal-salesloft")
    plant_configuration(seed / "etc/gcal-salesloft", seed / "opt/world.json")
    units = seed / "etc/systemd/system"
    for unit in (ROOT / "systemd").iterdir():
        _write(units / unit.name, unit.read_text())
        _write(units / f"{unit.name}.d/quick.conf", _QUICK)


def plant_configuration(etc: Path, world: Path) -> None:
    """A configuration of one user, and the world of simulators that fits it."""
    _write(etc / "connector.toml", _PROCESS)
    _write(etc / "users/pam.toml", _PAM)
    _write(world, json.dumps(_WORLD))


def _install(prefix: Path) -> None:
    """A virtual environment of the system's python with the packages of this one and the checkout's program."""
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", prefix], check=True)
    packages = next(prefix.glob("lib/python3*/site-packages"))
    ours = sysconfig.get_paths()["purelib"]
    shutil.copytree(ours, packages, dirs_exist_ok=True, ignore=_needless)
    shutil.copytree(ROOT / "connector", packages / "connector", ignore=_DEVELOPMENT_ONLY)
    script = prefix / "bin/gcal-salesloft"
    # The environment was made in another place than the one it will be seen at.
    _write(
        script,
        "#!/bin/sh\n# As pip makes it, but for any prefix.\n"
        f'exec "{Path("/opt") / prefix.name / "bin/python"}" -m connector "$@"\n',
    )
    script.chmod(0o755)


def _needless(directory: str, names: list[str]) -> set[str]:
    """Development's packages, and the documents of Google's other services."""
    if Path(directory).name == "documents":
        return {name for name in names if name != "calendar.v3.json"}
    return _DEVELOPMENT_ONLY(directory, names)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
