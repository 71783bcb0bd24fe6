"""Laws that hold for any sequence: the newest content wins, and no 60 seconds hold more than the limit."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.simulator.salesloft.events import Row, apply_upsert
from connector.simulator.salesloft.rate import WINDOW_SECONDS, TeamBudget

from .conftest import START, Sim

DEFINITION = Path("/work/shared/reference/salesloft-openapi-excerpt.json")
# On the current reference page or in the guide, but not in the older definition.
NEWER_FIELDS = {"transparency", "recurrence", "reschedule_status"}


@given(st.permutations(range(6)))
def test_whole_payloads_in_any_order_end_with_the_newest(order: list[int]) -> None:
    row: Row | None = None
    stale = 0
    for number in order:
        fields: dict[str, Any] = {
            "calendar_id": "external_x",
            "id": "e",
            "i_cal_uid": "e@example.com",
            "start_time": START + timedelta(hours=number),
            "end_time": START + timedelta(hours=number + 1),
            "title": f"version {number}",
            "updated_at": START + timedelta(seconds=number),
        }
        applied = apply_upsert(row, fields, START, own_time=False)
        row, stale = applied.row, stale + applied.stale
    assert row is not None
    assert (row.event.title, row.event.start) == ("version 5", START + timedelta(hours=5))
    later_than_all_before = sum(max(order[: i + 1]) == order[i] for i in range(6))
    assert stale == 6 - later_than_all_before


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(1, 30)), max_size=80))
def test_what_fits_never_exceeds_the_limit_and_waiting_helps(
    arrivals: list[tuple[float, int]],
) -> None:
    budget, now, accepted = TeamBudget(100), 0.0, []
    for pause, points in arrivals:
        now += pause
        if not budget.fits(now, points, fixed=False):
            wait = budget.wait(now, points, fixed=False)
            assert 0 < wait <= WINDOW_SECONDS
            now += wait + 1e-6
            assert budget.fits(now, points, fixed=False)
        budget.charge(now, points)
        accepted.append((now, points))
    peaks = [
        sum(points for at, points in accepted if end - WINDOW_SECONDS < at <= end)
        for end, _ in accepted
    ]
    assert budget.peak() == max(peaks, default=0) <= 100


def _published_schemas() -> Any:
    return json.loads(DEFINITION.read_text())["components"]["schemas"]


@pytest.mark.skipif(not DEFINITION.exists(), reason="Salesloft's definition is not here")
async def test_answers_carry_only_fields_of_the_published_definition(sim: Sim) -> None:
    schemas = _published_schemas()
    number = sim.world.book_meeting(
        sim.user.guid, start=START, end=START, recipient_email="ann@example.org"
    )
    job = await sim.call("POST", "/v2/bulk_jobs", {"type": "calendar/events/upsert"})
    meetings = await sim.call("GET", "/v2/meetings", include_meetings_settings="true")
    settings = await sim.call("POST", "/v2/meetings/settings/searches", {})
    shown = {
        "CalendarEvent": (await sim.upsert()).body["data"],
        "BulkJob": job.body["data"],
        "Meeting": meetings.body["data"][0],
        "MeetingSetting": settings.body["data"][0],
        "User": (await sim.call("GET", "/v2/me")).body["data"],
    }
    assert shown["Meeting"]["id"] == number
    for name, record in shown.items():
        unknown = record.keys() - schemas[name]["properties"].keys()
        assert unknown <= NEWER_FIELDS, name
