"""What a calendar at rest holds of the memory: the real daemon at several sizes, a process for each.

.venv/bin/python -m benchmarks memory
.venv/bin/python -m benchmarks.memory --calendars 2000 --trace    # where the bytes are, by line
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import logging
import sqlite3
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.process import child, line_of, resident_bytes
from benchmarks.result import Benchmark, Picture, Result, Row
from connector.app import run_daemon
from connector.app.opening import state_place
from connector.app.to_google import seller_of
from connector.domain.errors import ConfigurationMistake
from connector.domain.mapping import to_millis
from connector.domain.model import UserGuid, UserName
from connector.engines import local
from connector.observe.log import configure_logging
from connector.settings.files import load_settings
from connector.settings.model import Settings, UserSettings
from connector.settings.roster import user_without_file
from connector.simulator.processes import serve
from connector.store import open_database

SIZES = (1_000, 10_000, 100_000)
QUICK_SIZES = (20, 60)
TRACED = 2_000
SHOWN_LINES = 12
LOOK_SECONDS = 0.2
LONGEST_SECONDS = 400.0
"""A size that would take longer, at the pace of the one before, is left out, and the page says so."""
TARGET_BYTES = 2048
SPREAD_SECONDS = 0.001
"""First polls follow each other faster than a daemon's, which spreads 100,000 of them over an hour and more."""
SYNC_TOKEN = "CPDAlvWDx70CEPDAlvWDx70CGAUg0LXQtAI="  # noqa: S105  # a place in a listing, no secret
ABOUT = """
The real daemon (`run_daemon`) serves this many calendars of one domain: settings as `[roster] mode = "settings"`
makes them, one service account for all, a SQLite state on disk. Another process answers every poll with the same empty
page, and every token request with a token of its own of 200 characters. Each calendar is polled once; then, with the
polls an hour apart, rubbish is collected, freed memory is handed back to the system, and what the process still holds
is read from `/proc`. What interpreter, libraries and code take is the same at every size, so a calendar costs the slope
between two sizes: **{slope} bytes a calendar** from {smallest} to {largest} calendars; the aim is at most
2 KiB.{missing} What calendars hold (occurrences, their sync tokens) is in the state, not in memory.

Where the bytes of a calendar were allocated, by `tracemalloc` with {traced} calendars, the {lines} greatest:

{top}
"""


@asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    """Whatever is asked of Google: an empty page, or a token."""
    page = json.dumps(
        {
            "kind": "calendar#events",
            "updated": "2026-11-20T09:00:00.000Z",
            "timeZone": "America/New_York",
            "accessRole": "owner",
            "nextSyncToken": SYNC_TOKEN,
            "items": [],
        }
    ).encode()

    async def listing(_: web.Request) -> web.Response:
        return web.Response(body=page, content_type="application/json", charset="utf-8")

    async def token(_: web.Request) -> web.Response:
        text = f"ya29.{uuid4().hex * 6}abc"
        return web.json_response({"access_token": text, "expires_in": 3599, "token_type": "Bearer"})

    app = web.Application()
    app.router.add_get("/calendar/{path:.*}", listing)
    app.router.add_post("/token", token)
    async with serve(app) as url:
        yield url


async def serve_upstream() -> None:
    async with upstream() as url:
        print(f"READY {url}", flush=True)
        await asyncio.Event().wait()


def settings_of(directory: Path, url: str, calendars: int) -> Settings:
    """As a large installation has them: connector.toml says all, Salesloft names the users."""
    # A small key signs fast; that a signature takes long says nothing of the memory.
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "project_id": "large",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "connector@large.iam.gserviceaccount.example.com",
        "client_id": "1",
        "token_uri": f"{url}/token",
    }
    for name, text in (("google.json", json.dumps(account)), ("salesloft.key", "key")):
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(text)
    (directory / "users").mkdir()
    (directory / "connector.toml").write_text(
        f'[state]\nurl = "sqlite:///{directory}/state.db"\n[roster]\nmode = "settings"\n'
        f'[google]\ncredentials_file = "google.json"\napi_url = "{url}"\nrequests_per_minute = 10000000\n'
        '[salesloft]\napi_key_file = "salesloft.key"\napi_url = "http://127.0.0.1:9"\n'
        '[policy]\ninternal_domains = ["example.com"]\n[sync]\npoll_interval = "1h"\nverify = "never"\n'
        "[bookings]\nenabled = false\n"
    )
    settings = load_settings(directory)
    assert settings.template is not None
    users = []
    for number in range(calendars):
        name, guid = UserName(f"seller.{number:06}"), UserGuid(str(uuid4()))
        user = user_without_file(settings.template, name, guid, f"{name}@example.com")
        assert not isinstance(user, ConfigurationMistake)
        # Files decide here: nobody answers for Salesloft.
        users.append(replace(user, roster=replace(user.roster, mode="files")))
    return Settings(settings.process, tuple(users))


def remember(settings: Settings) -> None:
    """A state in which every calendar was synced a while ago, so that polls are incremental and quiet."""
    path = state_place(settings)
    assert isinstance(path, Path)
    open_database(path).close()
    nothing: Any = None
    now = datetime.now(UTC)
    ago = to_millis(now - timedelta(hours=1))
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    listed = to_millis(today - timedelta(days=31)), to_millis(today + timedelta(days=92))

    def row(user: UserSettings) -> tuple[object, ...]:
        fingerprint = seller_of(user, nothing, nothing, nothing).token_fingerprint
        return (
            *(user.salesloft.user_guid, user.name, SYNC_TOKEN, fingerprint),
            *("America/New_York", "owner", *listed, ago, ago),
        )

    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO calendars (user_guid, name, sync_token, token_fingerprint, time_zone, access_role,"
            " listed_from, listed_until, last_success, last_full, compared) VALUES (?,?,?,?,?,?,?,?,?,?,1)",
            map(row, settings.users),
        )
    connection.close()


