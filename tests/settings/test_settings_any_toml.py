"""Whatever TOML holds, nothing is raised but `ConfigurationInvalid`, and every mistake reads as one line."""

from __future__ import annotations

import json
import string
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connector.domain.errors import ConfigurationInvalid, ConfigurationMistake
from connector.domain.model import EventType
from connector.settings.files import check_all, load_settings
from connector.settings.layer import layer_of
from connector.settings.model import Settings
from connector.settings.tables import EXPECTED, TABLES

from .conftest import PAM, Folder

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(["30s", "http://[", "https://\0", "//", "@", "a@b.c", "full", "sqlite:///x", ":0", "xn--a.b"]),
    st.from_regex(r"[a-z]{0,9}:?/{0,3}[\w.@:\[\]-]{0,20}(:[0-9]{0,6})?[/?#]?", fullmatch=True),
)  # fmt: skip
SCALARS = st.one_of(
    TEXTS,
    st.booleans(),
    st.integers(),
    st.floats(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.times(),
)
KEYS = st.one_of(
    st.sampled_from([*(key.split(".")[1] for key in EXPECTED), *TABLES, *EventType]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
TABLE = st.dictionaries(KEYS, VALUES, max_size=5)
FILES = st.dictionaries(st.sampled_from([*TABLES, "x"]), st.one_of(TABLE, VALUES), max_size=8)

# Each example rewrites the same files, so a fixture for all of them is meant; the first draw builds Unicode's tables.
HEALTH = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@given(FILES)
@settings(suppress_health_check=HEALTH, deadline=None)
def test_any_content_becomes_a_layer(data: dict[str, Any]) -> None:
    layer = layer_of(data, Path("users/pam.toml"))
    written = {
        f"{table}.{key}"
        for table in TABLES
        for key in getattr(layer.tables, table).model_fields_set
    }
    given = {
        f"{table}.{key}" for table, keys in data.items() if isinstance(keys, dict) for key in keys
    }
    assert written <= given
    of_tables = {"policy.event_types", "google.push"}
    assert not {key for key in written - of_tables if layer.is_mistaken(key)}
    for mistake in layer.mistakes:
        assert mistake.found
        assert mistake.expected
        assert len(str(mistake).splitlines()) == 1
    # Nothing is lost in silence: what did not arrive was reported.
    assert written == given or layer.mistakes


@pytest.mark.parametrize("key", EXPECTED)
@given(value=VALUES)
@settings(max_examples=25, suppress_health_check=HEALTH, deadline=None)
@example(value="")
@example(value={})
@example(value=[])
@example(value=10**400)
@example(value=float("nan"))
def test_any_value_of_any_key(key: str, value: Any) -> None:
    *tables, name = key.split(".")
    data: dict[str, Any] = {name: value}
    for part in reversed(tables):
        data = {part: data}
    layer = layer_of(data, Path("pam.toml"))
    table: Any = layer.tables
    for part in tables:
        table = getattr(table, part)
    accepted = table is not None and name in table.model_fields_set
    assert accepted or layer.is_mistaken(".".join(key.split(".")[:2]))
    assert bool(layer.mistakes) or accepted


def toml(data: dict[str, Any]) -> str:
    """The document as TOML, each value inline."""
    return "".join(f"{toml_value(key)} = {toml_value(value)}\n" for key, value in data.items())


def toml_value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int() | float():
            return repr(value)
        case datetime() | date() | time():
            return value.isoformat()
        case list():
            return f"[{', '.join(map(toml_value, value))}]"
        case dict():
            pairs = (f"{toml_value(key)} = {toml_value(inner)}" for key, inner in value.items())
            return "{" + ", ".join(pairs) + "}"
    raise AssertionError(value)


def load(path: Path) -> tuple[Settings | None, tuple[ConfigurationMistake, ...]]:
    try:
        return load_settings(path, env={}), ()
    except ConfigurationInvalid as invalid:
        return None, invalid.mistakes


@given(defaults=FILES, own=FILES)
@settings(max_examples=150, suppress_health_check=HEALTH, deadline=None)
def test_any_two_files_load_or_are_invalid(
    team: Folder, defaults: dict[str, Any], own: dict[str, Any]
) -> None:
    team.write("connector.toml", toml(defaults))
    team.write("users/pam.toml", toml(own))
    mistakes = check_all(team.path, env={})
    loaded, fatal = load(team.path)
    if loaded is None:
        assert fatal == mistakes != ()
        return
    assert loaded.users
    assert all(broken.mistakes for broken in loaded.broken)
    assert {one for broken in loaded.broken for one in broken.mistakes} == set(mistakes)


@given(text=st.binary(max_size=200) | st.text(string.printable, max_size=200).map(str.encode))
@settings(suppress_health_check=HEALTH, deadline=None)
@example(text=PAM.encode())
def test_any_bytes_load_or_are_invalid(folder: Folder, text: bytes) -> None:
    folder.write("pam.toml", text)
    if text == PAM.encode():
        assert folder.check("pam.toml") == ()
        return
    with pytest.raises(ConfigurationInvalid):
        folder.load("pam.toml")
