"""What a hostile reviewer found: each was a loss, a leak of points or a stop of neighbours once."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import datetime, timedelta

import pytest

from connector.salesloft import Lease, SalesloftClient, TeamRefused, UpsertAnswer
from connector.simulator.faults import Fault
from connector.sync import delivery
from tests.behaviour.test_bulk import fill
from tests.daemon import Requests, daemon_of
from tests.office import KEY, Office, guid_of

PROSPECT = {"email": "dwight@customer.example.org"}


def this_hour(office: Office) -> datetime:
    return office.clock().replace(minute=0, second=0, microsecond=0)


@pytest.mark.parametrize("ready", [False, True], ids=["while loading", "while executing"])
async def test_a_new_key_takes_over_the_job_of_the_old_one(office: Office, ready: bool) -> None:
    fill(office, count=200)
    if ready:
        office.salesloft.block_bulk(KEY)
    else:
        office.salesloft.faults.add(Fault(route="bulk.data.create", kind="hang"))
    requests = Requests(office)
    async with daemon_of(office) as daemon:
        await daemon.start()
        await requests.until(
            lambda: office.salesloft.count("bulk.update" if ready else "bulk.create") == 1
        )
        await daemon.end(signal.SIGKILL)
    office.salesloft.unblock_bulk(KEY)
    office.salesloft.faults.clear()
    office.salesloft.add_key(office.salesloft.keys[KEY].team, "another-key")
    office.salesloft.withdraw_key(KEY)
    (office.config / "salesloft.key").write_text("another-key")
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


async def test_a_field_that_bulk_refuses_is_dropped_for_the_team(office: Office) -> None:
    fill(office, count=200)
    office.salesloft.refuse_field("transparency")
    summary = await office.once(full=True)
    assert (summary.exit_status, summary.refused) == (0, 0)
    assert len(office.alive("pam")) == 200
    sent = [e for e in office.salesloft.log if e.route == "bulk.data.create" and e.body]
    assert "transparency" not in json.dumps(sent[-1].body)


async def test_points_of_every_kind_of_call_outlive_the_process(office: Office) -> None:
    office.points_per_minute = 12
    fill(office, count=200)
    await office.once(full=True)
    spent = sum(entry.cost for entry in office.salesloft.log)
    pam = office.sellers["pam"]
    for number in range(12 - spent):
        pam.create(f"More {number}", this_hour(office) + timedelta(hours=number))
    await office.once()
    assert office.salesloft.window_peaks(KEY) <= 12


@pytest.mark.parametrize("status", [400, 403, 500])
async def test_a_series_that_google_will_not_list_stops_nothing(
    office: Office, status: int
) -> None:
    pam = office.hire("pam")
    series = pam.create_series("Cursed", this_hour(office) + timedelta(hours=1))
    single = pam.create("Fine", this_hour(office) + timedelta(hours=2))
    await office.once(full=True)
    reason = {400: "badRequest", 403: "forbidden", 500: "backendError"}[status]
    body = {"error": {"code": status, "errors": [{"domain": "global", "reason": reason}]}}
    office.google.faults.add(Fault("events.instances", "status", status, body=body, times=None))
    pam.edit_all(series, summary="Cursed again")
    pam.edit_one(single, start=this_hour(office) + timedelta(hours=3))
    if status == 500:
        office.google.faults.clear()
        office.google.faults.add(Fault("events.instances", "status", 500, body=body, times=5))
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


async def test_a_dry_run_after_a_crash_touches_nothing(office: Office) -> None:
    fill(office, count=50)
    requests = Requests(office)
    async with daemon_of(office) as daemon:
        await daemon.start()
        await requests.more(20)
        await daemon.end(signal.SIGKILL)
        (office.directory / "state.db-shm").unlink(missing_ok=True)
        assert (office.directory / "state.db-wal").exists()
        before = {p.name: p.read_bytes() for p in office.directory.glob("state.db*")}
        await daemon.start("--once", "--dry-run")
        assert daemon._process is not None
        assert await daemon._process.wait() == 0
    assert {p.name: p.read_bytes() for p in office.directory.glob("state.db*")} == before


@pytest.mark.parametrize("route", ["events.upsert", "bulk.data.create", "events.list"])
@pytest.mark.parametrize("mode", [[], ["--once"]], ids=["daemon", "once"])
async def test_a_stop_never_waits_longer_than_ten_seconds(
    office: Office, route: str, mode: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(office, count=20 if route == "events.upsert" else 220)
    hanging = asyncio.Event()
    draw = office.salesloft.faults.draw

    def draw_and_tell(of_route: str) -> Fault | None:
        fault = draw(of_route)
        if fault is not None:
            hanging.set()
        return fault

    monkeypatch.setattr(office.salesloft.faults, "draw", draw_and_tell)
    office.salesloft.faults.add(Fault(route, "hang", times=None))
    async with daemon_of(office) as daemon:
        await daemon.start(*mode)
        await hanging.wait()
        async with asyncio.timeout(12):  # ten, and a little for a busy machine
            assert await daemon.end() == (1 if mode else 0)
    office.salesloft.faults.clear()
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


async def test_a_list_that_never_answers_does_not_hold_up_the_first_sync(office: Office) -> None:
    pam = office.hire("pam")
    pam.create("Pitch", this_hour(office) + timedelta(hours=1), attendees=[PROSPECT])
    office.salesloft.faults.add(Fault("events.list", "status", 500, times=None))
    assert (await office.once(full=True)).exit_status == 0
    assert office.differences() == []


async def test_what_is_forbidden_for_one_calendar_stops_no_other(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, hours in (("pam", 1), ("jim", 40), ("kelly", 50)):
        calendar = office.hire(name)
        for number in range(3):
            start = this_hour(office) + timedelta(hours=hours + number)
            calendar.create(f"{name} {number}", start, attendees=[PROSPECT])
    upsert = SalesloftClient.upsert

    async def upsert_or_forbid(self: SalesloftClient, body: bytes, lease: Lease) -> UpsertAnswer:
        if guid_of("pam").encode() in body:
            raise TeamRefused("Salesloft forbids this calendar", status=403)
        return await upsert(self, body, lease)

    with monkeypatch.context() as patch:
        patch.setattr(SalesloftClient, "upsert", upsert_or_forbid)
        summary = await office.once(full=True)
    assert (summary.exit_status, summary.pending) == (1, 3)
    assert len(office.alive("jim")) == len(office.alive("kelly")) == 3
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


async def test_a_one_shot_leaves_a_job_that_salesloft_does_not_answer_for(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "GIVE_UP_BROKEN_AFTER", timedelta(seconds=1))
    office.salesloft.switches.bulk_seconds_per_record = 0.0
    fill(office, count=200)
    office.salesloft.faults.add(Fault("bulk.data.create", "status", 503, times=None))
    summary = await office.once(full=True)
    assert (summary.exit_status, summary.pending) == (1, 200)
    office.salesloft.faults.clear()
    assert (await office.once()).exit_status == 0
    assert office.differences() == []
    assert office.salesloft.count("bulk.create") == 1
