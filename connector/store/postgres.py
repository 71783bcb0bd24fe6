"""PostgreSQL's side of the state: the same statements over psycopg, on one connection, made again when it is lost.

Statements are written once (`connection.py`); here they get psycopg's parameters and PostgreSQL's functions for lists.
What differs is little on purpose: the contract suite in `tests/store` runs against both databases.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumper

from connector.store.connection import Parameters

CONNECT_SECONDS = 5
IDLE_IN_TRANSACTION_MS = 5000
"""A frozen process must not hold locks: PostgreSQL ends its transaction, nothing of which was answered."""
_SESSION = (
    f"SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}",
    "SET client_min_messages = warning",
    # A machine that vanished must not keep what it held: nothing of it would tell the server.
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 2",
    "SET tcp_keepalives_count = 3",
)
_TOKENS = re.compile(r"'(?:[^']|'')*'|\?|(?<![:\w]):([a-z_]+)|%|\bCROSS JOIN\b|\bjson_each\(")
_OBJECT = re.compile(r"json_each\((%\w*(?:\(\w+\))?s)\)(\s+WHERE key\b)")
_LIST = re.compile(r"json_each\((%\w*(?:\(\w+\))?s)\)")

Raw = psycopg.Connection[tuple[Any, ...]]
Rows = psycopg.Cursor[tuple[Any, ...]]


@lru_cache(maxsize=512)
def translated(statement: str) -> sql.SQL:
    """A statement of ours as psycopg wants it: `?` and `:name` become its parameters, `json_each` PostgreSQL's."""

    def replace(match: re.Match[str]) -> str:
        found = match.group(0)
        if match.group(1):
            return f"%({match.group(1)})s"
        if found == "CROSS JOIN":  # SQLite's way to fix an order of joins
            return "JOIN"
        return "%s" if found == "?" else found.replace("%", "%%")

    text = _TOKENS.sub(replace, statement)
    text = _OBJECT.sub(r"jsonb_each_text(CAST(\1 AS jsonb)) AS listed(key, value)\2", text)
    text = _LIST.sub(r"jsonb_array_elements_text(CAST(\1 AS jsonb)) AS listed(value)", text)
    return sql.SQL(text)


class PostgresConnection:
    """`Connection` over psycopg, in autocommit mode: its owner begins and commits. Made again if it broke.

    `prepare` is done to each new connection before anything else; what it raises is raised to whoever asked.
    """

    def __init__(
        self, url: str, *, read_only: bool = False, prepare: Callable[[Raw], None] | None = None
    ) -> None:
        self._url = url
        self._read_only = read_only
        self._prepare = prepare
        self._raw: Raw | None = None

    @property
    def raw(self) -> Raw:
        """psycopg's own connection, connected."""
        if self._raw is None or self._raw.closed:
            raw = _connect(self._url, read_only=self._read_only)
            try:
                if self._prepare is not None:
                    self._prepare(raw)
            except BaseException:
                raw.close()
                raise
            self._raw = raw
        return self._raw

    def execute(self, statement: str, parameters: Parameters = (), /) -> Rows:
        """Run one statement. Raises psycopg.Error."""
        try:
            return self._execute(statement, parameters)
        except psycopg.OperationalError:
            # The server went away while nothing was under way: with it back, a new connection does as well.
            if not statement.startswith("BEGIN") or self._raw is None or not self._raw.closed:
                raise
            return self._execute(statement, parameters)

    def _execute(self, statement: str, parameters: Parameters) -> Rows:
        if not parameters:
            return self.raw.execute(
                statement.encode()
            )  # several at once are allowed without parameters
        return self.raw.execute(translated(statement), parameters)

    def executemany(self, statement: str, parameters: Iterable[Parameters], /) -> Rows:
        """Run one statement for each of several parameters, in one exchange."""
        cursor = self.raw.cursor()
        cursor.executemany(translated(statement), list(parameters))
        return cursor

    def close(self) -> None:
        """Close it; whatever it held is free: at once, while the server notices a closed connection a little later."""
        if self._raw is not None and not self._raw.closed:
            with contextlib.suppress(psycopg.Error):
                self._raw.rollback()
                self._raw.execute("SELECT pg_advisory_unlock_all()")
            self._raw.close()


def _connect(url: str, *, read_only: bool) -> Raw:
    settings: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "gcal-salesloft",
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": CONNECT_SECONDS * 1000,
        **conninfo_to_dict(url),
    }
    raw = psycopg.connect(**settings, autocommit=True)
    # One type for every number and text: otherwise each size of a number would prepare a statement of its own.
    raw.adapters.register_dumper(int, Int8Dumper)
    raw.adapters.register_dumper(str, StrDumper)
    raw.execute(sql.SQL("; ").join(sql.SQL(one) for one in _SESSION))
    if read_only:
        raw.execute("SET default_transaction_read_only = on")
    return raw
