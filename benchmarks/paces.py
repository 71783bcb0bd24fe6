"""Variants of one step, timed in turn against a baseline: what the quiet poll and the change have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.result import Row, row_of


@dataclass(frozen=True, slots=True)
class Sample:
    """One variant in one round: seconds of the processor and of the clock for each step."""

    cpu: float
    wall: float


def rows_of(taken: Mapping[str, Sequence[Sample]], base: str, unit: str) -> tuple[Row, ...]:
    """Processor and pace of every variant, rated by the baseline's round by round. `unit` is that of the pace."""
    of_base = taken[base]
    cpu = [
        row_of(
            f"{name}, CPU",
            [1000 * sample.cpu for sample in samples],
            "ms",
            base=[1000 * sample.cpu for sample in of_base],
        )
        for name, samples in taken.items()
    ]
    pace = [
        row_of(
            name,
            [1 / sample.wall for sample in samples],
            unit,
            base=[1 / sample.wall for sample in of_base],
        )
        for name, samples in taken.items()
    ]
    return (*cpu, *pace)
