"""Debian's Chromium, headless, as a user would have it: pictures, the page after its script ran, and widths."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

FOUND = shutil.which("chromium")
SECONDS = 60.0


async def chromium(directory: Path, *arguments: str) -> str:
    """Run it once with a profile of its own; what it printed."""
    if FOUND is None:
        pytest.skip("chromium is not installed")
    process = await asyncio.create_subprocess_exec(
        FOUND,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        f"--user-data-dir={directory / 'profile'}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(directory)},
    )
    try:
        async with asyncio.timeout(SECONDS):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return printed.decode()


async def screenshot(directory: Path, url: str, file: Path, width: int, height: int) -> None:
    """A picture of a page of so many pixels."""
    await chromium(directory, f"--screenshot={file}", f"--window-size={width},{height}", url)


async def dom(directory: Path, url: str, width: int = 1280, milliseconds: int = 1000) -> str:
    """The page as it is after its scripts ran for a while of virtual time."""
    return await chromium(
        directory,
        "--dump-dom",
        f"--virtual-time-budget={milliseconds}",
        f"--window-size={width},900",
        url,
    )
