"""The project's own files, as the tests of this folder read them."""

from __future__ import annotations

import functools
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def text(name: str) -> str:
    return (ROOT / name).read_text()


@functools.cache
def project_files() -> tuple[Path, ...]:
    """All files of the project but what git ignores, so also those that are not added yet."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (ROOT / name for name in done.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def texts() -> dict[Path, str]:
    """The text of each file of the project."""
    return {path: path.read_text(errors="replace") for path in project_files()}


def pyproject() -> dict[str, Any]:
    return tomllib.loads(text("pyproject.toml"))


def table(name: str, heading: str) -> list[list[str]]:
    """The cells of the first Markdown table below a heading, without its head."""
    section = text(name).split(f"\n## {heading}\n", 1)[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    # A bar inside code is escaped: `held list\|release`.
    cells = [row.replace("\\|", "\0").strip("|").split("|") for row in rows[2:]]
    return [[cell.replace("\0", "|").strip() for cell in row] for row in cells]
