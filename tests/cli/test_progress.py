"""A one-shot shows how far it is on stderr, and names on stdout what was refused."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console

from connector.app import Summary, run_once
from connector.cli.progress import BarView, Lines, line_of, make_bars
from connector.domain.errors import RetryLater
from connector.settings.files import load_settings
from connector.simulator.salesloft.bulk import BulkJob, Execute
from connector.sync.progress import Progress, telling
from tests.office import Office, open_office

PROSPECT = {"email": "dwight@customer.example.org"}


def reading(read: int, waiting: int = 0) -> Progress:
    return Progress(calendars=25, read=read, settled=0, waiting=waiting, points=read)


def delivering(settled: int, waiting: int) -> Progress:
    return Progress(calendars=25, read=25, settled=settled, waiting=waiting, points=32)


class Written:
    """Lines with a clock of the test's own."""

    def __init__(self) -> None:
        self.now = 100.0
        self.lines: list[str] = []
        self.tell = Lines(lambda told: self.lines.append(line_of(told)), lambda: self.now)


def test_a_line_at_each_phase() -> None:
    written = Written()
    for progress in (reading(0), delivering(0, 3135), delivering(3135, 0)):
        written.tell(progress)
    assert written.lines == [
        "read 0 of 25 calendars",
        "delivered 0 of 3,135, 32 points",
        "delivered 3,135 of 3,135, 32 points",
    ]


def test_within_a_phase_a_line_every_five_seconds() -> None:
    written = Written()
    for number in range(24):
        written.tell(reading(number, waiting=number))
        written.now += 0.5
    assert written.lines == [
        "read 0 of 25 calendars",
        "read 10 of 25 calendars",
        "read 20 of 25 calendars",
    ]


def test_what_has_not_changed_is_not_said_again() -> None:
    written = Written()
    for _ in range(3):
        written.tell(delivering(5, 1))
        written.now += 60
    assert len(written.lines) == 1


def test_one_point_is_one_point() -> None:
    assert line_of(Progress(1, 1, 1, 0, 1)) == "delivered 1 of 1, 1 point"


def test_the_bar_counts_calendars_then_occurrences() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    with make_bars(console) as bars:
        tell = BarView(bars)
        tell(reading(12))
        assert "12/25" in screen.getvalue()
        assert "delivering" not in screen.getvalue()
        tell(delivering(1200, 1935))
    assert re.search(r"delivering .*1200/3135 32 points", screen.getvalue())


async def test_told_at_once_and_at_the_end_and_never_more_often() -> None:
    told: list[Progress] = []
    looked = asyncio.Event()
    counted = 0

    async def look() -> Progress:
        looked.set()
        return delivering(counted, 10 - counted)

    async with telling(told.append, look, every=3600):
        await looked.wait()
        counted = 10
        for _ in range(20):
            await asyncio.sleep(0)
    assert told == [delivering(0, 10), delivering(10, 0)]


async def test_a_busy_state_is_not_told_of_and_stops_nothing() -> None:
    told: list[Progress] = []
    looks = 0
    mended = asyncio.Event()

    async def look() -> Progress:
        nonlocal looks
        looks += 1
        if looks < 3:
            raise RetryLater("state: busy")
        mended.set()
        return delivering(1, 0)

    async with telling(told.append, look, every=0):
        async with asyncio.timeout(60):
            await mended.wait()
    assert told[-1] == delivering(1, 0)


async def test_an_error_inside_is_not_followed_by_a_last_look() -> None:
    looks = 0

    async def look() -> Progress:
        nonlocal looks
        looks += 1
        return delivering(1, 0)

    with pytest.raises(ZeroDivisionError):
        async with telling(lambda _: None, look, every=3600):
            raise ZeroDivisionError
    assert looks == 0


def fill(office: Office, name: str, count: int) -> list[str]:
    calendar = office.hire(name)
    return [calendar.create(f"Secret {n}", attendees=[PROSPECT]) for n in range(count)]


async def once(office: Office, told: list[Progress]) -> Summary:
    return await run_once(
        load_settings(office.config),
        asyncio.Event(),
        full=True,
        clock=office.clock,
        progress=told.append,
    )


async def test_the_last_word_is_that_all_is_settled(tmp_path: Path) -> None:
    async with open_office(tmp_path) as office:
        fill(office, "pam", 3)
        refused = fill(office, "jim", 4)[0]
        office.salesloft.refuse_event(refused)
        told: list[Progress] = []
        summary = await once(office, told)
        points = sum(entry.cost for entry in office.salesloft.log)
    assert told[0].read < 2
    assert told[-1] == Progress(calendars=2, read=2, settled=7, waiting=0, points=points)
    assert summary.points == points
    assert [(one.user, one.event_id) for one in summary.refusals] == [("jim", refused)]


