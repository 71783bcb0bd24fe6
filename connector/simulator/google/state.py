"""The state of one calendar: rows, the clock that stamps them, and who may see them.

Every mutation is one `_commit`: one tick of a monotonic microsecond clock stamps the changed rows
and, of a touched series, the master and every exception (reference 2.10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal

from .rows import Row, instance_of, parts_of_instance_id
from .times import (
    BadTimeError,
    When,
    id_suffix,
    instant,
    is_timed,
    of_suffix,
    same_moment,
    sort_key,
    zone_named,
    zone_of,
)
from .tokens import SortKey

Role = Literal["owner", "writer", "writerWithoutPrivateAccess", "reader", "freeBusyReader", "none"]
Quirk = Literal["exception_before_master", "cancelled_masters_listed"]
_MARGIN = timedelta(days=2)  # a zone's offset and a date's midnight, generously
_SPARE = 10  # starts within the margin that the window then excludes
_COMPARED = 2000  # starts of two halves that are checked for meeting each other
BEGINNING = datetime(1600, 1, 1, tzinfo=UTC)
END = datetime(9990, 1, 1, tzinfo=UTC)


class UnknownEventError(LookupError):
    """The person meant an event that this calendar does not have."""


class CalendarState:
    """What a calendar stores; read `Calendar` for what people do with it."""

    def __init__(
        self,
        calendar_id: str,
        owner: str,
        time_zone: str,
        *,
        now: Callable[[], datetime],
        tick: Callable[[], int],
        random: Random,
        summary: str | None = None,
    ) -> None:
        self.id = calendar_id
        self.owner = owner
        self.zone = zone_named(time_zone)
        self.summary = summary or calendar_id
        self.roles: dict[str, Role] = {owner: "owner"}
        self.epoch = 0
        self.rows: dict[str, Row] = {}
        self.quirks: set[Quirk] = set()
        self.forget_tombstones_of_trimmed = False
        """Drop the exceptions beyond a new end without any tombstone, as some have seen Google do."""
        self.role_stamps: dict[str, int] = {owner: tick()}
        self.dead = False
        self._now = now
        self._next_stamp = tick
        self._random = random
        self._exceptions: dict[str, set[str]] = {}
        self._series: dict[str, set[str]] = {}
        self._made: dict[str, tuple[Row, dict[datetime, Row]]] = {}
        self.changed: Callable[..., None] = lambda *_: None
        """Told of each change, with the calendar's id: push channels are."""
        self.last_stamp = tick()
        self.version = 0
        """Rises with every row that comes, changes or goes."""
        self.listing: tuple[object, list[tuple[SortKey, Row]]] | None = None
        """The last listing of several pages, and what it depends on."""

    @property
    def email(self) -> str:
        """The address of the calendar: of a primary one its owner's."""
        return self.id

    @property
    def time_zone(self) -> str:
        """The name of the calendar's zone."""
        return self.zone.key

    @property
    def primary(self) -> bool:
        """Whether this is its owner's main calendar."""
        return self.id == self.owner

    @property
    def own_addresses(self) -> frozenset[str]:
        """The addresses that are `self` in this calendar, in lower case."""
        return frozenset({self.id.casefold()})

    # -- reading ---------------------------------------------------------------------------------

    def find(self, event_id: str) -> Row | None:
        """The row of an id, or the untouched occurrence that it names; None if there is neither."""
        row = self.rows.get(event_id)
        return row if row is not None and not row.buried else self._virtual(event_id)

    def expect(self, event_id: str) -> Row:
        """`find`, for a person, who can only touch what is there."""
        row = self.find(event_id)
        if row is None:
            raise UnknownEventError(f"calendar {self.id} has no event {event_id}")
        return row

    def _virtual(self, event_id: str) -> Row | None:
        parts = parts_of_instance_id(event_id)
        if parts is None:
            return None
        found = [self.rows[each] for each in self._series.get(parts[0], ())]
        for series in sorted(found, key=lambda row: not row.live):
            original = self._original_in(series, parts[1])
            if original is not None and series.starts.has(original):
                return instance_of(series, original)
        return None

    def _original_in(self, series: Row, suffix: str) -> When | None:
        try:
            original = of_suffix(suffix)
        except BadTimeError:
            return None
        if is_timed(original) != is_timed(series.start):
            return None
        if is_timed(original) and is_timed(series.start):
            return original.astimezone(zone_of(series.start))
        return original

    def exceptions_of(self, series_id: str) -> list[Row]:
        """The exceptions of a series, cancelled ones too, by id."""
        found = (self.rows[each] for each in self._exceptions.get(series_id, ()))
        return sorted((row for row in found if not row.buried), key=lambda row: row.id)

    def family_of(self, series: Row) -> list[Row]:
        """The living series that were cut from one, this one among them."""
        found = (self.rows[each] for each in self._series.get(series.base, ()))
        return sorted((row for row in found if row.live), key=lambda row: sort_key(row.start))

    def collides(self, series: Row, *, ignoring: str | None = None) -> bool:
        """Whether an occurrence of it would have the id of another half's: ids are unique."""
        others = [r for r in self.family_of(series) if r.id not in (series.id, ignoring)]
        if not series.is_series or not others:
            return False
        starts = {id_suffix(start) for start in series.starts.first(_COMPARED)}
        return any(
            not starts.isdisjoint(map(id_suffix, other.starts.first(_COMPARED))) for other in others
        )

    def series_of(self, row: Row) -> Row | None:
        """The series of an occurrence; the row itself if it is one; None for the rest."""
        if row.is_series:
            return row
        return self.rows.get(row.series) if row.series is not None else None

    def overlaps(self, row: Row, low: datetime, high: datetime) -> bool:
        """Whether it ends after `low` and starts before `high`; dates are days of this calendar."""
        return instant(row.end, self.zone) > low and instant(row.start, self.zone) < high

    def occurrences_of(
        self, series: Row, low: datetime = BEGINNING, high: datetime = END, limit: int | None = None
    ) -> list[Row]:
        """The occurrences of a series in a window, exceptions (cancelled too) in their place."""
        exceptions = self.exceptions_of(series.id)
        replaced = {sort_key(row.original) for row in exceptions if row.original is not None}
        found = [row for row in exceptions if self.overlaps(row, low, high)]
        since = max(low - max(series.length, timedelta(0)) - _MARGIN, BEGINNING)
        until = min(high + _MARGIN, END)
        if limit is None:
            starts = series.starts.between(since, until)
        else:
            starts = series.starts.first(limit + _SPARE, since=since, before=until)
        known = self._instances_of(series)
        for original in starts:
            key = sort_key(original)
            if key in replaced:
                continue
            row = known.get(key) or known.setdefault(key, instance_of(series, original))
            if self.overlaps(row, low, high):
                found.append(row)
        found.sort(key=lambda row: (instant(row.start, self.zone), row.id))
        return found if limit is None else found[:limit]

    def _instances_of(self, series: Row) -> dict[datetime, Row]:
        """The untouched occurrences made so far of this version of a series."""
        version, known = self._made.get(series.id, (None, {}))
        if version is not series:
            known = {}
            self._made[series.id] = (series, known)
        return known

    def occurrences(self, low: datetime, high: datetime) -> Iterator[Row]:
        """Everything that a person sees in a window, in no order."""
        for row in list(self.rows.values()):
            if row.bare or row.buried or not row.live:
                continue
            if row.is_series:
                yield from (one for one in self.occurrences_of(row, low, high) if one.live)
            elif (row.series is None or row.series not in self.rows) and self.overlaps(
                row, low, high
            ):
                yield row

    # -- writing ---------------------------------------------------------------------------------

    def _tick(self) -> int:
        self.last_stamp = self._next_stamp()
        return self.last_stamp

    def _commit(self, changed: Iterable[Row], *, series: Iterable[str] = ()) -> int:
        """Store rows under one new stamp, with all the rows of the named series; returns the stamp."""
        rows = {row.id: row for row in changed}
        for series_id in [
            *series,
            *(row.id for row in rows.values() if row.is_series and row.live),
        ]:
            master = self.rows.get(series_id)
            if master is not None:
                rows.setdefault(series_id, master)
            for exception in self.exceptions_of(series_id):
                rows.setdefault(exception.id, exception)
        stamp = self._tick()
        for row in rows.values():
            self._put(replace(row, stamp=stamp))
        for row in rows.values():
            if row.is_series and row.live:
                self._revive(row)
        self.changed(self.id)
        return stamp

    def _put(self, row: Row) -> None:
        self._drop(row.id)
        self.rows[row.id] = row
        if row.series is not None:
            self._exceptions.setdefault(row.series, set()).add(row.id)
        if row.is_series:
            self._series.setdefault(row.base, set()).add(row.id)

    def _drop(self, event_id: str) -> None:
        self.version += 1
        row = self.rows.pop(event_id, None)
        if row is not None and row.series is not None:
            self._exceptions[row.series].discard(event_id)
        if row is not None and row.is_series:
            self._series[row.base].discard(event_id)

    def _bury(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._put(replace(row, buried=True, status="cancelled"))

    def _revive(self, series: Row) -> None:
        """A tombstone whose id is an occurrence again has nothing to say any more."""
        for row in [row for row in self.rows.values() if row.bare]:
            parts = parts_of_instance_id(row.id)
            if parts is not None and parts[0] == series.base:
                original = self._original_in(series, parts[1])
                if original is not None and series.starts.has(original):
                    self._drop(row.id)

    def _retire(self, rows: Iterable[Row], *, tombstones: bool = True) -> list[Row]:
        """Exceptions that are no occurrences any more: as bare tombstones, or gone without one."""
        if tombstones and not self.forget_tombstones_of_trimmed:
            return [
                replace(row, status="cancelled", bare=True, series=None, original=None)
                for row in rows
            ]
        for row in rows:
            self._drop(row.id)
        return []


def original_of(row: Row) -> When:
    """The original start of an occurrence."""
    return row.original if row.original is not None else row.start


def keeps_place(exception: Row, series: Row) -> bool:
    """Whether an exception still stands for an occurrence of the series."""
    original = original_of(exception)
    return is_timed(original) == is_timed(series.start) and series.starts.has(original)


def same_times(one: Row, other: Row) -> bool:
    """Whether both start and end at the same moments."""
    return same_moment(one.start, other.start) and same_moment(one.end, other.end)
