"""Builds HTML out of nested calls. Everything is escaped but what was built here."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")
_VOID = frozenset({"meta", "link", "input", "br"})


class Html(str):
    """A text that is HTML already."""

    __slots__ = ()


Child = Any
"""A text or number (escaped), `Html` (as it is), None (nothing), or an iterable of these."""


def h(tag: str, *children: Child, **attributes: str | int | float | bool | None) -> Html:
    """One element. `class_` is `class`, `aria_label` is `aria-label`; True: the bare attribute, None: none."""
    name = _checked(tag)
    opened = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{opened}>")
    return Html(f"<{opened}>{joined(children)}</{name}>")


def joined(children: Iterable[Child]) -> Html:
    """Children one after the other."""
    return Html("".join(_child(child) for child in children))


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return str(child)
    if isinstance(child, Iterable) and not isinstance(child, str | bytes):
        return joined(child)
    return html.escape(str(child))


def _attribute(key: str, value: str | int | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = _checked(key.removesuffix("_").replace("_", "-"))
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name.lower().startswith("on") or name == "style":
        raise ValueError(
            f"{name!r} is no name for HTML here"
        )  # handlers and styles: the CSP forbids them
    return name
