"""The page in a real browser: its policy holds, its script keeps it true, a phone and a keyboard are enough."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from connector.observe.board import Board
from connector.observe.history import History
from connector.observe.snapshot import Snapshot
from connector.observe.web import Site
from tests.observe.browser import Page, browser
from tests.observe.conftest import Serve
from tests.observe.example import example_history, example_site, example_snapshot

IS_LIVE = "document.getElementById('live').textContent === 'live'"
LOOK_NOW = "document.dispatchEvent(new Event('visibilitychange'))"  # as on coming back to the page


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with browser(tmp_path) as opened:
        yield opened


async def explain(user: str, event_id: str) -> object:
    return {"event": event_id, "rules": [{"rule": "prospect", "verdict": "full"}], "title": "x"}


async def test_the_policy_holds_and_the_console_is_silent(serve: Serve, page: Page) -> None:
    site = example_site(example_history())
    site.explain = explain
    url = await serve(site)
    await page.open(url)
    await page.until(IS_LIVE)
    assert (
        await page.value("getComputedStyle(document.querySelector('.good')).color")
        == "rgb(18, 105, 47)"
    )
    assert await page.value("document.querySelectorAll('svg polygon').length") == 5
    await page.open(f"{url}events?user=pam&id=abc")
    assert "prospect" in await page.value("document.body.innerText")
    assert page.complaints == []
    # And it is strict: a script in the page would not run.
    await page.value(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " document.body.append(s); })()"
    )
    assert await page.value("window.ran") is None
    assert any("Content Security Policy" in complaint for complaint in page.complaints)


async def test_what_changes_changes_in_place(serve: Serve, page: Page) -> None:
    """Focus stays, and so do the elements themselves; a row that comes or goes is no reason for a new page."""
    site, turns = changing_site()
    url = await serve(site)
    await page.open(url)
    await page.until(IS_LIVE)
    await page.value("window.table = document.getElementById('users'); table.focus()")
    turns.append(example_snapshot(backlog=1234))
    await page.value(LOOK_NOW)
    await page.until("document.getElementById('summary').innerText.includes('1,232')")
    assert await page.value("document.activeElement === table && table.isConnected")
    fewer = example_snapshot()
    turns.append(replace(fewer, users=fewer.users[:4], differences=()))
    await page.value(LOOK_NOW)
    await page.until("!document.getElementById('held')")
    assert await page.value("document.querySelectorAll('#users tbody tr').length") == 4
    assert await page.value("document.activeElement === table && table.isConnected")
    assert page.complaints == []


def changing_site() -> tuple[Site, list[Snapshot]]:
    """A site that shows the last of the snapshots, every time anew."""
    turns = [example_snapshot()]
    site = example_site()

    async def take() -> Snapshot:
        return turns[-1]

    ticks = iter(range(0, 1_000_000, 1000))
    site.board = Board(take, History(), monotonic=lambda: float(next(ticks)))
    return site, turns


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
async def test_no_screen_is_too_narrow(serve: Serve, page: Page, width: int) -> None:
    await page.sized(width, 844, phone=width < 500)
    await page.open(await serve(example_site(example_history())))
    assert await page.value("document.documentElement.scrollWidth") <= width
    assert await page.value("innerWidth") == width


async def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    serve: Serve, page: Page
) -> None:
    site = example_site()
    site.explain = explain
    await page.open(await serve(site))
    reached = []
    for _ in range(10):
        await page.key("Tab")
        reached.append(
            await page.value("document.activeElement.id || document.activeElement.textContent")
        )
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert await page.value(outline) == "solid", reached
    assert reached == [
        "Skip to the content",
        "gcal-salesloft",
        "users",
        "teams",
        "held",
        "refused",
        "explain-user",
        "explain-id",
        "Explain",
        "Metrics",
    ]


async def test_in_the_dark_the_page_is_dark(serve: Serve, page: Page) -> None:
    await page.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    await page.open(await serve(example_site()))
    assert await page.value("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 27)"


async def test_without_javascript_the_page_says_the_same(serve: Serve, page: Page) -> None:
    await page.call("Emulation.setScriptExecutionDisabled", value=True)
    await page.call("Page.navigate", url=await serve(example_site(example_history())))
    await page.until("document.querySelectorAll('tbody tr').length === 15")
    assert await page.value("document.getElementById('live').textContent") == ""
