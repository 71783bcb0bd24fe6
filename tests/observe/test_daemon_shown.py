"""The real daemon, looked at from outside: what it shows is true, and nothing withheld is in it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from connector.app.observability import observability
from connector.domain.errors import ConfigurationInvalid
from connector.observe.observer import NOBODY
from connector.settings.files import load_settings
from tests.daemon import Daemon, Requests, daemon_of
from tests.office import KEY, Office, open_office

WITHHELD = ("Merger with Sabre", "Roof terrace", "buyer.example.net", "pam@example.com", KEY)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listen(office: Office, text: str) -> None:
    with (office.config / "connector.toml").open("a") as file:
        file.write(f"[observability]\n{text}\n")


async def read(http: aiohttp.ClientSession, url: str, wanted: str = "") -> str:
    """The answer, asked for again until the daemon shows what is waited for."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectorError):
                async with http.get(url) as answer:
                    text = await answer.text()
                    if re.search(wanted, text):
                        return text
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def running(office: Office, *arguments: str) -> AsyncIterator[Daemon]:
    async with daemon_of(office) as daemon:
        await daemon.start(*arguments)
        yield daemon
        assert await daemon.end() == 0


async def test_what_it_shows_is_true_and_nothing_withheld_is_in_it(
    office: Office, http: aiohttp.ClientSession
) -> None:
    pam = office.hire("pam")
    office.hire("jim")
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    listen(office, f'listen = "127.0.0.1:{port}"')
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    buyer = [{"email": "michael@buyer.example.net"}]
    pam.create(WITHHELD[0], now + timedelta(hours=2), location=WITHHELD[1], attendees=buyer)
    requests = Requests(office)
    async with running(office, "--debug") as daemon:
        await read(http, url + "readyz", '"status": "ready"')
        await requests.until(lambda: len(office.alive("pam")) == 1)
        pam.create(WITHHELD[0], now + timedelta(hours=3), location=WITHHELD[1], attendees=buyer)
        await requests.until(lambda: len(office.alive("pam")) == 2)
        metrics = await read(
            http,
            url + "metrics",
            r"freshness_seconds_count\{team=\S+ 1\.0[\s\S]*users\{state=\"ok\"\} 2\.0",
        )
        page = await read(http, url, r'<th scope="row">pam</th>')
        health = await read(http, url + "healthz", '"ok"')
        ready = await read(http, url + "readyz")
    assert re.search(
        r'deliveries_total\{outcome="accepted",team="[0-9a-f]{8}-[0-9a-f]{4}"\} 2\.0', metrics
    )
    assert re.search(r'google_requests_total\{call="changes",result="200"\} \d', metrics)
    upserts = (
        r'salesloft_requests_total\{result="201",route="POST /v2/calendar/events/upsert"\} 2\.0'
    )
    assert re.search(upserts, metrics)
    spent = re.search(r"points_total\{team=\S+ (\S+)", metrics)
    assert spent is not None
    assert float(spent[1]) >= 3  # two upserts and the first comparison
    assert '<strong class="state good">ok</strong>' in page
    for shown in (metrics, page, health, ready, daemon.log):
        for secret in WITHHELD:
            assert secret not in shown
    assert re.search(
        r"upserted .*request_id=\S+ .*user=pam", re.sub(r"\x1b\[[0-9;]*m", "", daemon.log)
    )
    assert "pam" not in metrics + health + ready


async def test_a_stop_leaves_no_log_of_the_state_behind(
    office: Office, http: aiohttp.ClientSession
) -> None:
    """Though the listener has a reader of its own, which may not remove it."""
    office.hire("pam").create("Pitch", office.clock() + timedelta(hours=3))
    port = free_port()
    listen(office, f'listen = "127.0.0.1:{port}"')
    async with running(office):
        await read(http, f"http://127.0.0.1:{port}/", r'<th scope="row">pam</th>')
    assert not office.state.with_name("state.db-wal").exists()
    assert not office.state.with_name("state.db-shm").exists()


