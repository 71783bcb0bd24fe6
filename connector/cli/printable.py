"""What others wrote, made fit for a terminal."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """A text in one line without control characters: titles come from strangers, and could steer the terminal."""
    if text.isprintable():
        return text
    return "".join(
        repr(char)[1:-1] if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") else char
        for char in text
    )
