"""Child processes that never outlive the command that started them.

Whatever ends the command's block ends its children. Should the command itself be killed, Linux kills them too
(PR_SET_PDEATHSIG). They are in sessions of their own: Ctrl-C reaches the command alone, which then ends them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import connector

READY_SECONDS = 30.0
STOP_SECONDS = 12.0
"""How long a child may take to stop when asked: the daemon finishes what it sent within ten seconds."""
LAST_LINES = 15
_NOT_FOR_CHILDREN = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY")

# Runs before the program proper and becomes it: ties its life to its parent's. 1 is PR_SET_PDEATHSIG, 9 SIGKILL.
_TIE = (
    "import ctypes,os,sys;"
    "ctypes.CDLL(None).prctl(1,9);"
    "os.getppid()==int(sys.argv[1]) or sys.exit(1);"
    "os.execv(sys.argv[2],sys.argv[2:])"
)


class ChildFailed(Exception):
    """A child did not start, or ended by itself; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running child. `log` holds its stderr, and its stdout unless that is read."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def check(self) -> None:
        """Raise `ChildFailed` if it has ended by itself."""
        status = self.process.returncode
        if status is not None:
            raise ChildFailed(f"{self.name} ended with exit status {status}; {self._last_lines()}")

    async def ready(self) -> str:
        """What it says after `READY`, its first line on stdout."""
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(READY_SECONDS):
                line = (await self.process.stdout.readline()).decode(errors="replace").strip()
        except TimeoutError:
            line = ""
        word, _, rest = line.partition(" ")
        if word == "READY":
            return rest
        raise ChildFailed(f"{self.name} did not start; {self._last_lines()}")

    async def stop(self) -> int:
        """Ask it to stop, kill it if it does not; its exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await self.process.wait()
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """End it at once; its exit status."""
        if self.process.returncode is None:
            self.process.kill()
        return await self.process.wait()

    def _last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        if not lines:
            return "it logged nothing"
        return "the end of its log:" + "".join(f"\n  {line}" for line in lines)


@asynccontextmanager
async def child(
    name: str, module: str, arguments: Sequence[str], log: Path, *, talks: bool = False
) -> AsyncIterator[Child]:
    """Run `python -m module` while the block runs. `talks`: its stdout is read, by `ready`."""
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            *_command(module, arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if talks else sink,
            stderr=sink,
            env=_environment(),
            start_new_session=True,
        )
    started = Child(name, process, log)
    try:
        yield started
    finally:
        await started.kill()


def _command(module: str, arguments: Sequence[str]) -> list[str]:
    # -P: not whatever is called `connector` in the folder where the user happens to be.
    command = [sys.executable, "-P", "-m", module, *arguments]
    if sys.platform != "linux":
        return command
    return [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), *command]


def _environment() -> dict[str, str]:
    """This process's, so that children find this very package, and without what a service manager gave to us."""
    environment = {k: v for k, v in os.environ.items() if k not in _NOT_FOR_CHILDREN}
    package = str(Path(connector.__file__).parent.parent)
    paths = [package, *filter(None, [environment.get("PYTHONPATH")])]
    return environment | {"PYTHONPATH": os.pathsep.join(paths)}
