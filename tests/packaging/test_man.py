"""The manual page and the completions say what the command line says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from connector.cli.commands import app
from scripts import completion, man
from tests.project.files import table

PAGE = man.page("1.2.3")


def commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


EVERY = dict(commands(typer.main.get_command(app)))


def section(name: str) -> str:
    return PAGE.split(rf".SS \fB{man.escaped(name)}\fR", 1)[1].split("\n.S")[0]


@pytest.mark.parametrize("name", sorted(EVERY))
def test_every_command_is_there_with_every_option(name: str) -> None:
    text = section(name)
    for parameter in EVERY[name].params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            assert all(rf"\fB{man.escaped(option)}\fR" in text for option in parameter.opts)


def test_every_exit_status_is_there() -> None:
    text = PAGE.split(".SH EXIT STATUS")[1].split(".SH")[0]
    statuses = set(re.findall(r"^\\fB(\d+)\\fR$", text, re.MULTILINE))
    assert statuses == {row[0] for row in table("README.md", "Exit statuses")}


@pytest.mark.parametrize("heading", ["SIGNALS", "FILES", "ENVIRONMENT", "EXAMPLES", "SEE ALSO"])
def test_has(heading: str) -> None:
    assert f".SH {heading}\n" in PAGE


def test_what_begins_like_a_request_is_text() -> None:
    assert man.escaped(".so /etc/passwd\n'x \\fB") == "\\&.so /etc/passwd\n\\&'x \\efB"


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_renders_without_a_warning() -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Kutf8", "-Tutf8", "-z"],
        input=PAGE,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_is_read_with_man(tmp_path: Path) -> None:
    path = tmp_path / "gcal-salesloft.1"
    path.write_text(PAGE)
    done = subprocess.run(
        ["man", "--warnings", "-l", path],
        capture_output=True,
        text=True,
        env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"},
    )
    if done.returncode == 0 and "has been minimized" in done.stdout:
        pytest.skip("man is a stand-in here")
    assert (done.returncode, done.stderr) == (0, "")
    assert "check-config" in re.sub(".\b", "", done.stdout)


@pytest.mark.parametrize("shell", completion.PLACES)
def test_completions_are_what_their_shell_reads(shell: completion.Shell) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(
        [shell, "-n"], input=completion.script(shell), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    program = tmp_path / "gcal-salesloft"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m connector "$@"\n')
    program.chmod(0o755)
    ask = f"""
    {completion.script("bash")}
    complete_for() {{
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        _gcal_salesloft_completion gcal-salesloft
        echo "${{COMPREPLY[*]}}" | tr '\\n' ' '; echo
    }}
    complete_for gcal-salesloft check
    complete_for gcal-salesloft run --init
    """
    done = subprocess.run(
        ["bash", "-c", ask],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=True,
    )
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["check-config"],
        ["--initial-sync"],
    ]