async def test_refusals_and_reasons_are_shown_without_their_words(
    office: Office, http: aiohttp.ClientSession
) -> None:
    pam = office.hire("pam")
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    listen(office, f'listen = "127.0.0.1:{port}"\nlog_format = "json"\nuser_labels = true')
    pam.create(
        WITHHELD[0],
        office.clock() + timedelta(hours=2),
        attendees=[{"email": "m@buyer.example.net"}],
    )
    office.google.revoke("pam@example.com")
    async with running(office) as daemon:
        page = await read(http, url, "token revoked")
        metrics = await read(http, url + "metrics", r'users\{state="(parked|lost)"\} 1\.0')
        await read(http, url + "readyz", '"ready"')
    assert re.search(r'user_state\{state="(parked|lost)",user="pam"\} 1\.0', metrics)
    for shown in (metrics, page, daemon.log):
        for secret in WITHHELD:
            assert secret not in shown


async def test_a_taken_port_is_one_clear_line(office: Office) -> None:
    office.hire("pam")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        listen(office, f'listen = "127.0.0.1:{port}"')
        async with daemon_of(office) as daemon:
            await daemon.start()
            assert await daemon._process.wait() == 1  # type: ignore[union-attr]
    said = daemon.log.strip().splitlines()
    assert said == [
        f"gcal-salesloft: cannot listen on 127.0.0.1:{port}: another program listens there; choose another"
        " port in [observability] listen, or end what uses it"
    ]
    assert office.salesloft.log == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('listen = "0.0.0.0:9464"', "observability.listen"),
        ('listen = "[::]:9464"', "observability.listen"),
        ('listen = "status.example.com:9464"', "observability.listen"),
        ('listen = "0.0.0.0:9464"\ntoken_file = "short"', "a token of 5 characters"),
        ('token_file = "open"', "chmod 600"),
        ('token_file = "absent"', "no such file"),
        ('token_file = "short"\ntoken_credential = "token"', "exactly one of them"),
    ],
)
def test_elsewhere_only_with_a_good_token(office: Office, text: str, said: str) -> None:
    office.hire("pam")
    listen(office, text)
    for name, mode in (("short", 0o600), ("open", 0o644)):
        file = office.config / name
        file.write_text("hush!" if name == "short" else "hush!" * 8)
        file.chmod(mode)
    with pytest.raises(ConfigurationInvalid) as refused:
        load_settings(office.config)
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)


async def test_elsewhere_with_a_token(office: Office, http: aiohttp.ClientSession) -> None:
    office.hire("pam")
    token = office.config / "token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef\n")
    listen(office, 'listen = "0.0.0.0:0"\ntoken_file = "token"')
    settings = load_settings(office.config)
    async with observability(settings, office.state, asyncio.Event()) as shown:
        assert shown.url is not None
        url = shown.url.replace("0.0.0.0", "127.0.0.1")
        async with http.get(url + "metrics") as answer:
            assert answer.status == 401
        headers = {"Authorization": "Bearer 0123456789abcdef"}
        async with http.get(url + "metrics", headers=headers) as answer:
            assert answer.status == 200
        async with http.get(url + "readyz") as answer:
            assert answer.status == 503


async def test_an_address_of_another_machine_is_a_mistake(office: Office) -> None:
    office.hire("pam")
    token = office.config / "token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef\n")
    listen(office, 'listen = "192.0.2.1:9464"\ntoken_file = "token"')
    with pytest.raises(ConfigurationInvalid, match="does not have that address"):
        async with observability(load_settings(office.config), office.state, asyncio.Event()):
            pass


async def test_without_listen_nobody_listens(office: Office) -> None:
    office.hire("pam")
    async with observability(load_settings(office.config), office.state, asyncio.Event()) as shown:
        assert shown.observer is NOBODY
        shown.attach(_never, _never)


def _never() -> Any:
    raise AssertionError("nobody asks")
