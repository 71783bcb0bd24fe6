"""The configuration directory that `simulate` writes: never over anything that somebody else wrote, or edited since.

A list of what was written, with a digest of each file, stays in the directory. The simulators begin anew at each start,
so a state that knows an earlier Salesloft is removed along with the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from connector.cli.demo_company import STATE_FILE
from connector.simulator.processes import write_secret
from connector.store import lock_state

WRITTEN = ".simulated.json"
_STATE_FILES = tuple(f"{STATE_FILE}{suffix}" for suffix in ("", "-wal", "-shm"))


class DirectoryRefused(Exception):
    """The directory cannot be written to without harm; the message says why and what to do."""


def check_directory(directory: Path) -> None:
    """Raise `DirectoryRefused` unless the directory is new, empty, or as an earlier `simulate` left it.

    `StateUnusable` if a connector still runs on it.
    """
    try:
        found = sorted(directory.iterdir()) if directory.exists() else []
        if not found:
            return
        written = _written(directory)
        edited = [name for name, digest in written.items() if _edited(directory / name, digest)]
    except NotADirectoryError:
        raise DirectoryRefused(f"{directory} is not a directory; name another one") from None
    except OSError as error:
        raise _unusable(directory, error) from error
    if not written:
        raise DirectoryRefused(
            f"{directory} is not empty and was not written by `simulate`; name a new or empty directory"
        )
    if edited:
        raise DirectoryRefused(
            f"{directory}: {', '.join(edited)} was edited since `simulate` wrote it and would be lost;"
            " name another directory, or remove that file first"
        )
    if (directory / STATE_FILE).exists():
        with lock_state(directory / STATE_FILE):
            pass


def write_directory(directory: Path, files: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Write all files, secrets readable by their owner only, and remove the state of an earlier run."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in _STATE_FILES:
            (directory / name).unlink(missing_ok=True)
        everything = {**files, **secrets}
        digests = {name: _digest(text.encode()) for name, text in everything.items()}
        # First, so that a directory half written is known as ours.
        (directory / WRITTEN).write_text(json.dumps(digests, indent=2) + "\n")
        for name, text in files.items():
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_text(text)
        for name, text in secrets.items():
            write_secret(directory / name, text)
    except OSError as error:
        raise _unusable(directory, error) from error


def _written(directory: Path) -> dict[str, str]:
    """Digests of the files that an earlier run wrote, by name; empty if there was none."""
    try:
        listed = json.loads((directory / WRITTEN).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return dict(listed) if isinstance(listed, dict) else {}


def _edited(path: Path, digest: str) -> bool:
    return path.exists() and _digest(path.read_bytes()) != digest


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def _unusable(directory: Path, error: OSError) -> DirectoryRefused:
    return DirectoryRefused(
        f"{directory} cannot be used ({error.strerror}: {error.filename}); name another directory"
    )
