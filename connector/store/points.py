"""What teams spent in the last minute: kept before every request, so only what changed is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connector.domain.mapping import to_millis
from connector.store.connection import Connection

_INSERT = "INSERT INTO points (cost, team, at_ms) VALUES (?, ?, ?)"
_UPDATE = "UPDATE points SET cost = ? WHERE team = ? AND at_ms = ?"
_DELETE = "DELETE FROM points WHERE team = ? AND at_ms = ?"
_STORED = "SELECT count(*), coalesce(sum(cost), 0.0), max(at_ms) FROM points WHERE team = ?"
_SLACK = 1e-6


class Points:
    """The points of teams as this process stored them last. Used on the writer's thread only.

    What was rolled back, or written by another process meanwhile, shows in the stored sums: then all is written anew.
    """

    def __init__(self) -> None:
        self._stored: dict[str, dict[int, float]] = {}

    def keep(
        self, connection: Connection, team: str, entries: Sequence[tuple[datetime, float]]
    ) -> None:
        """Store what a team spent, in place of what was stored of it before."""
        wanted: dict[int, float] = {}
        for at, cost in entries:
            millis = to_millis(at)
            wanted[millis] = wanted.get(millis, 0.0) + cost
        stored = self._stored.get(team)
        if stored is None or not _is_stored(connection, team, stored):
            connection.execute("DELETE FROM points WHERE team = ?", (team,))
            stored = {}
        gone = [(team, at) for at in stored.keys() - wanted.keys()]
        other = [(cost, team, at) for at, cost in wanted.items() if stored.get(at, cost) != cost]
        new = [(cost, team, at) for at, cost in wanted.items() if at not in stored]
        for statement, rows in ((_DELETE, gone), (_UPDATE, other), (_INSERT, new)):
            if rows:
                connection.executemany(statement, rows)
        self._stored[team] = wanted


def _is_stored(connection: Connection, team: str, stored: dict[int, float]) -> bool:
    count, total, last = connection.execute(_STORED, (team,)).fetchone()
    differs = abs(total - sum(stored.values()))
    return bool(count == len(stored) and differs < _SLACK and last == max(stored, default=None))
