"""The page: escaped, readable, and the same in a real browser."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connector.observe.board import Board
from connector.observe.history import SAMPLES, History
from connector.observe.html import Html, h
from connector.observe.page import Shown, status_page
from connector.observe.snapshot import RefusedEvent, Snapshot, UserState
from tests.observe.example import NOW, example_history, example_snapshot

EVIL = "<script>alert('x')</script>\"&"
STYLE = Path(__file__).parents[2] / "connector/observe/static/status.css"


def shown(snapshot: Snapshot | None, history: History | None = None, age: float = 0.0) -> Shown:
    return Shown(snapshot, age, history or History(), "1.2.3", NOW, {}, explains=True)


def test_everything_is_escaped() -> None:
    usual = example_snapshot()
    user = replace(
        usual.users[0], name=EVIL, team=EVIL, reason=EVIL, remedy=EVIL, state=UserState.PARKED
    )
    evil = replace(
        usual,
        users=(user,),
        teams=(replace(usual.teams[0], label=EVIL),),
        differences=(replace(usual.differences[0], user=EVIL),),
        refused=(RefusedEvent(EVIL, EVIL, NOW, 422, EVIL, EVIL),),
    )
    text = status_page(shown(evil))
    assert "alert(" in text
    assert "<script>" not in text
    assert "alert('x')" not in text
    assert re.findall(r"<script[^>]*>", text) == ['<script src="/static/status.js" defer>']


def test_builder_escapes_and_refuses() -> None:
    assert h("a", "1 < 2", ["&", Html("<br>"), None], href='"', hidden=True) == (
        '<a href="&quot;" hidden>1 &lt; 2&amp;<br></a>'
    )
    assert h("meta", charset="utf-8") == '<meta charset="utf-8">'
    for attributes in ({"onclick": "x"}, {"style": "x"}, {"a b": "x"}):
        with pytest.raises(ValueError, match="no name"):
            h("p", **attributes)
    with pytest.raises(ValueError, match="no name"):
        h("p><script")


def test_page_needs_no_inline_style_or_script() -> None:
    text = status_page(shown(example_snapshot(), example_history()))
    assert " style=" not in text
    assert "<style" not in text
    assert not re.search(r"\son\w+=", text)


def test_tables_are_semantic() -> None:
    text = status_page(shown(example_snapshot()))
    tables = text.count("<table>")
    assert tables == 4
    assert text.count("<caption>") == text.count("<thead>") == tables
    assert text.count('<th scope="col">') > 20
    assert text.count('<th scope="row">') == len(example_snapshot().users) + 1 + 1 + 2


def test_trouble_comes_first_and_says_what_to_do() -> None:
    text = status_page(shown(example_snapshot()))
    order = re.findall(r'<th scope="row">(\w+)</th>', text)
    assert order[:5] == ["creed", "toby", "ryan", "dwight", "jim"]
    assert "sign in again and replace the credentials file" in text


def test_a_thousand_users_and_letters_stay_one_page() -> None:
    usual = example_snapshot()
    users = tuple(replace(usual.users[0], name=f"user{number}") for number in range(5000))
    letters = tuple(replace(usual.refused[0], event_id=str(n)) for n in range(100))
    text = status_page(shown(replace(usual, users=users, refused=letters)))
    assert "4,800 more users" in text
    assert len(re.findall("<tr>", text)) < 300


def test_old_news_says_so() -> None:
    assert "has not answered for 90 s" in status_page(shown(example_snapshot(), age=90.0))
    assert "has not answered yet" in status_page(shown(None))


def test_history_is_bounded_and_keeps_peaks() -> None:
    history = History()
    for second in range(SAMPLES + 100):
        at = NOW + timedelta(seconds=second)
        history.add(example_snapshot(at, 100_000 if second == SAMPLES - 7 else 4))
    assert len(history) == SAMPLES
    points = history.points(240)
    assert len(points) <= 240
    assert max(sum(point.backlog) for point in points) > 90_000


async def test_snapshots_are_cached_and_taken_once_for_many() -> None:
    taken = 0
    time = 0.0

    async def take() -> Snapshot:
        nonlocal taken
        taken += 1
        return example_snapshot()

    board = Board(take, History(), monotonic=lambda: time)
    assert await board.fresh() is not None
    time = 4.0
    await board.fresh()
    assert taken == 1
    time = 10.0
    await board.fresh()
    assert taken == 2
    await board.close()


async def test_a_state_that_fails_leaves_the_last_picture(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fails = False

    async def take() -> Snapshot:
        if fails:
            raise OSError("disk full of Quarterly planning")
        return example_snapshot()

    time = 0.0
    board = Board(take, History(), monotonic=lambda: time)
    await board.sample()
    fails, time = True, 100.0
    assert await board.fresh() == example_snapshot()
    await board.sample()
    assert board.age == 100.0
    assert len(board.history) == 1
    assert "Quarterly" not in "".join(capsys.readouterr())
    await board.close()


def palettes() -> list[dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", STYLE.read_text(), re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks)
    return [light, light | dark]


def contrast(one: str, other: str) -> float:
    """WCAG 2's ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
def test_contrast_is_enough_in_both_modes(palette: dict[str, str]) -> None:
    for ground in ("page", "panel"):
        for text in ("text", "soft", "link", "good", "bad"):
            assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    for graphic in ("focus", "limit", "lane-soon", "lane-prospect", "lane-later", "lane-backfill"):
        assert contrast(palette[graphic], palette["page"]) >= 3.0, graphic


def test_every_colour_is_of_the_palette() -> None:
    rules = re.sub(r":root \{.*?\}", "", STYLE.read_text(), flags=re.DOTALL)
    assert re.findall(r"#[0-9a-f]{3,8}\b", rules) == []
    assert ":focus-visible" in rules
