"""Declares every command: names, options and help. Each loads the module of its name when it is called.

The run and the simulators here, the rest by what it is for in `commands_*.py`.
"""

from __future__ import annotations

import asyncio
import io
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

import connector
from connector.cli import commands_decisions, commands_lookups, commands_people, commands_upkeep
from connector.cli.exits import OneLineGroup, exit_with
from connector.cli.options import ConfigOption, DebugOption

app = typer.Typer(
    name="gcal-salesloft",
    cls=OneLineGroup,
    help="Keeps Salesloft's external calendars true to Google Calendar.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal's encoding lacks is escaped
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="gcal-salesloft")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gcal-salesloft {connector.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Keeps Salesloft's external calendars true to Google Calendar."""


@app.command()
def run(
    config: ConfigOption,
    initial_sync: Annotated[
        bool,
        typer.Option(
            "--initial-sync", help="Full sync of every user, everything delivered, then exit."
        ),
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="One incremental cycle for every user, then exit.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="With --initial-sync or --once: show each upsert and why, send and store nothing.",
        ),
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Run the daemon: poll, expand, map and upsert until SIGTERM or SIGINT. Or one round of it."""
    if initial_sync and once:
        raise typer.BadParameter("--initial-sync and --once exclude each other")
    if dry_run and not (initial_sync or once):
        raise typer.BadParameter("--dry-run goes with --initial-sync or --once")
    # Until the loop takes over: nothing has begun.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from connector.cli import run as command

    mode = command.Mode(initial_sync=initial_sync, once=once, dry_run=dry_run, debug=debug)
    exit_with(lambda: command.run(config, mode), debug=debug)


@app.command("check-config")
def check_config(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A user's file, or a directory as for --config.")
    ],
) -> None:
    """Check files and the form of credentials, without any network. Names every mistake at once."""
    from connector.cli import check_config as command

    exit_with(lambda: command.run(path))


@app.command()
def demo(
    seconds: Annotated[
        int, typer.Option(min=20, max=600, help="How long to wait for changes at the most.")
    ] = 60,
    debug: DebugOption = False,
) -> None:
    """Show the real daemon at work between a simulated Google and a simulated Salesloft. No account needed."""
    from connector.cli import demo as command

    exit_with(lambda: asyncio.run(command.run(seconds, debug=debug)), debug=debug)


@app.command()
def simulate(
    directory: Annotated[
        Path | None,
        typer.Option(
            "--write-config",
            metavar="DIR",
            help="Write a configuration directory that connects to the simulators.",
        ),
    ] = None,
    google_port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 0,
    salesloft_port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
) -> None:
    """Start the two simulators alone, to try a configuration against, until SIGTERM or SIGINT."""
    from connector.cli import simulate as command

    exit_with(
        lambda: asyncio.run(command.run(directory, google_port, salesloft_port, seed)), debug=False
    )


for group in (commands_lookups, commands_decisions, commands_people, commands_upkeep):
    app.registered_commands.extend(group.app.registered_commands)
    app.registered_groups.extend(group.app.registered_groups)
