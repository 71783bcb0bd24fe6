"""What a benchmark is, and what it came to: the vocabulary that the runner, the page and every benchmark share."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, or a few words in its place.

    `ratio` is to its baseline, measured in the same run; `least` and `most` are of several rounds.
    """

    name: str
    value: float | str
    unit: str = ""
    ratio: float | None = None
    least: float | None = None
    most: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of one benchmark came to.

    `facts` are the figures that the prose of its section names, written out; `curves` what its picture shows.
    """

    rows: tuple[Row, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, Points] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Picture:
    """How the curves of a result are drawn. `bars`: one bar a curve, of its last point."""

    x: str = ""
    y: str = ""
    log_x: bool = False
    log_y: bool = False
    bars: bool = False
    target: float | None = None
    """A horizontal line: what was aimed at."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark. Its section is `about`, a template with the facts of its last result, then table and picture.

    `run` gets True for its smallest size, in which the figures mean nothing. `alone`: too long to run with the
    others, only by name.
    """

    name: str
    title: str
    about: str
    run: Callable[[bool], Result]
    picture: Picture | None = None
    alone: bool = False
    seconds: float = 300.0
    """A run that takes longer is ended, and counts as failed."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A result with its circumstances, as kept in `results.json`."""

    result: Result
    commit: str
    date: str
    machine: str
    seconds: float


def row_of(name: str, values: Sequence[float], unit: str, *, base: Sequence[float] = ()) -> Row:
    """The median of several rounds, and the median of the ratios to the baseline round by round."""
    pairs = [value / its_base for value, its_base in zip(values, base, strict=bool(base))]
    return Row(
        name,
        statistics.median(values),
        unit,
        ratio=statistics.median(pairs) if pairs else None,
        least=min(values) if len(values) > 1 else None,
        most=max(values) if len(values) > 1 else None,
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all do not exceed; 0 of none."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def as_dict(result: Result) -> dict[str, Any]:
    """For JSON; `result_of` reads it."""
    return asdict(result)


def result_of(data: Mapping[str, Any]) -> Result:
    """What `as_dict` wrote."""
    return Result(
        rows=tuple(Row(**row) for row in data["rows"]),
        facts=dict(data["facts"]),
        curves={
            name: tuple((float(x), float(y)) for x, y in points)
            for name, points in data["curves"].items()
        },
    )


def load(path: Path) -> dict[str, Measured]:
    """The results of a file, by benchmark; none if there is no file."""
    if not path.exists():
        return {}
    return {
        name: Measured(**{**entry, "result": result_of(entry["result"])})
        for name, entry in json.loads(path.read_text()).items()
    }


def save(path: Path, results: Mapping[str, Measured]) -> None:
    """Write them all, so that a file that is run again shows small differences."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = {name: asdict(results[name]) for name in sorted(results)}
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
