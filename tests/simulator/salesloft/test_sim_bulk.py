"""Bulk jobs: the way of a job, its queue, its results, and its races with direct upserts."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Sim

JOBS = "/v2/bulk_jobs"
TYPE = "calendar/events/upsert"


async def _job(sim: Sim, records: list[dict[str, Any]], *, ready: bool = True) -> int:
    created = await sim.call("POST", JOBS, {"type": TYPE, "name": "initial"})
    number = int(created.body["data"]["id"])
    added = await sim.call("POST", f"{JOBS}/{number}/job_data", {"data": records})
    assert added.body == {"data": {"records": len(records)}}
    if ready:
        marked = await sim.call("PUT", f"{JOBS}/{number}", {"ready_to_execute": True})
        assert marked.body["data"]["state"] == "executing"
    return number


async def _shown(sim: Sim, number: int) -> dict[str, Any]:
    shown: dict[str, Any] = (await sim.call("GET", f"{JOBS}/{number}")).body["data"]
    return shown


def _events(sim: Sim, count: int) -> list[dict[str, Any]]:
    return [
        sim.event(id=f"e{number:03}", updated_at="2026-11-02T08:00:00Z") for number in range(count)
    ]


async def test_a_job_takes_its_time_and_shows_results_only_when_done(sim: Sim) -> None:
    sim.world.switches.bulk_seconds_per_record = 1.0
    number = await _job(sim, [*_events(sim, 3), sim.event(id="bad", status="busy")])
    assert (await sim.call("GET", f"{JOBS}/{number}/results")).body == {"data": []}
    sim.clock.advance(2.5)
    shown = await _shown(sim, number)
    assert (shown["state"], shown["processed"], shown["total"]) == ("executing", 2, 4)
    assert set(sim.world.events(sim.user.calendar_id)) == {
        ("e000", "event1@example.com"),
        ("e001", "event1@example.com"),
    }
    assert (await sim.call("GET", f"{JOBS}/{number}/results")).body == {"data": []}
    sim.clock.advance(1.5)
    shown = await _shown(sim, number)
    assert (shown["state"], shown["processed"], shown["errors"]) == ("done", 4, 1)
    assert (shown["marked_ready_at"], shown["finished_at"]) == (
        "2026-11-02T09:00:00.000000Z",
        "2026-11-02T09:00:04.000000Z",
    )
    results = (await sim.call("GET", f"{JOBS}/{number}/results")).body["data"]
    assert [one["status"] for one in results] == ["success"] * 3 + ["error"]
    assert results[0]["resource"]["upsert_type"] == "create"
    assert results[0]["resource"]["data"]["id"] == "e000"
    assert results[3]["error"].startswith("status ")
    assert results[3]["record"]["id"] == "bad"


async def test_results_are_read_by_cursor_and_status(sim: Sim) -> None:
    number = await _job(sim, [*_events(sim, 4), sim.event(id="bad", status="busy")])
    sim.clock.advance(60)
    path = f"{JOBS}/{number}/results"
    first = (await sim.call("GET", path, per_page="3")).body["data"]
    rest = (await sim.call("GET", path, **{"id[gt]": str(first[-1]["id"])})).body["data"]
    assert [one["record"]["id"] for one in first + rest] == ["e000", "e001", "e002", "e003", "bad"]
    wrong = (await sim.call("GET", path, **{"status[]": "error"})).body["data"]
    assert [one["record"]["id"] for one in wrong] == ["bad"]
    assert (await sim.call("GET", path, per_page="101")).status == 422


async def test_job_data_shows_pending_and_retrying(sim: Sim) -> None:
    sim.world.switches.bulk_seconds_per_record = 1.0
    sim.world.switches.bulk_retrying_share = 1.0
    number = await _job(sim, _events(sim, 2))
    sim.clock.advance(1)
    path = f"{JOBS}/{number}/job_data"
    data = (await sim.call("GET", path)).body["data"]
    assert [one["status"] for one in data] == ["retrying", "pending"]
    sim.clock.advance(3)
    data = (await sim.call("GET", path, status="success")).body["data"]
    assert len(data) == 2


async def test_jobs_execute_one_at_a_time(sim: Sim) -> None:
    sim.world.switches.bulk_seconds_per_record = 1.0
    first = await _job(sim, _events(sim, 5))
    second = await _job(sim, [sim.event(id="late")])
    sim.clock.advance(4)
    assert (await _shown(sim, second))["processed"] == 0
    sim.clock.advance(2)
    assert (await _shown(sim, first))["state"] == "done"
    assert (await _shown(sim, second))["state"] == "done"
    assert (await _shown(sim, second))["finished_at"] == "2026-11-02T09:00:06.000000Z"


async def test_other_tools_hold_the_queue(sim: Sim) -> None:
    sim.world.block_bulk(sim.team)
    number = await _job(sim, _events(sim, 1))
    sim.clock.advance(100_000)
    assert (await _shown(sim, number))["state"] == "executing"
    assert sim.world.events(sim.user.calendar_id) == {}
    sim.world.unblock_bulk(sim.team)
    sim.clock.advance(1)
    assert (await _shown(sim, number))["state"] == "done"


async def test_a_block_for_some_time_ends_by_itself(sim: Sim) -> None:
    sim.world.block_bulk(sim.team, 30)
    number = await _job(sim, _events(sim, 1))
    sim.clock.advance(29)
    assert (await _shown(sim, number))["state"] == "executing"
    sim.clock.advance(2)
    assert (await _shown(sim, number))["state"] == "done"


async def test_at_most_5000_records_a_call(sim: Sim) -> None:
    number = await _job(sim, [], ready=False)
    path = f"{JOBS}/{number}/job_data"
    many = [{"id": "x"}] * 5001
    assert (await sim.call("POST", path, {"data": many})).status == 422
    assert (await sim.call("POST", path, {"data": many[:5000]})).status == 200
    assert (await sim.call("POST", path, {"data": ["x"]})).status == 422
    assert (await _shown(sim, number))["total"] == 5000


async def test_only_open_jobs_change(sim: Sim) -> None:
    number = await _job(sim, _events(sim, 1))
    assert (await sim.call("POST", f"{JOBS}/{number}/job_data", {"data": []})).status == 422
    assert (await sim.call("PUT", f"{JOBS}/{number}", {"ready_to_execute": True})).status == 422


@pytest.mark.parametrize("body", [{}, {"type": "person/upsert"}, {"type": TYPE, "nmae": "x"}])
async def test_a_job_needs_a_known_type(sim: Sim, body: dict[str, str]) -> None:
    assert (await sim.call("POST", JOBS, body)).status == 422


async def test_jobs_are_listed_by_state_and_cursor(sim: Sim) -> None:
    done = await _job(sim, _events(sim, 1))
    sim.clock.advance(10)
    opened = await _job(sim, [], ready=False)
    listed = (await sim.call("GET", JOBS, **{"state[]": "open"})).body["data"]
    assert [job["id"] for job in listed] == [opened]
    both = (await sim.call("GET", JOBS, state="open,done")).body["data"]
    assert [job["id"] for job in both] == [done, opened]
    after = (await sim.call("GET", JOBS, **{"id[gt]": str(done)})).body["data"]
    assert [job["id"] for job in after] == [opened]
    assert (await sim.call("GET", JOBS, state="ready")).status == 422


async def test_jobs_of_another_team_are_not_found(sim: Sim) -> None:
    number = await _job(sim, [], ready=False)
    sim.world.add_team("other")
    assert (await sim.call("GET", f"{JOBS}/{number}", key="other")).status == 404


async def test_an_older_record_never_overtakes_a_direct_upsert(sim: Sim) -> None:
    sim.world.switches.bulk_seconds_per_record = 1.0
    number = await _job(sim, [sim.event(title="old", updated_at="2026-11-02T08:00:00Z")])
    await sim.upsert(title="new", updated_at="2026-11-02T08:00:01Z")
    sim.clock.advance(1)
    assert sim.stored().title == "new"
    assert [stale.bulk_job for stale in sim.world.stale_writes] == [number]
    assert sim.world.bulk_conflicts == []


async def test_overtaking_without_a_newer_updated_at_is_noted(sim: Sim) -> None:
    sim.world.switches.bulk_seconds_per_record = 1.0
    await _job(sim, [sim.event(title="old", updated_at="2026-11-02T08:00:00Z")])
    await sim.upsert(title="new", updated_at="2026-11-02T08:00:00Z")
    assert [found.key.id for found in sim.world.bulk_conflicts] == ["event1"]
    sim.clock.advance(1)
    await sim.upsert(title="newer", updated_at="2026-11-02T08:00:00Z")
    assert len(sim.world.bulk_conflicts) == 1


@pytest.mark.parametrize(
    ("shape", "names"),
    [("named", {"calendar_event", "upsert_type"}), ("data", {"data", "upsert_type"})],
)
async def test_the_resource_has_the_switched_shape(sim: Sim, shape: Any, names: set[str]) -> None:
    sim.world.switches.bulk_resource = shape
    number = await _job(sim, _events(sim, 1))
    sim.clock.advance(1)
    results = (await sim.call("GET", f"{JOBS}/{number}/results")).body["data"]
    assert set(results[0]["resource"]) == names
