"""Who borrows a share of a team's points, and whether the process that holds the state has made room for it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.domain.mapping import to_millis
from connector.store.connection import Connection

_NAME = "points_borrowed"
KEPT_MS = 61_000
"""A loan is kept free for so long after its end."""


@dataclass(frozen=True, slots=True)
class Loan:
    """One process's wish for points of a team. `granted`: the holder of the state has them free, and keeps them so."""

    borrower: str
    points: float
    until_ms: int
    granted: bool = False

    def is_over(self, now: datetime) -> bool:
        """Whether its last points have left every 60 s that may still be counted."""
        return to_millis(now) > self.until_ms + KEPT_MS


def loan_of(connection: Connection, team: str) -> Loan | None:
    row = connection.execute(
        "SELECT value FROM cursors WHERE scope = ? AND name = ?", (team, _NAME)
    ).fetchone()
    return Loan(**json.loads(row[0])) if row else None


def loans(connection: Connection, teams: Collection[str]) -> dict[str, Loan]:
    """The loans of these teams, in one look: it is done every second."""
    found = connection.execute("SELECT scope, value FROM cursors WHERE name = ?", (_NAME,))
    return {row[0]: Loan(**json.loads(row[1])) for row in found if row[0] in teams}


def ask(connection: Connection, team: str, loan: Loan, now: datetime) -> Loan:
    """Ask for a loan, or prolong one's own; gives the one that stands, which is another's while that one lasts."""
    standing = loan_of(connection, team)
    if standing is not None and standing.borrower != loan.borrower:
        if standing.until_ms > to_millis(now):
            return standing
        standing = None
    granted = standing is not None and standing.granted
    _write(connection, team, Loan(loan.borrower, loan.points, loan.until_ms, granted))
    return Loan(loan.borrower, loan.points, loan.until_ms, granted)


def grant(connection: Connection, granted: Mapping[str, Loan]) -> None:
    """The holder has made room, for as long as each of these loans stands."""
    for team, loan in granted.items():
        standing = loan_of(connection, team)
        if standing is not None and standing.borrower == loan.borrower:
            _write(connection, team, Loan(loan.borrower, loan.points, standing.until_ms, True))


def forget(connection: Connection, teams: Sequence[str]) -> None:
    connection.executemany(
        "DELETE FROM cursors WHERE scope = ? AND name = ?", [(team, _NAME) for team in teams]
    )


def _write(connection: Connection, team: str, loan: Loan) -> None:
    value = {
        "borrower": loan.borrower,
        "points": loan.points,
        "until_ms": loan.until_ms,
        "granted": loan.granted,
    }
    connection.execute(
        "INSERT INTO cursors (scope, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT (scope, name) DO UPDATE SET value = excluded.value",
        (team, _NAME, json.dumps(value)),
    )
