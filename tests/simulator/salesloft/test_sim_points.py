"""Keys, points and the log: 401, 403, 429, headers, overlaps, peaks."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from connector.simulator.faults import Fault
from connector.simulator.salesloft import EventKey

from .conftest import KEY, Sim


async def test_keys_are_refused_withdrawn_and_restored(sim: Sim) -> None:
    assert (await sim.call("GET", "/v2/me", key="wrong")).status == 401
    sim.world.withdraw_key(KEY)
    answer = await sim.call("GET", "/v2/me")
    assert (answer.status, "x-request-id" in answer.headers) == (401, True)
    sim.world.restore_key(KEY)
    assert (await sim.call("GET", "/v2/me")).status == 200
    assert [entry.cost for entry in sim.world.log] == [0, 0, 1]


async def test_missing_scope_is_403(sim: Sim) -> None:
    sim.world.deny(KEY, "events.*")
    assert (await sim.upsert()).status == 403
    sim.world.allow(KEY, "events.*")
    assert (await sim.upsert()).status == 201


async def test_the_limit_holds_in_every_sliding_minute(sim: Sim) -> None:
    sim.world.set_limit(KEY, 3)
    for _ in range(2):
        assert (await sim.call("GET", "/v2/me")).status == 200
    sim.clock.advance(30)
    last = await sim.call("GET", "/v2/me")
    assert last.headers["x-ratelimit-remaining-minute"] == "0"
    assert last.headers["x-ratelimit-limit-minute"] == "3"
    refused = await sim.call("GET", "/v2/me")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "30")
    sim.clock.advance(29.9)
    assert (await sim.call("GET", "/v2/me")).status == 429
    sim.clock.advance(0.1)
    assert (await sim.call("GET", "/v2/me")).status == 200
    assert (await sim.call("GET", "/v2/me")).status == 200
    assert (await sim.call("GET", "/v2/me")).status == 429
    assert sim.world.window_peaks(sim.team) == 3


async def test_fixed_windows_let_a_double_burst_pass_and_the_peak_shows_it(sim: Sim) -> None:
    sim.world.switches.fixed_windows = True
    sim.world.set_limit(sim.team, 2)
    sim.clock.seconds = 59.0
    statuses = [(await sim.call("GET", "/v2/me")).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    sim.clock.advance(1)
    assert (await sim.call("GET", "/v2/me")).status == 200
    assert (await sim.call("GET", "/v2/me")).status == 200
    assert sim.world.window_peaks(sim.team) == 4


async def test_other_tools_and_changed_costs_count(sim: Sim) -> None:
    sim.world.set_limit(sim.team, 10)
    sim.world.spend_elsewhere(sim.team, 5)
    sim.world.set_cost("me", 4)
    answer = await sim.call("GET", "/v2/me")
    assert answer.headers["x-ratelimit-endpoint-cost"] == "4"
    assert answer.headers["x-ratelimit-remaining-minute"] == "1"
    assert (await sim.call("GET", "/v2/me")).status == 429
    assert sim.world.window_peaks(sim.team) == 4


async def test_header_names_and_retry_after_are_switched(sim: Sim) -> None:
    sim.world.switches.ratelimit_headers = "alternative"
    sim.world.switches.retry_after = False
    sim.world.set_limit(sim.team, 1)
    answer = await sim.call("GET", "/v2/me")
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert "x-ratelimit-remaining-minute" not in answer.headers
    refused = await sim.call("GET", "/v2/me")
    assert (refused.status, "Retry-After" in refused.headers) == (429, False)
    sim.world.switches.ratelimit_headers = "none"
    assert "x-ratelimit-limit" not in (await sim.call("GET", "/v2/me")).headers


async def test_teams_have_budgets_of_their_own(sim: Sim) -> None:
    sim.world.add_team("other", limit_per_minute=1)
    assert (await sim.call("GET", "/v2/me", key="other")).status == 200
    assert (await sim.call("GET", "/v2/me", key="other")).status == 429
    assert (await sim.call("GET", "/v2/me")).status == 200


async def test_log_has_key_status_and_request_id(sim: Sim) -> None:
    answer = await sim.upsert()
    entry = sim.world.log[-1]
    assert entry.key == EventKey(sim.user.calendar_id, "event1", "event1@example.com")
    assert (entry.route, entry.status, entry.team) == ("events.upsert", 201, sim.team.id)
    assert entry.request_id == answer.headers["x-request-id"]
    assert (entry.at, entry.wall) == (sim.clock.seconds, sim.clock.wall)
    assert entry.body["id"] == "event1"


async def test_two_requests_for_one_key_in_flight_are_an_overlap(sim: Sim) -> None:
    sim.world.faults.add(Fault("events.upsert", "slow", seconds=0.3, times=2))
    await asyncio.gather(sim.upsert(), sim.upsert(id="event2"))
    assert sim.world.overlaps == []
    sim.world.faults.add(Fault("events.upsert", "slow", seconds=0.3, times=2))
    await asyncio.gather(sim.upsert(), sim.upsert())
    assert [overlap.key.id for overlap in sim.world.overlaps] == ["event1"]
    await sim.upsert()
    assert len(sim.world.overlaps) == 1
    assert max(entry.in_flight for entry in sim.world.log) == 2


async def test_a_request_whose_client_has_left_is_no_longer_in_flight(sim: Sim) -> None:
    sim.world.faults.add(Fault("events.upsert", "hang"))
    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(0.2):
            await sim.upsert()
    assert (await sim.upsert()).status == 201
    assert sim.world.overlaps == []


async def test_faulted_answers_carry_a_request_id_and_cost_points(sim: Sim) -> None:
    sim.world.faults.add(Fault("me", "status", 503))
    answer = await sim.call("GET", "/v2/me")
    assert (answer.status, "x-request-id" in answer.headers) == (503, True)
    assert (sim.world.log[-1].cost, sim.world.log[-1].fault) == (1, "status")


async def test_reset_after_an_upsert_has_stored_it(sim: Sim) -> None:
    sim.world.faults.add(Fault("events.upsert", "reset_after"))
    with pytest.raises(aiohttp.ClientError):
        await sim.upsert()
    assert sim.stored().id == "event1"
    assert sim.world.log[-1].status == 0
    sim.world.faults.add(Fault("events.upsert", "reset_before"))
    with pytest.raises(aiohttp.ClientError):
        await sim.upsert(id="event2")
    assert len(sim.world.events(sim.user.calendar_id)) == 1


async def test_a_refusal_can_be_lost_too(sim: Sim) -> None:
    sim.world.faults.add(Fault("events.upsert", "reset_after"))
    with pytest.raises(aiohttp.ClientError):
        await sim.upsert(status="busy")


async def test_unknown_paths_and_methods_answer_in_json(sim: Sim) -> None:
    assert (await sim.call("GET", "/v2/people")).status == 404
    assert (await sim.call("DELETE", "/v2/me")).status == 405
    assert sim.world.count("unknown") == 2
