"""A real systemd, booted in namespaces of its own, and what a script found out in there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.systemd.seed import ROOT, SYSTEM_PYTHON

BOOT = next(
    (
        script
        for folder in (ROOT.parent, Path("/work"))
        if (script := folder / "shared/tools/boot-systemd.sh").exists()
    ),
    None,
)
BOOT_SECONDS = 240


def obstacle() -> str:
    """Why none can be booted here; empty if it can."""
    if BOOT is None:
        return "boot-systemd.sh is not here"
    if os.geteuid() != 0:
        return "namespaces need root"
    if shutil.which("unshare") is None or not Path("/lib/systemd/systemd").exists():
        return "systemd is not installed"
    if not SYSTEM_PYTHON.exists() or _version(SYSTEM_PYTHON) != sys.version_info[:2]:
        return "the system's python is another one than this"
    return ""


def _version(python: Path) -> tuple[int, ...]:
    done = subprocess.run([python, "-V"], capture_output=True, text=True, check=True)
    return tuple(int(part) for part in re.findall(r"\d+", done.stdout)[:2])


def booted(probe: Path, seed: Path) -> dict[str, str]:
    """The facts that `probe` prints (NAME VALUE, one a line) in a machine with `seed` laid over its root."""
    assert BOOT is not None
    done = subprocess.run(
        [BOOT, probe, seed],
        capture_output=True,
        text=True,
        env={**os.environ, "BOOT_TIMEOUT": str(BOOT_SECONDS)},
        timeout=BOOT_SECONDS + 60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {
        name: value
        for line in done.stdout.splitlines()
        for name, _, value in [line.partition(" ")]
        if name != "log"
    }
