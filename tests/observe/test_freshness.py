"""Freshness is measured of changes, singly and in bulk; what no change brought up is left out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from connector.app.opening import state_place
from connector.app.parts import assemble
from connector.observe.metrics import Metrics
from connector.settings.files import load_settings
from connector.store import open_database
from tests.office import Office, open_office


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("threshold", [1, 100_000], ids=["in bulk", "singly"])
async def test_changes_are_measured_and_backfill_is_not(office: Office, threshold: int) -> None:
    pam = office.hire("pam", extra=f"bulk_threshold = {threshold}")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    metrics = Metrics("1.2.3")
    settings = load_settings(office.config)
    pam.create("Long known", now + timedelta(days=20))
    database = open_database(state_place(settings))
    async with assemble(settings, database, office.clock, metrics) as parts:
        (calendar,), (delivery,) = parts.calendars, parts.deliveries.values()

        async def round_of_work() -> None:
            await parts.cycle.run(calendar.seller)
            await delivery.drain(asyncio.Event())

        await round_of_work()
        assert counted(metrics) == (1, 0)
        pam.create("Changed", now + timedelta(days=21))
        pam.create("Changed too", now + timedelta(days=22))
        await round_of_work()
        assert counted(metrics) == (3, 2)
        assert 0 <= sum_of_seconds(metrics) < 120
        await round_of_work()
        assert counted(metrics) == (3, 2)
    polls = {
        result: metric(metrics, "polls_total", result=result)
        for result in ("full", "changed", "quiet")
    }
    assert polls == {"full": 1, "changed": 1, "quiet": 1}
    jobs = [entry for entry in office.salesloft.log if "bulk" in entry.route]
    assert bool(jobs) is (threshold == 1)


def counted(metrics: Metrics) -> tuple[float, float]:
    """Upserts accepted, and those whose freshness was measured."""
    accepted = sum(
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "gcal_salesloft_deliveries_total"
        and sample.labels["outcome"] == "accepted"
    )
    return accepted, of_all(metrics, "freshness_seconds_count")


def sum_of_seconds(metrics: Metrics) -> float:
    return of_all(metrics, "freshness_seconds_sum")


def of_all(metrics: Metrics, name: str) -> float:
    return sum(
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"gcal_salesloft_{name}"
    )


def metric(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"gcal_salesloft_{name}", labels)
