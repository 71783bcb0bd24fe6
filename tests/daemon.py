"""The real daemon as a process of its own, for tests that kill it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.office import Office

PATIENCE_SECONDS = 60.0


class Daemon:
    """`python -m connector run`, started, signalled and waited for."""

    def __init__(self, office: Office, log: Path) -> None:
        self._office = office
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *arguments: str, module: Sequence[str] = ("connector",)) -> None:
        """`module` is what runs, with its own first arguments."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *module,
                "run",
                "--config",
                str(self._office.config),
                *arguments,
                stdout=log,
                stderr=log,
            )

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and give the exit status; what had already ended is not signalled."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def send(self, number: int) -> None:
        """Send a signal, and wait for nothing."""
        assert self._process is not None
        self._process.send_signal(number)


@asynccontextmanager
async def daemon_of(office: Office, name: str = "daemon") -> AsyncIterator[Daemon]:
    """A daemon, not yet started; killed at the end whatever happens."""
    daemon = Daemon(office, office.directory / f"{name}.log")
    try:
        yield daemon
    finally:
        if daemon._process is not None:
            await daemon.end(signal.SIGKILL)


class Requests:
    """Counts the requests that both simulators answered, and wakes who waits for more of them."""

    def __init__(self, office: Office) -> None:
        self._arrived = asyncio.Event()
        self._count = 0
        office.google.log = _Watched(self._note, office.google.log)
        office.salesloft.log = _Watched(self._note, office.salesloft.log)
        office.google.push.sent = _Watched(self._note, office.google.push.sent)

    def _note(self) -> None:
        self._count += 1
        self._arrived.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until something holds, looking again at each request."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not reached():
                self._arrived.clear()
                await self._arrived.wait()

    async def more(self, count: int) -> None:
        """Wait until so many more requests were answered."""
        target = self._count + count
        await self.until(lambda: self._count >= target)


class _Watched(list):  # type: ignore[type-arg]  # of either simulator's entries
    def __init__(self, note: Callable[[], None], entries: list) -> None:  # type: ignore[type-arg]
        super().__init__(entries)
        self._note = note

    def append(self, entry: object) -> None:
        super().append(entry)
        self._note()
