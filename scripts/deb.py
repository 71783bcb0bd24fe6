"""Builds `dist/gcal-salesloft_<version>_<architecture>.deb`: `make deb`.

Plain `dpkg-deb` over a staged tree, not debhelper: the package is one virtual environment that pip fills from
`requirements.lock` by its hashes. Of debhelper's helpers only dh-virtualenv does that, with a pip of its own and at the
cost of a whole build chain; this needs nothing but what Debian's minimal system has. The environment is made for the
system's python3 and depends on its minor version, to which compiled libraries are bound.

Two builds of one commit are equal byte by byte: times come from `SOURCE_DATE_EPOCH`, else from the last commit.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from scripts import completion, man

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "deb"
PREFIX = Path("usr/lib/gcal-salesloft")
UNITS = ("gcal-salesloft.service", "gcal-salesloft@.service")
MAINTAINER = "gcal-salesloft <packages@gcal-salesloft.example.org>"
"""Whoever publishes the package says who they are: `DEBEMAIL='Name <address>' make deb`."""
SCRIPTS = ("postinst", "prerm", "postrm")
_KEPT_DOCUMENT = "calendar.v3.json"
_NEEDLESS = ("bin", "apiclient", "*/tests", "*/*/tests", "**/*.pyi", "**/*.pyx", "**/*.c", "**/*.h")
"""Of the libraries: their scripts, an alias of googleapiclient, and what only developers use."""


@dataclass(frozen=True, slots=True)
class Build:
    """What one package is made of and for. `python` is the version (3, 11) of the system's python3."""

    version: str
    architecture: str
    python: tuple[int, int]
    epoch: int
    maintainer: str = MAINTAINER

    @property
    def file_name(self) -> str:
        return f"gcal-salesloft_{self.version}_{self.architecture}.deb"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make deb", description=__doc__.splitlines()[0])
    parser.add_argument("--python", default="/usr/bin/python3", help="the system's python3")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where the package goes")
    parser.add_argument("--compression", default="xz", help="none makes a large one, quickly")
    options = parser.parse_args()
    build = Build(
        version=tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
        architecture=_said_by("dpkg", "--print-architecture"),
        python=_python_version(options.python),
        epoch=_epoch(),
        maintainer=os.environ.get("DEBEMAIL", MAINTAINER),
    )
    with tempfile.TemporaryDirectory(prefix="gcal-salesloft-deb-") as room:
        tree = Path(room, "tree")
        libraries = tree / PREFIX / site_packages(build)
        install_libraries(options.python, libraries, Path(room))
        stage(tree, build)
        options.out.mkdir(parents=True, exist_ok=True)
        package = options.out / build.file_name
        print(pack(tree, build, package, compression=options.compression))


def site_packages(build: Build) -> Path:
    return Path(f"lib/python{build.python[0]}.{build.python[1]}/site-packages")


