"""`gcal-salesloft support-bundle`: a redacted archive for a ticket. Works beside the daemon, asks no service."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from connector.app.support import DESCRIPTIONS, bundle_files, write_bundle
from connector.cli.exits import OK, UNFINISHED
from connector.settings.files import load_settings


async def run(config: Path, target: Path | None, log: Path | None) -> int:
    now = datetime.now(UTC)
    target = target or Path(f"gcal-salesloft-support-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    settings = load_settings(config)
    try:
        files = await bundle_files(settings, log)
        write_bundle(files, target, now)
    except OSError as error:
        print(  # noqa: T201  # the user's answer
            f"gcal-salesloft: {error.filename or target}: {error.strerror}; name another file with --to or --log",
            file=sys.stderr,
        )
        return UNFINISHED
    print(f"{target}: look through it before you send it:")  # noqa: T201  # the command's answer
    for name in files:
        print(f"  {name:15} {DESCRIPTIONS[name]}")  # noqa: T201  # the command's answer
    return OK