async def hold(calendars: int, *, trace: bool) -> dict[str, Any]:
    """Serve so many calendars, and say what this process holds once each was polled."""
    configure_logging()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as directory:
        async with child("benchmarks.memory", "--serve") as server:
            url = (await line_of(server)).removeprefix("READY ")
            if trace:
                tracemalloc.start(1)
            settings = settings_of(Path(directory), url, calendars)
            remember(settings)
            stopping = asyncio.Event()
            local.SPREAD_SECONDS = SPREAD_SECONDS
            daemon = asyncio.create_task(run_daemon(settings, stopping))
            path = state_place(settings)
            del settings
            try:
                await until_polled(daemon, path, calendars)
                held = at_rest()
                return {"bytes": held, "top": top(calendars) if trace else []}
            finally:
                stopping.set()
                await daemon


async def until_polled(daemon: asyncio.Task[int], path: object, calendars: int) -> None:
    """Wait until the state says of every calendar that it was read."""
    recently = to_millis(datetime.now(UTC) - timedelta(minutes=30))
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if daemon.done():
                raise RuntimeError(f"the daemon ended with status {daemon.result()}")
            query = "SELECT count(*) FROM calendars WHERE last_success > ?"
            if connection.execute(query, (recently,)).fetchone()[0] == calendars:
                return
    finally:
        connection.close()


def at_rest() -> int:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return resident_bytes()


def top(calendars: int) -> list[tuple[str, float, float]]:
    """Lines of the program and its libraries, with bytes and blocks a calendar."""
    found = []
    for line in tracemalloc.take_snapshot().statistics("lineno"):
        frame = line.traceback[0]
        place = frame.filename.rpartition("site-packages/")[2].removeprefix(f"{Path.cwd()}/")
        place = place.rpartition("/lib/python")[2] if place.startswith("/") else place
        if line.count > calendars // 2 and "importlib" not in place:
            found.append((f"{place}:{frame.lineno}", line.size / calendars, line.count / calendars))
    return found


async def measured(calendars: int, *, trace: bool = False) -> dict[str, Any]:
    """The same in a process of its own."""
    extra = ("--trace",) if trace else ()
    async with child(
        "benchmarks.memory", "--calendars", str(calendars), "--json", *extra
    ) as process:
        told: dict[str, Any] = json.loads(await line_of(process))
        return told


async def at_sizes(sizes: Sequence[int], traced: int) -> Result:
    rows: list[Row] = []
    held: dict[int, int] = {}
    missing, seconds_each = "", 0.0
    traces: list[tuple[str, float, float]] = []
    for size in sizes:
        if seconds_each * size > LONGEST_SECONDS:
            minutes = seconds_each * size / 60
            missing += f" {size:,} calendars were left out: at the pace of those before, {minutes:.0f} minutes."
            continue
        began = time.monotonic()
        # In the smallest size one process does both, though tracing takes memory itself.
        told = await measured(size, trace=size == traced)
        held[size], traces = told["bytes"], told["top"]
        seconds_each = (time.monotonic() - began) / size
        rows.append(Row(f"{size:,} calendars", held[size] / 2**20, "MiB"))
    smallest, largest = min(held), max(held)
    slope = (held[largest] - held[smallest]) / (largest - smallest)
    slopes = [
        (float(more), (held[more] - held[less]) / (more - less))
        for less, more in pairwise(sorted(held))
    ]
    rows += [Row(f"a calendar, up to {size:,.0f}", each, "bytes") for size, each in slopes]
    rows.append(
        Row("a calendar", slope, "bytes", ratio=slope / TARGET_BYTES, note="of the aim, 2 KiB")
    )
    lines = (traces or (await measured(traced, trace=True))["top"])[:SHOWN_LINES]
    table = ["| line | bytes | blocks |", "|---|---|---|"]
    table += [f"| `{place}` | {size:.0f} | {count:.1f} |" for place, size, count in lines]
    facts = {
        "slope": f"{slope:,.0f}",
        "smallest": f"{smallest:,}",
        "largest": f"{largest:,}",
        "missing": missing,
        "traced": f"{traced:,}",
        "lines": str(len(lines)),
        "top": "\n".join(table),
    }
    return Result(tuple(rows), facts, {"resident": [(n, held[n] / 2**20) for n in sorted(held)]})


def run(quick: bool) -> Result:
    return asyncio.run(
        at_sizes(QUICK_SIZES if quick else SIZES, QUICK_SIZES[-1] if quick else TRACED)
    )


BENCHMARK = Benchmark(
    "memory",
    "Memory of a calendar",
    ABOUT,
    run,
    Picture("calendars", "MiB resident", log_x=True),
    seconds=900,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calendars", type=int, default=TRACED)
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve_upstream())
        return
    told = asyncio.run(hold(given.calendars, trace=given.trace))
    if given.json:
        print(json.dumps(told), flush=True)
        return
    print(f"{given.calendars} calendars: {told['bytes'] / 2**20:.1f} MiB resident")
    for place, size, count in told["top"][:40]:
        print(f"{size:8.0f} bytes {count:6.2f} blocks a calendar  {place}")


if __name__ == "__main__":
    main()