def install_libraries(python: str, target: Path, room: Path) -> None:
    """What the lock names, by its hashes, and the program itself, for `python`; no more of it than is used."""
    wheels = room / "wheels"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    # hatchling comes from this environment, which the development lock made: nothing that is not pinned is run.
    _run(*pip, "wheel", "-qq", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(ROOT))
    install = (*pip, "--python", python, "install", "-qq", "--no-compile", "--target", str(target))
    _run(
        *install,
        "--require-hashes",
        "--only-binary",
        ":all:",
        "-r",
        str(ROOT / "requirements.lock"),
    )
    # A second call with --target leaves alone what the first one installed.
    _run(*install, "--no-deps", *(str(wheel) for wheel in wheels.glob("*.whl")))
    for pattern in _NEEDLESS:
        for path in list(target.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for document in (target / "googleapiclient/discovery_cache/documents").glob("*.json"):
        if document.name != _KEPT_DOCUMENT:
            document.unlink()
    for notes in ("direct_url.json", "INSTALLER", "REQUESTED"):
        for path in target.glob(f"*.dist-info/{notes}"):
            path.unlink()
    for record in target.glob("*.dist-info/RECORD"):
        _forget_what_is_gone(record)
    for path in target.rglob("*"):
        if path.is_file():
            path.chmod(0o644)  # nothing in there is a command


def _forget_what_is_gone(record: Path) -> None:
    """Leave only what is there: the digest of a note that names this machine's folders would differ each time."""
    lines = record.read_text().splitlines(keepends=True)
    there = record.parents[1]
    record.write_text("".join(line for line in lines if (there / line.split(",")[0]).exists()))


def stage(tree: Path, build: Build) -> None:
    """Everything around the libraries, which are in `tree` already."""
    prefix = tree / PREFIX
    (prefix / site_packages(build)).mkdir(parents=True, exist_ok=True)
    version = ".".join(map(str, build.python))
    _write(prefix / "pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
    _link(prefix / "bin/python3", f"../../../bin/python{version}")
    _write(prefix / "bin/gcal-salesloft", (SOURCES / "launcher.in").read_text(), mode=0o755)
    _link(tree / "usr/bin/gcal-salesloft", "../lib/gcal-salesloft/bin/gcal-salesloft")
    for unit in UNITS:
        _write(tree / "lib/systemd/system" / unit, unit_text((ROOT / "systemd" / unit).read_text()))
    (tree / "etc/gcal-salesloft/users").mkdir(parents=True)
    _stage_documents(tree, build)
    for script in SCRIPTS:
        _write(tree / "DEBIAN" / script, (SOURCES / script).read_text(), mode=0o755)
    _write(tree / "DEBIAN/md5sums", _md5sums(tree))
    _write(tree / "DEBIAN/control", _control(tree, build))


def unit_text(text: str) -> str:
    """A unit as the package has it: the program is elsewhere."""
    return text.replace("/opt/gcal-salesloft/bin/", f"/{PREFIX}/bin/")


def pack(tree: Path, build: Build, package: Path, *, compression: str = "xz") -> Path:
    """The staged tree as a package; owners are root, modes as a umask of 022 makes them, times the build's."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or os.access(path, os.X_OK)
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (build.epoch, build.epoch), follow_symlinks=False)
    _run(
        *("dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build", str(tree), str(package)),
        environment={**os.environ, "SOURCE_DATE_EPOCH": str(build.epoch)},
    )
    return package


def _stage_documents(tree: Path, build: Build) -> None:
    documents = tree / "usr/share/doc/gcal-salesloft"
    # Pages, and what lies beside them: alert rules, dashboards, pictures.
    shutil.copytree(ROOT / "docs", documents, ignore=shutil.ignore_patterns("adr", "__pycache__"))
    _write(documents / "copyright", (SOURCES / "copyright").read_text())
    changes = debian_changelog((ROOT / "CHANGELOG.md").read_text(), build)
    _write_compressed(documents / "changelog.gz", changes)
    shutil.copytree(ROOT / "config", documents / "examples")
    _write_compressed(tree / "usr/share/man/man1/gcal-salesloft.1.gz", man.page(build.version))
    for shell, place in completion.PLACES.items():
        _write(tree / place, completion.script(shell))
    overrides = SOURCES / "lintian-overrides"
    _write(tree / "usr/share/lintian/overrides/gcal-salesloft", overrides.read_text())


def debian_changelog(changes: str, build: Build) -> str:
    """The sections of CHANGELOG.md in Debian's form, newest first; what is unreleased belongs to the version built."""
    when = formatdate(build.epoch).replace("-0000", "+0000")
    entries: list[tuple[str, list[str]]] = []
    for heading, body in re.findall(
        r"^## (.+?)\n(.*?)(?=^## |\Z)", changes, re.MULTILINE | re.DOTALL
    ):
        points = [
            " ".join(point.split())
            for point in re.findall(r"^- (.*?)(?=^- |\Z)", body, re.M | re.S)
        ]
        if points:
            entries.append((build.version if heading == "Unreleased" else heading, points))
    merged: dict[str, list[str]] = {}
    for version, points in entries:
        merged.setdefault(version, []).extend(points)
    return "\n".join(
        f"gcal-salesloft ({version}) stable; urgency=medium\n\n"
        + "\n".join(
            textwrap.fill(point, 78, initial_indent="  * ", subsequent_indent="    ")
            for point in points
        )
        + f"\n\n -- {build.maintainer}  {when}\n"
        for version, points in merged.items()
    )


def _control(tree: Path, build: Build) -> str:
    major, minor = build.python
    size = sum(path.lstat().st_size for path in _files(tree))
    values = {
        "VERSION": build.version,
        "ARCHITECTURE": build.architecture,
        "MAINTAINER": build.maintainer,
        "INSTALLED_SIZE": str(size // 1024 + 1),
        "PYTHON": f"{major}.{minor}",
        "NEXT_PYTHON": f"{major}.{minor + 1}",
        "GLIBC": _needed_glibc(tree),
    }
    control = (SOURCES / "control.in").read_text()
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], control)


def _needed_glibc(tree: Path) -> str:
    """The newest C library that a wheel asks for by its tag (`manylinux_2_34`); 2.17 is manylinux2014."""
    tags = (
        [(int(major), int(minor)) for major, minor in re.findall(r"manylinux_(\d+)_(\d+)", line)]
        for wheel in (tree / PREFIX).rglob("*.dist-info/WHEEL")
        for line in wheel.read_text().splitlines()
    )
    # Of several tags of one wheel the least demanding counts.
    return ".".join(map(str, max((min(found) for found in tags if found), default=(2, 17))))


def _files(tree: Path) -> list[Path]:
    return sorted(
        path
        for path in tree.rglob("*")
        if path.is_file() and not path.is_symlink() and "DEBIAN" not in path.relative_to(tree).parts
    )


def _md5sums(tree: Path) -> str:
    return "".join(
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(tree)}\n"
        for path in _files(tree)
    )


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _write_compressed(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _epoch() -> int:
    """When this was made, in seconds since 1970: what the caller says, the last commit's time, the changelog's."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    try:
        return int(_said_by("git", "-C", str(ROOT), "log", "-1", "--format=%ct"))
    except (OSError, subprocess.CalledProcessError):
        return int((ROOT / "CHANGELOG.md").stat().st_mtime)


def _python_version(python: str) -> tuple[int, int]:
    code = "import sys; print(*sys.version_info[:2], sys.implementation.name)"
    major, minor, name = _said_by(python, "-c", code).split()
    if (int(major), int(minor)) < (3, 11) or name != "cpython" or platform.system() != "Linux":
        sys.exit(f"make deb: {python} is {name} {major}.{minor}; needed is CPython 3.11 or newer")
    return int(major), int(minor)


def _said_by(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _run(*command: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"make deb: {' '.join(command[:6])} … failed\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
