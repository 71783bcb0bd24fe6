"""The benchmarks' workload model keeps its own figures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from benchmarks.workload import MODEL, WEEK, Kind, bodies, changes, fill, rate_at
from connector.simulator.google import GoogleWorld
from tests.office import open_office
from tests.scenarios.steps import Clock

ZONE = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 3, 2, tzinfo=ZONE)


@pytest.mark.parametrize("user", range(4))
def test_450_occurrences_half_of_them_recurring(user: int) -> None:
    calendar = GoogleWorld(now=lambda: MONDAY).add_calendar("pam@example.com", ZONE.key)
    fill(calendar, 1, user, MONDAY)
    first = MONDAY - timedelta(days=MODEL.past_days)
    seen = calendar.truth(first, MONDAY + timedelta(days=MODEL.future_days + 1))
    assert len(seen) == 450
    assert sum(one.recurring for one in seen) == 225


def test_the_same_seed_makes_the_same_calendar_and_the_same_week() -> None:
    def made(seed: int, user: int) -> tuple[object, object]:
        week = changes(seed, user, ZONE, MONDAY, WEEK)
        return list(bodies(seed, user, MONDAY, ZONE)), list(week)

    assert made(1, 0) == made(1, 0)
    assert made(1, 0) != made(1, 1)
    assert made(1, 0) != made(2, 0)


def test_65_changes_a_week_of_which_3_are_series_edits() -> None:
    users = 400
    weeks = [list(changes(1, user, ZONE, MONDAY, WEEK)) for user in range(users)]
    assert sum(map(len, weeks)) / users == pytest.approx(65, rel=0.05)
    edits = sum(change.of_series for week in weeks for _, change in week)
    assert edits / users == pytest.approx(3, rel=0.15)
    assert {change.kind for week in weeks for _, change in week} == set(Kind)
    assert all(at <= later for week in weeks for (at, _), (later, _) in pairwise(week))


def test_ten_times_as_many_at_the_hour() -> None:
    for day in (0, 6):
        hour = MONDAY + timedelta(days=day, hours=10)
        assert rate_at(hour, ZONE) == pytest.approx(
            10 * rate_at(hour + timedelta(minutes=30), ZONE)
        )
    minutes = (MONDAY + timedelta(seconds=10 * n) for n in range(int(WEEK / 10)))
    assert sum(10 * rate_at(at.astimezone(UTC), ZONE) for at in minutes) == pytest.approx(65)


async def test_the_connector_follows_a_week_of_it(tmp_path: Path) -> None:
    clock = Clock(MONDAY)
    async with open_office(tmp_path, clock) as office:
        pam = office.hire("pam", ZONE.key)
        fill(pam, 1, 0, clock())
        await office.once(full=True)
        week = list(changes(1, 0, ZONE, MONDAY, WEEK))
        for number, (at, change) in enumerate(week):
            clock.at = MONDAY + timedelta(seconds=at)
            change.make(pam, clock())
            if number % 16 == 15 or number == len(week) - 1:
                await office.once()
                assert office.differences() == []
