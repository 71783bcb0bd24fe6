"""The settings of the process: the state's URL and what is shown of the program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from connector.domain.errors import ConfigurationMistake
from connector.settings.layer import Layer
from connector.settings.model import ProcessSettings
from connector.settings.tables import PROCESS_TABLES, written

_RELATIVE = "sqlite:///"


def process_settings(layer: Layer | None, env: Mapping[str, str]) -> ProcessSettings:
    """From `connector.toml`, or the one file that stands alone; without a state URL, systemd's directory is used."""
    given: dict[str, Any] = {}
    url = None
    if layer is not None:
        given = written(layer.tables.observability)
        url = layer.tables.state.url
        if url is not None:
            url = _absolute(url, layer.file.absolute().parent)
    if url is None:
        url = _of_systemd(env)
    if url is not None:
        given["state_url"] = url
    return replace(ProcessSettings(), **given)


def _absolute(url: str, folder: Path) -> str:
    if not url.startswith(_RELATIVE):
        return url
    # sqlite:////abs: what follows the third slash is an absolute path, and joining keeps it as it is.
    return f"{_RELATIVE}{folder / url.removeprefix(_RELATIVE)}"


def _of_systemd(env: Mapping[str, str]) -> str | None:
    # systemd lists several StateDirectory= with colons; the first is ours.
    directory = env.get("STATE_DIRECTORY", "").partition(":")[0]
    return f"{_RELATIVE}{directory}/state.db" if directory.startswith("/") else None


def misplaced(layer: Layer) -> tuple[ConfigurationMistake, ...]:
    """The process's tables in a user's file that is one of several: whose should count?"""
    return tuple(
        ConfigurationMistake(
            layer.file,
            table,
            "a table of the process in a user's file",
            f"[{table}] in connector.toml, beside the folder users",
        )
        for table in PROCESS_TABLES
        if getattr(layer.tables, table).model_fields_set or layer.is_mistaken(table)
    )
