"""Payload fields that an older Salesloft may refuse, and payloads without them."""

from __future__ import annotations

import json
from collections.abc import Collection

DROPPABLE = frozenset({"transparency", "updated_at", "upsert_key", "canceled_at"})
"""On the current reference page but not in the older definition: a 422 that names one drops it for the team.

`canceled_at` is left out only where it is null, which a Salesloft may refuse.
"""


def without(payload: bytes, fields: Collection[str]) -> bytes:
    """The JSON body without some fields; the very same bytes if there are none to drop."""
    if not fields:
        return payload
    body = json.loads(payload)
    kept = {
        key: value
        for key, value in body.items()
        if key not in fields or (key == "canceled_at" and value is not None)
    }
    return json.dumps(kept).encode()
