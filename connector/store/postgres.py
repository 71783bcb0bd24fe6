"""PostgreSQL's side of the state: the same statements over psycopg, on one connection that is made again when it is lost.

Statements are written once (`connection.py`); here they get psycopg's parameters and PostgreSQL's functions for lists.
What differs is little on purpose: the contract suite in `tests/store` runs against both databases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumper

from connector.store.connection import Parameters

CONNECT_SECONDS = 10
IDLE_IN_TRANSACTION_MS = 5000
"""A frozen process must not hold locks: PostgreSQL ends its transaction, nothing of which was answered."""
_TOKENS = re.compile(r"'(?:[^']|'')*'|\?|(?<![:\w]):([a-z_]+)|%|\bCROSS JOIN\b|\bjson_each\(")
_OBJECT = re.compile(r"json_each\((%\w*(?:\(\w+\))?s)\)(\s+WHERE key\b)")
_LIST = re.compile(r"json_each\((%\w*(?:\(\w+\))?s)\)")


@lru_cache(maxsize=512)
def translated(statement: str) -> bytes:
    """A statement of ours as psycopg wants it: `?` and `:name` become its parameters, `json_each` PostgreSQL's."""

    def replace(match: re.Match[str]) -> str:
        token = match.group(0)
        if token == "?":
            return "%s"
        if token == "%":
            return "%%"
        if match.group(1):
            return f"%({match.group(1)})s"
        if token == "CROSS JOIN":  # SQLite's way to fix an order of joins
            return "JOIN"
        return token.replace("%", "%%") if token.startswith("'") else token

    text = _TOKENS.sub(replace, statement)
    text = _OBJECT.sub(r"jsonb_each_text(CAST(\1 AS jsonb)) AS listed(key, value)\2", text)
    text = _LIST.sub(r"jsonb_array_elements_text(CAST(\1 AS jsonb)) AS listed(value)", text)
    return text.encode()


class PostgresConnection:
    """`Connection` over psycopg, in autocommit mode: its owner begins and commits. Made again if it broke."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._url = url
        self._read_only = read_only
        self._raw: psycopg.Connection[tuple[Any, ...]] | None = None

    @property
    def raw(self) -> psycopg.Connection[tuple[Any, ...]]:
        """psycopg's own connection, connected."""
        if self._raw is None or self._raw.closed:
            self._raw = _connect(self._url, read_only=self._read_only)
        return self._raw

    def execute(
        self, statement: str, parameters: Parameters = (), /
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run one statement. Raises psycopg.Error."""
        return self.raw.execute(sql.SQL(translated(statement).decode()), parameters or None)  # type: ignore[arg-type]

    def executemany(
        self, statement: str, parameters: Iterable[Parameters], /
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run one statement for each of several parameters, in one exchange."""
        cursor = self.raw.cursor()
        cursor.executemany(sql.SQL(translated(statement).decode()), list(parameters))  # type: ignore[arg-type]
        return cursor

    def close(self) -> None:
        if self._raw is not None:
            self._raw.close()


def _connect(url: str, *, read_only: bool) -> psycopg.Connection[tuple[Any, ...]]:
    settings: Mapping[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "gcal-salesloft",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15000,
        **conninfo_to_dict(url),
    }
    raw = psycopg.connect(**settings, autocommit=True)
    # One type for every number and text: otherwise each size of a number would prepare a statement of its own.
    raw.adapters.register_dumper(int, Int8Dumper)
    raw.adapters.register_dumper(str, StrDumper)
    raw.execute(f"SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}")
    raw.execute("SET client_min_messages = warning")
    if read_only:
        raw.execute("SET default_transaction_read_only = on")
    return raw
