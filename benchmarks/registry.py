"""The benchmarks, in the order of their sections in `docs/benchmarks.md`."""

from __future__ import annotations

from benchmarks import (
    change,
    delivery,
    fleet,
    freshness,
    initial,
    main_job,
    memory,
    nodes,
    page_bytes,
    page_sizes,
    quiet,
    requests,
    size,
)
from benchmarks.result import Benchmark
from benchmarks.soak import section

BENCHMARKS: tuple[Benchmark, ...] = (
    main_job.BENCHMARK,
    quiet.BENCHMARK,
    change.BENCHMARK,
    initial.BENCHMARK,
    freshness.BENCHMARK,
    memory.BENCHMARK,
    size.BENCHMARK,
    requests.BENCHMARK,
    page_sizes.BENCHMARK,
    page_bytes.BENCHMARK,
    nodes.BENCHMARK,
    fleet.BENCHMARK,
    fleet.OF_NODES,
    delivery.BENCHMARK,
    section.BENCHMARK,
)


def by_name() -> dict[str, Benchmark]:
    return {benchmark.name: benchmark for benchmark in BENCHMARKS}
