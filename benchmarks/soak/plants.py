"""What a soak plants: words that can be found again in anything, and the secrets of its configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

WORD = re.compile(rb"zq[0-9a-f]{16}", re.IGNORECASE)
"""A planted word: letters and digits only, so that JSON, HTML, URLs and SQL write it as it is."""
_SHORTEST_LINE = 40


@dataclass
class Plants:
    """Words by what may become of them, and secrets by what they are."""

    rng: Random
    withheld: set[str] = field(default_factory=set)
    """In private and internal meetings: may leave Google's answer for nowhere."""
    shown: set[str] = field(default_factory=set)
    """In meetings with prospects: may go to Salesloft, and wait in the state until then."""
    secrets: dict[bytes, str] = field(default_factory=dict)
    """Each secret, and what it is, to be named where it is found."""

    def hidden(self, text: str = "") -> str:
        """A new word that is withheld, behind some text."""
        return f"{text} {self._word(self.withheld)}".strip()

    def public(self, text: str = "") -> str:
        """A new word that may be sent, behind some text."""
        return f"{text} {self._word(self.shown)}".strip()

    def secret(self, name: str, prefix: str) -> str:
        """A new secret."""
        text = f"{prefix}{self.rng.getrandbits(160):040x}"
        self.keep_secret(name, text)
        return text

    def keep_secret(self, name: str, text: str) -> None:
        self.secrets[text.encode()] = name

    def keep_secrets_of(self, credentials: Mapping[str, str]) -> str:
        """The secrets in one of Google's files; gives the file's text."""
        for name in ("client_secret", "refresh_token", "private_key_id"):
            if name in credentials:
                self.keep_secret(name, credentials[name])
        for line in credentials.get("private_key", "").splitlines():
            if len(line) >= _SHORTEST_LINE:
                self.keep_secret("private_key", line)
        return json.dumps(credentials)

    def _word(self, kind: set[str]) -> str:
        word = f"zq{self.rng.getrandbits(64):016x}"
        kind.add(word)
        return word
