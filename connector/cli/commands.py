"""Declares every command: names, options and help. Each loads the module of its name when it is called."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

import connector
from connector.cli.exits import exit_with

app = typer.Typer(
    name="gcal-salesloft",
    help="Keeps Salesloft's external calendars true to Google Calendar.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config",
        metavar="PATH",
        help="One user's TOML file, or a directory with connector.toml and users/*.toml.",
    ),
]
DebugOption = Annotated[
    bool, typer.Option("--debug", help="Log more, and show tracebacks. Safe to paste in a ticket.")
]


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
UserOption = Annotated[
    str | None, typer.Option("--user", metavar="NAME", help="Only this user (the file's stem).")
]
EverythingOption = Annotated[bool, typer.Option("--all", help="All of them.")]
EventsArgument = Annotated[list[str] | None, typer.Argument(metavar="[EVENT_ID]...")]
HeldArgument = Annotated[
    list[int] | None, typer.Argument(metavar="[ID]...", help="Numbers that `held list` shows.")
]


def main() -> None:
    """The console script."""
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
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(0)
    )  # until the loop takes over: nothing has begun
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
def status(
    config: ConfigOption,
    as_json: JsonOption = False,
) -> None:
    """Show each user's last sync, freshness, backlog and connection. Works beside the daemon."""
    from connector.cli import status as command

    exit_with(lambda: asyncio.run(command.run(config, as_json=as_json)))


held = typer.Typer(
    help="Mass cancellations that were held back for a human, and the decision.",
    no_args_is_help=True,
)
app.add_typer(held, name="held")


@held.command("list")
def held_list(config: ConfigOption, as_json: JsonOption = False) -> None:
    """List what is held: whose calendar, when, and how much would be cancelled."""
    from connector.cli import held as command

    exit_with(lambda: asyncio.run(command.show(config, as_json=as_json)))


@held.command("release")
def held_release(
    config: ConfigOption,
    ids: HeldArgument = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is held.")] = False,
) -> None:
    """Let held differences go out: the daemon, or the next run, sends them."""
    from connector.cli import held as command

    exit_with(lambda: asyncio.run(command.decide(config, ids, everything, release=True)))


@held.command("discard")
def held_discard(
    config: ConfigOption,
    ids: HeldArgument = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is held.")] = False,
) -> None:
    """Drop held differences: Salesloft keeps what it holds until a later full listing finds the same."""
    from connector.cli import held as command

    exit_with(lambda: asyncio.run(command.decide(config, ids, everything, release=False)))


letters = typer.Typer(
    help="What Salesloft refused for good, why, and how to replay it.", no_args_is_help=True
)
app.add_typer(letters, name="dead-letters")


@letters.command("list")
def letters_list(
    config: ConfigOption, user: UserOption = None, as_json: JsonOption = False
) -> None:
    """List what was refused, with Salesloft's reason and request id."""
    from connector.cli import dead_letters as command

    exit_with(lambda: asyncio.run(command.show_all(config, user=user, as_json=as_json)))


@letters.command("show")
def letters_show(
    config: ConfigOption,
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID")],
    user: UserOption = None,
) -> None:
    """Show one as JSON, with what was sent."""
    from connector.cli import dead_letters as command

    exit_with(lambda: asyncio.run(command.show_one(config, event_id=event_id, user=user)))


@letters.command("retry")
def letters_retry(
    config: ConfigOption,
    events: EventsArgument = None,
    everything: EverythingOption = False,
    user: UserOption = None,
) -> None:
    """Put dead letters in line again: the daemon, or the next run, sends them."""
    from connector.cli import dead_letters as command

    chosen = list(events or ())
    exit_with(
        lambda: asyncio.run(
            command.decide(config, events=chosen, everything=everything, user=user, retry=True)
        )
    )


@letters.command("discard")
def letters_discard(
    config: ConfigOption,
    events: EventsArgument = None,
    everything: EverythingOption = False,
    user: UserOption = None,
) -> None:
    """Drop dead letters; the same content is not sent again unless the event changes."""
    from connector.cli import dead_letters as command

    chosen = list(events or ())
    exit_with(
        lambda: asyncio.run(
            command.decide(config, events=chosen, everything=everything, user=user, retry=False)
        )
    )


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
