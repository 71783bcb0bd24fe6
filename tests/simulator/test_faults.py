"""The fault plan: which calls fail, and what a client sees of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from connector.simulator.faults import Fault, FaultPlan, fault_middleware
from connector.simulator.processes import serve

BODY = {"answer": "x" * 1000}


def _drawn(plan: FaultPlan, *routes: str) -> list[str | None]:
    return [fault.kind if (fault := plan.draw(route)) else None for route in routes]


def test_a_fault_fires_so_often_and_only_on_its_routes() -> None:
    plan = FaultPlan().add(Fault("events.*", "hang", skip=1, times=2))
    assert _drawn(plan, "me", "events.list", "events.get", "me", "events.list", "events.list") == [
        *(None, None, "hang", None, "hang", None)
    ]
    assert [(fired.number, fired.route) for fired in plan.fired] == [
        (3, "events.get"),
        (5, "events.list"),
    ]


def test_without_end_until_cleared() -> None:
    plan = FaultPlan().add(Fault("*", "html", times=None))
    assert _drawn(plan, "a", "b", "c") == ["html"] * 3
    plan.clear()
    assert _drawn(plan, "a") == [None]
    assert len(plan.fired) == 3


def test_faults_are_considered_in_their_order() -> None:
    plan = FaultPlan().add(Fault("a", "hang")).add(Fault("*", "slow", times=2))
    assert _drawn(plan, "a", "a", "a", "a") == ["hang", "slow", "slow", None]


def test_a_random_share_is_the_same_for_the_same_seed() -> None:
    def kinds(seed: int) -> list[str | None]:
        plan = FaultPlan(seed).random(0.3, ["status", "reset_after"], "x.*")
        return _drawn(plan, *["x.y", "other"] * 500)

    first = kinds(5)
    assert first == kinds(5)
    assert first != kinds(6)
    assert 100 < sum(kind is not None for kind in first) < 200
    assert set(first) == {None, "status", "reset_after"}
    assert not any(first[1::2])


def test_a_random_kind_may_be_a_whole_fault() -> None:
    plan = FaultPlan().random(1.0, [Fault(kind="status", status=429)])
    drawn = plan.draw("x")
    assert drawn is not None
    assert drawn.status == 429


def test_mistakes_are_said() -> None:
    with pytest.raises(ValueError, match="unknown kind of fault 'bang'"):
        Fault("*", "bang")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="share"):
        FaultPlan().random(1.5, ["hang"])


class _Served:
    """A service with one call that counts how often it was done."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http
        self.done = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.done += 1
        return web.json_response(BODY)


@asynccontextmanager
async def _service(plan: FaultPlan) -> AsyncIterator[_Served]:
    async with aiohttp.ClientSession() as http:
        served = _Served("", http)
        route_of = lambda request: request.path.strip("/")  # noqa: E731
        app = web.Application(middlewares=[fault_middleware(plan, route_of)])
        app.router.add_route("*", "/call", served.handle)
        app.router.add_get("/", served.handle)
        async with serve(app) as url:
            served.url = url
            yield served


async def _get(served: _Served, path: str = "/call") -> tuple[int, Any]:
    async with served.http.get(f"{served.url}{path}") as response:
        return response.status, await response.json()


async def test_status_answers_with_body_and_headers_and_does_nothing() -> None:
    fault = Fault("call", "status", 429, {"error": "slow down"}, {"Retry-After": "7"})
    async with _service(FaultPlan().add(fault)) as served:
        async with served.http.get(f"{served.url}/call") as response:
            assert (response.status, await response.json()) == (429, {"error": "slow down"})
            assert response.headers["Retry-After"] == "7"
        assert served.done == 0
        assert await _get(served) == (200, BODY)


async def test_html_is_a_proxys_page() -> None:
    async with _service(FaultPlan().add(Fault("call", "html", 502))) as served:
        async with served.http.get(f"{served.url}/call") as response:
            assert (response.status, response.content_type) == (502, "text/html")
            assert "<html>" in await response.text()
        assert served.done == 0


async def test_truncate_announces_the_whole_and_sends_half() -> None:
    async with _service(FaultPlan().add(Fault("call", "truncate"))) as served:
        async with served.http.get(f"{served.url}/call") as response:
            assert response.status == 200
            announced = int(response.headers["Content-Length"])
            got = await response.content.readexactly(announced // 2)
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.read(1)
        assert (len(got), announced) == (len(json.dumps(BODY)) // 2, len(json.dumps(BODY)))
        assert served.done == 1
        assert await _get(served) == (200, BODY)


@pytest.mark.parametrize(("kind", "done"), [("reset_before", 0), ("reset_after", 1)])
async def test_resets_break_the_connection_before_or_after_the_work(kind: Any, done: int) -> None:
    async with _service(FaultPlan().add(Fault("call", kind))) as served:
        # A POST: aiohttp itself repeats a GET once when its connection breaks.
        with pytest.raises(aiohttp.ClientConnectionError):
            await served.http.post(f"{served.url}/call")
        assert served.done == done
        assert await _get(served) == (200, BODY)


async def test_slow_does_the_work_and_delays_the_answer() -> None:
    async with _service(FaultPlan().add(Fault("call", "slow", seconds=30))) as served:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await _get(served)
        assert served.done == 1


async def test_hang_never_answers_and_stops_with_the_server() -> None:
    async with _service(FaultPlan().add(Fault("call", "hang"))) as served:
        hanging = asyncio.create_task(_get(served), name="hanging call")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.shield(hanging)
        assert served.done == 0
    with pytest.raises(aiohttp.ClientConnectionError):
        await hanging
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_hang_ends_when_the_client_leaves() -> None:
    async with _service(FaultPlan().add(Fault("call", "hang"))) as served:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await _get(served)
        await served.http.close()
        async with asyncio.timeout(10):
            while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 - the server's tasks end by themselves
                await asyncio.sleep(0.01)
        assert served.done == 0


async def test_a_call_without_a_route_is_never_touched() -> None:
    plan = FaultPlan().add(Fault("*", "status", times=None))
    async with _service(plan) as served:
        assert await _get(served, "/") == (200, BODY)
        assert (await _get(served))[0] == 500
    assert len(plan.fired) == 1
