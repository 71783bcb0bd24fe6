"""Declares the commands about people who leave: offboard, erase."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from connector.cli.exits import exit_with
from connector.cli.options import ConfigOption, JsonOption

app = typer.Typer()

DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show the receipt, change and send nothing.")
]


@app.command()
def offboard(
    config: ConfigOption,
    user: Annotated[
        str,
        typer.Option(
            "--user", metavar="NAME", help="Who leaves: the file's stem, or the GUID in Salesloft."
        ),
    ],
    cancel_future: Annotated[
        bool,
        typer.Option(
            "--cancel-future",
            help="Cancel in Salesloft what is to come and was sent from here.",
        ),
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Stop serving a user who leaves, and print a receipt. Works beside the daemon; `resume` brings them back."""
    from connector.cli import offboard as command

    exit_with(
        lambda: asyncio.run(
            command.run(
                config, user=user, cancel_future=cancel_future, dry_run=dry_run, as_json=as_json
            )
        )
    )


@app.command()
def erase(
    config: ConfigOption,
    person: Annotated[
        str, typer.Option("--person", metavar="EMAIL", help="The address to leave out from now on.")
    ],
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Erase a person: left out of every meeting, now and later, with a receipt. Works beside the daemon."""
    from connector.cli import erase as command

    exit_with(
        lambda: asyncio.run(command.run(config, person=person, dry_run=dry_run, as_json=as_json))
    )
