"""Upserts on their way into the store: judged, applied, and noted where they were late or overtook a bulk record."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from connector.simulator.salesloft.bulk import BulkJob, BulkQueue
from connector.simulator.salesloft.errors import Refused, as_text, invalid
from connector.simulator.salesloft.events import Applied, Row, apply_upsert, shown
from connector.simulator.salesloft.journal import BulkConflict, EventKey, StaleWrite
from connector.simulator.salesloft.people import Team
from connector.simulator.salesloft.switches import Switches
from connector.simulator.salesloft.validation import Mistakes, instant, read_upsert


class TeamWriter:
    """Writes the events of one team, directly and from its bulk queue."""

    def __init__(
        self,
        team: Team,
        queue: BulkQueue,
        switches: Switches,
        rng: random.Random,
        clocks: tuple[Callable[[], datetime], Callable[[], float]],
    ) -> None:
        self.team = team
        self.queue = queue
        self.stale_writes: list[StaleWrite] = []
        self.bulk_conflicts: list[BulkConflict] = []
        self.on_stored: Callable[[EventKey, datetime, float], None] | None = None
        """Told of everything that is stored: the key, its `updated_at`, and when, by the monotonic clock."""
        self._switches = switches
        self._rng = rng
        self._now, self._monotonic = clocks

    def upsert(self, body: dict[str, Any]) -> dict[str, Any]:
        """One upsert sent directly: the answer's body; raises `Refused`."""
        fields, mistakes = self._judge(body)
        if mistakes:
            if "calendar_id" in mistakes and self._switches.unknown_calendar_status == 404:
                raise Refused(404, {"error": "Calendar not found"})
            raise invalid(mistakes, self._switches, self._rng)
        self._note_bulk_conflict(fields)
        applied = self._apply(fields, self._now(), self._monotonic(), None)
        return {"data": self.shown(applied.row), "upsert_type": applied.upsert_type}

    def catch_up(self) -> None:
        """Let the bulk jobs catch up with the clock."""
        self.queue.advance(self._monotonic(), self._wall, self._execute)

    def shown(self, row: Row) -> dict[str, Any]:
        """A stored event as answers show it."""
        return shown(
            row,
            user_guid=row.event.calendar_id.removeprefix("external_"),
            tenant_id=self.team.id,
            own_time=self._switches.show_own_time,
            stringly=self._switches.stringly_booleans,
            keep_removed=self._switches.keep_removed_attendees,
        )

    def _wall(self, at: float) -> datetime:
        return self._now() + timedelta(seconds=at - self._monotonic())

    def _judge(self, body: dict[str, Any]) -> tuple[dict[str, Any], Mistakes]:
        refused = self._switches.refused_events.get(str(body.get("id")))
        if refused is not None:
            return {}, {"base": refused}
        fields, mistakes = read_upsert(
            body,
            refused=self._switches.refused_fields,
            refuse_unknown=self._switches.refuse_unknown_fields,
        )
        calendar_id = fields.get("calendar_id")
        if calendar_id is not None and calendar_id not in self.team.calendars:
            mistakes["calendar_id"] = "is not a calendar of this team"
        elif calendar_id is not None and self._is_refused_as_not_external(calendar_id):
            mistakes["calendar_id"] = "is not connected as an external calendar"
        return fields, mistakes

    def _is_refused_as_not_external(self, calendar_id: str) -> bool:
        user = self.team.users[calendar_id.removeprefix("external_")]
        return self._switches.refuse_not_external and user.calendar_type != "external"

    def _apply(self, fields: dict[str, Any], now: datetime, at: float, job: int | None) -> Applied:
        rows = self.team.calendars[fields["calendar_id"]]
        key = (fields["id"], fields["i_cal_uid"])
        found: tuple[str, str] | None = key if key in rows else None
        if found is None and fields.get("upsert_key") == ["id"]:
            found = next((other for other in rows if other[0] == fields["id"]), None)
        before = rows.get(found) if found else None
        applied = apply_upsert(before, fields, now, own_time=self._switches.store_own_time)
        if applied.stale and before is not None:
            late = EventKey(fields["calendar_id"], *key)
            stored = before.event.updated_at
            self.stale_writes.append(StaleWrite(at, late, fields["updated_at"], stored, job))
            return applied
        if found is not None and found != key:
            del rows[found]
        rows[key] = applied.row
        if self.on_stored is not None:
            written = EventKey(fields["calendar_id"], *key)
            self.on_stored(written, applied.row.event.updated_at, at)
        return applied

    def _note_bulk_conflict(self, fields: dict[str, Any]) -> None:
        key = EventKey(fields["calendar_id"], fields["id"], fields["i_cal_uid"])
        waiting = self.queue.waiting(key)
        if waiting is None:
            return
        job, record = waiting
        theirs, ours = instant(record.record.get("updated_at")), fields.get("updated_at")
        if theirs is None or ours is None or ours <= theirs:
            self.bulk_conflicts.append(BulkConflict(self._monotonic(), key, job.id))

    def _execute(
        self, job: BulkJob, body: dict[str, Any], due_at: float
    ) -> tuple[dict[str, Any] | None, str | None]:
        """One bulk record at its time: its resource, or its error."""
        fields, mistakes = self._judge(body)
        if mistakes:
            return None, as_text(mistakes)
        applied = self._apply(fields, self._wall(due_at), due_at, job.id)
        event = self.shown(applied.row)
        if self._switches.bulk_resource == "bare":
            return event, None
        name = "data" if self._switches.bulk_resource == "data" else "calendar_event"
        return {name: event, "upsert_type": applied.upsert_type}, None
