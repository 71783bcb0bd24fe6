"""Exit statuses, as the contract has them, and how an error becomes one."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from connector.domain.errors import (
    ConfigurationInvalid,
    ConnectorError,
    CredentialsRefused,
    UserParked,
)

OK = 0
UNFINISHED = 1
"""Finished, but something could not be delivered or differs."""
USAGE = 2
REFUSED = 77
MISCONFIGURED = 78


def exit_with(command: Callable[[], int], *, debug: bool = False) -> None:
    """Run a command and leave with its status; an error of ours becomes one readable message."""
    try:
        status = _run(command)
    except ConnectorError as error:
        if debug:
            raise
        print(f"gcal-salesloft: {error}", file=sys.stderr)  # noqa: T201  # the user's answer
        status = status_of(error)
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        sys.stderr.close()
        status = 141
    except Exception as error:
        if debug:
            raise
        print(  # noqa: T201  # the user's answer
            f"gcal-salesloft: unexpected {type(error).__name__}; nothing is lost, the next run goes on"
            " from the last commit. Please report it with the output of the same command and --debug.",
            file=sys.stderr,
        )
        status = UNFINISHED
    raise typer.Exit(status)


def _run(command: Callable[[], int]) -> int:
    """Run it; of a group of errors, which a TaskGroup makes, the first of ours stands for all."""
    try:
        return command()
    except BaseExceptionGroup as group:
        ours = group.subgroup(ConnectorError)
        while isinstance(ours, BaseExceptionGroup):
            first = ours.exceptions[0]
            if isinstance(first, ConnectorError):
                raise first from group
            ours = first if isinstance(first, BaseExceptionGroup) else None
        raise


def status_of(error: ConnectorError) -> int:
    match error:
        case ConfigurationInvalid():
            return MISCONFIGURED
        case CredentialsRefused() | UserParked():
            return REFUSED
        case _:
            return UNFINISHED
