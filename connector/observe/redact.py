"""The last line of defence of a log line: whatever looks like a secret, an address or a link's query is taken out.

Messages are redacted where they arise, with knowledge of what was sent; this knows only what such things look like, and
guards against the line that nobody thought of. Cheap: most values hold none of the signs that are looked for first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

GONE = "…"
_SIGNS = re.compile(
    r"@|%40|://|earer|asic |-----BEGIN|eyJ|ya29\.|1//|[as]k[_-]|AIza|[A-Za-z0-9_+/=-]{33}"
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [^-]+-----.*?(?:-----END [^-]+-----|$)", re.DOTALL), GONE),
    (re.compile(r"\b(Bearer|Basic)\s+[^\s,;\"']+", re.IGNORECASE), rf"\1 {GONE}"),
    (re.compile(r"(\w+://)[^\s/@\"']*@"), rf"\1{GONE}@{GONE}/"),
    (re.compile(r"(\w+://[^\s?#\"'<>]*)[?#][^\s\"'<>]*"), rf"\1?{GONE}"),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+(?:@|%40)(?:[\w-]+\.)+[\w-]+"), GONE),
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*)*"), GONE),
    (
        re.compile(r"\bya29\.[\w.-]+|\b1//[\w-]{8,}|\bAIza[\w-]{10,}|\b(?:v2-)?[as]k[_-][\w-]{8,}"),
        GONE,
    ),
    # Long random texts: keys of every kind. Ids of requests are shorter; Google's of occurrences end with a time.
    (
        re.compile(
            r"(?<![\w+/=-])(?![a-v0-9]+_R?\d{8}(?:T\d{6}Z?)?(?![\w+/=-]))"
            r"(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[\w+=-]{33,}(?:[/+=][\w+/=-]*)?"
        ),
        GONE,
    ),
)
_IDS = frozenset({"event", "level", "timestamp", "event_id", "request_id", "job", "logger"})
"""Keys whose values are ids of ours or the services': looked through only for addresses."""
_ADDRESS = _RULES[4][0]


def redacted(text: str) -> str:
    """A text without anything that looks secret."""
    if _SIGNS.search(text) is None:
        return text
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text


def redact_event(
    _logger: Any, _method: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """The processor of structlog."""
    for key, value in event_dict.items():
        if type(value) is str:
            if key in _IDS:
                if "@" in value:
                    event_dict[key] = _ADDRESS.sub(GONE, value)
            elif _SIGNS.search(value) is not None:
                event_dict[key] = redacted(value)
        elif isinstance(value, list | tuple | set | frozenset | Mapping):
            event_dict[key] = _within(value)
    return event_dict


def _within(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {key: _within(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_within(inner) for inner in value]
    return value
