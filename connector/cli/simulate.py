"""`gcal-salesloft simulate`: the simulated Google and Salesloft alone, to try a configuration against."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from connector.cli import demo_company as company
from connector.cli.demo_calendars import PROSPECTS, fill, local, workday
from connector.cli.demo_control import ControlFailed, control
from connector.cli.exits import OK, UNFINISHED
from connector.cli.simulate_config import DirectoryRefused, check_directory, write_directory
from connector.simulator import processes


async def run(directory: Path | None, google_port: int, salesloft_port: int, seed: int) -> int:
    """Serve both until SIGTERM or SIGINT; the exit status."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        if directory is not None:
            check_directory(directory)
        await _serve(directory, google_port, salesloft_port, seed, stop)
    except (DirectoryRefused, processes.PortUnusable, ControlFailed) as refused:
        sys.stderr.write(f"gcal-salesloft: {refused}\n")
        return UNFINISHED
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
    return OK


async def _serve(
    directory: Path | None, google_port: int, salesloft_port: int, seed: int, stop: asyncio.Event
) -> None:
    world = company.world()
    google = processes.simulate("google", world["google"], seed)
    salesloft = processes.simulate("salesloft", world["salesloft"], seed)
    async with (
        processes.serve(google.app, port=google_port) as google_url,
        processes.serve(salesloft.app, port=salesloft_port) as salesloft_url,
    ):
        google.listening(google_url)
        now = datetime.now(UTC)
        async with control(google_url, salesloft_url) as both:
            await fill(both, now, seed)
        if directory is not None:
            secrets = processes.credential_files(google, google_url)
            secrets |= processes.credential_files(salesloft, salesloft_url)
            write_directory(directory, company.configuration(google_url, salesloft_url), secrets)
        sys.stdout.write(_guide(directory, google_url, salesloft_url, now))
        sys.stdout.flush()
        await stop.wait()


def _guide(directory: Path | None, google_url: str, salesloft_url: str, now: datetime) -> str:
    """Where they are and what to do next; every line under a heading can be pasted into a shell."""
    pam = company.PAM
    (name, contact), _ = PROSPECTS[pam.name]
    booking = {
        "summary": f"Pitch {name}",
        "start": local(pam, workday(now, pam, 2), 10),
        "attendees": [contact],
    }
    book = ["curl", "-s", f"{google_url}/_sim/calendars/{pam.email}/create"]
    book += ["-d", json.dumps(booking)]
    held = ["curl", "-s", f"{salesloft_url}/_sim/events?calendar_id={pam.calendar_id}"]
    sellers = ", ".join(f"{one.name} ({one.email})" for one in company.SELLERS)
    return f"""\
Google     {google_url}
Salesloft  {salesloft_url}   (API key: {company.API_KEY})
Sellers    {sellers}

{_next_step(directory)}
Change a calendar as its person would:
  {shlex.join(book)}

See what Salesloft holds of it:
  {shlex.join(held)} | python3 -m json.tool

docs/demo.md has more. Ctrl-C ends both; they keep nothing.
"""


def _next_step(directory: Path | None) -> str:
    if directory is None:
        again = "gcal-salesloft simulate --write-config DIR"
        return f"For a configuration that connects to them, start again with:\n  {again}\n"
    where = shlex.quote(str(directory))
    return (
        f"A configuration for them is in {where}. Run the connector, in another terminal:\n"
        f"  gcal-salesloft run --config {where}\n"
    )
