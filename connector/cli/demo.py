"""`gcal-salesloft demo`: the real daemon between a simulated Google and a simulated Salesloft, on this machine only.

Four processes: this one, both simulators, and the daemon as anybody would start it. Only the simulators' control calls
know what the sellers see and what Salesloft holds; what is shown and compared here comes from them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from connector.cli import demo_company as company
from connector.cli.demo_calendars import fill
from connector.cli.demo_children import Child, ChildFailed, child
from connector.cli.demo_control import Control, ControlFailed, control
from connector.cli.demo_edits import Office
from connector.cli.demo_judge import Judge
from connector.cli.demo_play import MOST_DIFFERENCES, Play, changes, ending, initial_sync
from connector.cli.demo_show import Show
from connector.cli.demo_signals import StopSignals
from connector.cli.exits import OK, UNFINISHED

SEED = 0
DAEMON = ("run", "--config")
"""The daemon's arguments; the configuration directory follows."""


async def run(seconds: int, *, debug: bool = False) -> int:
    """The demo, within so many seconds; the exit status: 0 only if both sides are equal in the end."""
    demo = _Demo(debug=debug)
    deadline = asyncio.timeout(seconds)
    with StopSignals() as signals:
        try:
            async with deadline:
                return await demo.run()
        except (ChildFailed, ControlFailed) as failure:
            problem = str(failure)
        except TimeoutError:
            if not deadline.expired():
                raise
            problem = f"not done within {seconds} s; try a larger --seconds{demo.differing()}"
        except asyncio.CancelledError:
            if not signals.caught:
                raise
            sys.stderr.write("gcal-salesloft: demo stopped; everything it started has ended\n")
            return signals.status()
    sys.stderr.write(f"gcal-salesloft: demo failed while {demo.doing}: {problem}\n")
    return UNFINISHED


class _Demo:
    """One run: its processes, and how far it has come."""

    def __init__(self, *, debug: bool) -> None:
        self._debug = debug
        self._show = Show()
        self._play: Play | None = None
        self._starting = "starting the simulators"

    @property
    def doing(self) -> str:
        """What is being done right now, for messages."""
        return self._play.doing if self._play is not None else self._starting

    def differing(self) -> str:
        """What still differed at the last look, for messages."""
        lines = self._play.differs if self._play is not None else []
        more = len(lines) - MOST_DIFFERENCES
        shown = [*lines[:MOST_DIFFERENCES], *([f"and {more} more"] if more > 0 else [])]
        return "".join(f"\n  {line}" for line in shown)

    async def run(self) -> int:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="gcal-salesloft-demo-") as folder:
            directory = Path(folder)
            try:
                async with self._simulators(directory) as both:
                    status = await self._with_daemon(both, directory)
            finally:
                log = directory / "daemon.log"
                if self._debug and log.exists():
                    sys.stderr.write(log.read_text(errors="replace"))
        self._show.line(f"Done in {time.monotonic() - began:.0f} s. Nothing is left behind.")
        return status

    @asynccontextmanager
    async def _simulators(self, directory: Path) -> AsyncIterator[Control]:
        """Both simulators, and the configuration that connects to them."""
        world, config = directory / "world.json", directory / "config"
        world.write_text(json.dumps(company.world()))
        given = ("--seed", str(SEED), "--world", str(world), "--credentials-dir", str(config))
        self._show.heading("The real daemon between a simulated Google and a simulated Salesloft")
        async with (
            _simulator("google", given, directory) as google,
            _simulator("salesloft", given, directory) as salesloft,
        ):
            with self._show.waiting("  starting …"):
                google_url, salesloft_url = await google.ready(), await salesloft.ready()
            (config / "users").mkdir()
            for name, text in company.configuration(google_url, salesloft_url).items():
                (config / name).write_text(text)
            self._show.line(f"  Google     {google_url}")
            self._show.line(f"  Salesloft  {salesloft_url}")
            async with control(google_url, salesloft_url) as both:
                yield both

    async def _with_daemon(self, both: Control, directory: Path) -> int:
        self._starting = "filling the calendars"
        judge = Judge(datetime.now(UTC))
        with self._show.waiting("  filling three calendars …"):
            filled = await fill(both, judge.now, SEED)
        self._starting = "starting the daemon"
        options = [*DAEMON, str(directory / "config"), *(["--debug"] if self._debug else [])]
        async with child("the daemon", "connector", options, directory / "daemon.log") as daemon:
            self._show.line("  daemon     gcal-salesloft run --config DIR   (polls every second)")
            self._play = Play(Office(both, judge, filled), daemon, self._show)
            await initial_sync(self._play)
            await changes(self._play, SEED)
            equal = await ending(self._play)
            return await self._stopped(daemon, equal=equal)

    async def _stopped(self, daemon: Child, *, equal: bool) -> int:
        """Stop the daemon as systemd would."""
        began = time.monotonic()
        status = await daemon.stop()
        took = time.monotonic() - began
        if status == 0:
            self._show.line(f"The daemon stopped {took:.1f} s after SIGTERM, with exit status 0.")
        else:
            sys.stderr.write(f"gcal-salesloft: the daemon ended with exit status {status}\n")
        if not equal:
            sys.stderr.write(
                "gcal-salesloft: demo failed: Salesloft differs from Google, was sent too much,"
                " or a booking was lost; see above\n"
            )
        return OK if equal and status == 0 else UNFINISHED


def _simulator(
    service: str, given: tuple[str, ...], directory: Path
) -> AbstractAsyncContextManager[Child]:
    return child(
        f"the simulated {service.title()}",
        "connector.simulator.processes",
        (service, *given),
        directory / f"{service}.log",
        talks=True,
    )
