"""The benchmarks, in the order of their sections in `docs/benchmarks.md`."""

from __future__ import annotations

from benchmarks import (
    delivery,
    fleet,
    freshness,
    initial,
    main_job,
    memory,
    page_bytes,
    quiet,
    size,
)
from benchmarks.result import Benchmark
from benchmarks.soak import section

BENCHMARKS: tuple[Benchmark, ...] = (
    main_job.BENCHMARK,
    quiet.BENCHMARK,
    initial.BENCHMARK,
    freshness.BENCHMARK,
    memory.BENCHMARK,
    size.BENCHMARK,
    page_bytes.BENCHMARK,
    fleet.BENCHMARK,
    fleet.OF_NODES,
    delivery.BENCHMARK,
    section.BENCHMARK,
)


def by_name() -> dict[str, Benchmark]:
    return {benchmark.name: benchmark for benchmark in BENCHMARKS}
