"""What is said of each request: once, with its status, also where there was no answer."""

from __future__ import annotations

import pytest
from aiohttp import web

from connector.domain.errors import ConnectorError
from connector.salesloft.budget import TeamBudget, Urgency
from connector.salesloft.transport import Transport, make_session

Told = tuple[str, int, bool]


async def attempt(url: str, told: list[Told]) -> None:
    def tell(route: str, status: int, seconds: float) -> None:
        told.append((route, status, 0 <= seconds < 60))

    async with make_session() as session:
        transport = Transport(session, url, lambda: "key", TeamBudget(600), tell)
        await transport.attempt(
            "GET", "/v2/bulk_jobs/17", route="/v2/bulk_jobs/{id}", urgency=Urgency.CHANGE
        )


@pytest.mark.parametrize("status", [200, 404, 422, 429, 500])
async def test_each_answer_is_told_once_without_ids(status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"data": {}}, status=status)

    app = web.Application()
    app.router.add_get("/v2/bulk_jobs/17", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told: list[Told] = []
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        if status == 200:
            await attempt(url, told)
        else:
            with pytest.raises(ConnectorError):
                await attempt(url, told)
    finally:
        await runner.cleanup()
    assert told == [("GET /v2/bulk_jobs/{id}", status, True)]


async def test_no_answer_is_told_as_such() -> None:
    told: list[Told] = []
    with pytest.raises(ConnectorError):
        await attempt("http://127.0.0.1:1", told)
    assert told == [("GET /v2/bulk_jobs/{id}", 0, True)]
