"""Masses that nobody waits for go by bulk job: cheap, settled record by record, and finished after a crash."""

from __future__ import annotations

import asyncio
import signal
from datetime import datetime, timedelta

import pytest

from connector.simulator.faults import Fault
from tests.daemon import Requests, daemon_of
from tests.office import KEY, Office

PROSPECT = {"email": "dwight@customer.example.org"}


def this_hour(office: Office) -> datetime:
    return office.clock().replace(minute=0, second=0, microsecond=0)


def fill(office: Office, name: str = "pam", count: int = 250) -> list[str]:
    calendar = office.hire(name)
    start = this_hour(office) - timedelta(days=10)
    return [
        calendar.create(f"Meeting {n}", start + timedelta(hours=6 * n), attendees=[PROSPECT])
        for n in range(count)
    ]


async def test_initial_sync_of_many_costs_a_few_points(office: Office) -> None:
    office.points_per_minute = 600
    for name in ("pam", "jim"):
        fill(office, name)
    summary = await office.once(full=True)
    assert (summary.exit_status, summary.accepted) == (0, 500)
    assert office.differences() == []
    assert office.salesloft.count("events.upsert") == 0
    assert office.salesloft.count("bulk.create") == 1
    assert office.salesloft.window_peaks(KEY) < 30


async def test_far_fan_out_goes_by_bulk_and_the_next_days_at_once(office: Office) -> None:
    office.salesloft.switches.bulk_seconds_per_record = 0.0001
    pam = office.hire("pam")
    series = pam.create_series(
        "Daily", this_hour(office) + timedelta(hours=1), rule="FREQ=HOURLY;INTERVAL=6"
    )
    await office.once(full=True)
    pam.edit_all(series, attendees=[PROSPECT])
    await office.once()
    assert office.differences() == []
    soon = {body["id"] for body in office.upserts()}
    assert 0 < len(soon) < 20
    assert office.salesloft.count("bulk.create") == 2


async def test_refused_records_become_dead_letters_singly(office: Office) -> None:
    events = fill(office)
    office.salesloft.refuse_event(events[7])
    summary = await office.once(full=True)
    assert (summary.exit_status, summary.refused, summary.accepted) == (1, 1, 249)
    assert len(office.alive("pam")) == 249
    office.salesloft.accept_event(events[7])
    office.sellers["pam"].edit_one(events[7], summary="Changed")
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


@pytest.mark.parametrize("kind", ["reset_after", "reset_before", "truncate", "html"])
@pytest.mark.parametrize(
    "route", ["bulk.create", "bulk.data.create", "bulk.update", "bulk.get", "bulk.results"]
)
async def test_a_lost_answer_makes_no_second_job(office: Office, route: str, kind: str) -> None:
    office.salesloft.switches.bulk_seconds_per_record = 0.0001
    fill(office, count=200)
    office.salesloft.faults.add(Fault(route=route, kind=kind, status=502))  # type: ignore[arg-type]
    assert (await office.once(full=True)).exit_status == 0
    assert office.differences() == []
    assert len(office.salesloft.keys[KEY].team.calendars) == 1
    states = [job.state for job in office.salesloft.writers[1].queue.jobs.values()]
    assert states == ["done"]


@pytest.mark.parametrize(
    "route",
    ["events.list", "bulk.create", "bulk.data.create", "bulk.update", "bulk.get", "bulk.results"],
)
async def test_a_killed_daemon_finishes_the_job_that_it_began(
    office: Office, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.salesloft.switches.bulk_seconds_per_record = 0.0001
    fill(office, count=200)
    office.salesloft.faults.add(Fault(route=route, kind="hang"))
    fired = asyncio.Event()
    draw = office.salesloft.faults.draw

    def draw_and_tell(of_route: str) -> Fault | None:
        fault = draw(of_route)
        if fault is not None:
            fired.set()
        return fault

    monkeypatch.setattr(office.salesloft.faults, "draw", draw_and_tell)
    requests = Requests(office)
    async with daemon_of(office) as daemon:
        await daemon.start()
        await fired.wait()
        await daemon.end(signal.SIGKILL)
        await daemon.start()
        await requests.more(3)
        await requests.until(lambda: office.differences() == [])
        assert await daemon.end() == 0
    states = [job.state for job in office.salesloft.writers[1].queue.jobs.values()]
    assert states == ["done"]


async def test_newer_content_waits_for_the_job_that_holds_the_older(office: Office) -> None:
    events = fill(office, count=200)
    office.salesloft.block_bulk(KEY)
    requests = Requests(office)
    async with daemon_of(office) as daemon:
        await daemon.start()
        await requests.until(lambda: office.salesloft.count("bulk.update") == 1)
        office.sellers["pam"].edit_one(events[100], summary="Newer")
        await requests.more(6)
        assert office.salesloft.count("events.upsert") == 0
        office.salesloft.unblock_bulk(KEY)
        await requests.until(lambda: office.differences() == [])
        assert await daemon.end() == 0
    assert office.salesloft.bulk_conflicts == []
    assert office.salesloft.stale_writes == []


async def test_what_became_urgent_overtakes_a_blocked_queue(office: Office) -> None:
    fill(office, count=200)
    office.salesloft.block_bulk(KEY)
    config = office.config / "connector.toml"
    config.write_text(
        config.read_text().replace("[salesloft]\n", '[salesloft]\nbulk_patience = "1s"\n')
    )
    now = office.clock()
    requests = Requests(office)
    async with daemon_of(office) as daemon:
        await daemon.start()
        await requests.until(
            lambda: (
                sum(e.start < now + timedelta(hours=23) for e in office.alive("pam").values()) >= 3
            )
        )
        office.salesloft.unblock_bulk(KEY)
        await requests.until(lambda: office.differences() == [])
        assert await daemon.end() == 0
    assert office.salesloft.bulk_conflicts == []


async def test_a_key_without_bulk_jobs_is_served_one_by_one(office: Office) -> None:
    fill(office, count=200)
    office.salesloft.deny(KEY, "bulk.*")
    assert (await office.once(full=True)).exit_status == 0
    assert office.differences() == []


async def test_an_ignored_correction_in_a_job_is_sent_again(office: Office) -> None:
    office.salesloft.switches.bulk_seconds_per_record = 0.0
    events = fill(office, count=250)
    await office.once(full=True)
    office.set_stored_time("pam", this_hour(office) + timedelta(days=1))
    pam = office.sellers["pam"]
    for event in events:
        pam.set_visibility(event, "private")
    assert (await office.once()).exit_status == 0
    assert office.differences() == []
