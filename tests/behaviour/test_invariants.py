"""The invariants of the design, one test each, of the real program between both simulators."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta
from typing import Any

import pytest
import stamina

from connector.app.parts import Parts, assemble
from connector.settings.files import load_settings
from connector.simulator.faults import Fault
from connector.store import commit, open_database
from connector.sync import team_answers
from tests.daemon import Requests, daemon_of
from tests.office import KEY, Office
from tests.scenarios.steps import set_page_size

PROSPECT = {"email": "dwight@customer.example.org"}
COLLEAGUE = {"email": "jim@example.com"}
ME = {"email": "pam@example.com", "responseStatus": "accepted"}


def soon(office: Office) -> datetime:
    return office.clock().replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Retries come at once: what is tested is what they do, not when."""
    monkeypatch.setattr(team_answers, "BACKOFF_FIRST", 0.001)
    with stamina.set_testing(True, attempts=3):
        yield


def rows(office: Office, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(office.state)) as connection:
        return connection.execute(query).fetchall()


def stored(office: Office) -> list[list[tuple[Any, ...]]]:
    return [
        rows(office, "SELECT name, sync_token, listed_until FROM calendars"),
        rows(office, "SELECT event_id, accepted, updated_ms FROM occurrences"),
        rows(office, "SELECT event_id, fingerprint FROM outbox"),
    ]


@asynccontextmanager
async def running(office: Office) -> AsyncIterator[Parts]:
    """The parts of the program with delivery at work; cycles are run by the test."""
    stopping = asyncio.Event()
    async with assemble(load_settings(office.config), open_database(office.place)) as parts:
        tasks = [asyncio.create_task(one.run(stopping)) for one in parts.deliveries.values()]
        try:
            yield parts
        finally:
            stopping.set()
            await asyncio.gather(*tasks)


async def read(parts: Parts) -> None:
    """One cycle of every calendar."""
    for calendar in parts.calendars:
        report = await parts.cycle.run(calendar.seller)
        assert report.error is None
        parts.delivery_of(calendar).wake()


