"""A person changes one occurrence or a whole series, cancels, restores, answers, moves away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .content import Guest, fields_of, guest_json, merged
from .creating import CreateActions
from .rows import Row, fresh_id, instance_of
from .state import keeps_place, original_of, same_times
from .times import When, is_timed, plus, same_moment, sort_key

if TYPE_CHECKING:
    from .calendar import Calendar

Content = Callable[[Mapping[str, Any]], dict[str, Any]]


class EditActions(CreateActions):
    """What a person does with events that exist.

    An id is a single event's, a series', or an occurrence's. `original` picks an occurrence of a
    series by its original start instead of its id.
    """

    def occurrence(self, event_id: str, original: When | None = None) -> Row:
        """The event that is meant, as it stands."""
        row = self.expect(event_id)
        if original is None:
            return row
        when = sort_key(original)
        near = row.starts.between(when, when + timedelta(microseconds=1))
        found = [one for one in self.exceptions_of(row.id) if _is_original(one, original)]
        found += [instance_of(row, each) for each in near if same_moment(each, original)]
        if not found:
            raise LookupError(f"series {event_id} has no occurrence at {original.isoformat()}")
        return found[0]

    def edit_one(
        self,
        event_id: str,
        *,
        original: When | None = None,
        start: When | None = None,
        end: When | None = None,
        status: str | None = None,
        **changes: Any,
    ) -> str:
        """Change a single event or one occurrence; returns its id.

        A new time without `end` keeps the length and bumps `sequence`; text alone does not.
        """
        row = self.occurrence(event_id, original)
        if row.is_series:
            return self.edit_all(event_id, start=start, end=end, status=status, **changes)
        begin, finish = self._new_times(row, start, end, None)
        new = replace(
            row,
            start=begin,
            end=finish,
            status=status or row.status,
            fields=merged(row.fields, fields_of(changes)),
        )
        if not same_times(new, row):
            new = replace(new, sequence=row.sequence + 1)
        return self._store_one(new)

    def edit_all(
        self,
        event_id: str,
        *,
        start: When | None = None,
        end: When | None = None,
        recurrence: Sequence[str] | None = None,
        time_zone: str | None = None,
        status: str | None = None,
        family: bool = True,
        tombstones: bool = True,
        **changes: Any,
    ) -> str:
        """Change a whole series; returns its id.

        `start` is the new first start, `time_zone` alone keeps the wall clock in another zone.
        Text reaches the exceptions and, with `family`, the other halves of a split series; times and
        rules only this half (whose id changes if it would meet its sibling's occurrences).
        Exceptions that are no occurrences any more vanish, with bare
        tombstones or without.
        """
        row = self._whole(event_id)
        fields = fields_of(changes)
        begin, finish = self._new_times(row, start, end, time_zone)
        lines = row.recurrence if recurrence is None else tuple(recurrence)
        new = replace(
            row,
            start=begin,
            end=finish,
            recurrence=lines,
            base=(row.base or row.id) if lines else "",
            status=status or row.status,
            fields=merged(row.fields, fields),
        )
        retimed = not same_times(new, row) or _zone(new) != _zone(row)
        if retimed or lines != row.recurrence:
            new = replace(new, sequence=row.sequence + 1)
        if new.sequence != row.sequence and self.collides(new):
            return self._begin_anew(row, new)
        changed = [new, *self._follow(row, new, fields, tombstones)]
        others = [one for one in self.family_of(row) if family and fields and one.id != row.id]
        for other in others:
            changed += self._with_content(other, lambda old: merged(old, fields))
        self._commit(changed)
        return new.id

    def move_in_time(
        self, event_id: str, start: When, end: When | None = None, **options: Any
    ) -> str:
        """Another time, for a single event, an occurrence or a whole series."""
        return self.edit_one(event_id, start=start, end=end, **options)

    def cancel_one(self, event_id: str, *, original: When | None = None) -> str:
        """Delete a single event or one occurrence; returns its id."""
        row = self.occurrence(event_id, original)
        if row.is_series:
            return self.cancel_all(event_id)
        return self._store_one(replace(row, status="cancelled"))

    def cancel_all(self, event_id: str, *, family: bool = True) -> str:
        """Delete a series (with `family` also its other halves): one tombstone for each, none for exceptions."""
        row = self._whole(event_id)
        doomed = self.family_of(row) if family and row.is_series else [row]
        for one in doomed:
            self._bury(self.exceptions_of(one.id))
        self._commit(replace(one, status="cancelled") for one in doomed)
        return row.id

    def restore_one(self, event_id: str, *, original: When | None = None) -> str:
        """Bring back a cancelled single event or occurrence."""
        row = self.occurrence(event_id, original)
        if row.bare:
            raise LookupError(f"{event_id} is a tombstone of an occurrence that is no more")
        return self._store_one(replace(row, status="confirmed"))

    def rsvp(self, event_id: str, response: str, *, who: str | None = None) -> str:
        """Answer one occurrence, or the whole series if the id is the series'."""
        address = who or self.id

        def answered(fields: Mapping[str, Any]) -> dict[str, Any]:
            guests = [dict(guest) for guest in fields.get("attendees", ())]
            mine = [g for g in guests if str(g.get("email", "")).casefold() == address.casefold()]
            if not mine:
                mine = [{"email": address}]
                guests += mine
            mine[0]["responseStatus"] = response
            return merged(fields, {"attendees": guests})

        return self._change_content(event_id, answered)

    def set_visibility(self, event_id: str, visibility: str) -> str:
        """`default`, `public`, `private` or `confidential`, for one occurrence or the series."""
        return self._change_content(
            event_id, lambda fields: merged(fields, {"visibility": visibility})
        )

    def add_guest(self, event_id: str, guest: Guest) -> str:
        """One more attendee, of one occurrence or the series."""
        new = guest_json(guest)

        def invited(fields: Mapping[str, Any]) -> dict[str, Any]:
            guests = fields.get("attendees", ())
            if new.get("email") and any(new["email"] == one.get("email") for one in guests):
                return dict(fields)  # nobody is invited twice
            return merged(fields, {"attendees": [*guests, new]})

        return self._change_content(event_id, invited)

    def remove_guest(self, event_id: str, email: str) -> str:
        """One attendee less, of one occurrence or the series."""

        def without(fields: Mapping[str, Any]) -> dict[str, Any]:
            guests = [g for g in fields.get("attendees", ()) if g.get("email") != email]
            return merged(fields, {"attendees": guests})

        return self._change_content(event_id, without)

    def set_ical_uid(self, event_id: str, ical_uid: str) -> str:
        """Another iCalUID, for an event or a series with its exceptions."""
        row = self._whole(event_id)
        rows = [row, *(self.exceptions_of(row.id) if row.is_series else ())]
        self._commit(replace(one, ical_uid=ical_uid) for one in rows)
        return row.id

    def set_reminders(self, event_id: str, minutes: int) -> str:
        """A reminder of one's own: changes neither `updated` nor the etag (reference 2.10)."""
        row = self.expect(event_id)
        override = {"useDefault": False, "overrides": [{"method": "popup", "minutes": minutes}]}
        if row.id in self.rows:
            self._put(replace(row, fields=merged(row.fields, {"reminders": override})))
        return row.id

    def omit_attendees(self, event_id: str, *, omitted: bool = True) -> str:
        """Whether Google leaves out the guests of this event (`attendeesOmitted`)."""
        return self._store_one(replace(self.expect(event_id), omit_attendees=omitted))

    def move_to(self, event_id: str, other: Calendar) -> str:
        """Move an event or series to another calendar: same id and iCalUID there, a tombstone here."""
        row = self._whole(event_id)
        exceptions = self.exceptions_of(row.id) if row.is_series else []
        organizer = {"organizer": {"email": other.id}}
        arriving = [replace(r, fields=merged(r.fields, organizer)) for r in (row, *exceptions)]
        other.receive(arriving)
        self._bury(exceptions)
        self._commit([replace(arriving[0], status="cancelled")])
        return row.id

    def receive(self, rows: Iterable[Row]) -> None:
        """Rows arrive from another calendar."""
        self._commit(rows)

    # -- inner workings --------------------------------------------------------------------------

    def _whole(self, event_id: str) -> Row:
        row = self.expect(event_id)
        return self.series_of(row) or row

    def _store_one(self, row: Row) -> str:
        touched = [row.series] if row.series is not None else []
        self._commit([row], series=touched)
        return row.id

    def _change_content(self, event_id: str, change: Content) -> str:
        row = self.expect(event_id)
        if row.is_series:
            self._commit(self._with_content(row, change))
            return row.id
        return self._store_one(replace(row, fields=change(row.fields)))

    def _with_content(self, series: Row, change: Content) -> list[Row]:
        rows = [series, *self.exceptions_of(series.id)]
        return [replace(row, fields=change(row.fields)) for row in rows]

    def _new_times(
        self, row: Row, start: When | None, end: When | None, time_zone: str | None
    ) -> tuple[When, When]:
        begin, finish = row.start, row.end
        if start is not None:
            begin = self._moment(start, time_zone)
        elif time_zone is not None and is_timed(row.start):
            begin = self._moment(row.start.replace(tzinfo=None), time_zone)
        if end is not None:
            return begin, self._moment(end, time_zone)
        if start is None and time_zone is None:
            return begin, finish
        if is_timed(begin) != is_timed(row.start):
            return begin, self._default_end(begin, 30)
        return begin, plus(begin, row.length)

    def _begin_anew(self, old: Row, new: Row) -> str:
        """A half that would take its sibling's ids goes on under new ones, as after a split in time."""
        new_id = fresh_id(self._random)
        new = replace(new, id=new_id, base=new_id, ical_uid=f"{new_id}@google.com", sequence=1)
        self._bury(self.exceptions_of(old.id))
        self._commit([replace(old, status="cancelled"), new])
        return new_id

    def _follow(self, old: Row, new: Row, fields: Mapping[str, Any], tombstones: bool) -> list[Row]:
        """What becomes of the exceptions of a series that changes."""
        kept, lost = [], []
        for row in self.exceptions_of(old.id):
            if not new.is_series or not keeps_place(row, new):
                lost.append(row)
                continue
            original = original_of(row)
            if same_moment(row.start, original) and row.length == old.length:
                row = replace(row, end=plus(original, new.length))
            kept.append(replace(row, fields=merged(row.fields, fields)))
        return [*kept, *self._retire(lost, tombstones=tombstones)]


def _zone(row: Row) -> str:
    return str(row.start.tzinfo) if is_timed(row.start) else ""


def _is_original(row: Row, original: When) -> bool:
    return row.original is not None and same_moment(row.original, original)
