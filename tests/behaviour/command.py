"""Runs a command of the command line against an office, in a thread or as a process of its own."""

from __future__ import annotations

import asyncio
import sys

import structlog
from typer.testing import CliRunner

from connector.cli.commands import app
from tests.office import Office


async def command(office: Office, *words: str) -> tuple[int, str, str]:
    """Its exit status, stdout and stderr. In a thread: it brings its own loop."""
    arguments = [*words, "--config", str(office.config)]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    # The command pointed the logs to a stderr that is closed by now.
    structlog.reset_defaults()
    return result.exit_code, result.stdout, result.stderr


async def process(office: Office, *words: str) -> tuple[int, str, str]:
    """The same as a real process."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "connector", *words, "--config", str(office.config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await running.communicate()
    assert running.returncode is not None
    return running.returncode, stdout.decode(), stderr.decode()
