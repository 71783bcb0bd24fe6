"""Who leaves while a bulk job is being loaded is not in it: nothing more is sent for them, and others' changes go."""

from __future__ import annotations

from datetime import timedelta

from connector.simulator.faults import Fault
from tests.behaviour.test_reload import serving
from tests.office import Office, guid_of

BULKY = "bulk_threshold = 5\n[roster]\ninterval = '1s'\n"


async def test_a_job_that_is_not_loaded_yet_loses_who_is_no_longer_external(office: Office) -> None:
    for name in ("pam", "jim"):
        office.hire(name, extra=BULKY)
        for day in range(3, 13):
            office.sellers[name].create(f"Day {day}", office.clock() + timedelta(days=day))
    office.salesloft.faults.add(Fault("bulk.data.create", "status", status=503, times=None))
    async with serving(office) as service:
        await service.until(lambda: office.salesloft.count("bulk.data.create") > 0)
        office.salesloft.set_calendar_type(guid_of("pam"), "google")
        await service.heard("user_disconnected")
        office.salesloft.faults.clear()
        await service.until(lambda: len(office.alive("jim")) == 10)
    assert office.held("pam") == {}
