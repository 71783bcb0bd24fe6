"""What `check-config` prints, and its exit status."""

from __future__ import annotations

import pytest

from connector.cli.check_config import run

from .conftest import API_KEY, Folder


def test_one_line_for_each_valid_user(team: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(team.path) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"ok  jim  {team.path}/users/jim.toml",
        f"ok  pam  {team.path}/users/pam.toml",
    ]
    assert err == ""


def test_mistakes_go_to_stderr_one_a_line(team: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    with (team.path / "users/jim.toml").open("a") as file:
        file.write("[sync]\npast_days = true\nzzz = 1\n")
    assert run(team.path) == 78
    out, err = capsys.readouterr()
    assert out == f"ok  pam  {team.path}/users/pam.toml\n"
    headline, *lines = err.splitlines()
    assert headline == "configuration invalid: 2 mistakes"
    assert len(lines) == 2
    prefix = f"{team.path}/users/jim.toml: sync."
    assert all(line.startswith(prefix) for line in lines)
    assert f"{prefix}past_days: found true (true or false); expected a whole number" in err


def test_bad_defaults_leave_nobody_ok(team: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    (team.path / "salesloft.key").chmod(0o644)
    assert run(team.path) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("configuration invalid: 1 mistake\n")
    assert API_KEY not in err


def test_single_file(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder.path / "pam.toml") == 0
    assert capsys.readouterr().out == f"ok  pam  {folder.path}/pam.toml\n"
    assert run(folder.path / "gone.toml") == 78
