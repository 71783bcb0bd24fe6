"""The simulators as processes of their own."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from connector.simulator.processes import make_salesloft_world

WORLD: dict[str, Any] = {
    "google": {"calendars": [{"email": "pam@example.com", "time_zone": "America/New_York"}]},
    "salesloft": {
        "teams": [
            {
                "key": "team-key",
                "limit_per_minute": 50,
                "users": [{"email": "pam@example.com", "guid": "pams-guid"}],
            }
        ],
        "switches": {"bulk_seconds_per_record": 0.5},
        "costs": {"me": 2},
    },
}
PATIENCE_SECONDS = 60


@asynccontextmanager
async def _process(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "connector.simulator.processes", *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = (await process.stdout.readline()).decode()
        word, _, url = line.strip().partition(" ")
        assert word == "READY", line
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _world_file(folder: Path) -> str:
    path = folder / "world.json"
    path.write_text(json.dumps(WORLD))
    return str(path)


async def test_salesloft_serves_its_world_until_sigterm(tmp_path: Path) -> None:
    options = ["--world", _world_file(tmp_path), "--credentials-dir", str(tmp_path / "keys")]
    async with _process("salesloft", "--port", "0", *options) as (process, url):
        key_file = tmp_path / "keys" / "salesloft.key"
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        headers = {"Authorization": f"Bearer {key_file.read_text().strip()}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{url}/v2/me") as response,
        ):
            assert response.status == 200
            assert response.headers["x-ratelimit-remaining-minute"] == "48"
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await process.stdout.read() == b""
            assert await process.wait() == 0


def _has_google() -> bool:
    if importlib.util.find_spec("connector.simulator.google") is None:
        return False
    return hasattr(importlib.import_module("connector.simulator.google"), "make_google_app")


@pytest.mark.skipif(not _has_google(), reason="the simulated Google is not there")
async def test_google_writes_credentials_that_name_its_own_token_uri(tmp_path: Path) -> None:
    options = ["--world", _world_file(tmp_path), "--credentials-dir", str(tmp_path)]
    async with _process("google", "--seed", "3", *options) as (process, url):
        path = tmp_path / "google.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        credentials = json.loads(path.read_text())
        assert credentials["type"] == "service_account"
        assert credentials["token_uri"] == f"{url}/token"
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await process.wait() == 0


def test_a_described_world_is_made() -> None:
    world = make_salesloft_world(WORLD["salesloft"], seed=4)
    assert world.keys["team-key"].team.budget.limit == 50
    assert world.users["pams-guid"].calendar_id == "external_pams-guid"
    assert world.switches.bulk_seconds_per_record == 0.5
    assert world.costs == {"me": 2}
    with pytest.raises(ValueError, match="unknown switch colour"):
        make_salesloft_world({"switches": {"colour": "red"}}, seed=4)
