"""Declares the commands that answer questions and change nothing: status, explain."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from connector.cli.exits import exit_with
from connector.cli.options import ConfigOption, JsonOption

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
def explain(
    config: ConfigOption,
    event: Annotated[
        list[str],
        typer.Argument(
            metavar="EVENT_ID...",
            help="An event id, an iCalUID, a link copied from Google Calendar, or words of a title.",
        ),
    ],
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="Whose calendar.")],
    live: Annotated[
        bool, typer.Option("--live", help="Also ask Salesloft what it holds; costs points.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell why an event is in Salesloft, or is not. Works beside the daemon."""
    from connector.cli import explain as command

    text = " ".join(event)
    exit_with(lambda: asyncio.run(command.run(config, user, text, live=live, as_json_=as_json)))
