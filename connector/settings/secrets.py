"""Finds secrets: in files that only their owner can read, in the environment, among systemd's credentials.

Nothing in a message here comes from inside a secret. Even the place where one is said to be is shown with care, because
people paste the secret itself where its file's name belongs.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from connector.settings.layer import reason
from connector.settings.values import shown_text

_MAX_BYTES = 64 << 10
_OTHERS = 0o077
# systemd gives a service its credentials as 0400, or 0440 with the service's account in an access control list.
_NOT_BY_SYSTEMD = 0o037
_HIDDEN = "a name that is not shown, as it may be the secret itself"
_CREDENTIALS = "CREDENTIALS_DIRECTORY"


class SecretRefused(Exception):
    """A secret that cannot be used. `found` and `expected` are for a mistake and hold nothing secret."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected


def secret_file(path: Path, env: Mapping[str, str]) -> str:
    """The text of a secret's file. Raises `SecretRefused` if it is missing, or anybody but its owner can read it."""
    where = shown_path(path)
    try:
        # Without O_NONBLOCK, opening a pipe would wait for its writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise SecretRefused(f"no such file {where}", "a file with the secret") from None
    except (OSError, ValueError) as error:
        raise SecretRefused(
            f"{where}, which cannot be read ({reason(error)})",
            "a file that the account of the connector owns and can read",
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SecretRefused(f"{where}, which is no regular file", "a file with the secret")
        _check_mode(path, where, stat.S_IMODE(status.st_mode), env)
        content = _content(descriptor, where)
    finally:
        os.close(descriptor)
    return _decoded(content, where)


def _content(descriptor: int, where: str) -> bytes:
    with os.fdopen(descriptor, "rb", closefd=False) as stream:
        try:
            content = stream.read(_MAX_BYTES + 1)
        except OSError as error:
            raise SecretRefused(
                f"{where}, which cannot be read ({reason(error)})", "a readable file"
            ) from None
    if len(content) > _MAX_BYTES:
        raise SecretRefused(f"{where}, which has more than 64 KiB", "a file with one secret")
    return content


def _decoded(content: bytes, where: str) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretRefused(f"{where}, which holds no text", "a text in UTF-8") from None
    if not text.strip():
        raise SecretRefused(f"{where}, which is empty", "a file with the secret")
    return text


def _check_mode(path: Path, where: str, mode: int, env: Mapping[str, str]) -> None:
    """The mode of the opened file itself, so that nobody can swap it between the look and the reading."""
    if _is_credential(path, env):
        if mode & _NOT_BY_SYSTEMD:
            raise SecretRefused(
                f"{where} with mode {mode:04o}", "a credential with systemd's modes, 0400 or 0440"
            )
    elif mode & _OTHERS:
        raise SecretRefused(
            f"{where} with mode {mode:04o}, open to other accounts",
            f"a file that only its owner can read: run `chmod 600 {where}`",
        )


def _is_credential(path: Path, env: Mapping[str, str]) -> bool:
    directory = env.get(_CREDENTIALS, "")
    # Both resolved: a link inside the directory does not lend systemd's modes to a file outside it.
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))
    return directory.startswith("/") and inside


def credential_path(name: str, env: Mapping[str, str]) -> Path:
    """Where systemd put the credential `name`. Raises `SecretRefused` if this process was given none."""
    directory = env.get(_CREDENTIALS, "")
    if not directory:
        raise SecretRefused(
            f"${_CREDENTIALS} unset", "to be started by systemd with LoadCredential= in the unit"
        )
    if not directory.startswith("/"):
        raise SecretRefused(f"${_CREDENTIALS} with a relative path", "systemd's absolute path")
    return Path(directory) / name


def environment_secret(name: str, env: Mapping[str, str]) -> str:
    """The secret in the environment variable `name`. Raises `SecretRefused` if it is unset or empty."""
    # A key pasted here looks like a variable's name, but seldom in capitals.
    shown = (
        f"${name}" if re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name) else f"a variable by {_HIDDEN},"
    )
    if name not in env:
        raise SecretRefused(f"{shown} unset", "the name of an environment variable that is set")
    if not env[name].strip():
        raise SecretRefused(f"{shown} empty", "an environment variable with the secret")
    return env[name]


def one_line(text: str, where: str) -> str:
    """A key without the line's end that editors leave. Raises `SecretRefused` for blanks or odd characters in it."""
    key = text.rstrip("\r\n")
    if any(char.isspace() for char in key):
        raise SecretRefused(
            f"a key with a space or a line break in it ({where})", "the key alone, on one line"
        )
    if not (key.isascii() and key.isprintable()):
        raise SecretRefused(
            f"a key with characters that no header can carry ({where})",
            "the key as Salesloft shows it",
        )
    return key


def shown_path(path: Path) -> str:
    """A path for messages, unless its last part looks like a pasted secret or a pasted file."""
    text, name = str(path), path.name
    pasted_key = len(name) >= 20 and "." not in name and any(char.isdigit() for char in name)
    pasted_file = any(sign in text for sign in ("{", '"', "-----"))
    if pasted_key or pasted_file or len(text) > 1000 or not text.isprintable():
        return _HIDDEN
    return shown_text(text, limit=1000)
