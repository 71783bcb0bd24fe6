"""Makes docs/status-page-*.png anew: `python -m tests.observe.pictures`. A phone is 390 pixels wide.

Headless Chromium has no window narrower than 500 pixels, so the phone's page is drawn in a frame.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from aiohttp import web

from connector.observe.web import HEADERS, make_app
from tests.observe.browser import screenshot
from tests.observe.example import example_history, example_site

DOCS = Path(__file__).parents[2] / "docs"


async def framed(directory: Path, url: str, file: Path, width: int, height: int) -> None:
    frame = directory / "frame.html"
    frame.write_text(
        f'<body style="margin:0"><iframe src="{url}" style="border:0;width:{width}px;height:{height}px">'
    )
    await screenshot(directory, f"file://{frame}", file, width, height)


async def main(folder: Path) -> None:
    HEADERS["Content-Security-Policy"] = ""  # a frame is what it forbids
    HEADERS["Cross-Origin-Resource-Policy"] = "cross-origin"
    site = example_site(example_history())
    runner = web.AppRunner(make_app(site))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        with tempfile.TemporaryDirectory() as name:
            await screenshot(Path(name), url, folder / "status-page-wide.png", 1280, 1720)
            await framed(Path(name), url, folder / "status-page-phone.png", 390, 3050)
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS))
