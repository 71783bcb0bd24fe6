"""What all tests share: aioresponses made to work with aiohttp ≥ 3.14."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import aiohttp
import aioresponses.core


class _Response(aiohttp.ClientResponse):
    """aioresponses 0.7.9 does not know `stream_writer`, which aiohttp 3.14 demands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"stream_writer": Mock(output_size=0), **kwargs})


aioresponses.core.ClientResponse = _Response  # type: ignore[attr-defined]
