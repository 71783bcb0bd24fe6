"""Rows: what a calendar stores, one for each single event, series or exception.

A row never changes; a mutation puts a new one in its place. Occurrences that nobody touched have no
row: `instance_of` makes one when somebody asks. Ids of instances begin with the `base` of their
series, which a split series (`<base>_R…`) shares with the series that it was cut from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from .recurrence import Starts, starts_of
from .times import When, id_suffix, length_between, plus

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_CHOSEN_ID = re.compile(r"^[a-v0-9]{5,1024}$")
_INSTANCE_ID = re.compile(r"^(.+)_(\d{8}(?:T\d{6}Z)?)$")


@dataclass(frozen=True, slots=True)
class Row:
    """One stored (or virtual) event; `fields` are the JSON properties that need no rendering."""

    id: str
    ical_uid: str
    start: When
    end: When
    created: datetime
    fields: Mapping[str, Any] = field(default_factory=dict)
    status: str = "confirmed"
    sequence: int = 0
    stamp: int = 0
    """`updated`, in microseconds since the epoch; half of the etag."""
    recurrence: tuple[str, ...] = ()
    base: str = ""
    """For a series: what the ids of its instances begin with."""
    series: str | None = None
    """recurringEventId of an exception."""
    original: When | None = None
    bare: bool = False
    """A tombstone that has lost its series and original start (reference 2.10)."""
    buried: bool = False
    """An exception of a deleted series: no feed tells of it any more."""
    omit_attendees: bool = False
    show_zone: bool = True
    tampered: frozenset[str] = frozenset()

    @property
    def is_series(self) -> bool:
        """Whether this is the master of a series."""
        return bool(self.recurrence)

    @property
    def live(self) -> bool:
        """Whether a person still sees it."""
        return self.status != "cancelled"

    @property
    def length(self) -> timedelta:
        """The elapsed time from start to end."""
        return length_between(self.start, self.end)

    @property
    def etag(self) -> str:
        """Twice `updated` in microseconds, with the quotes that are part of it."""
        return f'"{2 * self.stamp}"'

    @property
    def starts(self) -> Starts:
        """The original starts of a series."""
        return starts_of(self.start, self.recurrence)


def instance_id(series: Row, original: When) -> str:
    """The id of one occurrence: `<base>_<UTC time>Z`, also in a split series."""
    return f"{series.base}_{id_suffix(original)}"


def instance_of(series: Row, original: When) -> Row:
    """The occurrence that nobody has touched, as a row of its own."""
    return replace(
        series,
        id=instance_id(series, original),
        start=original,
        end=plus(original, series.length),
        recurrence=(),
        base="",
        series=series.id,
        original=original,
    )


def parts_of_instance_id(event_id: str) -> tuple[str, str] | None:
    """The base and the time of an instance's id; None for an id of another form."""
    found = _INSTANCE_ID.match(event_id)
    return (found[1], found[2]) if found else None


def fresh_id(random: Random) -> str:
    """An id as the server makes them: 26 characters of base32hex."""
    return "".join(random.choices(_ALPHABET, k=26))


def is_chosen_id(event_id: str) -> bool:
    """Whether a client may choose this id."""
    return bool(_CHOSEN_ID.match(event_id))
