"""Payload fields that an older Salesloft may refuse, and payloads without them."""

from __future__ import annotations

import json
from collections.abc import Collection

DROPPABLE = frozenset({"transparency", "updated_at", "upsert_key"})
"""On the current reference page but not in the older definition: a 422 that names one drops it for the team."""


def without(payload: bytes, fields: Collection[str]) -> bytes:
    """The JSON body without some fields; the very same bytes if there are none to drop."""
    if not fields:
        return payload
    body = json.loads(payload)
    return json.dumps({key: value for key, value in body.items() if key not in fields}).encode()
