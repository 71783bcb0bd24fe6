"""Who may look, what is answered, and that nothing can be done here."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from connector.observe.health import Health
from tests.observe.conftest import Serve
from tests.observe.example import example_site

PATHS = [
    "",
    "metrics",
    "healthz",
    "readyz",
    "events?user=pam&id=1",
    "robots.txt",
    "static/status.css",
    "nothing",
]
TOKEN = "a-token-of-the-tests"


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_has_strict_headers(
    serve: Serve, http: aiohttp.ClientSession, path: str
) -> None:
    async with http.get(await serve(example_site()) + path) as answer:
        headers = answer.headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "noindex" in headers["X-Robots-Tag"]
    assert "aiohttp" not in headers["Server"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_but_looking_is_allowed(
    serve: Serve, http: aiohttp.ClientSession, method: str, path: str
) -> None:
    async with http.request(method, await serve(example_site()) + path) as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"


async def test_head_is_get_without_a_body(serve: Serve, http: aiohttp.ClientSession) -> None:
    async with http.head(await serve(example_site())) as answer:
        assert answer.status == 200
        assert await answer.read() == b""


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("127.0.0.1:9464", 200),
        ("[::1]:9464", 200),
        ("rebound.example.com", 421),
        ("127.0.0.1.example.com:9464", 421),
        ("localhost.example.com", 421),
        ("", 421),
    ],
)
async def test_loopback_answers_to_its_own_names_only(
    serve: Serve, http: aiohttp.ClientSession, host: str, status: int
) -> None:
    url = await serve(example_site())
    for path in ("", "healthz"):
        async with http.get(url + path, headers={"Host": host}) as answer:
            assert answer.status == status


async def test_a_token_guards_all_but_health(serve: Serve, http: aiohttp.ClientSession) -> None:
    site = example_site()
    site.host, site.token = "192.0.2.7", lambda: TOKEN
    url = await serve(site)
    for path in PATHS:
        async with http.get(url + path) as answer:
            is_open = path in ("healthz", "readyz")
            assert (answer.status == 401) is not is_open, path
            if not is_open:
                assert answer.headers["WWW-Authenticate"].startswith("Basic ")
                assert TOKEN not in await answer.text()


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (aiohttp.encode_basic_auth("anybody", TOKEN), 200),
        (aiohttp.encode_basic_auth("", TOKEN), 200),
        (aiohttp.encode_basic_auth(TOKEN, ""), 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN}x", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Basic %%%", 401),
        ("Basic gICA", 401),
        (f"Digest {TOKEN}", 401),
        (TOKEN, 401),
    ],
)
async def test_the_token_as_bearer_or_as_a_password(
    serve: Serve, http: aiohttp.ClientSession, authorization: str, status: int
) -> None:
    site = example_site()
    site.host, site.token = "192.0.2.7", lambda: TOKEN
    async with http.get(
        await serve(site) + "metrics", headers={"Authorization": authorization}
    ) as answer:
        assert answer.status == status


async def test_health_tells_why_not_and_names_nobody(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    site = example_site()
    url = await serve(site)
    assert await judged(http, url + "readyz") == (
        503,
        "starting",
        ["the state does not answer", "2 of 2 calendars have not had their first turn"],
    )
    async with http.get(url):
        pass  # takes a snapshot
    site.metrics.polled("pam", "quiet")
    assert (await judged(http, url + "readyz"))[2] == [
        "1 of 2 calendars have not had their first turn"
    ]
    site.metrics.polled("jim", "parked")
    assert await judged(http, url + "readyz") == (200, "ready", [])
    site.health.is_stopping = lambda: True
    assert (await judged(http, url + "readyz"))[:2] == (503, "stopping")
    assert await judged(http, url + "healthz") == (200, "ok", [])
    site.health.stuck = lambda: ["pam"]
    status, word, reasons = await judged(http, url + "healthz")
    assert (status, word) == (503, "stuck")
    assert reasons == ["1 readings have not advanced for 15 minutes"]


async def judged(http: aiohttp.ClientSession, url: str) -> tuple[int, str, list[str]]:
    async with http.get(url) as answer:
        body = await answer.json()
        return answer.status, body["status"], body["reasons"]


def test_before_the_parts_are_there_it_is_alive_and_not_ready() -> None:
    health = Health()
    assert health.alive().is_good
    assert health.ready().word == "starting"


async def test_metrics_are_in_prometheus_format(serve: Serve, http: aiohttp.ClientSession) -> None:
    async with http.get(await serve(example_site()) + "metrics") as answer:
        text = await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'gcal_salesloft_users{state="lost"} 1.0' in text
    assert 'gcal_salesloft_backlog{class="backfill",team="3f9a1c2e-77b0"} 11.0' in text
    assert "creed" not in text
    assert "_created" not in text


async def test_an_explanation_is_shown_without_a_calendars_words(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    asked: list[tuple[str, str]] = []

    async def explain(user: str, event_id: str) -> Any:
        asked.append((user, event_id))
        return {
            "verdict": "full",
            "rule": "<b>rule</b>",
            "payload": {"title": "Secret merger", "attendees": ["a"]},
        }

    site = example_site()
    url = await serve(site)
    async with http.get(url) as answer:
        assert "<form" not in await answer.text()
    async with http.get(url + "events?user=pam&id=abc") as answer:
        assert answer.status == 404
    site.explain = explain
    async with http.get(url) as answer:
        assert '<form action="/events" method="get">' in await answer.text()
    async with http.get(url + "events?user=pam&id=%3Cabc%3E") as answer:
        text = await answer.text()
    assert asked == [("pam", "<abc>")]
    assert "&lt;abc&gt;" in text
    assert "&lt;b&gt;rule&lt;/b&gt;" in text
    assert "Secret merger" not in text
    async with http.get(url + "events?user=%3Cscript%3E&id=abc") as answer:
        assert answer.status == 404
        assert "<script>" not in await answer.text()
    async with http.get(url + "events?user=pam&id=") as answer:
        assert answer.status == 400
    assert len(asked) == 1


async def test_an_explanation_that_fails_is_no_broken_page(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    async def explain(user: str, event_id: str) -> Any:
        raise ValueError("Quarterly planning")

    site = example_site()
    site.explain = explain
    async with http.get(await serve(site) + "events?user=pam&id=abc") as answer:
        assert answer.status == 503
        assert "Quarterly" not in await answer.text()
