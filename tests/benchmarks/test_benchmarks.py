"""Every benchmark runs, has its section, and its pictures differ only where its figures do. Nothing is timed here."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.arrivals import arrivals
from benchmarks.fifo import without_urgency
from benchmarks.page import RESULTS, draw, render, table
from benchmarks.registry import BENCHMARKS
from benchmarks.result import (
    Benchmark,
    Measured,
    Picture,
    Result,
    Row,
    as_dict,
    load,
    quantile,
    row_of,
    save,
)
from connector.store import outbox
from tests.domain.builders import NOW
from tests.project.files import ROOT
from tests.store.test_outbox_order import put
from tests.store.world import an_empty_file_state

SHORT = [benchmark for benchmark in BENCHMARKS if not benchmark.alone]
RESULT = Result(
    (Row("bare", 2.0, "ms"), row_of("ours", [2.0, 6.0, 3.0], "ms", base=[1.0, 2.0, 3.0])),
    {"figure": "42"},
    {"ours": ((1.0, 2.0), (10.0, 3.0))},
)


QUICKEST = {"page_bytes", "quiet"}


def measured(result: Result) -> Measured:
    return Measured(result, "abc", "2026-11-25", "a machine", 1.0)


@pytest.mark.parametrize(
    "benchmark",
    # The others take seconds even so, and run with `make storm`.
    [
        pytest.param(one, id=one.name, marks=() if one.name in QUICKEST else pytest.mark.long)
        for one in SHORT
    ],
)
def test_a_benchmark_runs_in_its_smallest_size(benchmark: Benchmark, tmp_path: Path) -> None:
    result = benchmark.run(True)
    assert result.rows
    assert len({row.name for row in result.rows}) == len(result.rows)
    assert json.loads(json.dumps(as_dict(result)))["rows"]
    render(tmp_path, [benchmark], {benchmark.name: measured(result)})
    page = (tmp_path / "benchmarks.md").read_text()
    assert f"## {benchmark.title}" in page
    assert (benchmark.picture is not None) == (f"benchmarks/{benchmark.name}.svg" in page)


def test_the_page_is_what_the_results_say(tmp_path: Path) -> None:
    results = load(ROOT / "docs" / RESULTS)
    render(tmp_path, BENCHMARKS, results)
    assert (tmp_path / "benchmarks.md").read_text() == (ROOT / "docs/benchmarks.md").read_text()


def test_every_benchmark_has_its_section() -> None:
    sections = re.findall("^## (.*)$", (ROOT / "docs/benchmarks.md").read_text(), re.MULTILINE)
    assert sections == [benchmark.title for benchmark in BENCHMARKS]


def test_a_result_that_is_stored_is_read_again(tmp_path: Path) -> None:
    results = {"some": measured(RESULT), "other": measured(replace(RESULT, facts={}))}
    save(tmp_path / "results.json", results)
    assert load(tmp_path / "results.json") == results


def test_the_ratio_is_the_median_round_by_round() -> None:
    ours = RESULT.rows[1]
    assert (ours.value, ours.ratio, ours.least, ours.most) == (3.0, 2.0, 2.0, 6.0)


def test_a_table_leaves_out_columns_that_no_row_fills() -> None:
    assert table([Row("some", 1234.5, "s")]).splitlines()[-1] == "| some | 1,234 s |"


def test_a_picture_is_the_same_for_the_same_figures(tmp_path: Path) -> None:
    for name in ("first.svg", "second.svg"):
        draw(tmp_path / name, Picture("calendars", "MiB", target=2.0), RESULT)
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 2.0), (0.75, 3.0), (0.99, 4.0), (1.0, 4.0), (0.0, 1.0)]
)
def test_a_quantile_is_a_value_that_so_many_do_not_exceed(share: float, expected: float) -> None:
    assert quantile([4.0, 1.0, 3.0, 2.0], share) == expected


def change(at: float, stamp: int, **expected: tuple[int, int]) -> dict[str, object]:
    return {"at": at, "stamp": stamp, "calendar": "c", "series": False, "expected": expected}


def test_a_change_arrives_with_the_last_of_its_occurrences() -> None:
    found = arrivals(
        [change(1.0, 100, a=(1, 2), b=(1, 2))], [("c", "a", 100, 3.0), ("c", "b", 100, 5.0)]
    )
    assert (found.seconds, found.missing) == ([4.0], [])


def test_what_was_stored_before_a_change_is_not_its_arrival() -> None:
    found = arrivals([change(10.0, 100, a=(1, 2))], [("c", "a", 99, 11.0), ("c", "a", 100, 12.0)])
    assert found.seconds == [2.0]


def test_a_later_content_counts_for_the_change_that_it_overtook() -> None:
    changes = [change(1.0, 100, a=(1, 2)), change(2.0, 200, a=(2, 3))]
    assert arrivals(changes, [("c", "a", 200, 4.0)]).seconds == [3.0, 2.0]


def test_a_cancellation_carries_whole_seconds() -> None:
    found = arrivals([change(1.5, 1_500, a=(1, 0))], [("c", "a", 1_000, 2.0)])
    assert (found.seconds, found.missing) == ([0.5], [])


def test_what_never_arrives_is_missing() -> None:
    found = arrivals([change(1.0, 100, a=(1, 2))], [])
    assert (found.seconds, found.missing) == ([], ["c a"])


def test_what_was_taken_back_is_not_missing() -> None:
    found = arrivals([change(1.0, 100, a=(0, 2)), change(2.0, 200, a=(2, 0))], [])
    assert (found.taken_back, found.missing) == (2, [])


def test_the_queue_without_urgency_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it replaces a line of is the product's own statement, which may change."""
    state = an_empty_file_state()
    put(state, "first", timedelta(days=9))
    state.execute("UPDATE outbox SET queued_ms = queued_ms - 1000")
    put(state, "urgent", timedelta(minutes=1))
    assert outbox.most_urgent(state, [1], 9, NOW)[0].key.event_id == "urgent"
    monkeypatch.setattr(outbox, "_MOST_URGENT", without_urgency(outbox._MOST_URGENT))
    assert outbox.most_urgent(state, [1], 9, NOW)[0].key.event_id == "first"
    state.close()
