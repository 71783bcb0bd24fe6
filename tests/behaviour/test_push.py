"""Push, with the real daemon: a notification wakes a reading, and nothing depends on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from connector.app import run_daemon
from connector.app.observability import listen_on
from connector.cli.commands import app
from connector.domain.errors import ListenerUnusable
from connector.google.receiver import make_receiver
from connector.settings.files import load_settings
from connector.simulator.faults import Fault
from connector.simulator.google.push import Message, Push
from connector.store import open_reader
from connector.store.channels import overview
from tests.behaviour.test_reload import meeting, polls, serving, titles
from tests.daemon import Requests, daemon_of
from tests.office import Office
from tests.people import fill, random_edit

SLOW = "10m"
"""No test waits for a poll this far away: what arrives came by a notification."""
FORGED, FEW = 200, 5
"""The readings are the first one, one for what came before the channel, and two or three of true notifications."""


@pytest.fixture
def push(office: Office, monkeypatch: pytest.MonkeyPatch) -> Push:
    """Google's side; daemons of this process look at their channels more often than a second apart."""
    monkeypatch.setattr("connector.app.push.LOOK_EVERY", 0.1)
    made = office.google.push
    made.allow_http = True
    made.sync_first = 0.0
    made.retry_seconds = 0.01
    office.poll_interval = SLOW
    return made


@pytest.fixture
def address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/google/notifications"


def ask_for_push(office: Office, address: str, poll_interval: str = "20m") -> None:
    """The daemon wants notifications; after everybody was hired."""
    port = address.split("/")[2]
    with (office.config / "connector.toml").open("a") as file:
        file.write(
            f'[google.push]\naddress = "{address}"\nlisten = "{port}"\npoll_interval = "{poll_interval}"\n'
        )


def reached(push: Push, number: int) -> bool:
    """Whether so many channels are alive, and each has heard Google's first message."""
    live = push.live()
    heard = {one.message.channel.id for one in push.sent if one.status == 204}
    return len(live) == number and {one.id for one in live} <= heard


async def rows(office: Office) -> dict[str, Any]:
    reader = open_reader(office.place)
    try:
        found = await reader.run(overview)
        return {one.id: one for one in found.channels}
    finally:
        reader.close()


async def quiet(office: Office) -> bool:
    return any(one.quiet_since for one in (await rows(office)).values())


async def told_of(office: Office, requests: Requests, name: str) -> None:
    """Changes of a seller arrive by their notifications.

    The first two might be found by the first reading, and by the one that looks for what came before the channel.
    """
    for number in range(4):
        title = f"Pitch {number}"
        meeting(office, name, title)
        await requests.until(lambda title=title: title in titles(office, name))  # type: ignore[misc]


