"""What goes wrong with Google's lists in particular: each fault fires a few times, then is spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

ListFaultKind = Literal["gone_mid_pagination", "gone_after_full", "duplicate_item", "empty_page"]


@dataclass(slots=True)
class ListFault:
    """`gone_mid_pagination`: 410 to a request with a page token. `gone_after_full`: the token of a
    full listing is void at once. `duplicate_item`: a page begins with the item that ended the last.
    `empty_page`: no items, but a page token.
    """

    kind: ListFaultKind
    calendar_id: str | None = None
    times: int = 1


class ListFaults:
    """The faults still to come."""

    def __init__(self) -> None:
        self._armed: list[ListFault] = []

    def add(self, kind: ListFaultKind, calendar_id: str | None = None, times: int = 1) -> None:
        """Arm a fault for one calendar, or for any."""
        if kind not in get_args(ListFaultKind):
            raise ValueError(f"unknown list fault {kind!r}")
        self._armed.append(ListFault(kind, calendar_id, times))

    def take(self, kind: ListFaultKind, calendar_id: str) -> bool:
        """Whether this fault strikes now; it is then used up once."""
        for fault in self._armed:
            if fault.kind == kind and fault.times > 0 and fault.calendar_id in (None, calendar_id):
                fault.times -= 1
                return True
        return False

    def clear(self) -> None:
        """Disarm everything."""
        self._armed.clear()
