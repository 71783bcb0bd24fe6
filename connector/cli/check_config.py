"""`check-config`: every mistake of the configuration, without any network."""

from __future__ import annotations

from pathlib import Path

import typer

from connector.domain.errors import ConfigurationInvalid
from connector.settings.files import read_settings

CONFIGURATION_INVALID = 78
"""sysexits.h: EX_CONFIG."""


def run(path: Path) -> int:
    """Prints a line for each user that could be served, and to stderr one for each mistake. Returns the exit status."""
    reading = read_settings(path)
    if not reading.fatal:
        for draft in reading.drafts:
            if draft.settings is not None:
                typer.echo(f"ok  {draft.name}  {draft.file}")
        if reading.template is not None:
            file = reading.template.prototype.file
            typer.echo(
                f'ok  users without a file, whom Salesloft names ([roster] mode "settings")  {file}'
            )
    if not reading.mistakes:
        return 0
    headline = str(ConfigurationInvalid(reading.mistakes)).partition("\n")[0]
    typer.echo(headline, err=True)
    for mistake in reading.mistakes:
        typer.echo(str(mistake), err=True)
    return CONFIGURATION_INVALID
