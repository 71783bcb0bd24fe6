"""One bulk job of a team, from the first record to the last result. One at a time, and never twice.

Worth it where hundreds of upserts wait and nobody for them: an initial sync, the horizon, a series edited for months
ahead. A call costs one point for up to 5,000 records. Every step is noted in the state before the next one, so that a
crash at any point goes on where it was; a step whose answer was lost is found out about (the job by its name) or
repeated (records: the same upsert twice does no harm).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar
from uuid import uuid4

from connector.domain.errors import RequestRefused, RetryLater, Stopping
from connector.domain.mapping import calendar_id_of
from connector.domain.model import EventId, ICalUid
from connector.domain.plan import Key
from connector.observe.log import get_logger
from connector.observe.observer import NOBODY, Observer
from connector.salesloft import MOST_RECORDS, BulkJob, BulkResult, TeamRefused
from connector.store import State
from connector.store.bulk import LocalJob, Refusal, calendars_of, take_out
from connector.store.standing import changes_of_job
from connector.sync.answers import ignored_because, with_time_above
from connector.sync.fields import DROPPABLE, without

_log = get_logger(__name__)
T = TypeVar("T")
P = TypeVar("P", BulkJob, BulkResult)

MOST_IN_JOB = 20_000
POLL_FIRST, POLL_MOST = 0.3, 15.0
BACKOFF_MOST = 60.0


class BulkClient(Protocol):
    """What a bulk job needs of Salesloft."""

    async def create_bulk_job(self, name: str) -> BulkJob: ...
    async def add_job_data(self, job_id: int, bodies: Sequence[bytes]) -> int: ...
    async def mark_ready(self, job_id: int) -> BulkJob: ...
    async def get_job(self, job_id: int) -> BulkJob: ...
    async def list_jobs(
        self, states: Sequence[str] = (), after: int | None = None
    ) -> list[BulkJob]: ...
    async def job_results(
        self, job_id: int, *, status: Sequence[str] = (), after: int | None = None
    ) -> list[BulkResult]: ...


@dataclass(frozen=True, slots=True)
class Finished:
    """How a job ended: records accepted, records that became dead letters."""

    accepted: int
    refused: int


class TeamBulk:
    """The bulk jobs of one team. `members` are the rows of the team's calendars, also of those that may not send."""

    def __init__(
        self,
        team: str,
        client: BulkClient,
        state: State,
        clock: Callable[[], datetime],
        *,
        threshold: int,
        patience: timedelta,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.members: set[int] = set()
        self.may_send: Callable[[], Collection[int]] = lambda: self.members
        """The calendars (rows) that are delivered at this moment: nothing of another one is put in a job."""
        self.running: set[int] = set()
        """The jobs that are under way in this process. Teams of one process share it: none takes another's job."""
        self.threshold = threshold
        self.dropped: frozenset[str] = frozenset()
        self.refused = False
        """This team's key may not use bulk jobs: everything goes one by one."""
        self.gives_up_after: timedelta | None = None
        """How long one step is tried; None: for ever."""
        self.observer: Observer = NOBODY
        self.processed = 0
        """How many records of the running job Salesloft has done, when last looked at."""
        self._team = team
        self._client = client
        self._state = state
        self._clock = clock
        self._patience = patience
        self.sleep = sleep
        """Raises Stopping when the process is stopped."""
        self._new = ""
        self._sent_without: frozenset[str] = frozenset()

    async def unfinished(self) -> LocalJob | None:
        """A job that is not settled: of an earlier process, or the one that runs."""
        return await self._state.bulk_job(self._team, sorted(self.members), sorted(self.running))

    async def open(self) -> LocalJob:
        """Put what waits into a new job."""
        job = await self._state.open_bulk_job(
            self._team,
            sorted(self.may_send()),
            f"gcal-salesloft {uuid4()}",
            self._clock(),
            MOST_IN_JOB,
        )
        self._new = job.name
        return job

    async def finish(self, job: LocalJob) -> Finished:
        """Bring a job to its end, from wherever it is. Raises CredentialsRefused where the key is refused."""
        self.running.add(job.id)
        try:
            return await self._finish(job)
        finally:
            self.running.discard(job.id)

    async def _finish(self, job: LocalJob) -> Finished:
        try:
            remote = await self._remote(job)
            if not job.ready:
                await self._load(job, remote)
                if await self._holds_what_may_not_go(job):
                    _log.warning(
                        "bulk_given_up",
                        team=self._team,
                        message="it holds changes of a user who is not served now; the others' go anew",
                    )
                    await self._persistently(partial(self._state.abandon_bulk_job, job.id))
                    return Finished(0, 0)
                await self._make_ready(job, remote)
            await self._wait(job, remote)
            refused = await self._refused(job, remote)
            ignored = await self._ignored(job, remote)
        except RequestRefused as refusal:
            return await self._abandon(job, refusal)
        except TeamRefused as refusal:
            if refusal.status != 403:
                raise
            return await self._abandon(job, refusal)
        settle = partial(self._state.settle_bulk_job, job.id, refused, ignored, self._clock())
        changes = await self._changes(job)
        accepted, dead = await self._persistently(settle)
        self._tell(accepted, dead, changes)
        _log.info("bulk_done", team=self._team, accepted=accepted, refused=dead)
        return Finished(accepted, dead)

    async def _changes(self, job: LocalJob) -> list[int]:
        """What of a job is measured for freshness; nothing where nobody listens."""
        if self.observer is NOBODY:
            return []
        return await self._persistently(
            partial(self._state.run, lambda c: changes_of_job(c, job.id))
        )

    def _tell(self, accepted: int, dead: int, changes: Sequence[int]) -> None:
        """Refused records cannot be told from accepted ones here; they are few, and as old."""
        now = self._clock().timestamp()
        measured = changes[:accepted]
        for updated_ms in measured:
            self.observer.delivered(self._team, "accepted", now - updated_ms / 1000)
        self.observer.delivered(self._team, "accepted", count=accepted - len(measured))
        self.observer.delivered(self._team, "refused", count=dead)

    async def _abandon(self, job: LocalJob, refusal: RequestRefused | TeamRefused) -> Finished:
        """Not for this key, or Salesloft no longer knows the job: its rows go one by one."""
        self.refused = self.refused or job.remote_id is None
        _log.error("bulk_abandoned", team=self._team, message=str(refusal))
        await self._persistently(partial(self._state.abandon_bulk_job, job.id))
        return Finished(0, 0)

    async def _remote(self, job: LocalJob) -> int:
        """Salesloft's id of the job: known, found by its name, or made now."""
        if job.remote_id is not None:
            return job.remote_id
        since = self._clock()
        remote = None if self._new == job.name else await self._found(job.name)
        while remote is None:
            try:
                remote = (await self._client.create_bulk_job(job.name)).id
            except RetryLater as later:
                # It may exist all the same: look before another one is made.
                self._give_up(since, later)
                await self._pause(later, 1)
                remote = await self._found(job.name)
        await self._persistently(partial(self._state.note_bulk_remote, job.id, remote))
        return remote

    async def _found(self, name: str) -> int | None:
        return await self._persistently(partial(self._find, name))

    async def _find(self, name: str) -> int | None:
        after: int | None = None
        while jobs := _further(after, await self._client.list_jobs(("open",), after)):
            for job in jobs:
                if job.name == name:
                    return job.id
            after = jobs[-1].id
        return None

    async def _load(self, job: LocalJob, remote: int) -> None:
        self._sent_without = self.dropped
        while await self._persistently(partial(self._load_some, job, remote)):
            pass

    async def _load_some(self, job: LocalJob, remote: int) -> bool:
        """The next records; False if there are none left. Chosen anew by each attempt: users go meanwhile."""
        may_send = sorted(self.may_send())
        await self._state.ask(lambda c: take_out(c, job.id, may_send))
        rows = await self._state.bulk_items(job.id, MOST_RECORDS)
        if not rows:
            return False
        await self._client.add_job_data(
            remote, [without(row.payload, self.dropped) for row in rows]
        )
        await self._persistently(partial(self._state.note_bulk_loaded, rows))
        return True

    async def _holds_what_may_not_go(self, job: LocalJob) -> bool:
        """Whether somebody's changes were loaded who was paused, left, or got another policy since."""
        members = await self._persistently(
            partial(self._state.run, lambda c: calendars_of(c, job.id))
        )
        return not set(members) <= set(self.may_send())

    async def _names_in(self, job: LocalJob) -> dict[str, int]:
        """Salesloft's calendar id → row in the state, also of users who are no longer served."""
        members = await self._persistently(
            partial(self._state.run, lambda c: calendars_of(c, job.id))
        )
        return {calendar_id_of(guid): calendar for calendar, guid in members.items()}

    async def _make_ready(self, job: LocalJob, remote: int) -> None:
        async def ready() -> None:
            try:
                await self._client.mark_ready(remote)
            except RequestRefused:
                # Its answer was lost before, and it runs already? Then all is well.
                if (await self._client.get_job(remote)).state == "open":
                    raise

        await self._persistently(ready)
        await self._persistently(partial(self._state.note_bulk_ready, job.id, self._clock()))

    async def _wait(self, job: LocalJob, remote: int) -> None:
        """Until Salesloft has done the job; what becomes urgent meanwhile does not wait for ever."""
        pause = POLL_FIRST
        while not await self._is_done(remote):
            if self._clock() - job.created_at > self._patience:
                hastened = await self._state.hasten_bulk_items(job.id, self._clock())
                if hastened:
                    _log.warning("bulk_overtaken", team=self._team, rows=hastened)
            await self.sleep(pause)
            pause = min(pause * 1.5, POLL_MOST)

    async def _is_done(self, remote: int) -> bool:
        seen = await self._persistently(partial(self._client.get_job, remote))
        self.processed = seen.processed
        return seen.is_done

    async def _refused(self, job: LocalJob, remote: int) -> Mapping[tuple[int, Key], Refusal]:
        """The records that Salesloft did not take, by key."""
        names = await self._names_in(job)
        found: dict[tuple[int, Key], Refusal] = {}
        after: int | None = None
        while results := _further(
            after,
            await self._persistently(
                partial(self._client.job_results, remote, status=("error",), after=after)
            ),
        ):
            for result in results:
                record = result.record
                calendar = names.get(record.calendar_id)
                if calendar is not None and result.status == "error":
                    key = Key(EventId(record.id), ICalUid(record.i_cal_uid))
                    found[calendar, key] = self._judged(result)
            after = results[-1].id
        return found

    def _judged(self, result: BulkResult) -> Refusal:
        """A record that was refused for a newer field alone is sent again without it."""
        reason = result.error or "refused without a reason"
        drop = result.fields & DROPPABLE - self._sent_without
        if drop - self.dropped:
            _log.warning("field_dropped", team=self._team, fields=sorted(drop), message=reason)
        self.dropped |= drop
        return Refusal(reason, passing=bool(drop))

    async def _ignored(
        self, job: LocalJob, remote: int
    ) -> Mapping[tuple[int, Key], tuple[datetime, bytes]]:
        """Records that corrected something and that Salesloft took for old: its time, and the body to send again.

        Only corrections are read back, a point for a hundred results: what is new cannot be ignored.
        """
        sent = await self._state.bulk_corrections(job.id)
        names = await self._names_in(job)
        found: dict[tuple[int, Key], tuple[datetime, bytes]] = {}
        after: int | None = None
        while sent and (
            results := _further(
                after,
                await self._persistently(
                    partial(self._client.job_results, remote, status=("success",), after=after)
                ),
            )
        ):
            for result in results:
                calendar = names.get(result.record.calendar_id, 0)
                key = Key(EventId(result.record.id), ICalUid(result.record.i_cal_uid))
                payload = sent.get((calendar, key))
                stored_at = ignored_because(payload, result.resource) if payload else None
                if payload is not None and stored_at is not None:
                    found[calendar, key] = (stored_at, with_time_above(payload, stored_at))
            after = results[-1].id
        return found

    async def _persistently(self, step: Callable[[], Awaitable[T]]) -> T:
        """One step, as often as it takes."""
        attempts, since = 0, self._clock()
        while True:
            try:
                return await step()
            except RetryLater as later:
                attempts += 1
                self._give_up(since, later)
                _log.warning("bulk_put_off", team=self._team, message=str(later))
                await self._pause(later, attempts)

    def _give_up(self, since: datetime, later: RetryLater) -> None:
        """A one-shot leaves the job to the next run when Salesloft does not answer. Raises Stopping."""
        if self.gives_up_after is not None and self._clock() - since > self.gives_up_after:
            raise Stopping(f"the bulk job is left to the next run: {later}")

    async def _pause(self, later: RetryLater, attempts: int) -> None:
        ceiling = min(BACKOFF_MOST, 0.5 * 2 ** min(attempts, 10))
        await self.sleep(max(random.uniform(0, ceiling), later.after_seconds or 0.0))  # noqa: S311


def _further(after: int | None, page: list[P]) -> list[P]:
    """A page of a list that is walked by `id[gt]`; empty if its ids do not rise, which would never end."""
    if page and after is not None and page[-1].id <= after:
        _log.warning("list_does_not_advance", after=after)
        return []
    return page
