"""Changed copies of frozen values, of whichever kind."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, cast

import msgspec

T = TypeVar("T")


def replace(value: T, /, **changes: Any) -> T:
    """A copy of a dataclass or of a msgspec struct with some fields changed."""
    if isinstance(value, msgspec.Struct):
        return cast("T", msgspec.structs.replace(value, **changes))
    return dataclasses.replace(value, **changes)  # type: ignore[type-var]
