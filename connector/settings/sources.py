"""Fetches the two secrets that a file names: Google's credentials and Salesloft's key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from connector.domain.errors import ConfigurationMistake
from connector.settings.credentials import google_credentials
from connector.settings.layer import Layer
from connector.settings.model import GoogleCredentials, Secret
from connector.settings.secrets import (
    SecretRefused,
    credential_path,
    environment_secret,
    one_line,
    secret_file,
    shown_path,
)
from connector.settings.tables import Table

CREDENTIALS_KEYS = ("credentials_file", "credentials_credential")
API_KEY_KEYS = ("api_key_file", "api_key_env", "api_key_credential")


@dataclass(frozen=True, slots=True)
class Sources:
    """What one file contributes. `*_named`: it names a source, be it one that cannot be used."""

    credentials: GoogleCredentials | None = None
    credentials_named: bool = False
    api_key: Secret | None = None
    api_key_named: bool = False
    mistakes: tuple[ConfigurationMistake, ...] = ()
    files: tuple[Path, ...] = ()
    """Where both were looked for, to be watched."""


def read_sources(layer: Layer, env: Mapping[str, str]) -> Sources:
    """Both secrets of one file, with every mistake in and around them under the key that names them."""
    mistakes: list[ConfigurationMistake] = []
    files: list[Path] = []
    credentials = api_key = None
    key = _the_one("google", layer.tables.google, CREDENTIALS_KEYS, layer, mistakes)
    if key is not None:
        credentials = _credentials(key, layer, env, mistakes, files)
    key = _the_one("salesloft", layer.tables.salesloft, API_KEY_KEYS, layer, mistakes)
    if key is not None:
        api_key = _api_key(key, layer, env, mistakes, files)
    return Sources(
        credentials,
        _names_one("google", layer.tables.google, CREDENTIALS_KEYS, layer),
        api_key,
        _names_one("salesloft", layer.tables.salesloft, API_KEY_KEYS, layer),
        tuple(mistakes),
        tuple(files),
    )


def _names_one(name: str, table: Table, keys: tuple[str, ...], layer: Layer) -> bool:
    return any(key in table.model_fields_set or layer.is_mistaken(f"{name}.{key}") for key in keys)


def _the_one(
    name: str,
    table: Table,
    keys: tuple[str, ...],
    layer: Layer,
    mistakes: list[ConfigurationMistake],
) -> str | None:
    """The key of the only source that the file names; None if there is none, or more than one (a mistake)."""
    named = [key for key in keys if key in table.model_fields_set]
    if len(named) > 1:
        mistakes.append(
            ConfigurationMistake(
                layer.file, f"{name}.{named[1]}", " and ".join(named), "exactly one of them"
            )
        )
    return named[0] if len(named) == 1 else None


def _credentials(
    key: str,
    layer: Layer,
    env: Mapping[str, str],
    mistakes: list[ConfigurationMistake],
    files: list[Path],
) -> GoogleCredentials | None:
    try:
        path = _path(key, str(getattr(layer.tables.google, key)), layer, env)
        files.append(path)
        credentials, refused = google_credentials(secret_file(path, env), shown_path(path))
    except SecretRefused as error:
        credentials, refused = None, [error]
    mistakes += [_mistake(layer, f"google.{key}", one) for one in refused]
    return credentials


def _api_key(
    key: str,
    layer: Layer,
    env: Mapping[str, str],
    mistakes: list[ConfigurationMistake],
    files: list[Path],
) -> Secret | None:
    value = str(getattr(layer.tables.salesloft, key))
    try:
        if key == "api_key_env":
            text, where = environment_secret(value, env), "in the environment"
        else:
            path = _path(key, value, layer, env)
            files.append(path)
            text, where = secret_file(path, env), shown_path(path)
        return Secret(one_line(text, where))
    except SecretRefused as error:
        mistakes.append(_mistake(layer, f"salesloft.{key}", error))
        return None


def _path(key: str, value: str, layer: Layer, env: Mapping[str, str]) -> Path:
    if key.endswith("_credential"):
        return credential_path(value, env)
    return layer.file.absolute().parent / value


def _mistake(layer: Layer, key: str, refused: SecretRefused) -> ConfigurationMistake:
    return ConfigurationMistake(layer.file, key, refused.found, refused.expected)
