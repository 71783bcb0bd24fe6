"""Who is paused while a bulk job is being loaded is not in it; others' changes go, and theirs after `resume`."""

from __future__ import annotations

from datetime import timedelta

from connector.cli import steering
from connector.simulator.faults import Fault
from tests.behaviour.test_reload import polls, serving
from tests.office import Office


async def test_a_job_that_is_not_loaded_yet_loses_who_is_paused(office: Office) -> None:
    for name in ("pam", "jim"):
        office.hire(name, extra="bulk_threshold = 5\n")
        for day in range(3, 13):
            office.sellers[name].create(f"Day {day}", office.clock() + timedelta(days=day))
    office.salesloft.faults.add(Fault("bulk.data.create", "status", status=503, times=None))
    async with serving(office) as service:
        await service.until(lambda: office.salesloft.count("bulk.data.create") > 0)
        await steering.run(office.config, "pam", "pause", as_json=False)
        before = polls(office, "jim")
        await service.until(
            lambda: polls(office, "jim") > before + 3
        )  # the daemon looked meanwhile
        office.salesloft.faults.clear()
        await service.until(lambda: len(office.alive("jim")) == 10)
        assert office.held("pam") == {}
        await steering.run(office.config, "pam", "resume", as_json=False)
        await service.until(lambda: len(office.alive("pam")) == 10)
