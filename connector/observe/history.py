"""The last hours of backlog and budget, in memory, for the pictures on the status page."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.observe.snapshot import LANES, Snapshot

SAMPLE_SECONDS = 10.0
HOURS = 6
SAMPLES = int(HOURS * 3600 / SAMPLE_SECONDS)
"""About 300 KiB, however many users and teams there are: a sample is of all of them together."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment, all teams together. `backlog` goes by `LANES`; points are of the 60 s before."""

    at: datetime
    backlog: tuple[int, ...]
    spent: float
    limit: float


class History:
    """The newest samples; older ones are forgotten."""

    def __init__(self, most: int = SAMPLES) -> None:
        self._samples: deque[Sample] = deque(maxlen=most)

    def add(self, snapshot: Snapshot) -> None:
        backlog = tuple(sum(team.backlog.get(lane, 0) for team in snapshot.teams) for lane in LANES)
        spent = sum(team.spent for team in snapshot.teams)
        limit = sum(team.limit for team in snapshot.teams)
        self._samples.append(Sample(snapshot.at, backlog, spent, limit))

    def __len__(self) -> int:
        return len(self._samples)

    def points(self, most: int) -> list[Sample]:
        """At most so many samples, oldest first; each stands for the highest values of its stretch."""
        samples = list(self._samples)
        size = max(1, -(-len(samples) // most))
        return [highest(samples[at : at + size]) for at in range(0, len(samples), size)]


def highest(stretch: Sequence[Sample]) -> Sample:
    """The highest values of a stretch, at its end: a short peak must not vanish from a picture."""
    return Sample(
        at=stretch[-1].at,
        backlog=tuple(max(values) for values in _columns(sample.backlog for sample in stretch)),
        spent=max(sample.spent for sample in stretch),
        limit=max(sample.limit for sample in stretch),
    )


def _columns(rows: Iterable[tuple[int, ...]]) -> Iterable[tuple[int, ...]]:
    return zip(*rows, strict=True)
