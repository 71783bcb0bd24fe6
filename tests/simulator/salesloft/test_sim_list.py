"""List events: bounds, paging, what deep pages cost; `/v2/me`."""

from __future__ import annotations

import pytest

from .conftest import KEY, Sim

LIST = "/v2/calendar/events"


async def _ids(sim: Sim, **query: str) -> list[str]:
    answer = await sim.call("GET", LIST, **query)
    assert answer.status == 200
    return [event["id"] for event in answer.body["data"]]


async def test_bounds_are_inclusive_on_the_end_and_exclusive_on_the_start(sim: Sim) -> None:
    await sim.upsert()  # 15:00 to 16:00 UTC
    assert await _ids(sim, start_time="2026-11-03T16:00:00Z") == ["event1"]
    assert await _ids(sim, start_time="2026-11-03T16:00:01Z") == []
    assert await _ids(sim, end_time="2026-11-03T15:00:00Z") == []
    assert await _ids(sim, end_time="2026-11-03T15:00:01Z") == ["event1"]


async def test_pages_and_order(sim: Sim) -> None:
    for number in range(5):
        hour = f"2026-11-03T1{number}:"
        await sim.upsert(id=f"e{number}", start_time=f"{hour}00:00Z", end_time=f"{hour}30:00Z")
    assert await _ids(sim, per_page="2") == ["e4", "e3"]
    last = await sim.call(
        "GET",
        LIST,
        per_page="2",
        page="3",
        sort_by="start_time",
        sort_direction="ASC",
        include_paging_counts="true",
    )
    assert [event["id"] for event in last.body["data"]] == ["e4"]
    assert last.body["metadata"]["paging"] == {
        "per_page": 2,
        "current_page": 3,
        "next_page": None,
        "prev_page": 2,
        "total_count": 5,
        "total_pages": 3,
    }
    sim.world.switches.paging_metadata = False
    assert "paging" not in (await sim.call("GET", LIST)).body["metadata"]


async def test_only_events_of_the_team_and_of_the_calendar_asked_for(sim: Sim) -> None:
    other = sim.world.add_user(sim.team, "jim.halpert@example.com")
    stranger = sim.world.add_team("other")
    await sim.upsert()
    await sim.upsert(id="jims", calendar_id=other.calendar_id)
    assert await _ids(sim, calendar_id=sim.user.calendar_id) == ["event1"]
    assert await _ids(sim, user_guid=other.guid) == ["jims"]
    assert len(await _ids(sim)) == 2
    sim.world.add_user(stranger, "dwight@example.com")
    foreign = await sim.call("GET", LIST, key="other", calendar_id=sim.user.calendar_id)
    assert foreign.body["data"] == []
    sim.world.switches.list_honours_calendar_id = False
    assert len(await _ids(sim, calendar_id=sim.user.calendar_id)) == 2


@pytest.mark.parametrize(
    "query",
    [
        {"per_page": "101"},
        {"per_page": "0"},
        {"page": "0"},
        {"page": "x"},
        {"start_time": "2026-11-03"},
        {"sort_by": "title"},
        {"sort_direction": "UP"},
        {"calender_id": "x"},
    ],
)
async def test_wrong_parameters_are_refused(sim: Sim, query: dict[str, str]) -> None:
    assert (await sim.call("GET", LIST, None, key=KEY, **query)).status == 422


@pytest.mark.parametrize(
    ("page", "cost"),
    [(1, 1), (100, 1), (101, 3), (150, 3), (151, 8), (250, 8), (251, 10), (500, 10), (501, 30)],
)
async def test_deep_pages_cost_more(sim: Sim, page: int, cost: int) -> None:
    answer = await sim.call("GET", LIST, page=str(page))
    assert answer.headers["x-ratelimit-endpoint-cost"] == str(cost)
    assert sim.world.log[-1].cost == cost


async def test_me_names_the_owner_of_the_key(sim: Sim) -> None:
    answer = await sim.call("GET", "/v2/me.json")
    assert answer.body["data"]["guid"] == sim.team.owner_guid
    assert (await sim.call("GET", "/v2/me")).body["data"]["team"]["id"] == sim.team.id
