"""Makes docs/status-page-*.png anew: `python -m tests.observe.pictures [FOLDER]`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from aiohttp import web

from connector.observe.web import make_app
from tests.observe.browser import browser
from tests.observe.example import example_history, example_site

DOCS = Path(__file__).parents[2] / "docs"


async def main(folder: Path) -> None:
    runner = web.AppRunner(make_app(example_site(example_history())))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            async with browser(Path(name)) as page:
                for kind, width in (("wide", 1280), ("phone", 390)):
                    await page.sized(width, 844, phone=width < 500)
                    await page.open(url)
                    await page.until("document.getElementById('live').textContent === 'live'")
                    height = await page.value("document.documentElement.scrollHeight")
                    await page.sized(width, height, phone=width < 500)
                    await page.picture(folder / f"status-page-{kind}.png")
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS))
