"""The command line as a user meets it: two names, help everywhere, 2 for what is mistyped."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from connector.cli.commands import app
from tests.project.files import pyproject

SCRIPT = Path(sys.executable).with_name("gcal-salesloft")


def paths(group: TyperGroup, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group, as typed."""
    for name, command in group.commands.items():
        yield (*above, name)
        if isinstance(command, TyperGroup):
            yield from paths(command, (*above, name))


def every_command() -> list[tuple[str, ...]]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return sorted(paths(group))


def said_by(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_both_names_are_one_program() -> None:
    module = (sys.executable, "-m", "connector")
    assert said_by(*module, "--help") == said_by(SCRIPT, "--help")
    assert said_by(*module, "--version") == said_by(SCRIPT, "--version")


def test_version_is_the_distributions() -> None:
    assert said_by(SCRIPT, "--version") == f"gcal-salesloft {pyproject()['project']['version']}\n"


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_explains_itself(command: tuple[str, ...], option: str) -> None:
    result = CliRunner().invoke(app, [*command, option])
    assert result.exit_code == 0
    assert f"{command[-1]} " in result.output


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_a_mistyped_option_exits_2(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--no-such-option"])
    assert result.exit_code == 2
    assert "--no-such-option" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["run"],
        ["run", "--config"],
        ["run", "--config", "x", "--initial-sync", "--once"],
        ["run", "--config", "x", "--dry-run"],
        ["check-config"],
        ["check-config", "one", "two"],
        ["demo", "--seconds", "many"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_exits_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr != ""
    assert result.stdout == ""
