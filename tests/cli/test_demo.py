"""`gcal-salesloft demo`: as anybody would start it, interrupted, killed, and with a daemon that does not run."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector.cli import demo
from connector.cli.demo_company import PAM, SELLERS, Seller
from connector.cli.demo_control import Control, Facts
from connector.cli.demo_edits import Office, edits
from connector.cli.demo_judge import Judge
from connector.cli.demo_play import Play, ending
from connector.cli.demo_show import Show

PATIENCE_SECONDS = 120
WITHHELD = ("Dentist", "filling", "Notary", "Main Street", "Budget", "Pipeline", "Offsite")
PEOPLE = ("vance.example.org", "kelly.kapoor", "uwe@")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@asynccontextmanager
async def _started(folder: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command, with its temporary files in `folder`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "connector", "demo", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _until(process: asyncio.subprocess.Process, text: str) -> None:
    assert process.stdout is not None
    while text not in (line := (await process.stdout.readline()).decode()):
        assert line, f"the demo never said {text!r}"


def _children(folder: Path) -> list[int]:
    """Processes that were started with a file in this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = entry.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in arguments:
            found.append(int(entry.parent.name))
    return found


async def test_every_change_arrives_and_both_sides_are_equal(tmp_path: Path) -> None:
    # The slowest test here, about 20 s: it polls and edits in real time.
    async with _started(tmp_path, "--debug", "--seconds", "100") as process:
        out, err = (part.decode() for part in await process.communicate())
    assert process.returncode == 0, out + err
    for seller in SELLERS:
        found = re.search(rf"{seller.name}: +(\d+)/(\d+) equal, 0 mis.*, 0 ext.*, 0 diff", out)
        assert found is not None, out
        assert found[1] == found[2]
        assert int(found[1]) > 40
    for edit in edits():
        arrived = "nothing to send" if edit.unseen else r"Salesloft after \d+\.\d s \(\d+ upsert"
        if edit.booking:
            arrived = rf"Google after \d+\.\d s, booked; {arrived}"
        line = rf"\d\d:\d\d:\d\d +{edit.seller.name} +{re.escape(edit.done)} → {arrived}"
        assert re.search(line, out), out
    assert "exit status 0" in out
    assert "\x1b" not in out
    assert os.listdir(tmp_path) == []
    assert _children(tmp_path) == []
    # stderr is the log of the daemon, because of --debug.
    assert "calendar_read" in err
    assert "Traceback" not in err
    assert [text for text in (*WITHHELD, *PEOPLE) if text in err] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_everything(tmp_path: Path, number: signal.Signals) -> None:
    async with _started(tmp_path) as process:
        await _until(process, "occurrences of")
        assert len(_children(tmp_path)) == 3
        process.send_signal(number)
        _, err = await process.communicate()
    assert process.returncode == 128 + number
    assert err.decode() == "gcal-salesloft: demo stopped; everything it started has ended\n"
    assert _children(tmp_path) == []
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_children_die_with_a_killed_demo(tmp_path: Path) -> None:
    async with _started(tmp_path) as process:
        await _until(process, "occurrences of")
        ends = [os.pidfd_open(pid) for pid in _children(tmp_path)]
        assert len(ends) == 3
        process.kill()
        await process.wait()
    for end in ends:
        ended, _, _ = select.select([end], [], [], PATIENCE_SECONDS)
        os.close(end)
        assert ended == [end]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a demo in this process has its temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


async def test_a_daemon_that_does_not_run_is_told_with_its_log(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "DAEMON", ("run", "--initial-sync", "--once", "--config"))
    assert await demo.run(60) == 1
    err = capsys.readouterr().err
    assert err.startswith(
        "gcal-salesloft: demo failed while waiting for the initial sync:"
        " the daemon ended with exit status 2; the end of its log:\n"
    )
    assert "exclude" in err
    assert "Traceback" not in err
    assert os.listdir(folder) == []
    assert _children(folder) == []


