"""Bulk jobs in simulated time: one executes at a time in a team, and other tools may hold the queue.

Nothing runs in the background. Whoever looks at the world first lets it catch up (`BulkQueue.advance`): records whose
time has come are applied then, in their order, each with the time at which it was due.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Literal

from connector.simulator.salesloft.events import iso
from connector.simulator.salesloft.switches import Switches

JobState = Literal["open", "executing", "done"]
RecordStatus = Literal["pending", "retrying", "success", "error"]
UPSERT_TYPE = "calendar/events/upsert"
MAX_RECORDS_A_CALL = 5000


@dataclass(slots=True)
class BulkRecord:
    id: int
    record: dict[str, Any]
    status: RecordStatus = "pending"
    error: str | None = None
    resource: dict[str, Any] | None = None

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "status": self.status,
            "error": self.error,
            "record": self.record,
            "resource": self.resource,
        }


@dataclass(slots=True)
class BulkJob:
    id: int
    name: str | None
    created_at: datetime
    state: JobState = "open"
    records: list[BulkRecord] = field(default_factory=list)
    marked_ready_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime | None = None
    queued_at: float = 0.0
    started: float | None = None
    """By the monotonic clock, when its turn came."""
    due: list[BulkRecord] = field(default_factory=list)
    """What is still to be done, in order; a record that is retried comes again at the end."""
    steps_done: int = 0

    def shown(self) -> dict[str, Any]:
        """As the definition's `BulkJob`; `started_at` is null until the job is done."""
        finished = [record for record in self.records if record.status in ("success", "error")]
        return {
            "id": self.id,
            "name": self.name,
            "type": UPSERT_TYPE,
            "state": self.state,
            "ready_to_execute": self.state != "open",
            "processed": len(finished),
            "total": len(self.records),
            "errors": sum(record.status == "error" for record in finished),
            "scopes": [],
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at or self.created_at),
            "marked_ready_at": iso(self.marked_ready_at),
            "started_at": iso(self.started_at) if self.state == "done" else None,
            "finished_at": iso(self.finished_at),
        }


Execute = Callable[[BulkJob, dict[str, Any], float], tuple[dict[str, Any] | None, str | None]]
"""Applies one record at a time: its resource, or its error."""


class BulkQueue:
    """The bulk jobs of one team."""

    def __init__(self, ids: Iterator[int], switches: Switches, rng: random.Random) -> None:
        self.jobs: dict[int, BulkJob] = {}
        self._ids = ids
        self._record_ids = count(1)
        self._switches = switches
        self._rng = rng
        self._queue: list[BulkJob] = []
        self._free_at = 0.0
        """When the team's last job ended."""
        self._blocked_until = 0.0
        self._waiting: dict[tuple[object, ...], tuple[BulkJob, BulkRecord]] = {}

    def create(self, name: str | None, now: datetime) -> BulkJob:
        job = BulkJob(next(self._ids), name, now)
        self.jobs[job.id] = job
        return job

    def add(self, job: BulkJob, records: list[dict[str, Any]]) -> None:
        job.records.extend(BulkRecord(next(self._record_ids), record) for record in records)

    def start(self, job: BulkJob, at: float, now: datetime) -> None:
        """Put a job into the queue; its state says `executing` from now on, even while it waits."""
        job.state = "executing"
        job.marked_ready_at = job.updated_at = now
        job.queued_at = at
        job.due = list(job.records)
        self._queue.append(job)
        self._waiting.update((_key(record.record), (job, record)) for record in job.records)

    def block(self, until: float) -> None:
        """Other tools' jobs hold the queue until then; what executes already goes on."""
        self._blocked_until = max(self._blocked_until, until)

    def unblock(self, at: float) -> None:
        self._blocked_until = min(self._blocked_until, at)

    def waiting(self, key: tuple[str, str, str]) -> tuple[BulkJob, BulkRecord] | None:
        """The record of a marked job that is still to be done for this event, the last one if there are several."""
        return self._waiting.get(key)

    def advance(self, at: float, wall: Callable[[float], datetime], execute: Execute) -> None:
        """Do everything that was due by `at`."""
        while self._queue and self._step(self._queue[0], at, wall, execute):
            self._queue.pop(0)

    def _step(
        self, job: BulkJob, at: float, wall: Callable[[float], datetime], execute: Execute
    ) -> bool:
        """Bring one job up to `at`; whether it is done."""
        if job.started is None:
            turn = max(job.queued_at, self._free_at, self._blocked_until)
            if turn > at:
                return False
            job.started = turn + self._switches.bulk_start_seconds
            job.started_at = wall(job.started)
        each = self._switches.bulk_seconds_per_record
        while job.steps_done < len(job.due):
            due_at = job.started + (job.steps_done + 1) * each
            if due_at > at:
                return False
            self._execute_one(job, due_at, execute)
        self._free_at = job.started + job.steps_done * each
        job.state = "done"
        job.finished_at = job.updated_at = wall(self._free_at)
        return True

    def _execute_one(self, job: BulkJob, due_at: float, execute: Execute) -> None:
        record = job.due[job.steps_done]
        job.steps_done += 1
        share = self._switches.bulk_retrying_share
        if share and record.status == "pending" and self._rng.random() < share:
            record.status = "retrying"
            job.due.append(record)
            return
        record.resource, record.error = execute(job, record.record, due_at)
        record.status = "success" if record.error is None else "error"
        if self._waiting.get(_key(record.record), (job, None))[1] is record:
            del self._waiting[_key(record.record)]


def _key(record: dict[str, Any]) -> tuple[object, ...]:
    return tuple(str(record.get(name)) for name in ("calendar_id", "id", "i_cal_uid"))
