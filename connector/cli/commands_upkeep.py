"""Declares the commands that look after the state and the installation: state, support-bundle."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from connector.cli.exits import exit_with
from connector.cli.options import ConfigOption, JsonOption

app = typer.Typer()

state = typer.Typer(
    help="Looks after the state: backup, restore, check, migrate.", no_args_is_help=True
)
app.add_typer(state, name="state")


@state.command("backup")
def state_backup(
    config: ConfigOption,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The backup to write.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
) -> None:
    """Write a checked copy of the state. Works beside the daemon, which does not notice."""
    from connector.cli import state as command

    exit_with(lambda: command.backup(config, to, force=force))


@state.command("restore")
def state_restore(
    config: ConfigOption,
    source: Annotated[
        Path, typer.Option("--from", metavar="FILE", help="What `state backup` wrote.")
    ],
) -> None:
    """Put a backup in the state's place, after the daemon was stopped. The old state is kept beside it."""
    from connector.cli import state as command

    exit_with(lambda: command.restore(config, source))


@state.command("check")
def state_check(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Look through the state for damage and contradictions. Works beside the daemon, changes nothing."""
    from connector.cli import state as command

    exit_with(lambda: command.check(config, as_json=as_json))


@state.command("migrate")
def state_migrate(
    config: ConfigOption,
    to: Annotated[
        str, typer.Option("--to", metavar="URL", help="postgresql://… of an empty database.")
    ],
) -> None:
    """Move a SQLite state to PostgreSQL, every row compared. Stop the daemon first; an interrupted move goes on."""
    from connector.cli import state as command

    exit_with(lambda: command.migrate(config, to))


@app.command("support-bundle")
def support_bundle(
    config: ConfigOption,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="The .tar.gz to write; default: here."),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="A log whose end is added, scrubbed; for example of `journalctl -u gcal-salesloft -o cat`.",
        ),
    ] = None,
) -> None:
    """Write a redacted archive for a ticket: versions, settings, state, reasons; no text, address or secret."""
    from connector.cli import support_bundle as command

    exit_with(lambda: asyncio.run(command.run(config, to, log)))
