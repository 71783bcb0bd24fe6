"""One calendar: its state, what people do in it, and what they see."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Literal

from .splitting import SplitActions
from .state import Quirk, Role
from .times import zone_named
from .truth import Occurrence, truth

Tampering = Literal[
    "unknown_event_type",
    "unknown_field",
    "null_summary",
    "missing_end",
    "end_before_start",
    "malformed",
]


class Calendar(SplitActions):
    """A calendar and its person; every method that changes an event returns an id."""

    def truth(self, start: datetime, end: datetime) -> list[Occurrence]:
        """What a person sees between two aware instants (ends after `start`, starts before `end`)."""
        return truth(self, start, end)

    def set_time_zone(self, time_zone: str) -> None:
        """Another zone for the calendar; its events keep their own and are not stamped."""
        self.zone = zone_named(time_zone)
        self._tick()

    def role_of(self, user: str) -> Role:
        """What a user may do here."""
        return self.roles.get(user, "none")

    def set_role(self, user: str, role: Role) -> None:
        """Share with a user, or not any more; sync tokens issued before are void (410)."""
        self.roles[user] = role
        self.role_stamps[user] = self._next_stamp()
        self.expire_tokens()

    def delete(self) -> None:
        """The calendar is gone: every request for it answers 404."""
        self.dead = True
        self.changed(self.id, "not_exists")
        self.role_stamps = dict.fromkeys(self.roles, self._next_stamp())

    def expire_tokens(self) -> None:
        """Every sync token issued so far answers 410 `fullSyncRequired`."""
        self.epoch += 1

    def set_quirk(self, quirk: Quirk, *, on: bool = True) -> None:
        """Let the calendar's lists misbehave in a lasting way."""
        (self.quirks.add if on else self.quirks.discard)(quirk)

    def tamper(self, event_id: str, *how: Tampering) -> str:
        """Disfigure an event on the wire (without arguments: mend it) and touch it."""
        row = self.expect(event_id)
        return self._store_one(replace(row, tampered=frozenset(how)))

    def purge_tombstones(self) -> None:
        """Google forgets its deleted events: no later listing tells of them."""
        for row in [row for row in self.rows.values() if not row.live]:
            series = self.rows.get(row.series or "")
            if row.series is None or series is None or not series.live:
                self._drop(row.id)
