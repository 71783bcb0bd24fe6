"""Meetings booked in Salesloft, and who is connected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .conftest import KEY, Sim

MEETINGS = "/v2/meetings"
SEARCH = "/v2/meetings/settings/searches"
AT = datetime(2026, 11, 10, 15, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)


def _book(sim: Sim, **given: Any) -> int:
    booking = {"start": AT, "end": AT + HALF_HOUR, "recipient_email": "ann@example.org", **given}
    return sim.world.book_meeting(sim.user.guid, **booking)


async def _ids(sim: Sim, **query: str) -> list[int]:
    answer = await sim.call("GET", MEETINGS, **query)
    assert answer.status == 200
    return [meeting["id"] for meeting in answer.body["data"]]


async def test_a_booking_waits_and_is_booked(sim: Sim) -> None:
    number = _book(sim, title="Demo", guests=["bob@example.org"], description="<p>Hi</p>")
    answer = await sim.call("GET", MEETINGS, status="pending", include_meetings_settings="true")
    [shown] = answer.body["data"]
    assert (shown["id"], shown["title"], shown["guests"]) == (number, "Demo", ["bob@example.org"])
    assert shown["calendar_id"] == sim.user.calendar_id
    assert shown["owned_by_meetings_settings"] == {"email_address": sim.user.email}
    booked = {"status": "booked", "event_id": "g1", "i_cal_uid": "g1@example.com"}
    sim.clock.advance(5)
    put = await sim.call("PUT", f"{MEETINGS}/{number}", booked)
    assert (put.status, put.body["data"]["event_id"]) == (200, "g1")
    assert "owned_by_meetings_settings" not in put.body["data"]
    assert await _ids(sim, status="pending") == []
    assert await _ids(sim, status="booked", i_cal_uids="g1@example.com") == [number]
    assert sim.world.meeting(number).updated_at == sim.clock.wall


async def test_a_move_waits_with_its_own_status(sim: Sim) -> None:
    number = _book(sim)
    booked = {"status": "booked", "event_id": "g1", "i_cal_uid": "g1@example.com"}
    await sim.call("PUT", f"{MEETINGS}/{number}.json", booked)
    sim.world.reschedule_meeting(number, AT + HALF_HOUR, AT + 2 * HALF_HOUR)
    [shown] = (await sim.call("GET", MEETINGS, status="pending")).body["data"]
    assert (shown["status"], shown["reschedule_status"]) == ("booked", "pending")
    assert shown["start_time"] == "2026-11-10T15:30:00.000000Z"
    sim.world.switches.pending_includes_reschedules = False
    assert await _ids(sim, status="pending") == []
    await sim.call("PUT", f"{MEETINGS}/{number}", {"reschedule_status": "booked"})
    assert sim.world.meeting(number).reschedule_status == "booked"


async def test_meetings_are_sorted_by_updated_at(sim: Sim) -> None:
    first = _book(sim)
    sim.clock.advance(1)
    second = _book(sim)
    sim.clock.advance(1)
    sim.world.cancel_meeting(first)
    assert await _ids(sim, sort_by="updated_at") == [first, second]
    assert await _ids(sim, sort_by="updated_at", sort_direction="ASC") == [second, first]
    assert await _ids(sim, sort_by="updated_at", per_page="1", page="2") == [second]
    assert sim.world.meeting(first).canceled_at == sim.clock.wall


async def test_meetings_are_filtered(sim: Sim) -> None:
    other = sim.world.add_user(sim.team, "jim@example.com")
    mine = _book(sim)
    assert await _ids(sim, user_guids=other.guid) == []
    assert await _ids(sim, **{"user_guids[]": sim.user.guid}) == [mine]
    assert await _ids(sim, **{"start_time[gte]": "2026-11-10T15:00:00Z"}) == [mine]
    assert await _ids(sim, **{"start_time[gt]": "2026-11-10T15:00:00Z"}) == []


@pytest.mark.parametrize(
    "query",
    [
        {"status": "open"},
        {"state": "pending"},
        {"user_guid[]": "x"},
        {"sort_by": "title"},
        {"updated_at[gt]": "2026-11-10T15:00:00Z"},
    ],
)
async def test_wrong_parameters_are_refused(sim: Sim, query: dict[str, str]) -> None:
    assert (await sim.call("GET", MEETINGS, None, key=KEY, **query)).status == 422


@pytest.mark.parametrize(
    "body",
    [
        {"status": "done"},
        {"status": "booked"},
        {"event_id": 5},
        {"title": "x"},
        {"no_show": "yes"},
        {"reschedule_status": None},
    ],
)
async def test_wrong_updates_are_refused(sim: Sim, body: dict[str, Any]) -> None:
    number = _book(sim)
    assert (await sim.call("PUT", f"{MEETINGS}/{number}", body)).status == 422


async def test_meetings_may_be_told_oddly(sim: Sim) -> None:
    sim.world.switches.odd_meetings = True
    number = _book(sim)
    [shown] = (await sim.call("GET", MEETINGS, status="pending")).body["data"]
    assert (shown["id"], shown["guests"], shown["attendees"]) == (str(number), None, None)
    assert (shown["description"], shown["all_day"]) == (None, None)
    assert shown["crm_references"]


async def test_meetings_of_another_team_are_not_found(sim: Sim) -> None:
    number = _book(sim)
    sim.world.add_team("other")
    answer = await sim.call("PUT", f"{MEETINGS}/{number}", {"status": "failed"}, key="other")
    assert answer.status == 404
    assert (await sim.call("GET", MEETINGS, key="other")).body["data"] == []


async def _found(sim: Sim, **body: Any) -> list[str]:
    answer = await sim.call("POST", SEARCH, body)
    assert answer.status == 200
    return [one["email_address"] for one in answer.body["data"]]


async def test_settings_are_searched_by_the_body(sim: Sim) -> None:
    jim = sim.world.add_user(sim.team, "jim@example.com", calendar_type="gmail")
    pams, jims = sim.user.email, jim.email
    assert await _found(sim) == [pams, jims]
    assert await _found(sim, calendar_type="external") == [pams]
    assert await _found(sim, user_guids=[jim.guid]) == [jims]
    assert await _found(sim, per_page=1, page=2) == [jims]
    sim.clock.advance(10)
    before = "2026-11-02T09:00:00Z"
    assert await _found(sim, updated_at={"gt": before}) == []
    assert await _found(sim, updated_at={"gte": before}) == [pams, jims]
    sim.world.set_calendar_type(jim.guid, "external")
    answer = await sim.call("POST", f"{SEARCH}.json", {"updated_at": {"gt": before}})
    [shown] = answer.body["data"]
    assert shown["primary_calendar_id"] == f"external_{jim.guid}"
    assert shown["user"]["id"] == jim.id
    unfiltered = await sim.call("POST", SEARCH, {}, calendar_type="none")
    assert len(unfiltered.body["data"]) == 2


@pytest.mark.parametrize(
    "body",
    [
        {"user_guids": "x"},
        {"updated_at": "2026-11-02T09:00:00Z"},
        {"updated_at": {"after": "2026-11-02T09:00:00Z"}},
        {"updated_at": {"gt": "2026-11-02"}},
        {"per_page": 101},
        {"calendar_types": ["external"]},
    ],
)
async def test_wrong_searches_are_refused(sim: Sim, body: dict[str, Any]) -> None:
    assert (await sim.call("POST", SEARCH, body)).status == 422


async def test_searches_need_manage_team(sim: Sim) -> None:
    sim.world.add_key(sim.team, "plain", manage_team=False)
    assert (await sim.call("POST", SEARCH, {}, key="plain")).status == 403


async def test_the_banner_is_shown_and_taken_away(sim: Sim) -> None:
    path = f"/v2/meetings/settings/{sim.user.settings_id}"
    sim.clock.advance(3)
    put = await sim.call("PUT", path, {"primary_calendar_connection_failed": True})
    assert put.body["data"]["primary_calendar_connection_failed"] is True
    assert (sim.user.connection_failed, sim.user.updated_at) == (True, sim.clock.wall)
    await sim.call("PUT", path, {"primary_calendar_connection_failed": False})
    assert not sim.user.connection_failed
    assert (await sim.call("PUT", path, {"primary_calendar_connection_failed": "x"})).status == 422
    assert (await sim.call("PUT", path, {"email_address": "x@example.com"})).status == 422
    assert (await sim.call("PUT", "/v2/meetings/settings/1", {"title": "x"})).status == 404
