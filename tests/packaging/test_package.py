"""What the package holds, without its libraries: made in a second, looked at with dpkg-deb."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import deb
from tests.packaging.packages import ROOT, build_of, hollow

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed"
)
VERSION = "1.2.3"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hollow(VERSION, tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def tree(package: Path) -> Path:
    """The package, unpacked."""
    target = package.with_name("unpacked")
    subprocess.run(["dpkg-deb", "-R", package, target], check=True)
    return target


@pytest.fixture(scope="module")
def listed(package: Path) -> dict[str, tuple[str, str]]:
    """Each path of the package: its mode and its owner."""
    done = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True)
    rows = (line.split(maxsplit=5) for line in done.stdout.splitlines())
    return {row[5].split(" -> ")[0].lstrip("."): (row[0], row[1]) for row in rows}


def test_everything_is_roots_and_nobody_else_may_write(listed: dict[str, tuple[str, str]]) -> None:
    assert {owner for _, owner in listed.values()} == {"root/root"}
    assert {mode for mode, _ in listed.values()} <= {
        "drwxr-xr-x",
        "-rwxr-xr-x",
        "-rw-r--r--",
        "lrwxrwxrwx",
    }


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/gcal-salesloft",
        "/usr/lib/gcal-salesloft/pyvenv.cfg",
        "/usr/share/man/man1/gcal-salesloft.1.gz",
        "/usr/share/bash-completion/completions/gcal-salesloft",
        "/usr/share/zsh/vendor-completions/_gcal-salesloft",
        "/usr/share/fish/vendor_completions.d/gcal-salesloft.fish",
        "/usr/share/doc/gcal-salesloft/copyright",
        "/usr/share/doc/gcal-salesloft/changelog.gz",
        "/usr/share/doc/gcal-salesloft/setup.md",
        "/usr/share/doc/gcal-salesloft/examples/connector.toml",
        "/usr/share/doc/gcal-salesloft/examples/users/pam.toml",
        "/lib/systemd/system/gcal-salesloft.service",
        "/lib/systemd/system/gcal-salesloft@.service",
    ],
)
def test_brings(listed: dict[str, tuple[str, str]], path: str) -> None:
    assert path in listed


def test_the_configuration_is_the_admins_alone(listed: dict[str, tuple[str, str]]) -> None:
    """No file in /etc: nothing to ask about on an upgrade, and no secret to ship."""
    below = {path for path in listed if path.startswith("/etc/") and path != "/etc/"}
    assert below == {"/etc/gcal-salesloft/", "/etc/gcal-salesloft/users/"}
    assert not any(re.search(r"google\.json|\.key$|\.db$", path) for path in listed)


def test_units_start_the_program_where_the_package_has_it(tree: Path) -> None:
    for unit in deb.UNITS:
        text = (tree / "lib/systemd/system" / unit).read_text()
        (program,) = re.findall(r"^ExecStart=(\S+)", text, re.MULTILINE)
        assert os.access(tree / program.lstrip("/"), os.X_OK)
        assert "/opt/gcal-salesloft/bin" not in text
        # That one line apart, it is the unit that the tests of systemd/ look at.
        ours = (ROOT / "systemd" / unit).read_text()
        differing = set(text.splitlines()) ^ set(ours.splitlines())
        assert {line.split("=")[0] for line in differing} == {"ExecStart"}


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_systemd_understands_the_packages_units(tree: Path) -> None:
    for unit in deb.UNITS:
        path = tree / "lib/systemd/system" / unit
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", path.read_text(), flags=re.M)
        copy = tree.parent / unit.replace("@.", "@pam.")
        copy.write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_it_depends_on_the_minor_version_that_it_was_made_for(tree: Path) -> None:
    control = (tree / "DEBIAN/control").read_text()
    assert f"\nVersion: {VERSION}\n" in control
    assert "python3 (>= 3.11), python3 (<< 3.12~), python3.11," in control
    assert "@" not in control.replace("packages@gcal-salesloft.example.org", "")


def test_the_newest_c_library_that_a_wheel_needs_is_a_dependency(tmp_path: Path) -> None:
    build = build_of(VERSION)
    libraries = tmp_path / deb.PREFIX / deb.site_packages(build)
    for name, tag in (
        ("old", "manylinux2014"),
        ("new", "manylinux_2_34"),
        ("mid", "manylinux_2_28"),
    ):
        (libraries / f"{name}.dist-info").mkdir(parents=True)
        (libraries / f"{name}.dist-info/WHEEL").write_text(f"Tag: cp311-cp311-{tag}_x86_64\n")
    deb.stage(tmp_path, build)
    assert "libc6 (>= 2.34)" in (tmp_path / "DEBIAN/control").read_text()


def test_checksums_are_of_what_is_there(tree: Path) -> None:
    done = subprocess.run(
        ["md5sum", "--check", "--quiet", "DEBIAN/md5sums"], cwd=tree, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert "etc/" not in (tree / "DEBIAN/md5sums").read_text()


@pytest.mark.parametrize("script", deb.SCRIPTS)
def test_maintainer_scripts_are_for_any_shell(tree: Path, script: str) -> None:
    path = tree / "DEBIAN" / script
    assert path.read_text().startswith("#!/bin/sh\n")
    assert "\nset -e\n" in path.read_text()
    assert subprocess.run(["sh", "-n", path], check=False).returncode == 0
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", path], capture_output=True, text=True, check=False)
        assert done.stdout == ""


def test_the_changelog_is_debians_and_ours(tree: Path) -> None:
    with gzip.open(tree / "usr/share/doc/gcal-salesloft/changelog.gz", "rt") as file:
        text = file.read()
    assert text.startswith(f"gcal-salesloft ({VERSION}) stable; urgency=medium\n\n  * ")
    assert "\n\n -- gcal-salesloft <" in text
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith(" -- "))
    if shutil.which("dpkg-parsechangelog"):
        done = subprocess.run(
            ["dpkg-parsechangelog", "-l", "-", "-S", "Version"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout.strip(), done.stderr) == (VERSION, "")


def test_one_build_of_one_commit_has_one_form(package: Path, tmp_path: Path) -> None:
    assert hollow(VERSION, tmp_path).read_bytes() == package.read_bytes()