@pytest.fixture
def close_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that makes changes one after the other does not wait for a crowd to form."""
    monkeypatch.setattr("connector.sync.wakes.DISTANCE_SECONDS", 0.05)


@pytest.mark.usefixtures("close_together")
async def test_changes_arrive_by_their_notifications_long_before_the_next_poll(
    office: Office, push: Push, address: str
) -> None:
    office.hire("pam")
    office.hire("jim")
    ask_for_push(office, address)
    async with serving(office) as requests:
        await requests.until(lambda: reached(push, 2))
        await told_of(office, requests, "pam")
        pams = polls(office, "pam")
        await told_of(office, requests, "jim")
        assert polls(office, "pam") - pams <= 1  # the last wake's, if it was not over yet
    assert {one.status for one in push.sent} == {204}


async def test_nothing_is_lost_where_messages_are(office: Office, push: Push, address: str) -> None:
    """Lost, doubled, late and out of order; polls make up for it."""
    office.poll_interval = "1s"
    rng = Random(5)
    for name in ("pam", "jim"):
        fill(office.hire(name), rng, office.clock(), singles=10, series=2)
    ask_for_push(office, address, "2s")
    push.loss, push.duplicate, push.late, push.gap = 0.3, 0.3, 0.3, 9
    async with serving(office) as requests:
        await requests.until(lambda: reached(push, 2))
        for _ in range(40):
            name = rng.choice(["pam", "jim"])
            random_edit(office.sellers[name], rng, office.clock(), office.window(name))
            await push.settled()
        await requests.until(lambda: office.differences() == [])
    assert push.dropped != []
    assert office.salesloft.overlaps == []
    assert office.salesloft.stale_writes == []


async def test_a_crash_between_watch_and_its_answer_leaves_no_channel_behind(
    office: Office, push: Push, address: str
) -> None:
    office.hire("pam")
    ask_for_push(office, address)
    office.google.faults.add(Fault("events.watch", "slow", seconds=30.0))
    requests = Requests(office)
    async with daemon_of(office) as daemon:
        await daemon.start()
        await requests.until(lambda: reached(push, 1))
        (orphan,) = push.live()
        await daemon.end(signal.SIGKILL)
        await daemon.start()
        await requests.until(lambda: orphan.stopped and reached(push, 1))
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})
        assert await daemon.end() == 0
    assert [one.id for one in push.live()] == list(await rows(office))


async def test_an_answer_that_was_lost_leaves_no_channel_behind(
    office: Office, push: Push, address: str
) -> None:
    office.hire("pam")
    ask_for_push(office, address)
    office.google.faults.add(Fault("events.watch", "reset_after"))
    async with serving(office) as requests:
        await requests.until(lambda: len(push.channels) == 2 and reached(push, 1))
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})


async def test_channels_are_stopped_when_their_user_goes_or_wants_none(
    office: Office, push: Push, address: str
) -> None:
    office.hire("pam")
    office.hire("jim")
    ask_for_push(office, address)
    config = office.config / "connector.toml"
    async with serving(office) as requests:
        await requests.until(lambda: reached(push, 2))
        (office.config / "users" / "jim.toml").unlink()
        await requests.until(lambda: len(push.live()) == 1)
        assert [one.calendar_id for one in push.live()] == ["pam@example.com"]
        without, _, table = config.read_text().partition("[google.push]")
        config.write_text(without)
        await requests.until(lambda: push.live() == [])
        config.write_text(without + "[google.push]" + table)
        await requests.until(lambda: reached(push, 1))


async def test_another_address_gets_channels_of_its_own(
    office: Office, push: Push, address: str
) -> None:
    office.hire("pam")
    ask_for_push(office, address)
    config = office.config / "connector.toml"
    async with serving(office) as requests:
        await requests.until(lambda: reached(push, 1))
        (old,) = push.live()
        config.write_text(config.read_text().replace("/google/notifications", "/elsewhere"))
        await requests.until(lambda: old.stopped and reached(push, 1))
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})
    assert {one.address.rpartition("/")[2] for one in push.live()} == {"elsewhere"}


async def command(*words: str) -> str:
    """What a command answers, beside the daemon of this process."""
    result = await asyncio.to_thread(CliRunner().invoke, app, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stdout


async def status_of(office: Office) -> list[dict[str, Any]]:
    answer = json.loads(await command("status", "--config", str(office.config), "--json"))
    users: list[dict[str, Any]] = answer["users"]
    return users


async def doctor_of(office: Office) -> str:
    return await command("doctor", "--config", str(office.config))


@pytest.mark.usefixtures("close_together")
async def test_status_and_doctor_tell_how_push_stands(
    office: Office, push: Push, address: str
) -> None:
    office.hire("pam")
    office.hire("jim", google="[google.push]\nenabled = false")
    ask_for_push(office, address)
    async with serving(office) as requests:
        await requests.until(lambda: reached(push, 1))
        await told_of(office, requests, "pam")
        jim, pam = await status_of(office)
        assert jim["push"] is None
        assert pam["push"]["state"] == "healthy"
        assert pam["push"]["last_notification"] is not None
        assert "push: healthy" in await command("status", "--config", str(office.config))
        answer = await doctor_of(office)
        assert f"ok       push address: {address}: answered as the receiver does" in answer
        assert "ok       user pam: push channel: healthy" in answer
        assert "user jim: push" not in answer
    assert f"warning  push address: {address}: no answer" in await doctor_of(office)


async def post(session: aiohttp.ClientSession, address: str, headers: dict[str, str]) -> int:
    async with session.post(address, headers=headers) as answer:
        assert await answer.read() == b""
        return answer.status


async def test_a_flood_of_forged_notifications_wakes_nobody(
    office: Office, push: Push, address: str
) -> None:
    office.hire("pam")
    ask_for_push(office, address)
    async with serving(office) as requests, aiohttp.ClientSession() as session:
        await requests.until(lambda: reached(push, 1))
        (channel,) = push.live()
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})
        before = polls(office, "pam")
        true = Message(channel, channel.sent, "exists").headers
        forged = [
            true,  # a replay
            {**true, "X-Goog-Message-Number": "1000000", "X-Goog-Channel-Token": "guess"},
            {**true, "X-Goog-Message-Number": "1000000", "X-Goog-Resource-ID": "other"},
            {**true, "X-Goog-Message-Number": "1000000", "X-Goog-Channel-ID": "other"},
            {k: v for k, v in true.items() if k != "X-Goog-Channel-Token"},
            {**true, "X-Goog-Message-Number": "-1"},
            {},
        ]
        found = [await post(session, address, forged[i % len(forged)]) for i in range(FORGED)]
        assert set(found) == {204}
        # What is true still counts, and it is judged after all of them.
        meeting(office, "pam", "Second")
        await requests.until(lambda: titles(office, "pam") == {"Pitch", "Second"})
        assert polls(office, "pam") - before <= FEW


async def test_a_flood_with_the_right_secret_costs_few_readings(
    office: Office, push: Push, address: str
) -> None:
    office.hire("pam")
    ask_for_push(office, address)
    async with serving(office) as requests:
        await requests.until(lambda: reached(push, 1))
        (channel,) = push.live()
        before = polls(office, "pam")
        for number in range(FORGED):
            push.send(Message(channel, channel.sent + number + 1, "exists"))
            await push.settled()
        channel.sent += FORGED
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})
        assert polls(office, "pam") - before <= FEW


async def test_a_poll_that_finds_what_no_notification_told_of_is_said_and_ends_with_the_next(
    office: Office, push: Push, address: str
) -> None:
    office.poll_interval = "1s"
    office.hire("pam")
    ask_for_push(office, address, "1s")
    async with serving(office) as requests:
        await requests.until(lambda: reached(push, 1))
        push.loss = 1.0
        for number in range(20):  # the first ones may come before the channel vouches
            meeting(office, "pam", f"Untold {number}")
            await requests.until(lambda number=number: f"Untold {number}" in titles(office, "pam"))  # type: ignore[misc]
            if any(one["event"] == "push_quiet" for one in requests.logs):
                break
        await requests.heard("push_quiet")
        while not await quiet(office):  # it is kept with the next round
            await requests.more(1)
        push.loss = 0.0
        meeting(office, "pam", "Told")
        await requests.until(lambda: "Told" in titles(office, "pam"))
        while await quiet(office):  # it may have been a poll that found it
            await requests.more(1)


async def test_a_refused_address_is_said_with_its_remedy_and_polls_go_on(
    office: Office, push: Push, address: str
) -> None:
    office.poll_interval = "1s"
    office.hire("pam")
    office.hire("jim")
    ask_for_push(office, address)
    push.unauthorized.add(address)
    async with serving(office) as requests:
        await requests.heard("push_address_refused")
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})
        before = polls(office, "pam")
        await requests.until(lambda: polls(office, "pam") >= before + 1)
        said = [one for one in requests.logs if one["event"] == "push_address_refused"]
        assert len(said) == 1
        assert "verify its domain" in said[0]["message"]
        assert len(office.google.requests("events.watch")) <= 2
        told = await status_of(office)
        assert {one["push"]["state"] for one in told} == {"address_refused"}
        assert all("verify its domain" in one["push"]["message"] for one in told)
        assert "warning  user pam: push channel: address_refused" in await doctor_of(office)


async def test_the_receiver_shows_nothing(office: Office, push: Push, address: str) -> None:
    office.hire("pam")
    ask_for_push(office, address)
    root = address.removesuffix("/google/notifications")
    async with serving(office) as requests, aiohttp.ClientSession() as session:
        await requests.until(lambda: reached(push, 1))
        for method, path in (("GET", "/google/notifications"), ("GET", "/metrics"), ("POST", "/")):
            async with session.request(method, root + path) as answer:
                assert (answer.status, await answer.read()) == (404, b"")
                assert answer.headers["Server"] == "-"
        async with session.post(address, data=b"x" * 100_000) as answer:
            assert (answer.status, await answer.read()) == (204, b"")
        host, _, port = address.split("/")[2].partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x16\x03\x01 no http at all\r\n\r\n")
        seen = await reader.read()
        assert b"aiohttp" not in seen
        assert seen.endswith(b"\r\n\r\n")
        writer.close()


@pytest.mark.usefixtures("close_together")
async def test_through_a_proxy_with_a_certificate_as_google_demands(
    office: Office, push: Push, address: str, tmp_path: Path
) -> None:
    """The daemon hears plain http on loopback; Google sees https alone."""
    push.allow_http = False
    authority, mine = certificates(tmp_path)
    push.trust = ssl.create_default_context(cafile=authority)
    async with proxy(mine, address) as public:
        office.hire("pam")
        ask_for_push(office, public)
        config = office.config / "connector.toml"
        port = public.split("/")[2]
        config.write_text(
            config.read_text().replace(f'listen = "{port}"', f'listen = "{address.split("/")[2]}"')
        )
        async with serving(office) as requests:
            await requests.until(lambda: reached(push, 1))
            await told_of(office, requests, "pam")
            # This machine's authorities do not vouch for the test's.
            assert "its certificate is refused" in await doctor_of(office)
    assert {one.address for one in push.channels.values()} == {public}


def certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """An authority's certificate, and a server's context for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "ca.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return pem, context


