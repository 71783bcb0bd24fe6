"""What follows from Salesloft's answer to one request: its row is settled, in line again, or a dead letter.

Settled as often as it takes: an answer that was received must not be lost to a full disk.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from connector.domain.errors import (
    ConnectorError,
    CredentialsRefused,
    RequestRefused,
    RetryLater,
)
from connector.observe.log import get_logger
from connector.observe.observer import Observer
from connector.salesloft import TeamRefused, UpsertAnswer, refused_fields
from connector.store import State
from connector.store.journal import Entry, Outcome
from connector.store.outbox import IGNORED_TWICE, LONGEST_WAIT, Lane, Row
from connector.sync.answers import ignored_because, later_than_sent, with_time_above
from connector.sync.breaker import Breaker
from connector.sync.fields import DROPPABLE

_log = get_logger(__name__)

BACKOFF_FIRST, BACKOFF_MOST = 0.5, 60.0
STATE_PAUSE = 1.0
"""Seconds after which a state that could not be written is tried again."""
PROBE_FIRST_FOR = timedelta(minutes=5)
PROBE_LATER = timedelta(seconds=60)


@dataclass(slots=True)
class Tally:
    """What one team's delivery came to since the start."""

    accepted: int = 0
    refused: int = 0
    retried: int = 0
    refusal: CredentialsRefused | None = None
    """Set while the team's key is refused."""


@dataclass(slots=True)
class Parked:
    """Since when nothing goes for want of a key that works, and until when not even a probe."""

    since: datetime | None = None
    until: datetime | None = None


class Team(Protocol):
    """What answers need of the team that they are for, as it is at the moment."""

    team: str
    state: State
    observer: Observer
    probe_every: timedelta
    """The pace at which a refused key is tried again at first."""
    calendars: set[int]
    """Those served now."""
    names: dict[int, str]
    """The user of each calendar, for log lines."""

    @property
    def clock(self) -> Callable[[], datetime]:
        """Gives the wall clock's time."""


