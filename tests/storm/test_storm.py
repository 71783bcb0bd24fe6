"""Everything at once, for minutes: faults on a third of all calls, random edits, the daemon killed every few seconds.

STORM_SECONDS=600 STORM_SEED=1 make storm
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from random import Random

import pytest

from connector.simulator.faults import FaultKind
from tests.daemon import Requests, daemon_of
from tests.office import KEY, open_office
from tests.people import fill, random_edit

SECONDS = float(os.environ.get("STORM_SECONDS", "600"))
SEED = int(os.environ.get("STORM_SEED", "1"))
FAULTS: tuple[FaultKind, ...] = (
    "status",
    "html",
    "truncate",
    "slow",
    "reset_before",
    "reset_after",
)


@pytest.mark.long
async def test_a_storm_ends_with_both_sides_equal(tmp_path: Path) -> None:
    rng = Random(SEED)
    async with open_office(tmp_path, seed=SEED) as office:
        for name in ("pam", "jim", "dwight"):
            fill(office.hire(name), rng, office.clock(), singles=120, series=10)
        office.google.faults.random(1 / 3, FAULTS)
        office.salesloft.faults.random(1 / 3, FAULTS)
        requests = Requests(office)
        edits = kills = 0
        async with daemon_of(office) as daemon:
            await daemon.start()
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                for _ in range(rng.randint(1, 8)):
                    await requests.more(rng.randint(1, 30))
                    name = rng.choice(sorted(office.sellers))
                    random_edit(office.sellers[name], rng, office.clock(), office.window(name))
                    edits += 1
                await daemon.end(signal.SIGKILL)
                kills += 1
                await daemon.start()
            office.google.faults.clear()
            office.salesloft.faults.clear()
            async with asyncio.timeout(300):
                await requests.until(lambda: office.differences() == [])
            await requests.more(10)
            assert await daemon.end() == 0
        assert office.differences() == []
        assert office.salesloft.overlaps == []
        assert office.salesloft.bulk_conflicts == []
        assert office.salesloft.stale_writes == []
        assert "Traceback" not in daemon.log
        print(  # noqa: T201  # what the storm came to
            f"storm: seed {SEED}, {SECONDS:.0f} s, {edits} edits, {kills} kills,"
            f" {len(office.google.log)} and {len(office.salesloft.log)} requests,"
            f" most points in 60 s {office.salesloft.window_peaks(KEY)}"
        )
