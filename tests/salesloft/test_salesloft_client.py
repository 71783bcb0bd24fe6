"""What the client sends and how it reads what comes back."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from aioresponses import aioresponses

from connector.domain.errors import RequestRefused, RetryLater
from connector.domain.model import UserGuid
from connector.salesloft import (
    SalesloftClient,
    StoredEvent,
    TeamBudget,
    TeamRefused,
    Urgency,
    calendar_id_of,
    make_session,
)
from tests.salesloft.conftest import KEY, Loopback

GUID = UserGuid("00210d1a-df8a-459f-af75-89b953b618b0")
CALENDAR = calendar_id_of(GUID)
BODY = b'{"id": "e1","i_cal_uid":"u1@example.com",  "title":"Caf\xc3\xa9"}'
EVENT = {
    "id": "e1",
    "i_cal_uid": "u1@example.com",
    "calendar_id": CALENDAR,
    "start_time": "2026-11-20T10:00:00+01:00",
    "end_time": "2026-11-20T09:30:00.000000Z",
    "all_day": "false",
    "recurring": "true",
    "title": "Intro",
    "organizer": "pam@example.com",
    "attendees": [
        {"email": "kim@example.org", "name": "Kim", "status": "accepted", "organizer": False}
    ],
    "updated_at": "2026-11-19T08:00:00.123Z",
    "extended_properties": {"changed_attributes": ["title", "start_time"]},
    "html_link": "https://example.com/x",
    "some_new_field": {"deep": [1]},
}


async def pages_of(client: SalesloftClient, **more: Any) -> list[StoredEvent]:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    return [event async for page in client.list_events(CALENDAR, start, **more) for event in page]


def numbered(first: int, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": f"e{n}", "calendar_id": CALENDAR, **more} for n in range(first, first + count)]


async def test_an_upsert_goes_out_byte_for_byte_as_json_with_the_key(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    salesloft.then({"data": EVENT, "upsert_type": "update"}, status=201)
    answer = await client.upsert(BODY, urgency=Urgency.CHANGE)
    asked = salesloft.asked[0]
    assert (asked.method, asked.path, asked.body) == ("POST", "/v2/calendar/events/upsert", BODY)
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["User-Agent"].startswith("gcal-salesloft/")
    assert answer.upsert_type == "update"
    assert answer.changed_attributes == frozenset({"title", "start_time"})
    assert answer.request_id == "req-1"
    data = answer.data
    assert data.start_time == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert data.end_time == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    assert (data.all_day, data.recurring) == (False, True)
    assert data.attendees[0].email == "kim@example.org"


@pytest.mark.parametrize(
    "data",
    [
        {"id": "e1", "all_day": True, "attendees": {"0": {"email": "kim@example.org"}}},
        {"id": 7, "attendees": "none", "organizer": {"email": "pam@example.com"}, "title": None},
        {"id": "e1", "start_time": "soon", "end_time": 5, "extended_properties": []},
        {},
    ],
)
async def test_an_answer_of_unexpected_types_is_still_a_success(
    client: SalesloftClient, salesloft: Loopback, data: dict[str, Any]
) -> None:
    salesloft.then({"data": data, "upsert_type": "create", "more": 1}, status=200)
    answer = await client.upsert(BODY, urgency=Urgency.CHANGE)
    assert answer.data.id == str(data.get("id", ""))
    assert answer.data.start_time is None


@pytest.mark.parametrize("said", [b"", b"{}", b'{"data": null}'])
async def test_a_success_that_says_nothing_was_applied(
    client: SalesloftClient, salesloft: Loopback, said: bytes
) -> None:
    salesloft.then_raw(said, status=201)
    answer = await client.upsert(BODY)
    assert answer.data.id == ""
    assert answer.request_id == "req-1"


@pytest.mark.parametrize(
    "cut",
    [b'{"data": {"id": "e1", "ti', b"<html>ok</html>", b"[1, 2", b'"fine"', b"null"],
)
async def test_a_success_that_cannot_be_read_is_tried_again(
    client: SalesloftClient, salesloft: Loopback, cut: bytes
) -> None:
    salesloft.then_raw(cut, status=201)
    with pytest.raises(RetryLater, match="req-1"):
        await client.upsert(BODY, urgency=Urgency.CHANGE)


async def test_an_upsert_is_attempted_once(client: SalesloftClient, salesloft: Loopback) -> None:
    salesloft.then_reset()
    with pytest.raises(RetryLater):
        await client.upsert(BODY, urgency=Urgency.CHANGE)
    assert len(salesloft.asked) == 1


async def test_a_lease_taken_before_is_used_and_settled(
    client: SalesloftClient, salesloft: Loopback, budget: TeamBudget
) -> None:
    salesloft.then({"data": EVENT}, headers={"X-RateLimit-Endpoint-Cost": "3"})
    lease = await client.lease_upsert()
    assert client.try_lease_upsert() is None, "nothing is known of the points yet"
    answer = await client.upsert(BODY, lease)
    assert answer.cost == 3
    assert budget.snapshot().spent == 3
    assert [cost for _, cost in client.spent()] == [3]
    another = client.try_lease_upsert()
    assert another is not None
    assert another.cost == 3


async def test_a_list_walks_all_pages_with_the_documented_parameters(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    salesloft.then({"data": numbered(0, 100)})
    salesloft.then({"data": numbered(100, 100)})
    salesloft.then({"data": numbered(200, 3)})
    zone = timezone(timedelta(hours=1))
    events = await pages_of(client, end=datetime(2026, 12, 1, 1, tzinfo=zone))
    assert [event.id for event in events] == [f"e{n}" for n in range(203)]
    assert [dict(asked.query) for asked in salesloft.asked] == [
        {
            "calendar_id": CALENDAR,
            "start_time": "2026-11-01T00:00:00+00:00",
            "end_time": "2026-12-01T00:00:00+00:00",
            "sort_by": "start_time",
            "sort_direction": "ASC",
            "per_page": "100",
            "page": str(page),
        }
        for page in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ([(100, None)], 100),  # the last page is full
        ([(100, 2), (40, 3), (7, None)], 147),  # a short page in the middle
        ([(100, "absent"), (0, "absent")], 100),
        ([(30, 2), (0, 3)], 30),
    ],
)
async def test_a_list_ends_where_salesloft_says(
    client: SalesloftClient, salesloft: Loopback, pages: list[tuple[int, Any]], expected: int
) -> None:
    for count, following in pages:
        paging = {} if following == "absent" else {"paging": {"next_page": following}}
        salesloft.then({"data": numbered(0, count), "metadata": paging})
    assert len(await pages_of(client)) == expected
    assert not salesloft.answers


async def test_rows_of_other_calendars_are_left_out(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    others = [{"id": "x", "calendar_id": "external_other"}, {"id": "y"}, "no row"]
    salesloft.then({"data": [*numbered(0, 1), *others]})
    assert [event.id for event in await pages_of(client)] == ["e0", "y"]


async def test_deep_pages_take_their_price(budget: TeamBudget) -> None:
    costs: list[float | None] = []

    class Noting(TeamBudget):
        async def acquire(self, route: str, urgency: Urgency, cost: float | None = None) -> Any:
            costs.append(cost)
            return await TeamBudget(10_000).acquire(route, urgency, cost)

    with aioresponses() as http:
        http.get(
            re.compile(r".*/v2/calendar/events\?.*"),
            payload={"data": numbered(0, 100), "metadata": {"paging": {"next_page": 2}}},
            repeat=True,
        )
        async with make_session() as session:
            client = SalesloftClient(session, "https://api.example.com", lambda: KEY, Noting(600))
            with pytest.raises(RequestRefused, match="smaller window"):
                await pages_of(client)
    assert len(costs) == 1000
    bands = {page: costs[page - 1] for page in (1, 100, 101, 150, 151, 250, 251, 500, 501, 1000)}
    assert list(bands.values()) == [None, None, 3, 3, 8, 8, 10, 10, 30, 30]


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("times", [1, 2])
async def test_a_read_survives_passing_failures(
    client: SalesloftClient, salesloft: Loopback, budget: TeamBudget, times: int
) -> None:
    for _ in range(times):
        salesloft.then_reset()
    salesloft.then({"data": {"id": 4, "state": "done", "errors": 2, "total": 9, "processed": 9}})
    job = await client.get_job(4)
    assert (job.is_done, job.errors, job.total) == (True, 2, 9)
    assert budget.snapshot().spent == len(salesloft.asked) == times + 1, (
        "each attempt has its point"
    )


@pytest.mark.usefixtures("no_backoff")
async def test_a_read_gives_up_after_three_attempts(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    for _ in range(5):
        salesloft.then({"error": "down"}, status=503)
    with pytest.raises(RetryLater):
        await client.list_jobs()
    assert len(salesloft.asked) == 3


async def test_a_read_does_not_sit_out_a_long_pause(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    salesloft.then({}, status=503, headers={"Retry-After": "120"})
    with pytest.raises(RetryLater) as caught:
        await client.get_job(1)
    assert caught.value.after_seconds == 120
    assert len(salesloft.asked) == 1


async def test_a_bulk_job_from_opening_to_results(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    salesloft.then({"data": {"id": 12, "state": "open", "name": "n"}})
    salesloft.then({"data": {"records": 2}})
    salesloft.then({"data": {"id": 12, "state": "executing"}})
    record = {"id": "e2", "i_cal_uid": "u2@example.com", "calendar_id": CALENDAR, "title": "Merger"}
    salesloft.then(
        {
            "data": [
                {
                    "id": 9,
                    "status": "error",
                    "error": "title 'Merger' is too long",
                    "record": record,
                },
                {"id": 8, "status": "success", "record": record, "resource": EVENT},
            ]
        }
    )
    assert (await client.create_bulk_job("n")).id == 12
    assert await client.add_job_data(12, [BODY, b'{"id":"e2"}']) == 2
    assert (await client.mark_ready(12)).state == "executing"
    results = await client.job_results(12, status=["error", "success"], after=7)
    created, added, ready, read = salesloft.asked
    assert created.json == {"type": "calendar/events/upsert", "name": "n"}
    assert added.path == "/v2/bulk_jobs/12/job_data"
    assert added.body == b'{"data":[' + BODY + b',{"id":"e2"}]}'
    assert (ready.method, ready.json) == ("PUT", {"ready_to_execute": True})
    assert read.query == [
        ("status[]", "error"),
        ("status[]", "success"),
        ("id[gt]", "7"),
        ("per_page", "100"),
    ]
    assert [result.id for result in results] == [8, 9]
    assert results[0].resource.id == "e1"
    assert results[1].record.i_cal_uid == "u2@example.com"
    assert results[1].fields == {"title"}
    assert "merger" not in results[1].error.lower()
    assert "too long" in results[1].error


@pytest.mark.parametrize(
    "resource", [EVENT, {"data": EVENT, "upsert_type": "create"}, {"calendar_event": EVENT}]
)
async def test_a_results_resource_is_found_however_it_is_wrapped(
    client: SalesloftClient, salesloft: Loopback, resource: dict[str, Any]
) -> None:
    salesloft.then({"data": [{"id": 1, "status": "success", "resource": resource}]})
    [result] = await client.job_results(1)
    assert result.resource.id == "e1"


async def test_five_thousand_records_go_in_one_call_and_no_more(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    body = b'{"description":"' + b"x" * 2000 + b'"}'
    salesloft.then({"data": {"records": 5000}})
    assert await client.add_job_data(1, [body] * 5000) == 5000
    assert len(salesloft.asked[0].json["data"]) == 5000
    for wrong in ([], [body] * 5001):
        with pytest.raises(ValueError, match="5000"):
            await client.add_job_data(1, wrong)
    assert len(salesloft.asked) == 1


async def test_jobs_are_listed_by_state_even_if_the_filter_is_ignored(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    salesloft.then(
        {"data": [{"id": n, "state": s} for n, s in ((3, "open"), (1, "done"), (2, "open"))]}
    )
    assert [job.id for job in await client.list_jobs(["open"], after=0)] == [2, 3]
    assert ("state[]", "open") in salesloft.asked[0].query
    assert ("id[gt]", "0") in salesloft.asked[0].query


async def test_settings_are_searched_with_filters_in_the_body(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    rows = [
        {
            "id": 5,
            "calendar_type": "external",
            "primary_calendar_id": CALENDAR,
            "primary_calendar_connection_failed": False,
            "user": {"id": 77},
        }
    ]
    salesloft.then({"data": rows, "metadata": {"paging": {"next_page": 2}}})
    salesloft.then({"data": [{"id": 6, "calendar_type": "google"}]})
    found = await client.search_settings([GUID], datetime(2026, 11, 1, tzinfo=UTC), "external")
    assert salesloft.asked[0].query == []
    assert salesloft.asked[0].json == {
        "user_guids": [GUID],
        "updated_at": {"gte": "2026-11-01T00:00:00+00:00"},
        "calendar_type": "external",
        "per_page": 100,
        "page": 1,
    }
    assert salesloft.asked[1].json["page"] == 2
    assert [(s.id, s.user_guid, s.user_id, s.is_external) for s in found] == [
        ("5", GUID, "77", True),
        ("6", "", "", False),
    ]


async def test_without_manage_team_only_the_search_is_refused(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    salesloft.then({"error": "requires manage_team"}, status=403)
    with pytest.raises(RequestRefused, match="manage_team permission") as caught:
        await client.search_settings([GUID])
    assert caught.value.status == 403
    salesloft.then({"error": "Invalid token"}, status=401)
    with pytest.raises(TeamRefused):
        await client.search_settings([GUID])


async def test_the_banner_and_bookings_are_written(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    salesloft.then({"data": {"id": 5, "primary_calendar_connection_failed": True}})
    salesloft.then({"data": {"id": 3, "status": "booked", "event_id": "abc"}})
    settings = await client.update_settings("5", primary_calendar_connection_failed=True)
    meeting = await client.update_meeting("3", status="booked", event_id="abc", i_cal_uid="u")
    assert settings.primary_calendar_connection_failed is True
    assert meeting.status == "booked"
    assert [(a.method, a.path, a.json) for a in salesloft.asked] == [
        ("PUT", "/v2/meetings/settings/5", {"primary_calendar_connection_failed": True}),
        ("PUT", "/v2/meetings/3", {"status": "booked", "event_id": "abc", "i_cal_uid": "u"}),
    ]


async def test_meetings_are_listed_with_their_owners(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    row = {
        "id": 3,
        "status": "pending",
        "reschedule_status": None,
        "title": "Demo",
        "start_time": "2026-11-20T10:00:00Z",
        "guests": ["kim@example.org"],
        "owned_by_meetings_settings": {"email_address": "pam@example.com", "id": 5},
    }
    salesloft.then({"data": [row]})
    pages = [page async for page in client.list_meetings(status="pending", newest_first=True)]
    assert salesloft.asked[0].query == [
        ("status", "pending"),
        ("include_meetings_settings", "true"),
        ("sort_by", "updated_at"),
        ("sort_direction", "DESC"),
        ("per_page", "100"),
        ("page", "1"),
    ]
    meeting = pages[0][0]
    assert (meeting.id, meeting.reschedule_status, meeting.guests) == (
        "3",
        "",
        ("kim@example.org",),
    )
    assert meeting.owned_by is not None
    assert meeting.owned_by.email_address == "pam@example.com"


async def test_me_names_the_keys_owner(client: SalesloftClient, salesloft: Loopback) -> None:
    salesloft.then({"data": {"id": 1, "guid": GUID, "team": {"id": 4}}})
    me = await client.me()
    assert (me.id, me.guid, me.team_id) == ("1", GUID, "4")
    assert salesloft.asked[0].path == "/v2/me"


def test_nothing_of_the_calendar_is_in_a_repr() -> None:
    event = StoredEvent(
        id="e1", title="Merger", description="d-text", location="Room", organizer="o@x"
    )
    assert "e1" in repr(event)
    for text in ("Merger", "d-text", "Room", "o@x"):
        assert text not in repr(event)


async def test_a_key_is_asked_for_at_each_request(salesloft: Loopback, budget: TeamBudget) -> None:
    keys = iter(["first", " second\n"])
    salesloft.then({"data": {"id": 1}})
    salesloft.then({"data": {"id": 1}})
    async with make_session() as session:
        client = SalesloftClient(session, salesloft.url, lambda: next(keys), budget)
        await client.me()
        await client.me()
    assert [asked.headers["Authorization"] for asked in salesloft.asked] == [
        "Bearer first",
        "Bearer second",
    ]


async def test_no_cookie_is_kept_and_no_redirect_followed(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    salesloft.then({"data": EVENT}, headers={"Set-Cookie": "team=1; Path=/"})
    salesloft.then({}, status=302, headers={"Location": "/elsewhere"})
    await client.upsert(BODY, urgency=Urgency.CHANGE)
    with pytest.raises(RetryLater, match="check api_url"):
        await client.upsert(BODY, urgency=Urgency.CHANGE)
    assert "Cookie" not in salesloft.asked[1].headers
    assert len(salesloft.asked) == 2


async def test_cancelling_a_request_in_flight_counts_its_point(
    client: SalesloftClient, salesloft: Loopback, budget: TeamBudget
) -> None:
    arrived, never = asyncio.Event(), asyncio.Event()

    async def hang(_: Any) -> Any:
        arrived.set()
        await never.wait()

    salesloft.answers.append(hang)
    task = asyncio.create_task(client.upsert(BODY, urgency=Urgency.CHANGE))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    never.set()
    snapshot = budget.snapshot()
    assert (snapshot.spent, snapshot.in_flight) == (1, 0)