async def test_token_never_leads(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Token, occurrences and outbox commit together, after the last page only."""
    set_page_size(monkeypatch, 250)
    pam = office.hire("pam")
    first = pam.create("First", soon(office), attendees=[PROSPECT])
    await office.once(full=True)
    before = stored(office)
    for number in range(260):  # more than a page
        pam.create(f"New {number}", soon(office) + timedelta(hours=number))
    pam.cancel_all(first)
    forbidden = {"error": {"code": 403, "errors": [{"reason": "forbidden"}]}}
    office.google.faults.add(Fault("events.list", status=403, body=forbidden, skip=1))
    assert (await office.once()).exit_status == 77
    assert len(office.google.faults.fired) == 1
    assert stored(office) == before

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(commit, "_keep_ledger", full)
        summary = await office.once()
        assert (summary.exit_status, summary.accepted) == (1, 0)
    assert stored(office) == before
    assert (await office.once()).exit_status == 0
    assert office.differences() == []
    assert stored(office)[0] != before[0]


async def test_delivery_converges(office: Office) -> None:
    """Whatever becomes of requests and answers, and however often they are repeated."""
    pam = office.hire("pam")
    series = pam.create_series("Daily", soon(office), rule="FREQ=DAILY", attendees=[PROSPECT])
    unkind = [
        "reset_before",
        "reset_after",
        "truncate",
        "html",
        Fault(status=503),
        Fault(status=500),
    ]
    office.salesloft.faults.random(0.4, unkind, "events.upsert")  # type: ignore[arg-type]
    await office.once(full=True)
    pam.edit_all(series, summary="Renamed")
    await office.once()
    pam.edit_following(sorted(o.id for o in pam.truth(*office.window("pam")))[40], summary="Half")
    await office.once()
    assert len(office.salesloft.faults.fired) > 60
    office.salesloft.faults.clear()
    while (await office.once()).pending:  # rows that were given up for this run
        pass
    assert office.differences() == []
    assert office.salesloft.overlaps == []
    assert office.salesloft.stale_writes == []


async def test_one_row_per_occurrence(office: Office) -> None:
    """The latest content wins: what was overtaken in the outbox is never sent."""
    pam = office.hire("pam")
    await office.once(full=True)
    pitch = pam.create("Pitch 0", soon(office), attendees=[PROSPECT])
    office.salesloft.withdraw_key(KEY)
    for number in range(1, 6):
        await office.once()
        assert rows(office, "SELECT count(*), count(DISTINCT event_id) FROM outbox") == [(1, 1)]
        pam.edit_one(pitch, summary=f"Pitch {number}")
    office.salesloft.restore_key(KEY)
    before = len(office.upserts())
    assert (await office.once()).exit_status == 0
    assert [body["title"] for body in office.upserts()[before:]] == ["Pitch 5"]
    assert rows(office, "SELECT count(*) FROM outbox") == [(0,)]


async def test_settling_is_conditional(office: Office) -> None:
    """A slow answer cannot mark newer content as done, and newer content is not overtaken by it."""
    pam = office.hire("pam")
    pitch = pam.create("Slow", soon(office), attendees=[PROSPECT])
    requests = Requests(office)
    office.salesloft.faults.add(Fault("events.upsert", "slow", seconds=0.5))
    async with running(office) as parts:
        while not office.alive("pam"):  # applied, but not answered yet
            await read(parts)
        pam.edit_one(pitch, summary="Newer")
        await read(parts)
        [(flying, title)] = rows(office, "SELECT in_flight, payload FROM outbox")
        assert flying
        assert json.loads(title)["title"] == "Newer"
        await requests.until(lambda: len(office.upserts()) == 2)
    assert office.differences() == []
    assert rows(office, "SELECT count(*) FROM outbox") == [(0,)]
    assert office.salesloft.overlaps == []


async def test_resync_is_a_difference(office: Office) -> None:
    """Never a wipe: only what differs is sent, and an implausible difference is held."""
    pam = office.hire("pam")
    events = [
        pam.create(f"Meeting {n}", soon(office) + timedelta(hours=n), attendees=[PROSPECT])
        for n in range(40)
    ]
    await office.once(full=True)
    pam.edit_one(events[0], summary="Changed")
    pam.cancel_all(events[1])
    pam.expire_tokens()
    before = len(office.upserts())
    await office.once()
    assert {body["id"] for body in office.upserts()[before:]} == set(events[:2])
    assert len(office.upserts()) == before + 2
    assert office.differences() == []
    for event in events[2:35]:
        pam.cancel_all(event)
    pam.purge_tombstones()
    pam.expire_tokens()
    summary = await office.once()
    assert (summary.held, summary.exit_status) == (33, 1)
    assert len(office.upserts()) == before + 2
    assert len(office.alive("pam")) == 39


async def test_faults_stay_small(office: Office) -> None:
    """A bad event, user or delivery never stops its neighbour."""
    for name in ("pam", "jim", "kelly"):
        calendar = office.hire(name)
        for number in range(4):
            start = soon(office) + timedelta(hours=number)
            calendar.create(
                f"{name} {number}", start, attendees=[PROSPECT], event_id=f"{name}0{number}"
            )
    office.google.revoke("jim@example.com")
    office.sellers["pam"].tamper("pam00", "end_before_start")
    office.sellers["pam"].tamper("pam01", "malformed")
    office.salesloft.refuse_event("pam02")
    summary = await office.once(full=True)
    assert summary.exit_status == 1
    assert {user.name: bool(user.error) for user in summary.users} == {
        "pam": False,
        "jim": True,
        "kelly": False,
    }
    assert [(u.set_aside) for u in summary.users if u.name == "pam"] == [2]
    assert summary.refused == 1
    assert {key[0] for key in office.alive("pam")} == {"pam03"}
    assert not [line for line in office.differences() if line.startswith("kelly")]
    office.google.accounts.unrevoke("jim@example.com")
    office.sellers["pam"].tamper("pam00")
    office.sellers["pam"].tamper("pam01")
    office.salesloft.accept_event("pam02")
    office.sellers["pam"].edit_one("pam02", summary="Mended")
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


SECRET = "Xylophone"


def secrets(word: str) -> dict[str, Any]:
    """An event's content, unmistakable in every field."""
    return {
        "summary": f"{SECRET} summary {word}",
        "description": f"<p>{SECRET} description {word}</p>",
        "location": f"{SECRET} location {word}",
        "conference": f"https://zoom.example.net/{SECRET}-{word}",
    }


def withheld_everywhere(office: Office) -> None:
    """Private, confidential, internal and busy-only events, single, repeated and unreadable, full of secrets."""
    pam = office.hire("pam")
    guest = {"email": f"{SECRET.lower()}.guest@customer.example.org", "displayName": SECRET}
    host = {"email": f"{SECRET.lower()}.host@customer.example.org", "displayName": SECRET}
    colleague = {"email": f"{SECRET.lower()}@example.com", "displayName": SECRET}
    hour = iter(range(1000))

    def start() -> datetime:
        return soon(office) + timedelta(hours=next(hour))

    for visibility in ("private", "confidential"):
        kept: dict[str, Any] = {"visibility": visibility, "attendees": [guest]}
        pam.create(start=start(), **kept, **secrets(visibility))
        pam.create_series(start=start(), rule="FREQ=WEEKLY", **kept, **secrets(visibility))
        pam.create_all_day(**kept, **secrets(visibility))
        pam.invite(host, start=start(), **kept, **secrets(visibility))
    pam.create(start=start(), attendees=[colleague], **secrets("internal"))
    pam.create(start=start(), **secrets("alone"))
    for kind in ("outOfOffice", "focusTime", "fromGmail", "workingLocation", "hologram"):
        pam.create(start=start(), attendees=[guest], event_type=kind, **secrets(kind))
    pam.create(start=start(), event_id="unreadable0", **secrets("unreadable"))
    pam.tamper("unreadable0", "end_before_start")
    pam.create("Shown 2", start(), event_id="refused0", attendees=[PROSPECT])
    office.salesloft.refuse_event(
        "refused0", "title 'Shown 2' of dwight@customer.example.org is bad"
    )
    gone = pam.create(start=start(), visibility="private", **secrets("gone"))
    pam.cancel_all(gone)


async def test_nothing_withheld_leaves(office: Office) -> None:
    """Not in a request, a log, an error, a dead letter or the store."""
    withheld_everywhere(office)
    pam = office.sellers["pam"]
    shown = pam.create("Shown 1", soon(office), attendees=[PROSPECT], description="Shown too")
    requests = Requests(office)
    office.salesloft.faults.random(0.2, ["html", "truncate", "reset_after"], "events.upsert")
    async with daemon_of(office) as daemon:
        await daemon.start("--debug")
        await requests.until(lambda: len(office.alive("pam")) > 20)
        pam.edit_one(shown, visibility="private", summary=SECRET, description=f"Now {SECRET}")
        await requests.until(lambda: all(e.title != "Shown 1" for e in office.held("pam").values()))
        office.salesloft.faults.clear()
        await requests.until(lambda: len(office.differences()) == 2)  # unreadable0 and refused0
        await daemon.end(signal.SIGKILL)  # the write-ahead log stays as it was
        texts = {"log": daemon.log}
    for file in office.directory.glob("state.db*"):
        texts[file.name] = file.read_bytes().decode("latin-1")
    for entry in office.salesloft.log:
        texts[f"{entry.route} {entry.request_id}"] = json.dumps([entry.body, dict(entry.query)])
    summary = await office.once()
    texts["summary"] = repr(summary)
    for name in texts:
        assert SECRET.lower() not in texts[name].lower(), name
    for word in ("Shown", "dwight", "customer.example.org"):
        assert word not in texts["log"]
    assert "state.db-wal" in texts
    assert len(texts) > 25


async def test_quiet_is_silent(office: Office) -> None:
    """A second cycle with no change in the sources sends nothing, nor does one with changes that say nothing."""
    pam = office.hire("pam")
    office.hire("jim", time_zone="Asia/Kolkata").create_all_day("Holiday")
    pitch = pam.create("Pitch", soon(office), attendees=[PROSPECT, ME, COLLEAGUE])
    series = pam.create_series("Weekly", soon(office), attendees=[PROSPECT])
    pam.create("Cancelled before it was seen", soon(office), event_id="never0")
    pam.cancel_all("never0")
    await office.once(full=True)
    writes = office.told()
    for _ in range(2):
        assert (await office.once()).exit_status == 0
    assert office.told() == writes
    assert rows(office, "SELECT count(*) FROM outbox") == [(0,)]
    pam.set_reminders(pitch, 5)
    pam.edit_one(pitch, color_id="7")  # stamps `updated`
    pam.edit_one(pitch, attendees=[COLLEAGUE, ME, PROSPECT])
    pam.edit_all(series, color_id="3")
    await office.once()
    pam.expire_tokens()
    await office.once()
    await office.once(full=True)
    assert office.told() == writes
    requests = Requests(office)
    async with daemon_of(office) as daemon:
        await daemon.start()
        await requests.more(8)  # polls of both, a second apart
        assert await daemon.end() == 0
    assert office.told() == writes
