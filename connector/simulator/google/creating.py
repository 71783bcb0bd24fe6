"""A person makes events, or is invited to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from .content import Guest, fields_of, guest_json, merged
from .rows import Row, fresh_id, instance_id
from .state import CalendarState
from .times import When, aware, is_timed, localised, plus, zone_named


def in_zone(when: When, time_zone: str | None) -> When:
    """A timed moment in another zone; naive ones are wall-clock times of that zone."""
    if time_zone is None or not is_timed(when):
        return when
    zone = zone_named(time_zone)
    return localised(when, zone) if when.tzinfo is None else when.astimezone(zone)


class CreateActions(CalendarState):
    """How events come into a calendar."""

    def create(
        self,
        summary: str | None = "Meeting",
        start: When | None = None,
        end: When | None = None,
        *,
        minutes: int = 30,
        time_zone: str | None = None,
        recurrence: Sequence[str] = (),
        attendees: Iterable[Guest] | None = None,
        organizer: Guest | None = None,
        event_id: str | None = None,
        ical_uid: str | None = None,
        status: str = "confirmed",
        created: datetime | None = None,
        include_self: bool = True,
        show_zone: bool = True,
        omit_attendees: bool = False,
        **content: Any,
    ) -> str:
        """A new event; returns its id.

        `start` is an aware datetime, or a date for an all-day event; without `end` it lasts
        `minutes`, or a day. `recurrence` lines make it a series. `organizer` other than the calendar
        makes it a copy of somebody's invitation. `content` are the keywords of `fields_of`.
        """
        begin = self._moment(start or self._now().astimezone(self.zone), time_zone)
        finish = self._default_end(begin, minutes) if end is None else self._moment(end, time_zone)
        new_id = event_id or fresh_id(self._random)
        fields = fields_of({"summary": summary, **content})
        fields |= self._people(attendees, organizer, include_self, fields)
        row = Row(
            id=new_id,
            ical_uid=ical_uid or f"{new_id}@google.com",
            start=begin,
            end=finish,
            created=created or self._now(),
            fields=merged({}, fields),
            status=status,
            recurrence=tuple(recurrence),
            base=new_id if recurrence else "",
            show_zone=show_zone,
            omit_attendees=omit_attendees,
        )
        self._commit([row])
        return new_id

    def create_all_day(
        self, summary: str | None = "Day", start: date | None = None, days: int = 1, **content: Any
    ) -> str:
        """A new all-day event of whole days; returns its id."""
        begin = start or self._now().astimezone(self.zone).date()
        return self.create(summary, begin, begin + timedelta(days=days), **content)

    def create_series(
        self,
        summary: str | None = "Series",
        start: When | None = None,
        end: When | None = None,
        *,
        rule: str = "FREQ=WEEKLY",
        lines: Sequence[str] = (),
        **content: Any,
    ) -> str:
        """A new series of a rule (`FREQ=…`) and further RDATE/EXDATE lines; returns its id."""
        rules = [f"RRULE:{rule}"] if rule else []
        return self.create(summary, start, end, recurrence=[*rules, *lines], **content)

    def invite(self, organizer: Guest, summary: str | None = "Invitation", **content: Any) -> str:
        """A copy of somebody else's event arrives; arguments as for `create`."""
        return self.create(summary, organizer=organizer, **content)

    def invite_to_occurrence(
        self,
        organizer: Guest,
        original: When,
        *,
        start: When | None = None,
        end: When | None = None,
        series_id: str | None = None,
        summary: str | None = "Invitation",
        minutes: int = 30,
        **content: Any,
    ) -> str:
        """One occurrence of a series that this calendar never sees: an exception without master."""
        own = self._moment(original, content.pop("time_zone", None))
        begin = self._moment(start, None) if start is not None else own
        finish = self._moment(end, None) if end is not None else self._default_end(begin, minutes)
        base = series_id or fresh_id(self._random)
        fields = fields_of({"summary": summary, **_without(content, "attendees")})
        fields |= self._people(content.get("attendees"), organizer, True, fields)
        row = Row(
            id="",
            ical_uid=f"{base}@google.com",
            start=begin,
            end=finish,
            created=self._now(),
            fields=merged({}, fields),
            series=base,
            original=own,
        )
        row = replace(row, id=instance_id(replace(row, base=base), own))
        self._commit([row])
        return row.id

    def _moment(self, when: When, time_zone: str | None) -> When:
        return aware(in_zone(when, time_zone), self.zone)

    def _default_end(self, start: When, minutes: int) -> When:
        return plus(start, timedelta(minutes=minutes) if is_timed(start) else timedelta(days=1))

    def _people(
        self,
        attendees: Iterable[Guest] | None,
        organizer: Guest | None,
        include_self: bool,
        fields: dict[str, Any],
    ) -> dict[str, Any]:
        """Organizer, creator and the list of guests, with this calendar's own among them."""
        own: dict[str, Any] = {"email": self.id}
        if not self.primary:
            own["displayName"] = self.summary
        host = own if organizer is None else fields_of({"organizer": organizer})["organizer"]
        by_default = {"email": self.owner} if organizer is None else dict(host)
        people = {"organizer": host, "creator": fields.get("creator", by_default)}
        guests = [guest_json(guest) for guest in attendees or ()]
        listed = {str(guest.get("email", "")).casefold() for guest in guests}
        if include_self and (guests or organizer is not None) and self.id.casefold() not in listed:
            response = "accepted" if organizer is None else "needsAction"
            guests.append({"email": self.id, "responseStatus": response})
        return {**people, "attendees": guests} if guests else people


def _without(content: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != name}
