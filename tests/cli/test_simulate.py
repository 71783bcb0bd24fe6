"""`gcal-salesloft simulate`: what it writes is a working configuration, and it harms nobody's files."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from connector.cli import simulate
from connector.cli.simulate_config import WRITTEN, write_directory
from connector.store import lock_state

PATIENCE_SECONDS = 60
LAST_LINE = "Ctrl-C"


async def _gcal_salesloft(*arguments: str) -> tuple[int | None, str, str]:
    """A command's exit status, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "connector", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def _simulating(*options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The command and what it printed, once it is ready."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "connector", "simulate", *options),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    guide = ""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while LAST_LINE not in guide:
                line = (await process.stdout.readline()).decode()
                assert line, f"it ended after {guide!r}"
                guide += line
        yield process, guide
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _curl(line: str) -> Any:
    """The answer to a printed curl command: `curl -s URL [-d BODY] [| …]`."""
    words = shlex.split(line.partition("|")[0])
    assert words[:2] == ["curl", "-s"]
    method, body = ("POST", words[words.index("-d") + 1]) if "-d" in words else ("GET", None)
    async with aiohttp.ClientSession() as http, http.request(method, words[2], data=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_its_configuration_works_and_its_examples_too(tmp_path: Path) -> None:
    directory = tmp_path / "try it"
    async with _simulating("--write-config", str(directory)) as (process, guide):
        change, look = re.findall(r"^  (curl .*)$", guide, re.MULTILINE)
        assert f"gcal-salesloft run --config {shlex.quote(str(directory))}" in guide

        assert (await _gcal_salesloft("check-config", str(directory)))[0] == 0
        config = ("--config", str(directory))
        status, out, err = await _gcal_salesloft("run", "--initial-sync", *config)
        assert status == 0, err
        synced = len((await _curl(look))["data"])
        assert synced > 40

        booked = await _curl(change)
        status, out, err = await _gcal_salesloft("run", "--once", *config)
        assert status == 0, err
        assert "delivered 1, refused 0, still waiting 0" in out
        held = (await _curl(look))["data"]
        assert len(held) == synced + 1
        assert [one["title"] for one in held if one["id"] == booked["id"]] == ["Pitch Vance"]

        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await process.wait() == 0


async def test_it_writes_again_over_its_own_output(tmp_path: Path) -> None:
    options = ("--write-config", str(tmp_path), "--seed", "3")
    async with _simulating(*options) as (process, _):
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await process.wait() == 0
    secrets = {"google.json", "google-andy.bernard@example.com.json", "salesloft.key"}
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in secrets}
    assert modes == dict.fromkeys(secrets, 0o600)
    first = (tmp_path / "connector.toml").read_text()
    (tmp_path / "state.db").write_text("of a Salesloft that is no more")
    async with _simulating(*options) as (_, guide):
        assert (tmp_path / "connector.toml").read_text() != first
        assert guide.splitlines()[0].split()[1] in (tmp_path / "connector.toml").read_text()
        assert not (tmp_path / "state.db").exists()


async def test_without_a_directory_it_says_how_to_get_a_configuration() -> None:
    async with _simulating() as (_, guide):
        assert "simulate --write-config DIR" in guide


@pytest.mark.parametrize("place", ["google", "salesloft"])
async def test_a_busy_port_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"google_port": 0, "salesloft_port": 0, f"{place}_port": port}
        assert await simulate.run(tmp_path / "new", seed=0, **ports) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"gcal-salesloft: port {port} of 127.0.0.1 is in use by another program;"
        " choose another one, or 0 for any free one\n"
    )
    assert not (tmp_path / "new").exists()


def _snapshot(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def _refusal(directory: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert await simulate.run(directory, 0, 0, 0) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gcal-salesloft: ")
    assert err.count("\n") == 1
    return err


async def test_somebody_elses_directory_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "connector.toml").write_text("# precious")
    before = _snapshot(tmp_path)
    assert "not empty" in await _refusal(tmp_path, capsys)
    assert _snapshot(tmp_path) == before


async def test_an_edited_file_is_not_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_directory(tmp_path, {"connector.toml": "", "users/pam.toml": ""}, {"salesloft.key": "k"})
    (tmp_path / "users" / "pam.toml").write_text("# edited")
    before = _snapshot(tmp_path)
    assert "users/pam.toml was edited" in await _refusal(tmp_path, capsys)
    assert _snapshot(tmp_path) == before


async def test_a_file_is_no_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "not a directory" in await _refusal(tmp_path / "file", capsys)


async def test_a_broken_list_of_what_was_written_counts_as_somebody_elses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / WRITTEN).write_text(json.dumps(["connector.toml"]))
    assert "not empty" in await _refusal(tmp_path, capsys)


async def test_the_state_of_a_running_connector_is_not_removed(tmp_path: Path) -> None:
    write_directory(tmp_path, {"connector.toml": ""}, {})
    state = tmp_path / "state.db"
    state.write_text("in use")
    with lock_state(state):
        status, _, err = await _gcal_salesloft("simulate", "--write-config", str(tmp_path))
    assert status == 1
    assert "already in use" in err
    assert state.read_text() == "in use"
