"""Reads the parameters of lists strictly, and cuts and wraps their pages as Salesloft does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from multidict import MultiMapping

from connector.simulator.salesloft.errors import Refused
from connector.simulator.salesloft.validation import instant

MAX_PER_PAGE = 100
DEFAULT_PER_PAGE = 25
PAGING = ("page", "per_page", "include_paging_counts", "limit_paging_counts")
SORTING = ("sort_by", "sort_direction")


@dataclass(frozen=True, slots=True)
class Page:
    number: int = 1
    size: int = DEFAULT_PER_PAGE
    counted: bool = False


def bad(name: str, message: str) -> Refused:
    """A 422 for a parameter."""
    return Refused(422, {"errors": {name: [message]}})


def check_known(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse parameters that the definition does not have: a typing error would else filter nothing."""
    names = {*known, *PAGING}
    for name in given:
        if name.partition("[")[0] not in names:
            raise bad(name, "is not a parameter of this endpoint")


def page_of(given: Mapping[str, Any]) -> Page:
    """The page asked for, from a query (texts) or a JSON body (numbers)."""
    number = integer(given, "page", 1)
    size = integer(given, "per_page", DEFAULT_PER_PAGE)
    if number < 1:
        raise bad("page", "must be at least 1")
    if not 1 <= size <= MAX_PER_PAGE:
        raise bad("per_page", f"must be in the range [1, {MAX_PER_PAGE}]")
    return Page(number, size, boolean(given, "include_paging_counts"))


def integer(given: Mapping[str, Any], name: str, default: int) -> int:
    value = given.get(name)
    if value is None:
        return default
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()):
        raise bad(name, "must be an integer")
    return int(text)


def boolean(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if value in (True, "true"):
        return True
    if value in (False, "false"):
        return False
    raise bad(name, "must be true or false")


def moment(given: Mapping[str, Any], name: str) -> datetime | None:
    """A time parameter; None if it is not given."""
    if name not in given:
        return None
    read = instant(given[name])
    if read is None:
        raise bad(name, "must be in ISO 8601 format with an offset")
    return read


def several(query: MultiMapping[str], name: str, allowed: Sequence[str] = ()) -> set[str] | None:
    """A list parameter, in any of its spellings: `x[]=a&x[]=b`, `x=a,b`; None if it is not given."""
    texts = [*query.getall(f"{name}[]", []), *query.getall(name, [])]
    if not texts:
        return None
    values = {value for text in texts for value in text.split(",") if value}
    unknown = sorted(values - set(allowed)) if allowed else []
    if unknown:
        raise bad(name, f"must be one of {', '.join(allowed)}")
    return values


def after_id(query: Mapping[str, str]) -> int:
    """The cursor `id[gt]`; 0 without one."""
    for name in query:
        if name.startswith("id") and name != "id[gt]":
            raise bad(name, "only supports the gt comparison")
    return integer(query, "id[gt]", 0)


def descending(query: Mapping[str, str]) -> bool:
    direction = query.get("sort_direction", "DESC")
    if direction.upper() not in ("ASC", "DESC"):
        raise bad("sort_direction", "must be one of ASC, DESC")
    return direction.upper() == "DESC"


def paged(records: Sequence[Any], page: Page, *, with_paging: bool) -> tuple[Sequence[Any], Any]:
    """The records of one page, and the answer's `metadata`."""
    first = (page.number - 1) * page.size
    here = records[first : first + page.size]
    more = first + page.size < len(records)
    paging: dict[str, Any] = {
        "per_page": page.size,
        "current_page": page.number,
        "next_page": page.number + 1 if more else None,
        "prev_page": page.number - 1 if page.number > 1 else None,
    }
    if page.counted:
        paging["total_count"] = len(records)
        paging["total_pages"] = -(-len(records) // page.size)
    metadata: dict[str, Any] = {"filtering": {}, "sorting": {}}
    if with_paging:
        metadata["paging"] = paging
    return here, metadata
