"""Words pydantic's refusals and other findings as mistakes for people: which key, what was found, what is expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from connector.domain.errors import ConfigurationMistake
from connector.domain.model import EventType
from connector.settings.tables import EXPECTED, TABLES, PushTable
from connector.settings.values import MISTAKE, shown_text

Location = tuple[str | int, ...]

UNKNOWN = "an unknown key"

# Somebody may have put the secret itself where its place belongs.
_NAMES_OF_SECRETS = re.compile(r"credential|api_key|observability\.token")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_TABLE_ERRORS = ("model_type", "dict_type", "model_attributes_type")


def dotted(location: Sequence[str | int]) -> str:
    """`sync.poll_interval`; a part that TOML would have to quote is quoted and cut short."""
    parts = (str(part) for part in location if not isinstance(part, int))
    return ".".join(
        part if _BARE_KEY.fullmatch(part) and len(part) <= 60 else shown_text(part)
        for part in parts
    )


def mistakes_of(error: ValidationError, file: Path) -> dict[Location, ConfigurationMistake]:
    """Every refusal of one file, by its place."""
    found: dict[Location, ConfigurationMistake] = {}
    for detail in error.errors(include_url=False):
        location = detail["loc"]
        if location and location[-1] == "[key]":  # how pydantic says that a map's key is refused
            location = location[:-1]
            found[location] = _unknown(location, file)
        elif detail["type"] == "extra_forbidden":
            found[location] = _unknown(location, file)
        else:
            # The value under an unknown key of a map may be refused too; the key is what matters.
            found.setdefault(location, _refused(detail, file))
    return found


def _refused(detail: ErrorDetails, file: Path) -> ConfigurationMistake:
    key = dotted(detail["loc"])
    told = detail.get("ctx", {}) if detail["type"] == MISTAKE else {}
    value = detail["input"]
    hidden = isinstance(value, str) and _NAMES_OF_SECRETS.search(key) is not None
    found = told.get("found") or ("an unsuitable text" if hidden else shown_value(value))
    if detail["type"] in _TABLE_ERRORS:
        expected = "a table"
    else:
        depth = 3 if detail["loc"][:2] == ("google", "push") else 2
        expected = told.get("expected") or EXPECTED[dotted(detail["loc"][:depth])]
    return ConfigurationMistake(file, key, found, expected)


def shown_value(value: Any) -> str:
    """A TOML value as messages show it: short, and never what is inside a list or a table."""
    match value:
        case bool():
            return f"{str(value).lower()} (true or false)"
        case str():
            return f"{shown_text(value)} (a text)" if value else "an empty text"
        case int():
            # Python refuses to print huge integers.
            return f"{value} (a whole number)" if abs(value) < 10**18 else "a huge whole number"
        case float():
            return f"{value} (a fraction)"
        case datetime() | date() | time():
            return f"{value.isoformat()} (a date or time)"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "something else"


def _unknown(location: Location, file: Path) -> ConfigurationMistake:
    # The value is not shown: a key such as `api_key` may well hold the secret itself.
    return ConfigurationMistake(
        file, dotted(location), UNKNOWN, _nearest([str(part) for part in location])
    )


def _nearest(location: list[str]) -> str:
    *table, key = location
    known = _known_keys(table)
    close = difflib.get_close_matches(key.lower(), [one.lower() for one in known], n=1, cutoff=0.6)
    if close:
        best = next(one for one in known if one.lower() == close[0])
        return f"perhaps {'.'.join([*table, best])}"
    elsewhere = [one for one in EXPECTED if one.rpartition(".")[2] == key]
    if elsewhere:
        return f"perhaps {' or '.join(elsewhere)}"
    of = f"the keys of [{'.'.join(table)}]" if table else "the tables"
    return f"one of {of}: {', '.join(known)}"


def _known_keys(table: list[str]) -> list[str]:
    if not table:
        return list(TABLES)
    if table == ["policy", "event_types"]:
        return [one.value for one in EventType]
    if table == ["google", "push"]:
        return list(PushTable.model_fields)
    return list(TABLES[table[0]].model_fields)


def zoneless_times(data: dict[str, Any], file: Path) -> dict[Location, ConfigurationMistake]:
    """Every time of a file that names no zone, wherever it stands: it could mean anything."""
    found: dict[Location, ConfigurationMistake] = {}

    def look(value: Any, at: Location) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                look(inner, (*at, key))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                look(inner, (*at, index))
        elif isinstance(value, datetime | time) and value.tzinfo is None:
            found[at] = ConfigurationMistake(
                file,
                dotted(at),
                f"{value.isoformat()}, a time without a zone",
                "a time with a zone, such as 2026-11-22T09:00:00Z, and only where a time is asked for",
            )

    look(data, ())
    return found
