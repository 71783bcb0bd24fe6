"""The options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