async def test_bulk_results_are_settled_too(tmp_path: Path) -> None:
    async with open_office(tmp_path) as office:
        fill(office, "pam", 250)
        told: list[Progress] = []
        await once(office, told)
        assert office.salesloft.count("bulk.create") == 1
    assert (told[-1].settled, told[-1].waiting) == (250, 0)


async def test_a_running_bulk_job_is_seen_to_advance(tmp_path: Path) -> None:
    told: list[Progress] = []

    def was_seen() -> bool:
        return any((one.settled, one.waiting) == (125, 125) for one in told)

    async with open_office(tmp_path) as office:
        fill(office, "pam", 250)
        queue = office.salesloft.writers[1].queue
        finish = queue._step

        def half(job: BulkJob, at: float, wall: Callable[..., datetime], execute: Execute) -> bool:
            """Half of the records; the others when that was told."""
            while job.steps_done < 125:
                queue._execute_one(job, at, execute)
            return was_seen() and finish(job, at, wall, execute)

        queue._step = half  # type: ignore[method-assign]
        async with asyncio.timeout(60):
            summary = await once(office, told)
    assert was_seen()
    assert (told[-1].settled, told[-1].waiting, summary.accepted) == (250, 0, 250)


async def test_points_of_an_earlier_run_are_not_counted_again(tmp_path: Path) -> None:
    async with open_office(tmp_path) as office:
        fill(office, "pam", 5)
        first = await once(office, [])
        before = len(office.salesloft.log)
        second = await office.once()
        assert first.points > 0
        assert second.points == sum(entry.cost for entry in office.salesloft.log[before:])


async def test_what_an_earlier_run_could_not_deliver_is_counted_not_named(tmp_path: Path) -> None:
    async with open_office(tmp_path) as office:
        office.salesloft.refuse_event(fill(office, "pam", 1)[0])
        assert len((await once(office, [])).refusals) == 1
        again = await office.once()
    assert (again.refused, again.refusals, again.exit_status) == (1, (), 1)


async def program(office: Office, stderr: int = asyncio.subprocess.PIPE) -> tuple[str, str, int]:
    """`run --initial-sync` as a process of its own: what it wrote, and its status."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "connector", "run", "--config", str(office.config)),
        "--initial-sync",
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return out.decode(), (err or b"").decode(), process.returncode


async def test_plain_lines_on_stderr_and_only_the_summary_on_stdout(tmp_path: Path) -> None:
    async with open_office(tmp_path) as office:
        events = fill(office, "pam", 14)
        for event_id in events[:12]:
            office.salesloft.refuse_event(event_id)
        out, err, status = await program(office)
        points = sum(entry.cost for entry in office.salesloft.log)
    assert status == 1
    lines = out.splitlines()
    assert lines[0].startswith("pam: full sync: 14 to send")
    assert lines[1] == f"delivered 2, refused 12, still waiting 0; {points} points spent"
    named = [line.split()[2].rstrip(":") for line in lines[2:12]]
    assert set(named) < set(events[:12])
    assert all(line.startswith("refused: pam ") for line in lines[2:12])
    assert lines[12:] == ["and 2 more: see `gcal-salesloft dead-letters list`"]
    assert "read 0 of 1 calendars" in err
    assert f"delivered 14 of 14, {points} points" in err
    assert "Secret" not in out + err


async def test_among_json_logs_it_is_json(tmp_path: Path) -> None:
    async with open_office(tmp_path) as office:
        fill(office, "pam", 3)
        with (office.config / "connector.toml").open("a") as file:
            file.write('[observability]\nlog_format = "json"\n')
        _, err, _ = await program(office)
    events = [json.loads(line) for line in err.splitlines()]
    last = [event for event in events if event["event"] == "progress"][-1]
    assert (last["read"], last["settled"], last["waiting"]) == (1, 3, 0)


async def test_a_bar_on_a_terminal_and_logs_around_it(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    screen = b""
    try:
        async with open_office(tmp_path) as office:
            fill(office, "pam", 3)
            reading_on = asyncio.create_task(asyncio.to_thread(read_all, ours), name="terminal")
            out, _, status = await program(office, stderr=theirs)
            os.close(theirs)
            screen = await reading_on
    finally:
        os.close(ours)
    assert status == 0
    assert out.splitlines()[1].startswith("delivered 3, refused 0")
    assert re.search(rb"delivering .*3/3", screen)
    assert b"calendar_read" in screen


def read_all(terminal: int) -> bytes:
    """Until the other end is closed, which Linux reports as an I/O error."""
    read = b""
    try:
        while chunk := os.read(terminal, 65536):
            read += chunk
    except OSError:
        pass
    return read
