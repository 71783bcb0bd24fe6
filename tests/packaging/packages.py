"""Packages as the tests of this folder need them, and what a script said in a root with such a package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts import deb

ROOT = Path(__file__).parents[2]
BUILD_SECONDS = 600
LATER = "99.1"
"""The version of the package that an installed one is upgraded to."""


def build_of(version: str) -> deb.Build:
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return deb.Build(
        version=version, architecture=architecture, python=(3, 11), epoch=1_790_000_000
    )


def hollow(version: str, room: Path) -> Path:
    """A package without its libraries: all that is ours, in a second."""
    build = build_of(version)
    tree = room / f"tree-{version}"
    deb.stage(tree, build)
    return deb.pack(tree, build, room / build.file_name, compression="none")


def built(room: Path) -> Path:
    """What `make deb` builds."""
    command = [sys.executable, "-m", "scripts.deb", "--out", str(room)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=BUILD_SECONDS)
    (package,) = room.glob("*.deb")
    return package


def bumped(package: Path, room: Path) -> Path:
    """The same package as a later version."""
    build = build_of(LATER)
    tree = room / "bumped"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN/control"
    lines = control.read_text().splitlines(keepends=True)
    control.write_text(
        "".join(f"Version: {LATER}\n" if line.startswith("Version:") else line for line in lines)
    )
    made = deb.pack(tree, build, room / build.file_name, compression="none")
    shutil.rmtree(tree)
    return made


def obstacle() -> str:
    """Why no private root can be made here; empty if it can."""
    if os.geteuid() != 0:
        return "namespaces need root"
    for tool in ("dpkg", "unshare", "chroot"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    trial = "mount -t overlay overlay -o lowerdir=/etc:/usr /mnt"
    if subprocess.run(["unshare", "--mount", "sh", "-c", trial], capture_output=True).returncode:
        return "no overlay can be mounted here"
    return ""


def facts(command: Sequence[str | Path], seconds: int) -> dict[str, str]:
    """What a script said, a fact a line."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {
        name: value
        for line in done.stdout.splitlines()
        for name, _, value in [line.partition(" ")]
        if name != "log"
    }
