"""What the statements of the state need of a database's driver: `sqlite3.Connection` has it, PostgreSQL's is wrapped.

Statements are written once, in what SQLite and PostgreSQL both understand: parameters as `?` or `:name`, booleans as
TRUE and FALSE, `IS NOT DISTINCT FROM`, conflicts with their target, lists as `json_each(:list)` with numbers cast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

Parameters = Sequence[Any] | Mapping[str, Any]


class Cursor(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows a statement changed."""

    @property
    def description(self) -> Any:
        """One sequence a column, its name first; None if the statement gives no rows."""

    def fetchone(self) -> Any:
        """The next row as a tuple; None after the last."""

    def fetchall(self) -> list[Any]:
        """All that is left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """One connection, inside a transaction that its owner began."""

    def execute(self, sql: str, parameters: Parameters = ..., /) -> Cursor:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> Cursor:
        """Run one statement for each of several parameters."""
