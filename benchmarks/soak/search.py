"""Looks for planted words, secrets and addresses in everything that a soak left."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import tarfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.soak.plants import WORD, Plants
from tests.office import Office

_TOKEN_LIKE = re.compile(rb"ya29\.[\w.-]+|1//[0-9a-f]{8,}|eyJ[\w-]{16,}|-----BEGIN")
"""Access tokens, refresh tokens, assertions and keys, whoever issued them."""
_ADDRESS = re.compile(rb"[\w.+-]+(?:@|%40)(?:[\w-]+\.)*example\.(?:com|org|net)", re.IGNORECASE)
_SHORTEST_SYNC_TOKEN = 12


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere to look. Everywhere, what is withheld and secrets must be missing."""

    name: str
    content: bytes
    shown_allowed: bool = False
    """Words and addresses of meetings with prospects may stand here."""
    is_state: bool = False
    """Sync tokens may stand here."""


@dataclass
class Searched:
    """What was found where, by kind; `size` is the bytes that were looked through."""

    found: Counter[str]
    size: int = 0


def search(places: Iterable[Place], plants: Plants, sync_tokens: Iterable[str]) -> Searched:
    """Everything that must not be in a place and is. Says what and where, never the thing itself."""
    tokens = [token.encode() for token in sync_tokens if len(token) >= _SHORTEST_SYNC_TOKEN]
    searched = Searched(Counter())
    for place in places:
        content = place.content
        searched.size += len(content)
        words = {word.decode().lower() for word in WORD.findall(content)}
        _note(searched, place, "withheld word", len(words & plants.withheld))
        for secret, what in plants.secrets.items():
            _note(searched, place, what, int(secret in content))
        _note(searched, place, "token or key", len(set(_TOKEN_LIKE.findall(content))))
        if not place.shown_allowed:
            _note(searched, place, "word of a meeting", len(words & plants.shown))
            _note(searched, place, "address", len(set(_ADDRESS.findall(content))))
        if not place.is_state:
            _note(searched, place, "sync token", sum(token in content for token in tokens))
    return searched


def _note(searched: Searched, place: Place, what: str, count: int) -> None:
    if count:
        searched.found[f"{what} in {place.name}"] += count


def state_places(state: Path, *, ended: bool) -> list[Place]:
    """The state's files, byte by byte. Once all is delivered and the daemon has ended, no text is left in them."""
    return [
        Place(f"{path.name} ({when})", path.read_bytes(), not ended, is_state=True)
        for when in ["after the end" if ended else "while it runs"]
        for path in sorted(state.parent.glob(f"{state.name}*"))
    ]


def bundle_places(bundle: Path) -> list[Place]:
    """The files of a support bundle, unpacked."""
    with tarfile.open(fileobj=io.BytesIO(bundle.read_bytes())) as archive:
        files = [(entry.name, archive.extractfile(entry)) for entry in archive]
        return [Place(f"bundle's {name}", file.read()) for name, file in files if file is not None]


def sent_place(office: Office) -> Place:
    """All bodies that Salesloft was sent, whatever it answered."""
    bodies = [entry.body for entry in office.salesloft.log if entry.body is not None]
    return Place("requests to Salesloft", json.dumps(bodies, default=str).encode(), True)


def sync_tokens_of(state: Path) -> list[str]:
    """The sync tokens that the state holds."""
    connection = sqlite3.connect(f"file:{state}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT sync_token FROM calendars WHERE sync_token IS NOT NULL")
        return [row[0] for row in rows]
    finally:
        connection.close()
