"""This and following: a series cut in two, as Google's web client does it (reference 2.10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .content import fields_of, merged
from .editing import EditActions
from .recurrence import remainder, trimmed
from .rows import Row, fresh_id
from .state import original_of
from .times import When, id_suffix, is_timed, same_moment, sort_key


class SplitActions(EditActions):
    """What a person does with an occurrence and all after it."""

    def edit_following(
        self,
        event_id: str,
        *,
        original: When | None = None,
        start: When | None = None,
        end: When | None = None,
        recurrence: Sequence[str] | None = None,
        keep_exceptions: bool = True,
        **changes: Any,
    ) -> str:
        """Change this and following occurrences; returns the id of the series that begins here.

        With the time unchanged that is `<base>_R<UTC time>`, and later exceptions move to it (or are
        reset, without `keep_exceptions`). With a new time, id and iCalUID are new, and later
        exceptions vanish with bare tombstones. From the first occurrence on it is `edit_all`.
        """
        old, split = self._split_point(event_id, original)
        if old.starts.before(split) is None:
            return self.edit_all(
                old.id, start=start, end=end, recurrence=recurrence, family=False, **changes
            )
        begin, finish = self._new_times(self._at(old, split), start, end, None)
        head = replace(old, recurrence=trimmed(old.start, old.recurrence, split))
        lines = remainder(old.start, old.recurrence, split) if recurrence is None else recurrence
        tail = replace(
            old,
            start=begin,
            end=finish,
            recurrence=tuple(lines),
            fields=merged(old.fields, fields_of(changes)),
        )
        tail = self._named(old, tail, split)
        later = [row for row in self.exceptions_of(old.id) if _from(row, split)]
        if tail.base != old.base:
            self._commit([head, tail, *self._retire(later)])
        else:
            self._commit([head, tail, *self._handed_over(later, tail, split, keep_exceptions)])
        return tail.id

    def cancel_following(self, event_id: str, *, original: When | None = None) -> str:
        """Delete this and following occurrences; returns the id of the series that remains."""
        old, split = self._split_point(event_id, original)
        if old.starts.before(split) is None:
            return self.cancel_all(old.id, family=False)
        head = replace(old, recurrence=trimmed(old.start, old.recurrence, split))
        later = [row for row in self.exceptions_of(old.id) if _from(row, split)]
        self._commit([head, *self._retire(later)])
        return old.id

    def _split_point(self, event_id: str, original: When | None) -> tuple[Row, When]:
        row = self.occurrence(event_id, original)
        series = self.series_of(row)
        if series is None:
            raise LookupError(f"{event_id} is no occurrence of a series in this calendar")
        return series, original_of(row)

    def _at(self, series: Row, split: When) -> Row:
        return replace(
            series, start=split, end=self._new_times(series, split, None, None)[1], recurrence=()
        )

    def _named(self, old: Row, tail: Row, split: When) -> Row:
        """Id, iCalUID and sequence of the new half."""
        unmoved = same_moment(tail.start, split) and tail.length == old.length
        if unmoved and str(getattr(tail.start, "tzinfo", "")) == str(getattr(split, "tzinfo", "")):
            suffix = id_suffix(split).rstrip("Z") if is_timed(split) else id_suffix(split)
            new_id = f"{old.base}_R{suffix}"
            half = replace(tail, id=new_id, ical_uid=f"{new_id}@google.com")
            taken = self.rows.get(new_id)
            if (taken is None or not taken.live) and not self.collides(half, ignoring=old.id):
                return half
        new_id = fresh_id(self._random)
        return replace(
            tail,
            id=new_id,
            base=new_id,
            ical_uid=f"{new_id}@google.com",
            sequence=1,
            created=self._now(),
        )

    def _handed_over(self, later: Sequence[Row], tail: Row, split: When, keep: bool) -> list[Row]:
        """Later exceptions under their new series; the one at the split takes its content."""
        kept = []
        for row in later:
            at_split = same_moment(original_of(row), split)
            if keep and not at_split and tail.starts.has(original_of(row)):
                kept.append(replace(row, series=tail.id, ical_uid=tail.ical_uid))
            else:
                self._drop(row.id)
        return kept


def _from(row: Row, split: When) -> bool:
    return sort_key(original_of(row)) >= sort_key(split)
