"""What Salesloft's response headers tell: costs, what is left, when to come back, the request's id.

Names vary in public reports, so both spellings of each are read, without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

_NUMBER = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*(?:$|[,;])")
_REQUEST_ID = re.compile(r"[^A-Za-z0-9._:+/=-]")


class RateHeaders(msgspec.Struct, frozen=True, gc=False):
    """Points, each None where the answer does not say."""

    cost: float | None = None
    remaining: float | None = None
    limit: float | None = None

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> RateHeaders:
        lower = _by_lower_names(headers)
        limit = _first(lower, "x-ratelimit-limit-minute", "x-ratelimit-limit")
        return cls(
            cost=_first(lower, "x-ratelimit-endpoint-cost"),
            remaining=_first(lower, "x-ratelimit-remaining-minute", "x-ratelimit-remaining"),
            limit=limit if limit else None,  # a limit of nothing is a mistake, not a limit
        )


def _by_lower_names(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Headers that can be asked for by names in small letters; aiohttp's own are so already."""
    if isinstance(headers, CIMultiDict | CIMultiDictProxy):
        return headers
    return {name.lower(): value for name, value in headers.items()}


def _first(headers: Mapping[str, str], *names: str) -> float | None:
    for name in names:
        found = _number(headers.get(name, ""))
        if found is not None:
            return found
    return None


@lru_cache(
    maxsize=2048
)  # costs, limits and what is left of them are the same few words again and again
def _number(text: str) -> float | None:
    found = _NUMBER.match(text)
    return float(found.group(1)) if found else None


def header(headers: Mapping[str, str], name: str) -> str:
    """One header whatever its case; empty if it is missing."""
    return _by_lower_names(headers).get(name, "")


def request_id(headers: Mapping[str, str]) -> str:
    """`x-request-id`, cut to what an id may hold, so that it can stand in a log line."""
    return _REQUEST_ID.sub("", header(headers, "x-request-id"))[:100]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds asked for by `Retry-After`, given as seconds or as an HTTP date; None if absent or unreadable.

    A date is compared with the answer's own `Date` where there is one, so that a wrong local clock does no harm.
    """
    value = header(headers, "retry-after").strip()
    if not value:
        return None
    if (found := _number(value)) is not None:
        return found
    until, now = _http_date(value), _http_date(header(headers, "date"))
    if until is None:
        return None
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
