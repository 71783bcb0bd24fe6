"""Declares the commands that answer questions and change nothing: status, explain, doctor, verify, plan, policy."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

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


@app.command()
def verify(
    config: ConfigOption,
    user: UserOption = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put in line what mends the differences.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare Google, the local state and Salesloft over the window. Exits 0 only if nothing differs or waits."""
    from connector.cli import verify as command

    exit_with(lambda: asyncio.run(command.run(config, user=user, repair=repair, as_json=as_json)))


@app.command()
def plan(config: ConfigOption, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Show what a cycle would send now and what it would cost. Sends and stores nothing; works beside the daemon."""
    from connector.cli import plan as command

    exit_with(lambda: asyncio.run(command.run(config, user=user, as_json=as_json)))


policy = typer.Typer(help="What the policy shows and hides.", no_args_is_help=True)
app.add_typer(policy, name="policy")


@policy.command("simulate")
def policy_simulate(
    config: ConfigOption,
    other: Annotated[
        Path,
        typer.Option("--with", metavar="FILE", help="A TOML file with the other [policy] table."),
    ],
    user: UserOption = None,
    reveal: Annotated[
        bool,
        typer.Option("--reveal", help="Print titles too that are withheld today. Mind who reads."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show which meetings another policy would show or hide. Reads Google anew, changes nothing, costs no points."""
    from connector.cli import policy_simulate as command

    exit_with(
        lambda: asyncio.run(command.run(config, other, user=user, reveal=reveal, as_json=as_json))
    )


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
