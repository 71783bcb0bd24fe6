"""The benchmarks, in the order of their sections in `docs/benchmarks.md`."""

from __future__ import annotations

from benchmarks import fleet, freshness, initial, memory
from benchmarks.result import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = (
    initial.BENCHMARK,
    freshness.BENCHMARK,
    memory.BENCHMARK,
    fleet.BENCHMARK,
)


def by_name() -> dict[str, Benchmark]:
    return {benchmark.name: benchmark for benchmark in BENCHMARKS}
