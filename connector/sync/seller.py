"""One user as the steps see it, and what the steps need of Google for that user."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Protocol

from connector.domain.model import Event, EventId, Listing, SyncToken, Tombstone, UserGuid, UserName
from connector.domain.policy import PolicyRules
from connector.store.commit import Hold

STATE_GENERATION = 1
"""Raise this when what is derived from a listing changes its meaning: every calendar is then listed in full once."""


DEFAULT_HOLD = Hold(share=0.3, minimum=20)


class CalendarReader(Protocol):
    """One user's calendar at Google. Every listing is complete or raises.

    Raises UserParked (no access), RetryLater (passing), ResyncRequired (`list_changes` only) and NotFound
    (`list_occurrences`, `get_event`).
    """

    @property
    def parameters_fingerprint(self) -> str:
        """Names the parameters that a sync token is bound to."""

    @property
    def page_size(self) -> int:
        """Events that a listing shows a page, at present."""

    @property
    def fields_fingerprint(self) -> str:
        """Names the parts of an event that listings hold: with others a token is worth nothing either."""

    async def list_changes(self, token: SyncToken) -> Listing:
        """What was touched since the token was given."""

    async def list_all(self, time_min: datetime) -> Listing:
        """Masters, exceptions and single events that end after `time_min`, with a new sync token."""

    async def list_window(self, start: datetime, end: datetime) -> Listing:
        """Every occurrence between two moments, series expanded by Google."""

    async def list_occurrences(self, series_id: EventId, start: datetime, end: datetime) -> Listing:
        """The occurrences of one series between two moments."""

    async def get_event(self, event_id: EventId) -> Event | Tombstone:
        """One event or occurrence, cancelled ones included."""


@dataclass(frozen=True, slots=True)
class Seller:
    """A connected user. `source` names what the calendar is read from: calendar id and account.

    `erased` names the set of people who were erased, as the state has it at this reading; empty while there is nobody.
    `consent` is a one-way name of an authorised user's refresh token, None for a service account; `project` the Google
    Cloud project, for messages. Refusals over `lost_after` mean that access is lost.
    """

    name: UserName
    user_guid: UserGuid
    rules: PolicyRules
    past_days: int
    future_days: int
    reader: CalendarReader
    source: tuple[str, ...]
    hold: Hold = DEFAULT_HOLD
    erased: str = ""
    lost_after: timedelta = timedelta(seconds=60)
    consent: str | None = None
    project: str = ""
    token_fingerprint: str = field(init=False, repr=False, compare=False, default="")
    """What a sync token is worth: another calendar, account, policy or set of parameters needs a new one.

    Behind a dot, the people who were erased: `judged_alike` and `same_people` compare each part alone. Behind a
    tilde, the parts of an event that are asked for: others need a new token, but what was judged stays judged.
    """

    def judged_alike(self, token_fingerprint: str | None) -> bool:
        """True if what was listed with that fingerprint was classified as this seller's events are now."""
        ours = _judged(self.token_fingerprint).partition(".")[0]
        return _judged(token_fingerprint).partition(".")[0] == ours

    def same_people(self, token_fingerprint: str | None) -> bool:
        """True if nobody was erased since a listing with that fingerprint."""
        return _judged(token_fingerprint).partition(".")[2] == self.erased

    def __post_init__(self) -> None:
        # Asked for at every poll; nothing of a seller changes.
        people = f".{self.erased}" if self.erased else ""
        whole = f"{self._rules_fingerprint()}{people}~{self.reader.fields_fingerprint}"
        # The state's row says the same: one text for both.
        object.__setattr__(self, "token_fingerprint", sys.intern(whole))

    def _rules_fingerprint(self) -> str:
        rules = self.rules
        parts = (
            STATE_GENERATION,
            self.reader.parameters_fingerprint,
            " ".join(self.source),
            sorted(rules.internal_domains),
            rules.private.value,
            rules.internal.value,
            rules.declined.value,
            sorted((kind.value, shown.value) for kind, shown in rules.event_types.items()),
            rules.video_link_as_location,
        )
        return blake2b(repr(parts).encode(), digest_size=12).hexdigest()


def _judged(token_fingerprint: str | None) -> str:
    """Rules and people of a fingerprint; those of earlier versions hold nothing else."""
    return (token_fingerprint or "").partition("~")[0]
