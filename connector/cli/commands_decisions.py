"""Declares the commands by which a human decides: held differences, dead letters, one user's readings."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from connector.cli.exits import exit_with
from connector.cli.options import (
    ConfigOption,
    EventsArgument,
    EverythingOption,
    HeldArgument,
    JsonOption,
    UserOption,
)

app = typer.Typer()


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
    as_json: JsonOption = False,
) -> None:
    """Let held differences go out: the daemon, or the next run, sends them."""
    from connector.cli import held as command

    exit_with(
        lambda: asyncio.run(command.decide(config, ids, everything, release=True, as_json=as_json))
    )


@held.command("discard")
def held_discard(
    config: ConfigOption,
    ids: HeldArgument = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is held.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Drop held differences: Salesloft keeps what it holds until a later full listing finds the same."""
    from connector.cli import held as command

    exit_with(
        lambda: asyncio.run(command.decide(config, ids, everything, release=False, as_json=as_json))
    )


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
    _as_json: JsonOption = True,
) -> None:
    """Show one as JSON (with or without --json), with what was sent."""
    from connector.cli import dead_letters as command

    exit_with(lambda: asyncio.run(command.show_one(config, event_id=event_id, user=user)))


@letters.command("retry")
def letters_retry(
    config: ConfigOption,
    events: EventsArgument = None,
    everything: EverythingOption = False,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put dead letters in line again: the daemon, or the next run, sends them."""
    from connector.cli import dead_letters as command

    chosen = list(events or ())
    exit_with(
        lambda: asyncio.run(
            command.decide(
                config,
                events=chosen,
                everything=everything,
                user=user,
                retry=True,
                as_json=as_json,
            )
        )
    )


@letters.command("discard")
def letters_discard(
    config: ConfigOption,
    events: EventsArgument = None,
    everything: EverythingOption = False,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Drop dead letters; the same content is not sent again unless the event changes."""
    from connector.cli import dead_letters as command

    chosen = list(events or ())
    exit_with(
        lambda: asyncio.run(
            command.decide(
                config,
                events=chosen,
                everything=everything,
                user=user,
                retry=False,
                as_json=as_json,
            )
        )
    )


SteeredOption = Annotated[
    str, typer.Option("--user", metavar="NAME", help="Which user (the file's stem).")
]


@app.command()
def resync(config: ConfigOption, user: SteeredOption, as_json: JsonOption = False) -> None:
    """List a user's calendar in full at once and send what differs; `status` shows the pass's id when it is done."""
    from connector.cli import steering as command

    exit_with(lambda: asyncio.run(command.run(config, user, "resync", as_json=as_json)))


@app.command()
def pause(config: ConfigOption, user: SteeredOption, as_json: JsonOption = False) -> None:
    """Stop reading and sending for one user; what waits is kept."""
    from connector.cli import steering as command

    exit_with(lambda: asyncio.run(command.run(config, user, "pause", as_json=as_json)))


@app.command()
def resume(config: ConfigOption, user: SteeredOption, as_json: JsonOption = False) -> None:
    """Serve a paused or offboarded user again."""
    from connector.cli import steering as command

    exit_with(lambda: asyncio.run(command.run(config, user, "resume", as_json=as_json)))
