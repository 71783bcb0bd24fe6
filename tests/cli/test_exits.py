"""How commands end: one line first for every error, a status as the contract has it, nothing that betrays."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from connector.cli.commands import app
from connector.cli.exits import exit_with
from connector.domain.errors import CredentialsRefused, StateUnusable
from tests.office import open_office


@pytest.mark.parametrize(
    ("error", "status"), [(StateUnusable("state x: damaged"), 1), (CredentialsRefused("key"), 77)]
)
def test_a_group_ends_like_its_first_error(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> int:
        raise ExceptionGroup("tasks", [ExceptionGroup("inner", [error]), ValueError("other")])

    with pytest.raises(typer.Exit) as left:
        exit_with(command)
    ended: Any = left.value
    assert ended.exit_code == status
    assert capsys.readouterr().err == f"gcal-salesloft: {error}\n"


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["bogus"], ["status", "--bogus"], ["held", "release", "--config", "x", "abc"]],
    ids=" ".join,
)
def test_a_wrong_command_line_is_told_in_one_line(arguments: list[str]) -> None:
    ended = CliRunner().invoke(app, arguments)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert re.fullmatch(r"gcal-salesloft: .+; see `.+ --help`\n", ended.stderr)


@pytest.mark.parametrize("verb", ["resync", "pause", "resume"])
async def test_steering_nobody_is_a_wrong_command_line(verb: str, tmp_path: Path) -> None:
    async with open_office(tmp_path) as office:
        office.hire("pam")
        ended = await asyncio.to_thread(
            CliRunner().invoke, app, [verb, "--config", str(office.config), "--user", "pma"]
        )
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr == "gcal-salesloft: no user 'pma'; there are: pam\n"
    assert not office.state.exists()


def test_a_traceback_is_safe_to_paste(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise ValueError("Authorization: Bearer ak_0123456789abcdef of pam@example.com")

    with pytest.raises(typer.Exit):
        exit_with(command, debug=True)
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "ValueError" in told
    assert "ak_0123456789abcdef" not in told
    assert "pam@example.com" not in told


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_stdout_is_told_in_one_line(unbuffered: str) -> None:
    program = """
import typer
from connector.cli.exits import exit_with
try:
    exit_with(lambda: print('x') or 0)
except typer.Exit as end:
    raise SystemExit(end.exit_code)
"""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", program],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert ended.returncode == 1
    assert (
        ended.stderr
        == "gcal-salesloft: the answer could not be written to stdout: No space left on device\n"
    )
