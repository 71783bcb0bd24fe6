"""Reads Google's credentials, a service account's or an authorized user's, and checks their form, without network."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic_core import PydanticCustomError

from connector.settings.model import GoogleCredentials
from connector.settings.secrets import SecretRefused
from connector.settings.values import URL_EXPECTED, checked_url

Kind = Literal["service_account", "authorized_user"]
Refuse = Callable[[str, str], None]

_NEEDED: dict[Kind, tuple[str, ...]] = {
    "service_account": ("client_email", "private_key", "token_uri"),
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
}
_READ_IF_PRESENT = ("token_uri", "project_id", "quota_project_id")
_KINDS = "Google's JSON of the type service_account or authorized_user"


def google_credentials(
    text: str, source: str
) -> tuple[GoogleCredentials | None, list[SecretRefused]]:
    """The credentials in `text`, or every mistake in them. `source` names the file, as messages show it."""
    mistakes: list[SecretRefused] = []

    def refuse(found: str, expected: str) -> None:
        mistakes.append(SecretRefused(f"{found} in {source}", expected))

    info = _json_object(text)
    if info is None:
        refuse("no JSON object", _KINDS)
        return None, mistakes
    kind = _kind(info, refuse)
    if kind is not None:
        _check(info, kind, refuse)
    if mistakes or kind is None:
        return None, mistakes
    return GoogleCredentials(kind=kind, info=info, source=source), []


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # The parser's message would quote the text.
        return None
    return value if isinstance(value, dict) else None


def _kind(info: dict[str, Any], refuse: Refuse) -> Kind | None:
    match info.get("type"):
        case "service_account":
            return "service_account"
        case "authorized_user":
            return "authorized_user"
        case None if {"installed", "web"} & info.keys():
            refuse(
                "the secret of an OAuth client",
                "credentials of the type authorized_user, made by signing in with that client",
            )
        case None:
            refuse('no "type"', _KINDS)
        case _:
            refuse('another "type"', _KINDS)
    return None


def _check(info: dict[str, Any], kind: Kind, refuse: Refuse) -> None:
    needed = _NEEDED[kind]
    for name in (*needed, *(one for one in _READ_IF_PRESENT if one not in needed)):
        if name not in info:
            if name in needed:
                refuse(f'no "{name}"', f'the text "{name}" of every {kind}')
        elif not isinstance(info[name], str) or not info[name].strip():
            refuse(f'"{name}" without a text', f'a text in "{name}"')
        elif name == "private_key":
            _check_private_key(info[name], refuse)
        elif name == "token_uri":
            _check_token_uri(info[name], refuse)


def _check_private_key(pem: str, refuse: Refuse) -> None:
    try:
        # Only the form is asked for here. The full test of the numbers takes 36 ms a key, and a thousand users may
        # have one each; google-auth makes it before it signs.
        key = load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        refuse(
            '"private_key" that cannot be read',
            "an RSA key in PEM, without a password, as in the file that Google made",
        )


def _check_token_uri(url: str, refuse: Refuse) -> None:
    try:
        checked_url(url)
    except PydanticCustomError as error:
        found = (error.context or {}).get("found", "")
        refuse(f'"token_uri" with {found}', URL_EXPECTED)
