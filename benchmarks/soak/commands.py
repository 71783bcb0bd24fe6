"""The connector's commands as processes of their own; all that they say is kept, to be searched."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

PATIENCE_SECONDS = 60.0


class Connector:
    """The daemon and the commands of one configuration; the daemon's JSON log is in a file."""

    def __init__(self, config: Path, log: Path) -> None:
        self.log = log
        self.said: list[tuple[str, int, bytes, bytes]] = []
        """Every command that ended: its words, its status, stdout and stderr."""
        self._config = config
        self._daemon: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._daemon is not None
        return self._daemon.pid

    @property
    def is_running(self) -> bool:
        return self._daemon is not None and self._daemon.returncode is None

    async def start(self) -> None:
        """The daemon, telling everything that it can tell."""
        with self.log.open("ab") as log:
            self._daemon = await asyncio.create_subprocess_exec(
                *self._words("run", "--debug"),
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONWARNINGS": "always::ResourceWarning"},
            )

    async def stop(self) -> tuple[int, float]:
        """SIGTERM; the exit status and the seconds that it took."""
        assert self._daemon is not None
        began = time.monotonic()
        if self.is_running:
            self._daemon.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._daemon.wait(), time.monotonic() - began

    async def kill(self) -> None:
        if self._daemon is not None and self.is_running:
            self._daemon.kill()
            await self._daemon.wait()

    async def command(self, *words: str) -> tuple[int, bytes]:
        """Run a command to its end; its exit status and what it printed."""
        running = await asyncio.create_subprocess_exec(
            *self._words(*words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        stdout, stderr = await running.communicate()
        status = running.returncode
        assert status is not None
        self.said.append((" ".join(words), status, stdout, stderr))
        return status, stdout

    def _words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "connector", *words, "--config", str(self._config)]
