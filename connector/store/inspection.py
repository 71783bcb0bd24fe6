"""Looks at the state's file from outside: whose it is, who holds it, whether it is sound. Writes nothing."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import sqlite3
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from connector.domain.errors import StateUnusable
from connector.store.database import check_ours, is_locked, schema_version, unusable


@dataclass(frozen=True, slots=True)
class StateSeen:
    """What was seen. `place` is the file, or the folder that it would be made in; `problem` is why it is unusable."""

    exists: bool
    writable: bool
    place: Path
    owner: str
    mode: int
    me: str
    free_bytes: int
    holder: str = ""
    schema: str = ""
    size: int = 0
    problem: str = ""
    remedy: str = ""


def inspect_state(path: Path) -> StateSeen:
    """Everything about a state that can be seen beside a daemon. Blocks."""
    exists = path.exists()
    place = path if exists else _nearest(path.parent)
    status = place.stat()
    # A database needs its folder too: SQLite makes its log there.
    writable = os.access(place, os.W_OK) and os.access(_nearest(path.parent), os.W_OK)
    problem, remedy, schema = "", "", ""
    if exists:
        try:
            schema = _schema_of_sound(path)
        except StateUnusable as error:
            text = str(error).removeprefix(f"state {path}: ")
            problem, _, remedy = text.partition(";")
    return StateSeen(
        exists=exists,
        writable=writable,
        place=place,
        owner=_name(status.st_uid),
        mode=stat.S_IMODE(status.st_mode),
        me=_name(os.geteuid()),
        free_bytes=shutil.disk_usage(_nearest(path.parent)).free,
        holder=_holder(path) if is_locked(path) else "",
        schema=schema,
        size=path.stat().st_size if exists else 0,
        problem=problem,
        remedy=remedy.strip(),
    )


def _schema_of_sound(path: Path) -> str:
    log = path.with_name(path.name + "-wal")
    mode = "mode=ro" if log.exists() else "immutable=1"  # without a log nothing is made beside it
    with unusable(path):
        uri = f"file:{quote(str(path))}?{mode}"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            check_ours(connection, path)
            return schema_version(connection) or "none"


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.with_name(path.name + ".lock").read_text(errors="replace")[:32].strip()
    return "unknown"


def _nearest(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
