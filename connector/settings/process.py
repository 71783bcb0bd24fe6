"""The settings of the process: the state's URL and what is shown of the program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from connector.domain.errors import ConfigurationMistake
from connector.settings.layer import Layer
from connector.settings.model import ProcessSettings, Secret
from connector.settings.secrets import (
    SecretRefused,
    credential_path,
    one_line,
    secret_file,
    shown_path,
)
from connector.settings.tables import PROCESS_TABLES, written
from connector.settings.values import is_loopback, split_listen

TOKEN_KEYS = ("token_file", "token_credential")
SHORTEST_TOKEN = 16
_RELATIVE = "sqlite:///"


def process_settings(layer: Layer | None, env: Mapping[str, str]) -> ProcessSettings:
    """From `connector.toml`, or the one file that stands alone; without a state URL, systemd's directory is used."""
    given: dict[str, Any] = {}
    url = None
    if layer is not None:
        given = written(layer.tables.observability, without=TOKEN_KEYS)
        given["token"] = _token(layer, env)[0]
        engine = written(layer.tables.engine)
        given |= {"engine" if key == "kind" else key: value for key, value in engine.items()}
        push = layer.tables.google.push
        if push is not None and push.listen is not None:
            given["push_listen"] = push.listen
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


def process_mistakes(
    layer: Layer | None, env: Mapping[str, str]
) -> tuple[ConfigurationMistake, ...]:
    """What is wrong with the process's settings beyond single values: the token, or that there is none; the engine's
    state."""
    if layer is None or not layer.readable:
        return ()
    return (*_engine_mistakes(layer), *_token_mistakes(layer, env))


def _engine_mistakes(layer: Layer) -> tuple[ConfigurationMistake, ...]:
    url = layer.tables.state.url or _RELATIVE
    if layer.tables.engine.kind != "distributed" or url.startswith("postgresql://"):
        return ()
    return (
        ConfigurationMistake(
            layer.file,
            "engine.kind",
            "'distributed' with a state in a file of this machine",
            '[state] url = "postgresql://…", a database that all nodes share (or kind = "local")',
        ),
    )


def _token_mistakes(layer: Layer, env: Mapping[str, str]) -> tuple[ConfigurationMistake, ...]:
    token, mistakes = _token(layer, env)
    listen = layer.tables.observability.listen
    if token is None and not mistakes and listen and not is_loopback(split_listen(listen)[0]):
        mistakes = (
            ConfigurationMistake(
                layer.file,
                "observability.listen",
                f"{listen!r}, which other machines reach, and no token",
                "a loopback address such as 127.0.0.1:9464, or token_file (or token_credential) beside it",
            ),
        )
    return mistakes


def _token(
    layer: Layer, env: Mapping[str, str]
) -> tuple[Secret | None, tuple[ConfigurationMistake, ...]]:
    """The token that the file names, if it names one, or what is wrong with it."""
    table = layer.tables.observability
    named = [key for key in TOKEN_KEYS if key in table.model_fields_set]
    if not named:
        return None, ()
    key = f"observability.{named[-1]}"
    if len(named) > 1:
        both = ConfigurationMistake(layer.file, key, " and ".join(named), "exactly one of them")
        return None, (both,)
    value = str(getattr(table, named[0]))
    try:
        is_credential = named[0] == "token_credential"
        path = (
            credential_path(value, env) if is_credential else layer.file.absolute().parent / value
        )
        text = one_line(secret_file(path, env), shown_path(path))
        if len(text) < SHORTEST_TOKEN:
            raise SecretRefused(
                f"a token of {len(text)} characters ({shown_path(path)})",
                f"at least {SHORTEST_TOKEN}, such as `openssl rand -hex 24` gives",
            )
    except SecretRefused as refused:
        return None, (ConfigurationMistake(layer.file, key, refused.found, refused.expected),)
    return Secret(text), ()


def misplaced(layer: Layer) -> tuple[ConfigurationMistake, ...]:
    """What is the process's, in a user's file that is one of several: whose should count?"""
    push = layer.tables.google.push
    listens = push is not None and "listen" in push.model_fields_set
    of_push = (
        ConfigurationMistake(
            layer.file,
            "google.push.listen",
            "a setting of the process in a user's file",
            "listen below [google.push] in connector.toml, beside the folder users",
        ),
    )
    return (*(of_push if listens else ()), *_misplaced_tables(layer))


def _misplaced_tables(layer: Layer) -> tuple[ConfigurationMistake, ...]:
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
