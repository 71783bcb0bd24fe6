"""Processes of a benchmark: started from modules of this tree, measured from outside, ended whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def child(
    *arguments: str, log: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m …` while the block lives; ended by SIGTERM, and killed if that is not enough.

    Its output is a pipe to be read, or goes to a file.
    """
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(log.open("ab")) if log is not None else asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out if log is not None else None,
            limit=1 << 26,
        )
    try:
        yield process
    finally:
        await end(process)


async def end(process: asyncio.subprocess.Process) -> int:
    """Ask a process to end, then insist; its exit status."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await process.wait()
        except TimeoutError:
            process.kill()
    return await process.wait()


async def line_of(process: asyncio.subprocess.Process) -> str:
    """The next line that it writes; RuntimeError if it ends instead."""
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    if not line:
        raise RuntimeError(f"a child process ended with status {await process.wait()}")
    return line.strip()


def cpu_seconds(pid: int) -> float:
    """What a process took of the processors so far, all its threads (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def family_cpu_seconds(pid: int) -> float:
    """The same of a process with all its children, those that have ended included (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    seconds = sum(map(int, fields[11:15])) / _TICKS
    for child_of in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            seconds += cpu_seconds(int(child_of))
    return seconds


def resident_bytes(pid: int | str = "self") -> int:
    """What a process holds of the memory (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes(pid: int | str = "self") -> int:
    """The most that a process ever held of the memory, or since `forget_peak` (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/PID/status")


def forget_peak() -> None:
    """Let `peak_bytes` of this process count from now."""
    Path("/proc/self/clear_refs").write_text("5")


class Speaking:
    """A child that is asked in lines of JSON and answers in lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def hear(self) -> dict[str, Any]:
        """Its next answer."""
        told: dict[str, Any] = json.loads(await line_of(self._process))
        return told

    async def ask(self, what: str, **how: object) -> dict[str, Any]:
        """Its answer to a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **how}).encode() + b"\n")
        await self._process.stdin.drain()
        return await self.hear()


@asynccontextmanager
async def speaking(*arguments: str) -> AsyncIterator[Speaking]:
    """`python -m …` that can be asked, while the block lives."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,
    )
    try:
        yield Speaking(process)
    finally:
        await end(process)
