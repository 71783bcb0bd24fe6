"""Salesloft's calls as the connector needs them, for one team. Read `budget.py` first: it is what the calls obey.

Writes are attempted once: the outbox decides what is tried again, and when. Reads are repeated a little (three
attempts) for passing failures, so that a walk over pages does not start anew for one lost answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec

from connector.domain.errors import RequestRefused
from connector.domain.model import UserGuid
from connector.salesloft import wire
from connector.salesloft.budget import Lease, TeamBudget, Urgency
from connector.salesloft.calls import PER_PAGE, Calls, patiently
from connector.salesloft.errors import TeamRefused
from connector.salesloft.model import (
    BulkJob,
    BulkResult,
    Me,
    Meeting,
    MeetingSettings,
    StoredEvent,
    UpsertAnswer,
)
from connector.salesloft.transport import UPLOAD_TIMEOUT, OnAnswer, Transport

MOST_RECORDS = 5000
"""Of one `add_job_data`."""
BULK_TYPE = "calendar/events/upsert"

UPSERT = "/v2/calendar/events/upsert"
EVENTS = "/v2/calendar/events"
JOBS = "/v2/bulk_jobs"
JOB = "/v2/bulk_jobs/{id}"
SEARCHES = "/v2/meetings/settings/searches"
SETTINGS = "/v2/meetings/settings"
MEETINGS = "/v2/meetings"


class SalesloftClient:
    """The calls of one team. Raises RetryLater, RequestRefused (PayloadRefused) or CredentialsRefused (TeamRefused)."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        api_url: str,
        api_key: Callable[[], str],
        budget: TeamBudget,
        on_answer: OnAnswer | None = None,
    ) -> None:
        self.budget = budget
        self._transport = Transport(session, api_url, api_key, budget, on_answer)
        self._calls = Calls(self._transport)

    # -- events

    async def upsert(
        self, body: bytes, lease: Lease | None = None, *, urgency: Urgency = Urgency.CHANGE
    ) -> UpsertAnswer:
        """Send one event, once; with a lease taken before, at once.

        RetryLater may mean that it was applied: the upsert may be repeated as it is.
        """
        return wire.upsert_answer(
            await self._transport.attempt("POST", UPSERT, urgency=urgency, body=body, lease=lease)
        )

    async def lease_upsert(self, urgency: Urgency = Urgency.CHANGE) -> Lease:
        """Wait for the points of one upsert, before it is known which. Refund it if there is none to send."""
        return await self.budget.acquire(f"POST {UPSERT}", urgency)

    def try_lease_upsert(self, urgency: Urgency = Urgency.CHANGE) -> Lease | None:
        """The points of one more upsert, if they are there now."""
        return self.budget.try_acquire(f"POST {UPSERT}", urgency)

    def is_short(self) -> bool:
        """Whether what is left of the minute's points is to be left to changes."""
        return self.budget.is_short()

    def spent(self) -> tuple[tuple[datetime, float], ...]:
        """What was spent in the last minute, for keeping it over a restart."""
        return self.budget.entries()

    async def list_events(
        self,
        calendar_id: str,
        start: datetime,
        end: datetime | None = None,
        *,
        urgency: Urgency = Urgency.CHANGE,
    ) -> AsyncIterator[list[StoredEvent]]:
        """Page by page, what Salesloft holds of a calendar that ends at or after `start` and starts before `end`.

        Pages are counted, not held fast: what is written during the walk may be listed twice or missed.
        """
        params = [
            ("calendar_id", calendar_id),
            ("start_time", _stamp(start)),
            *([("end_time", _stamp(end))] if end is not None else ()),
            ("sort_by", "start_time"),
            ("sort_direction", "ASC"),
        ]
        async for page in self._calls.pages("GET", EVENTS, urgency, params=params):
            events = [wire.stored_event(row) for row in page]
            yield [event for event in events if event.calendar_id in ("", calendar_id)]

    # -- bulk jobs

    async def create_bulk_job(self, name: str, *, urgency: Urgency = Urgency.CHANGE) -> BulkJob:
        """Open a job. If the answer is lost the job may exist all the same: look for its name in `list_jobs`."""
        body = msgspec.json.encode({"type": BULK_TYPE, "name": name})
        answer = await self._transport.attempt("POST", JOBS, urgency=urgency, body=body)
        return wire.bulk_job(wire.one(answer))

    async def add_job_data(
        self, job_id: int, bodies: Sequence[bytes], *, urgency: Urgency = Urgency.CHANGE
    ) -> int:
        """Add at most 5,000 upsert bodies, each JSON as for `upsert`; the number that Salesloft took."""
        if not 0 < len(bodies) <= MOST_RECORDS:
            raise ValueError(f"{len(bodies)} records; a call takes 1 to {MOST_RECORDS}")
        answer = await self._transport.attempt(
            "POST",
            f"{JOBS}/{job_id}/job_data",
            route=f"{JOB}/job_data",
            urgency=urgency,
            body=b'{"data":[' + b",".join(bodies) + b"]}",
            timeout=UPLOAD_TIMEOUT,
        )
        records = wire.one(answer).get("records")
        return records if isinstance(records, int) else len(bodies)

    async def mark_ready(self, job_id: int, *, urgency: Urgency = Urgency.CHANGE) -> BulkJob:
        """Hand the job over. Refused (RequestRefused) if it is no longer open."""
        answer = await self._transport.attempt(
            "PUT", f"{JOBS}/{job_id}", route=JOB, urgency=urgency, body=b'{"ready_to_execute":true}'
        )
        return wire.bulk_job(wire.one(answer))

    async def get_job(self, job_id: int, *, urgency: Urgency = Urgency.CHANGE) -> BulkJob:
        async def read() -> BulkJob:
            return wire.bulk_job(wire.one(await self._calls.get(f"{JOBS}/{job_id}", JOB, urgency)))

        return await patiently(read)

    async def list_jobs(
        self,
        states: Sequence[str] = (),
        after: int | None = None,
        *,
        urgency: Urgency = Urgency.CHANGE,
    ) -> list[BulkJob]:
        """Up to 100 jobs with ids above `after`, by id; fewer than 100 does not prove the end, an empty list does."""
        params = [("state[]", state) for state in states] + _cursor(after, PER_PAGE)
        found = await self._calls.rows(JOBS, JOBS, params, urgency)
        jobs = [wire.bulk_job(row) for row in found]
        return sorted(
            (job for job in jobs if not states or job.state in states), key=lambda job: job.id
        )

    async def job_results(
        self,
        job_id: int,
        *,
        status: Sequence[str] = (),
        after: int | None = None,
        per_page: int = PER_PAGE,
        urgency: Urgency = Urgency.CHANGE,
    ) -> list[BulkResult]:
        """Results with ids above `after`, by id; empty until the job is done, and after the last one."""
        return await self._records(job_id, "results", status, after, per_page, urgency)

    async def job_data(
        self,
        job_id: int,
        *,
        status: Sequence[str] = (),
        after: int | None = None,
        per_page: int = PER_PAGE,
        urgency: Urgency = Urgency.CHANGE,
    ) -> list[BulkResult]:
        """The job's records at any time, also those still `pending` or `retrying`; paged like `job_results`."""
        return await self._records(job_id, "job_data", status, after, per_page, urgency)

    async def _records(
        self,
        job_id: int,
        what: str,
        status: Sequence[str],
        after: int | None,
        per_page: int,
        urgency: Urgency,
    ) -> list[BulkResult]:
        params = [("status[]", one) for one in status] + _cursor(after, min(per_page, PER_PAGE))
        found = await self._calls.rows(f"{JOBS}/{job_id}/{what}", f"{JOB}/{what}", params, urgency)
        return sorted((wire.bulk_result(row) for row in found), key=lambda result: result.id)

    # -- people and meetings

    async def me(self, *, urgency: Urgency = Urgency.CHANGE) -> Me:
        """Whose key it is: the cheapest proof that the key works."""

        async def read() -> Me:
            return wire.me(wire.one(await self._calls.get("/v2/me", "/v2/me", urgency)))

        return await patiently(read)

    async def search_settings(
        self,
        user_guids: Sequence[UserGuid] | None,
        updated_since: datetime | None = None,
        calendar_type: str | None = None,
        *,
        urgency: Urgency = Urgency.PROSPECT,
    ) -> list[MeetingSettings]:
        """Meeting settings of these users, or of the whole team (None).

        Without `manage_team` a RequestRefused of status 403: the rest still works.
        """
        filters: dict[str, Any] = {}
        if user_guids is not None:
            filters["user_guids"] = list(user_guids)
        if updated_since is not None:
            filters["updated_at"] = {"gte": _stamp(updated_since)}
        if calendar_type is not None:
            filters["calendar_type"] = calendar_type
        found: list[MeetingSettings] = []
        try:
            async for page in self._calls.pages("POST", SEARCHES, urgency, filters=filters):
                found.extend(wire.meeting_settings(row) for row in page)
        except TeamRefused as refused:
            if refused.status != 403:
                raise
            raise RequestRefused(
                str(refused), status=403, reason=refused.reason, request_id=refused.request_id
            ) from None
        return found

    async def update_settings(
        self,
        settings_id: str,
        *,
        primary_calendar_connection_failed: bool,
        urgency: Urgency = Urgency.BANNER_AND_BOOKINGS,
    ) -> MeetingSettings:
        """Show or take away the user's red banner."""
        fields = {"primary_calendar_connection_failed": primary_calendar_connection_failed}
        return wire.meeting_settings(await self._calls.put(SETTINGS, settings_id, fields, urgency))

    async def list_meetings(
        self,
        *,
        status: str | None = None,
        user_guids: Sequence[UserGuid] = (),
        newest_first: bool = False,
        with_settings: bool = True,
        per_page: int = PER_PAGE,
        urgency: Urgency = Urgency.BANNER_AND_BOOKINGS,
    ) -> AsyncIterator[list[Meeting]]:
        """Page by page; `newest_first` by their last update, so that the caller can stop at what it has seen.

        A page costs a point, however many meetings it shows.
        """
        params = [
            *([("status", status)] if status else ()),
            *(("user_guids[]", guid) for guid in user_guids),
            *([("include_meetings_settings", "true")] if with_settings else ()),
            *([("sort_by", "updated_at"), ("sort_direction", "DESC")] if newest_first else ()),
        ]
        async for page in self._calls.pages(
            "GET", MEETINGS, urgency, params=params, per_page=per_page
        ):
            yield [wire.meeting(row) for row in page]

    async def update_meeting(
        self,
        meeting_id: str,
        *,
        status: str | None = None,
        reschedule_status: str | None = None,
        event_id: str | None = None,
        i_cal_uid: str | None = None,
        urgency: Urgency = Urgency.BANNER_AND_BOOKINGS,
    ) -> Meeting:
        """Tell what became of a booking; only what is given is sent."""
        fields = {
            "status": status,
            "reschedule_status": reschedule_status,
            "event_id": event_id,
            "i_cal_uid": i_cal_uid,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        return wire.meeting(await self._calls.put(MEETINGS, meeting_id, given, urgency))


def _cursor(after: int | None, per_page: int) -> list[tuple[str, str]]:
    return [*([("id[gt]", str(after))] if after is not None else ()), ("per_page", str(per_page))]


def _stamp(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC).isoformat(
        timespec="microseconds" if moment.microsecond else "seconds"
    )
