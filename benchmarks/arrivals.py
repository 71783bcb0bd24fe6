"""How long each change took to reach Salesloft, from the records of both simulators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Wanted:
    """One occurrence that one change altered. `before` and `after` name its content; 0: there is none."""

    change: int
    at: float
    stamp: int
    before: int
    after: int


@dataclass(slots=True)
class Arrivals:
    """What became of all changes. A change has arrived with the last of its occurrences."""

    of_one: list[float] = field(default_factory=list)
    """Seconds, of changes of single meetings."""
    of_series: list[float] = field(default_factory=list)
    silent: int = 0
    """Changes that alter nothing of what Salesloft may hold."""
    taken_back: int = 0
    """Changes undone before they were seen."""
    missing: list[str] = field(default_factory=list)
    """Occurrences that never arrived, as calendar and id."""

    @property
    def seconds(self) -> list[float]:
        return [*self.of_one, *self.of_series]


def arrivals(changes: Sequence[dict[str, Any]], stored: Iterable[Sequence[Any]]) -> Arrivals:
    """Follow every change: an occurrence has arrived once Salesloft stores it as of that change, or of a later one."""
    found = Arrivals()
    moments: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    for calendar, event_id, updated, at in stored:
        moments[calendar, event_id].append((at, updated))
    wanted: dict[tuple[str, str], list[Wanted]] = defaultdict(list)
    for number, change in enumerate(changes):
        for event_id, (before, after) in change["expected"].items():
            wanted[change["calendar"], event_id].append(
                Wanted(number, change["at"], change["stamp"], before, after)
            )
    latest: dict[int, float] = {}
    undone = set()
    for key, alterations in wanted.items():
        open_since: Wanted | None = None
        for one in alterations:
            at = _arrived(one, moments[key])
            if at is None:
                open_since = open_since or one
            else:
                latest[one.change] = max(latest.get(one.change, 0.0), at - one.at)
        if open_since is None:
            continue
        if open_since.before == alterations[-1].after:
            undone |= {one.change for one in alterations if one.stamp >= open_since.stamp}
        else:
            found.missing.append(" ".join(key))
    for number, change in enumerate(changes):
        if number in latest:
            (found.of_series if change["series"] else found.of_one).append(latest[number])
        elif number in undone:
            found.taken_back += 1
        elif not change["expected"]:
            found.silent += 1
    return found


def _arrived(wanted: Wanted, moments: Sequence[tuple[float, int]]) -> float | None:
    """When Salesloft first held what was wanted, or something newer.

    What is deleted has no time of its own at Google: its content carries that of the answer, in whole seconds.
    """
    stamp = wanted.stamp if wanted.after else wanted.stamp // 1000 * 1000
    return min((at for at, updated in moments if updated >= stamp and at > wanted.at), default=None)
