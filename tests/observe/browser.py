"""Debian's Chromium, headless, over its DevTools protocol: one page that is looked at, typed into and pictured."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

FOUND = shutil.which("chromium")
SECONDS = 60.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class Page:
    """One page. `complaints` is what the browser's console and its security policy said."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self._socket = socket
        self._last = 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One call of the protocol; events that come meanwhile are looked through for complaints."""
        self._last += 1
        await self._socket.send_json({"id": self._last, "method": method, "params": parameters})
        async with asyncio.timeout(SECONDS):
            while True:
                message = await self._socket.receive_json()
                if message.get("id") == self._last:
                    assert "error" not in message, message
                    return dict(message["result"])
                self._listen(message)

    def _listen(self, message: dict[str, Any]) -> None:
        match message.get("method"):
            case "Log.entryAdded":
                self.complaints.append(message["params"]["entry"]["text"])
            case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled":
                self.complaints.append(str(message["params"]))

    async def open(self, url: str) -> None:
        """Go there; back when the page and its scripts are loaded."""
        await self.call("Page.navigate", url=url)
        await self.until(f"document.readyState === 'complete' && location.href.startsWith({url!r})")

    async def value(self, script: str) -> Any:
        """What a piece of JavaScript gives; a promise is waited for."""
        told = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, condition: str) -> None:
        """Until a condition holds. Asked from here: a page that is being left, or runs no scripts, cannot tell."""
        async with asyncio.timeout(SECONDS):
            while True:
                told = await self.call(
                    "Runtime.evaluate", expression=f"!!({condition})", returnByValue=True
                )
                if told["result"].get("value") is True:
                    return
                await asyncio.sleep(0.02)

    async def sized(self, width: int, height: int, *, phone: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )

    async def key(self, name: str) -> None:
        """Press and let go of a key."""
        for kind in ("rawKeyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=9
            )

    async def picture(self, file: Path) -> None:
        """The whole page, also what lies below the window's edge."""
        told = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await asyncio.to_thread(file.write_bytes, base64.b64decode(told["data"]))


@contextlib.asynccontextmanager
async def browser(directory: Path) -> AsyncIterator[Page]:
    """A browser with a profile of its own, and its one page. Skips where Chromium is missing."""
    if FOUND is None:
        pytest.skip("chromium is not installed")
    profile = directory / "profile"
    process = await asyncio.create_subprocess_exec(
        FOUND,
        *FLAGS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(directory)},
    )
    try:
        async with aiohttp.ClientSession() as session:
            port = await _port(process)
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                targets = [one for one in await answer.json() if one["type"] == "page"]
            async with session.ws_connect(
                targets[0]["webSocketDebuggerUrl"], max_msg_size=64 << 20
            ) as socket:
                page = Page(socket)
                for part in ("Page", "Runtime", "Log"):
                    await page.call(f"{part}.enable")
                yield page
    finally:
        process.kill()
        await process.communicate()


async def _port(process: asyncio.subprocess.Process) -> int:
    """Where it listens, from the line that says so."""
    assert process.stderr is not None
    async with asyncio.timeout(SECONDS):
        async for line in process.stderr:
            if b"DevTools listening on ws://" in line:
                return int(line.rpartition(b":")[2].partition(b"/")[0])
    raise AssertionError("chromium ended before it listened")
