"""Writes `docs/benchmarks.md` and its pictures from `results.json`: no figure there is typed by hand."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.result import Benchmark, Measured, Picture, Result, Row

PAGE, PICTURES, RESULTS = "benchmarks.md", "benchmarks", "benchmarks/results.json"
WIDTH = 120
HEAD = """# Figures

What the connector was measured to do, and how to repeat it. Benchmarks print tables and assert nothing: trust counts
(points, requests, windows) to the last digit, ratios of one run to some percent, and seconds as far as your machine
resembles the one named. This page is written by

```
make bench                            # all of them but {alone}; about a quarter of an hour
make bench ARGS="memory freshness"    # some of them, or those that are long; the others' sections stay as they are
make bench ARGS=--quick               # do they run at all? smallest sizes, results in a temporary folder
make bench ARGS=--render              # this page anew, from docs/benchmarks/results.json
```

Each section names when, where and at which commit it was measured; *of its baseline* is the ratio to the baseline in
the same run (the median of the ratios round by round, where there are several). Everything runs on loopback without
TLS; simulators and databases run in processes of their own, and share the cores.

| section | measured | commit |
|---|---|---|
{contents}
"""
SECTION = """
## {title}

```
make bench ARGS={name}
```

{about}

*Measured {date}, {seconds:.0f} s, commit {commit}, {machine}.*

{table}
"""
UNMEASURED = """
## {title}

```
make bench ARGS={name}
```

Not measured yet.
"""


def render(folder: Path, benchmarks: Sequence[Benchmark], results: Mapping[str, Measured]) -> None:
    """The page of all benchmarks, in `folder` (`docs`)."""
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    measured = [one for one in benchmarks if one.name in results]
    contents = [
        f"| [{one.title}](#{_anchor(one.title)}) | {results[one.name].date} | {results[one.name].commit} |"
        for one in measured
    ]
    alone = ", ".join(f"`{one.name}`" for one in benchmarks if one.alone) or "none"
    page = HEAD.format(alone=alone, contents="\n".join(contents))
    for benchmark in benchmarks:
        page += _section(folder, benchmark, results.get(benchmark.name))
    (folder / PAGE).write_text(page)


def _section(folder: Path, benchmark: Benchmark, measured: Measured | None) -> str:
    if measured is None:
        return UNMEASURED.format(title=benchmark.title, name=benchmark.name)
    result = measured.result
    text = SECTION.format(
        title=benchmark.title,
        name=benchmark.name,
        about=_wrapped(benchmark.about.strip().format_map(result.facts)),
        date=measured.date,
        seconds=measured.seconds,
        commit=measured.commit,
        machine=measured.machine,
        table=table(result.rows),
    )
    if benchmark.picture is not None and result.curves:
        picture = folder / PICTURES / f"{benchmark.name}.svg"
        draw(picture, benchmark.picture, result)
        text += f"\n![{benchmark.title}]({PICTURES}/{picture.name})\n"
    return text


def _wrapped(text: str) -> str:
    """Paragraphs anew in lines of the page's width: figures that were put in make lines longer or shorter."""
    parts = text.split("\n\n")
    return "\n\n".join(
        part
        if part.startswith(("|", "-", "```"))
        else textwrap.fill(
            " ".join(part.split()), WIDTH, break_long_words=False, break_on_hyphens=False
        )
        for part in parts
    )


def table(rows: Sequence[Row]) -> str:
    """Rows in Markdown; columns that no row fills are left out."""
    lines = [
        (
            row.name,
            f"{_number(row.value)} {row.unit}".strip(),
            "" if row.ratio is None else f"{row.ratio:.2f}",
            ""
            if row.least is None or row.most is None
            else f"{_number(row.least)} to {_number(row.most)}",
            row.note,
        )
        for row in rows
    ]
    head = ("", "measured", "of its baseline", "least to most", "")
    used = [n for n in range(len(head)) if n < 2 or any(line[n] for line in lines)]
    written = [head, tuple("---" for _ in head), *lines]
    return "\n".join("| " + " | ".join(line[n] for n in used) + " |" for line in written)


def _number(value: float | str) -> str:
    """Three digits that count, and no more."""
    if isinstance(value, str):
        return value
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _anchor(title: str) -> str:
    kept = "".join(sign for sign in title.lower() if sign.isalnum() or sign in " -_")
    return kept.replace(" ", "-")


def draw(path: Path, picture: Picture, result: Result) -> None:
    """The curves of a result as an SVG that is the same, byte by byte, for the same figures."""
    with mpl.rc_context():
        mpl.rcParams["svg.hashsalt"] = "gcal-salesloft"
        mpl.rcParams["svg.fonttype"] = "none"
        mpl.rcParams["font.size"] = 9
        figure = Figure(figsize=(6.4, 2.8))
        axes = figure.subplots()
        (_bars if picture.bars else _curves)(axes, picture, result)
        axes.grid(alpha=0.3)
        figure.tight_layout()
        figure.savefig(path, format="svg", metadata={"Date": None})


def _bars(axes: Axes, picture: Picture, result: Result) -> None:
    names = list(result.curves)[::-1]
    axes.barh(names, [result.curves[name][-1][1] for name in names], color="#2f6f9f")
    axes.set_xlabel(picture.y)
    if picture.target is not None:
        axes.axvline(picture.target, color="#b03a2e", linestyle="--", linewidth=1)


def _curves(axes: Axes, picture: Picture, result: Result) -> None:
    for name, points in result.curves.items():
        marker = "o" if len(points) < 20 else None
        axes.plot([x for x, _ in points], [y for _, y in points], marker=marker, label=name)
    axes.set_xlabel(picture.x)
    axes.set_ylabel(picture.y)
    if picture.log_x:
        axes.set_xscale("log")
    if picture.log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    if picture.target is not None:
        axes.axhline(picture.target, color="#b03a2e", linestyle="--", linewidth=1, label="aim")
    axes.legend()
