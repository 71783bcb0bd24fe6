"""The `fields` parameter: which parts of an answer are sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .errors import GoogleRefusal, refusal

Selection = dict[str, "Selection"]
_TOKEN = re.compile(r"[A-Za-z0-9_.\-]+|[*/(),]")


def _bad(text: str) -> GoogleRefusal:
    return refusal(400, "invalidParameter", f"Invalid field selection {text}", location="fields")


def parse_fields(text: str) -> Selection:
    """The tree of a selector such as `items(id,start/dateTime),nextPageToken`; {} selects all."""
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text.replace(" ", "") or not tokens:
        raise _bad(text)
    stream = iter([*tokens, ""])
    selection, end = _group(stream, text)
    if end != "":
        raise _bad(text)
    return selection


def _group(stream: Iterator[str], text: str) -> tuple[Selection, str]:
    selection: Selection = {}
    while True:
        end = _path(stream, text, selection)
        if end != ",":
            return selection, end


def _path(stream: Iterator[str], text: str, into: Selection) -> str:
    name = next(stream)
    if name in ("", "/", "(", ")", ","):
        raise _bad(text)
    child = into.setdefault(name, {})
    follows = next(stream)
    if follows == "/":
        return _path(stream, text, child)
    if follows == "(":
        inner, end = _group(stream, text)
        if end != ")":
            raise _bad(text)
        child.update(inner)
        follows = next(stream)
    if follows not in ("", ")", ","):
        raise _bad(text)
    return follows


def check_names(selection: Selection, known: frozenset[str]) -> None:
    """Refuse a selector that names what the answer never has."""
    for name in selection:
        if name != "*" and name not in known:
            raise _bad(name)


def select(value: Any, selection: Selection) -> Any:
    """The parts of a JSON value that are selected; lists are taken item by item."""
    if not selection or ("*" in selection and not selection["*"]):
        return value
    if isinstance(value, list):
        return [select(item, selection) for item in value]
    if not isinstance(value, dict):
        return value
    every = selection.get("*")
    shown = {}
    for name, part in value.items():
        if name in selection:
            shown[name] = select(part, selection[name])
        elif every is not None:
            shown[name] = select(part, every)
    return shown