@contextlib.asynccontextmanager
async def proxy(context: ssl.SSLContext, inner: str) -> AsyncIterator[str]:
    """A reverse proxy as docs/push.md has them, with that certificate."""
    async with aiohttp.ClientSession() as session:

        async def forward(request: web.Request) -> web.Response:
            passed = {k: v for k, v in request.headers.items() if k.startswith("X-Goog-")}
            async with session.post(inner, headers=passed) as answer:
                return web.Response(status=answer.status)

        app = web.Application()
        app.router.add_post("/google/notifications", forward)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        try:
            yield f"https://localhost:{runner.addresses[0][1]}/google/notifications"
        finally:
            await runner.cleanup()


async def test_a_port_that_is_taken_stops_the_start_and_is_named(
    office: Office, push: Push, address: str
) -> None:
    office.hire("pam")
    ask_for_push(office, address)
    host, _, port = address.split("/")[2].partition(":")
    named = rf"cannot listen on {re.escape(host)}:{port}: .*\[google.push\] listen"
    async with await asyncio.start_server(lambda *_: None, host, int(port)):
        with pytest.raises(ListenerUnusable, match=named):
            await run_daemon(load_settings(office.config), asyncio.Event())
    assert push.channels == {}


async def test_nodes_of_one_machine_listen_together(address: str) -> None:
    host, _, port = address.split("/")[2].partition(":")
    runners = [make_receiver(lambda _: True, lambda _: True) for _ in range(3)]
    try:
        for runner in runners:
            await runner.setup()
        for runner in runners[:2]:
            await listen_on(runner, host, int(port), shared=True)
        with pytest.raises(ListenerUnusable):
            await listen_on(runners[2], host, int(port))
    finally:
        for runner in runners:
            await runner.cleanup()


async def test_no_secret_is_in_the_state_or_a_log_and_a_channel_outlives_the_process(
    office: Office, push: Push, address: str
) -> None:
    office.hire("pam")
    ask_for_push(office, address)
    async with serving(office) as requests:
        await requests.until(lambda: reached(push, 1))
        meeting(office, "pam")
        await requests.until(lambda: titles(office, "pam") == {"Pitch"})
        (channel,) = push.live()
    assert channel.token is not None
    assert len(channel.token) >= 40
    assert channel.token not in repr(requests.logs)
    assert not any(
        channel.token.encode() in file.read_bytes() for file in office.directory.glob("state*")
    )
    async with serving(office) as requests:
        meeting(office, "pam", "After the restart")
        await requests.until(lambda: len(titles(office, "pam")) == 2)
        assert push.live() == [channel]
