"""Reads one TOML file as far as it can be read: what is right becomes a layer of settings, what is wrong a mistake."""

from __future__ import annotations

import copy
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from connector.domain.errors import ConfigurationMistake
from connector.settings.mistakes import UNKNOWN, Location, dotted, mistakes_of, zoneless_times
from connector.settings.tables import Tables

_MAX_BYTES = 1 << 20
_POSITION = re.compile(r"\(at (line \d+, column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Layer:
    """What one file says. A key with a mistake is absent from `tables` and named in `mistaken`."""

    file: Path
    tables: Tables = field(default_factory=Tables)
    mistakes: tuple[ConfigurationMistake, ...] = ()
    mistaken: frozenset[str] = frozenset()
    readable: bool = True

    def is_mistaken(self, key: str) -> bool:
        """Whether something about `key` was reported already, so that its absence is no further mistake."""
        table = key.partition(".")[0]
        return not self.readable or key in self.mistaken or table in self.mistaken


def read_layer(file: Path) -> Layer:
    """The layer of one file; never raises for what the file holds or for how it can be read."""
    try:
        data = _toml(file)
    except _Unreadable as unreadable:
        mistake = ConfigurationMistake(file, "", unreadable.found, unreadable.expected)
        return Layer(file, mistakes=(mistake,), readable=False)
    return layer_of(data, file)


def layer_of(data: dict[str, Any], file: Path) -> Layer:
    """The layer of a parsed file: what pydantic refuses is reported and left out, the rest is kept."""
    mistakes: dict[Location, ConfigurationMistake] = {}
    remaining = data
    while True:
        try:
            tables = Tables.model_validate(remaining)
            break
        except ValidationError as error:
            refused = mistakes_of(error, file)
        mistakes |= refused
        remaining = copy.deepcopy(remaining)
        for location in refused:
            _drop(remaining, location)
    zoneless = zoneless_times(data, file)
    mistaken = frozenset(dotted(location[:2]) for location in (mistakes | zoneless))
    # A time where something else belongs is one mistake, not two.
    typed = [
        mistake
        for location, mistake in mistakes.items()
        if location not in zoneless or mistake.found == UNKNOWN
    ]
    return Layer(file, tables, (*typed, *zoneless.values()), mistaken)


def _drop(data: dict[str, Any], location: Location) -> None:
    """Take one place out; a place inside a list takes the whole list along. Each call shrinks `data`."""
    *path, last = [part for part in location if isinstance(part, str)]
    for part in path:
        if not isinstance(data.get(part), dict):
            data.pop(part, None)
            return
        data = data[part]
    data.pop(last, None)


class _Unreadable(Exception):
    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected


def _toml(file: Path) -> dict[str, Any]:
    try:
        if not file.is_file():
            raise _Unreadable(
                "no such file" if not file.exists() else "something that is no regular file",
                "a TOML file",
            )
        with file.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _Unreadable(
            f"a file that cannot be read ({reason(error)})",
            "a TOML file that the account of the connector may read",
        ) from None
    if len(content) > _MAX_BYTES:
        raise _Unreadable("a file of more than 1 MiB", "a TOML file of a few lines")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _Unreadable(f"bytes that are not UTF-8 at line {line}", "TOML in UTF-8") from None
    except RecursionError:
        raise _Unreadable("lists or tables nested too deeply", "TOML") from None
    except ValueError as error:  # TOMLDecodeError, and what Python says of an endless number
        raise _Unreadable(_syntax_error(str(error)), "TOML, see docs/configuration.md") from None


def _syntax_error(message: str) -> str:
    # tomllib's own words may quote a key of the file; the place is enough to find it.
    position = _POSITION.search(message)
    if position is None:
        return "a number or date that TOML cannot hold"
    return f"a TOML syntax error at {position[1]}"


def reason(error: Exception) -> str:
    """Why a file could not be read, in the system's words."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "bad name"
