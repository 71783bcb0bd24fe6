"""Declares the commands that answer questions and change nothing: status, doctor."""

from __future__ import annotations

import asyncio

import typer

from connector.cli.exits import exit_with
from connector.cli.options import ConfigOption, JsonOption, UserOption

app = typer.Typer()


@app.command()
def status(
    config: ConfigOption,
    as_json: JsonOption = False,
) -> None:
    """Show each user's last sync, freshness, backlog and connection. Works beside the daemon."""
    from connector.cli import status as command

    exit_with(lambda: asyncio.run(command.run(config, as_json=as_json)))


@app.command()
def doctor(config: ConfigOption, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Check the real connections one by one, each with its evidence and its remedy. Works beside the daemon."""
    from connector.cli import doctor as command

    exit_with(lambda: asyncio.run(command.run(config, user=user, as_json=as_json)))
