"""A group of errors, as a TaskGroup raises it, ends like the error of ours in it."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from connector.cli.exits import exit_with
from connector.domain.errors import CredentialsRefused, StateUnusable


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
