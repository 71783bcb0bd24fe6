"""The `fields` parameter, from the structs that decode the answer: asked for is exactly what is read.

Derived, so that it cannot drift: a new member of a struct is asked for at once. Names are sorted, so that their order
in a struct means nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec


def mask_of(struct: type[msgspec.Struct]) -> str:
    """The selector of everything that a struct decodes, such as `id,start(date,dateTime)`."""
    return _mask(msgspec.inspect.type_info(struct))


def _mask(struct: Any) -> str:
    parts = []
    for member in sorted(struct.fields, key=lambda one: str(one.encode_name)):
        inner = _struct_within(member.type)
        parts.append(member.encode_name + (f"({_mask(inner)})" if inner is not None else ""))
    return ",".join(parts)


def _struct_within(kind: Any) -> msgspec.inspect.StructType | None:
    """The struct of a member that holds one, a list of them, or perhaps none of them."""
    match kind:
        case msgspec.inspect.StructType():
            return kind
        case msgspec.inspect.ListType(item_type=item):
            return _struct_within(item)
        case msgspec.inspect.UnionType(types=types):
            return next((one for one in map(_struct_within, types) if one is not None), None)
    return None