class TeamAnswers:
    """The answers to one team's requests, and how the team stands by them."""

    def __init__(self, of: Team) -> None:
        self.of = of
        self.tally = Tally()
        self.parked = Parked()
        self.breaker = Breaker(of.clock)
        self.dropped: set[str] = set()
        """Fields that this team's Salesloft does not take."""
        self.shut_since: dict[int, datetime] = {}
        """Calendars that Salesloft forbids, alone."""
        self._forbidden: set[int] = set()
        self._put_off = False
        """Rows wait for the end of an outage that is over."""

    @property
    def is_asking(self) -> bool:
        """Requests go one at a time, to find out whether an outage or a refusal is over."""
        return self.parked.since is not None or self.breaker.is_open

    async def accept(self, row: Row, answer: UpsertAnswer) -> None:
        """Salesloft answered with success: it holds the content now, unless it took it for old."""
        ignored = ignored_because(row.payload, answer.data)
        if ignored is not None:
            await self._repeat_or_bury(row, ignored, answer)
            return
        # At once: by the time the row is written, other answers may have said otherwise.
        await self._reached(row)
        entry = Entry(
            at=self.of.clock(),
            status=201,
            upsert_type=answer.upsert_type,
            changed=tuple(sorted(answer.changed_attributes or ())),
            request_id=answer.request_id,
            cost=answer.cost,
        )
        later = later_than_sent(row.payload, answer.data)
        await self.of.state.settle_accepted([row], later, entry)
        self.tally.accepted += 1
        self.of.observer.delivered(self.of.team, "accepted", self._freshness(row))
        _log.debug(
            "upserted",
            **self._about(row),
            upsert_type=answer.upsert_type,
            request_id=answer.request_id,
        )

    async def _reached(self, row: Row) -> None:
        """The team, and this calendar, are served again, if they were not."""
        self._forbidden.discard(row.calendar)
        if self.shut_since.pop(row.calendar, None) is not None:
            _log.info("calendar_allowed", team=self.of.team)
        if self.parked.since is not None:
            self.parked = Parked()
            self.tally.refusal = None
            _log.info("team_back", team=self.of.team)
        if self.breaker.succeeded():
            self._put_off = True
            _log.info("team_reachable", team=self.of.team)
        if self._put_off:
            await self.of.state.retry_now(sorted(self.of.calendars))
            self._put_off = False

    def _about(self, row: Row) -> dict[str, str]:
        """What a log line names a row by."""
        return {"user": self.of.names.get(row.calendar, ""), "event_id": row.key.event_id}

    def _freshness(self, row: Row) -> float | None:
        """Seconds since the change at Google; None of what no change brought up."""
        if row.lane is Lane.BACKFILL:
            return None
        return self.of.clock().timestamp() - row.updated_ms / 1000

    async def _repeat_or_bury(self, row: Row, stored_at: datetime, answer: UpsertAnswer) -> None:
        """Salesloft took an update for an old one: once more above its time, then it is a dead letter."""
        if not row.ignored:
            self.of.observer.delivered(self.of.team, "ignored")
            _log.warning("upsert_ignored", **self._about(row), request_id=answer.request_id)
            again = with_time_above(row.payload, stored_at)
            await self.of.state.settle_ignored(row, stored_at, again, self._ignored(answer))
            return
        reason, entry = IGNORED_TWICE, self._ignored(answer)
        if await self.of.state.settle_refused(
            row, 201, reason, answer.request_id, self.of.clock(), entry
        ):
            self.tally.refused += 1
            self.of.observer.delivered(self.of.team, "refused")
            _log.error(
                "dead_letter", **self._about(row), request_id=answer.request_id, message=reason
            )

    def _ignored(self, answer: UpsertAnswer) -> Entry:
        return Entry(
            self.of.clock(),
            201,
            answer.upsert_type,
            request_id=answer.request_id,
            cost=answer.cost,
            outcome=Outcome.IGNORED,
            message="Salesloft holds a later updated_at",
        )

    def _failed(self, error: ConnectorError, cost: float, outcome: Outcome) -> Entry:
        """What the journal keeps of a request that was not accepted."""
        return Entry(
            self.of.clock(),
            status=getattr(error, "status", 0),
            request_id=getattr(error, "request_id", ""),
            cost=cost,
            outcome=outcome,
            message=getattr(error, "reason", "") or str(error),
        )

    async def try_later(self, row: Row, later: RetryLater, cost: float) -> None:
        """A passing failure, of this request or of all: the row waits, longer each time."""
        ceiling = min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** min(row.attempts, 10))
        pause = random.uniform(0, ceiling)  # noqa: S311  # full jitter
        if later.after_seconds is not None:
            pause = max(pause, later.after_seconds)
        pause = min(pause, LONGEST_WAIT.total_seconds())
        self.tally.retried += 1
        self.of.observer.delivered(self.of.team, "put_off")
        if later.after_seconds is None and self.breaker.failed():
            _log.error("team_unreachable", team=self.of.team, message=str(later))
        _log.warning(
            "upsert_put_off",
            **self._about(row),
            attempts=row.attempts + 1,
            message=str(later),
        )
        await self.of.state.settle_later(
            row,
            self.of.clock() + timedelta(seconds=pause),
            str(later),
            self._failed(later, cost, Outcome.PUT_OFF),
        )

    def concerns_team(self, row: Row, refused: CredentialsRefused) -> bool:
        """A 401 always does. A 403 does when it is said of several calendars, or of the only one."""
        self._forbidden.add(row.calendar)
        if not isinstance(refused, TeamRefused) or refused.status == 401:
            return True
        self._forbidden &= self.of.calendars  # who is no longer served says nothing of the team
        return len(self._forbidden) >= min(3, len(self.of.calendars))

    async def shut(self, row: Row, refused: CredentialsRefused, cost: float) -> None:
        """Salesloft forbids this one calendar: its rows wait, its neighbours go on."""
        if row.calendar not in self.shut_since:
            self.shut_since[row.calendar] = self.of.clock()
            _log.error(
                "calendar_forbidden",
                user=self.of.names.get(row.calendar),
                team=self.of.team,
                message=str(refused),
            )
        early = self.of.clock() - self.shut_since[row.calendar] < PROBE_FIRST_FOR
        until = self.of.clock() + (self.of.probe_every if early else PROBE_LATER)
        entry = self._failed(refused, cost, Outcome.PUT_OFF)
        await self.of.state.put_off(row, until, str(refused), entry)

    async def park(self, row: Row | None, refused: CredentialsRefused, cost: float) -> None:
        """Salesloft refuses the team's key: everything waits, and it is tried again now and then."""
        now = self.of.clock()
        if row is not None:
            await self.of.state.release([row], self._failed(refused, cost, Outcome.PUT_OFF))
        if self.parked.since is None:
            self.parked.since = now
            _log.error("team_parked", team=self.of.team, message=str(refused))
        self.tally.refusal = refused
        early = now - self.parked.since < PROBE_FIRST_FOR
        self.parked.until = now + (self.of.probe_every if early else PROBE_LATER)

    async def refuse(
        self, row: Row, refused: RequestRefused, sent_without: frozenset[str], cost: float
    ) -> None:
        """A lasting refusal: without the fields that it names once more, else a dead letter."""
        drop = refused_fields(refused) & DROPPABLE - sent_without
        if drop:
            # Newer fields that this team's Salesloft does not take: leave them out from now on.
            self.dropped |= drop
            _log.warning(
                "field_dropped", team=self.of.team, fields=sorted(drop), message=str(refused)
            )
            entry = self._failed(refused, cost, Outcome.FIELD_DROPPED)
            await self.of.state.settle_later(row, self.of.clock(), str(refused), entry)
            return
        dead = await self.of.state.settle_refused(
            row,
            refused.status,
            refused.reason,
            refused.request_id,
            self.of.clock(),
            self._failed(refused, cost, Outcome.REFUSED),
        )
        if dead:
            self.tally.refused += 1
            self.of.observer.delivered(self.of.team, "refused")
            _log.error(
                "dead_letter",
                **self._about(row),
                request_id=refused.request_id,
                message=str(refused),
            )


async def persistently(settle: Callable[[], Awaitable[None]]) -> None:
    """Settle a row, as often as it takes: an answer that was received must not be lost to a full disk.

    If the process is ended before, the row is in line again at the next start.
    """
    while True:
        try:
            await settle()
        except RetryLater as later:
            _log.error("state_busy", message=str(later))
            await asyncio.sleep(STATE_PAUSE)
        else:
            return