async def test_a_demo_that_takes_too_long_ends(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await demo.run(0) == 1
    assert "not done within 0 s" in capsys.readouterr().err
    assert os.listdir(folder) == []
    assert _children(folder) == []


class _Canned(Control):
    """Both simulators, as somebody left them."""

    def __init__(self, seen: list[Facts], held: list[Facts]) -> None:
        self._canned = (seen, held)

    async def seen(self, seller: Seller, start: datetime, end: datetime) -> list[Facts]:
        return self._canned[0] if seller is PAM else []

    async def held(self, seller: Seller) -> list[Facts]:
        return self._canned[1] if seller is PAM else []

    async def requests(self, after: int = 0) -> list[Facts]:
        return []


def _seen(**changes: Any) -> Facts:
    guest = {"email": "bob@vance.example.org", "display_name": None, "response_status": "accepted"}
    return {
        "id": "one",
        "ical_uid": "one@google.com",
        "start": "2026-11-24T10:00:00-05:00",
        "end": "2026-11-24T10:30:00-05:00",
        "summary": "Pitch",
        "description": None,
        "location": None,
        "video_link": "https://meet.google.com/abc",
        "organizer": PAM.email,
        "attendees": [{**guest, "is_self": False, "resource": False}],
        "visibility": "default",
        "transparency": "opaque",
        "status": "confirmed",
        "event_type": "default",
        "recurring": False,
        **changes,
    }


def _held(**changes: Any) -> Facts:
    guest = {"email": "bob@vance.example.org", "name": None, "status": "accepted"}
    return {
        "id": "one",
        "i_cal_uid": "one@google.com",
        "start": "2026-11-24T15:00:00.000000Z",
        "end": "2026-11-24T15:30:00.000000Z",
        "title": "Pitch",
        "description": None,
        "location": "https://meet.google.com/abc",
        "organizer": PAM.email,
        "attendees": [guest],
        "transparency": "opaque",
        "status": "confirmed",
        "all_day": False,
        "recurring": False,
        **changes,
    }


BLANK: Facts = {"title": None, "location": None, "organizer": None, "attendees": []}


@pytest.mark.parametrize(
    ("seen", "held"),
    [
        pytest.param(_seen(), _held(), id="full"),
        pytest.param(_seen(visibility="private"), _held(**BLANK), id="private"),
        pytest.param(_seen(event_type="outOfOffice"), _held(**BLANK), id="away"),
        pytest.param(
            _seen(attendees=[], start="2026-11-24", end="2026-11-25"),
            _held(
                **BLANK,
                start="2026-11-24T05:00:00.000000Z",
                end="2026-11-25T05:00:00.000000Z",
                all_day=True,
            ),
            id="whole-day",
        ),
    ],
)
def test_equal_sides_are_found_equal(seen: Facts, held: Facts) -> None:
    found = Judge(NOW).compare(PAM, [seen], [held, _held(id="gone", status="cancelled")])
    assert found.differences == []
    assert (found.equal, found.wanted) == (1, 1)


@pytest.mark.parametrize(
    ("seen", "held", "words"),
    [
        pytest.param([_seen()], [], "missing", id="missing"),
        pytest.param([_seen()], [_held(status="cancelled")], "missing", id="cancelled"),
        pytest.param([], [_held()], "extra", id="extra"),
        pytest.param([_seen()], [_held(title="Old")], "different.*title", id="title"),
        pytest.param(
            [_seen(visibility="private")], [_held()], "different.*title, location", id="leak"
        ),
        pytest.param(
            [_seen()], [_held(start="2026-11-24T14:00:00.000000Z")], "different.*start", id="start"
        ),
    ],
)
async def test_a_difference_fails_the_demo(
    seen: list[Facts], held: list[Facts], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    office = Office(_Canned(seen, held), Judge(NOW), {})
    play = Play(office, daemon=None, show=Show(), delays=[1.0])  # type: ignore[arg-type]
    assert not await ending(play)
    assert re.search(f"pam: {words}", capsys.readouterr().out)
