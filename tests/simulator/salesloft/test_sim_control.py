"""The control calls of a simulator that runs in a process of its own."""

from __future__ import annotations

from typing import Any

import pytest

from connector.simulator.faults import Fault

from .conftest import KEY, Sim


async def _act(sim: Sim, action: str, **arguments: Any) -> tuple[int, Any]:
    async with sim.http.post(f"{sim.url}/_sim/{action}", json=arguments) as response:
        return response.status, (await response.json())


async def _get(sim: Sim, path: str) -> Any:
    async with sim.http.get(f"{sim.url}/_sim/{path}") as response:
        return await response.json()


async def test_events_and_log_are_read_without_a_key(sim: Sim) -> None:
    sim.world.faults.add(Fault("*", "status", times=None, skip=1))
    await sim.upsert(title="Demo", attendees=[{"email": "ann@example.org"}])
    [event] = (await _get(sim, f"events?calendar_id={sim.user.calendar_id}"))["data"]
    assert (event["title"], event["start"]) == ("Demo", "2026-11-03T15:00:00.000000Z")
    assert event["attendees"][0]["email"] == "ann@example.org"
    [entry] = (await _get(sim, "log"))["data"]
    assert (entry["route"], entry["key"][1], entry["status"]) == ("events.upsert", "event1", 201)
    assert "body" not in entry
    assert (await _get(sim, "log?after=1"))["data"] == []


async def test_teams_users_and_bookings_are_made(sim: Sim) -> None:
    await _act(sim, "add_team", key="second", limit_per_minute=50)
    status, made = await _act(sim, "add_user", team="second", email="jim@example.com", guid="j")
    assert (status, made["data"]["calendar_id"]) == (200, "external_j")
    times = {"start": "2026-11-10T15:00:00Z", "end": "2026-11-10T15:30:00Z"}
    _, booked = await _act(
        sim, "book_meeting", guid="j", recipient_email="ann@example.org", **times
    )
    later = {"start": "2026-11-11T15:00:00Z", "end": "2026-11-11T15:30:00Z"}
    await _act(sim, "reschedule_meeting", meeting_id=booked["data"], **later)
    await _act(sim, "cancel_meeting", meeting_id=booked["data"])
    await _act(sim, "set_calendar_type", guid="j", calendar_type="gmail")
    state = await _get(sim, "state")
    [meeting] = state["meetings"]
    assert meeting["start_time"] == "2026-11-11T15:00:00.000000Z"
    assert meeting["canceled_at"] is not None
    assert state["users"][1]["settings"]["calendar_type"] == "gmail"
    assert state["teams"][1]["limit_per_minute"] == 50


async def test_keys_budgets_switches_and_faults_are_set(sim: Sim) -> None:
    await _act(sim, "spend_elsewhere", team=KEY, points=100)
    await _act(sim, "set_cost", route="events.upsert", points=3)
    await _act(sim, "switches", ratelimit_headers="alternative", error_shape="map")
    answer = await sim.upsert(status="busy")
    assert isinstance(answer.body["errors"], dict)
    assert answer.headers["x-ratelimit-remaining"] == "497"
    await _act(sim, "fault", route="events.upsert", kind="status", status=502)
    assert (await sim.upsert()).status == 502
    await _act(sim, "random_faults", share=1.0, kinds=["status"])
    assert (await sim.upsert()).status == 503
    await _act(sim, "clear_faults")
    assert (await sim.upsert()).status == 201
    await _act(sim, "withdraw_key", key=KEY)
    assert (await sim.upsert()).status == 401
    assert (await _get(sim, "state"))["faults_fired"] == 2


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("add_user", {"email": "x@example.com"}),
        ("switches", {"colour": "red"}),
        ("fault", {"kind": "bang"}),
        ("set_calendar_type", {"guid": "nobody", "calendar_type": "gmail"}),
        ("cancel_meeting", {"meeting_id": 99}),
    ],
)
async def test_wrong_arguments_are_said(sim: Sim, action: str, arguments: dict[str, Any]) -> None:
    status, body = await _act(sim, action, **arguments)
    assert (status, "error" in body) == (400, True)


async def test_an_unknown_action_is_not_found(sim: Sim) -> None:
    assert (await _act(sim, "explode"))[0] == 404
