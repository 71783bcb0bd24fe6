"""Takes out of a free text what must not leave the company: addresses, links, tokens, ids, quoted words.

The support bundle is built from chosen fields; only messages and logs are texts, and they pass through here. It errs on
the side of taking too much: a word that looks like an id is replaced by a short hash, so that two lines about one
event can still be told to belong together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

_PEM = re.compile(r"-----BEGIN [^-]*-----.*?(?:-----END [^-]*-----|\Z)", re.DOTALL)
_LINK = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>'\"(),;:=]+@[^\s<>'\"(),;:]+")
_BEARER = re.compile(
    r"\b(Bearer|Basic|token|secret|key|password)([\s:=]+)(?!is\b|refused\b)\S{8,}", re.IGNORECASE
)
_SPOKEN = re.compile(r"\b(\w+)=('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")
_NAMED = re.compile(r"\b(event_id|event|series|uid|i_cal_uid|id|meeting)([=: ]+)([\w@.-]{5,})")
_QUOTED = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|«[^»]*»|“[^”]*”|„[^“]*“")
_OPAQUE = re.compile(r"\b(?=[\w+/-]*\d)(?=[\w+/-]*[A-Za-z])[\w+/-]{16,}={0,2}")
_DOMAIN = re.compile(
    r"\b(?:[a-z0-9-]+\.)+(?!py\b|db\b|toml\b|json\b|key\b|log\b|service\b)[a-z]{2,}\b",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\b(?!127\.0\.0\.1\b)\d{1,3}(?:\.\d{1,3}){3}\b")
_OURS = frozenset({"message", "reason", "error"})
"""What these hold was written by the connector."""


def hashed(text: str, salt: str = "") -> str:
    """A short one-way name, the same for the same text and salt."""
    return f"#{sha256(f'gcal-salesloft support {salt} {text}'.encode()).hexdigest()[:12]}"


class Scrubber:
    """Knows the names of this installation: each is replaced wherever it stands. `known`: text → what it becomes."""

    def __init__(self, known: Mapping[str, str]) -> None:
        names = sorted((name for name in known if name), key=len, reverse=True)
        self._known = {name.casefold(): known[name] for name in names}
        words = "|".join(re.escape(name) for name in names)
        self._names = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) if names else None

    def text(self, text: str) -> str:
        """One message without what identifies anybody."""
        text = _PEM.sub("<key>", text)
        text = _SPOKEN.sub(self._spoken, text)
        if self._names is not None:
            text = self._names.sub(lambda found: self._known[found.group().casefold()], text)
        text = _LINK.sub("<link>", text)
        text = _ADDRESS.sub("<address>", text)
        text = _BEARER.sub(r"\1\2<secret>", text)
        text = _NAMED.sub(lambda found: f"{found[1]}{found[2]}{hashed(found[3])}", text)
        text = _QUOTED.sub("<text>", text)
        text = _OPAQUE.sub(lambda found: hashed(found.group()), text)
        return _NUMBERED.sub("<host>", _DOMAIN.sub("<domain>", text))

    def line(self, line: str) -> str:
        """One line of a log, JSON or not."""
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            return self.text(line)
        return json.dumps(
            {self.text(str(key)): self._value(value) for key, value in record.items()}
        )

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._value(one) for one in value]
        if isinstance(value, dict):
            return {self.text(str(key)): self._value(one) for key, one in value.items()}
        return value

    @staticmethod
    def _spoken(found: re.Match[str]) -> str:
        """`message='…'` of a log line is ours and stays, to be scrubbed; other quoted values go."""
        return f"{found[1]}={found[2][1:-1] if found[1] in _OURS else '<text>'}"
