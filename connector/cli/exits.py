"""Exit statuses, as the contract has them, and how an error becomes one."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError
from typer.core import TyperGroup

from connector.domain.errors import (
    ConfigurationInvalid,
    ConnectorError,
    CredentialsRefused,
    UserParked,
)
from connector.observe.log import configure_logging
from connector.observe.redact import redacted

OK = 0
UNFINISHED = 1
"""Finished, but something could not be delivered or differs."""
USAGE = 2
REFUSED = 77
MISCONFIGURED = 78
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


class WrongCommandLine(Exception):
    """What was typed names nothing that there is; `str()` is the message for the user."""


def complain(message: str) -> None:
    """One error on stderr, its line first."""
    print(f"gcal-salesloft: {message}", file=sys.stderr)  # noqa: T201  # the user's answer


def exit_with(command: Callable[[], int], *, debug: bool = False) -> None:
    """Run a command and leave with its status; an error of ours becomes one readable message."""
    configure_logging(
        debug=debug
    )  # to stderr, whatever the command forgets; it may know the format better
    try:
        status = _run(command)
        _flush()
    except ConnectorError as error:
        complain(str(error))
        status = status_of(error)
        _trace(error, debug=debug)
    except WrongCommandLine as error:
        complain(str(error))
        status = USAGE
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        sys.stderr.close()
        status = 141
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
            complain(f"the answer could not be written to stdout: {error.strerror}")
            _forget_stdout()
            raise typer.Exit(UNFINISHED) from error
        complain(
            f"unexpected {type(error).__name__}; nothing is lost, the next run goes on"
            " from the last commit. Please report it with the output of the same command and --debug."
        )
        _trace(error, debug=debug)
        status = UNFINISHED
    raise typer.Exit(status)


def _trace(error: BaseException, *, debug: bool) -> None:
    """Where it arose, without what looks like a secret, an address or a text: it is pasted into tickets."""
    if debug:
        sys.stderr.write(redacted("".join(traceback.format_exception(error))))


def _flush() -> None:
    """Write the answer out here, where a failure can still be told."""
    if sys.stdout is not None:  # None: the shell closed it
        sys.stdout.flush()


def _forget_stdout() -> None:
    """What could not be written stays in the buffer, and the interpreter's end would complain of it again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class OneLineGroup(TyperGroup):
    """The command line, whose mistakes are told in one line first, without frames."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        try:
            status = super().main(
                args, prog_name, complete_var, False, windows_expand_args, **extra
            )
        except NoArgsIsHelpError as wrong:
            wrong.show()
            sys.exit(USAGE)
        except ClickException as wrong:
            _refuse(wrong)
        except typer.Abort:
            sys.exit(130)
        if standalone_mode:
            sys.exit(status)
        return status


def _refuse(wrong: ClickException) -> NoReturn:
    context = getattr(wrong, "ctx", None)
    name = context.command_path if context is not None else "gcal-salesloft"
    text = wrong.format_message().rstrip(".")
    complain(f"{text[:1].lower()}{text[1:]}; see `{name} --help`")
    sys.exit(USAGE)


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
