"""The daemon as a process: it keeps up, stops cleanly, and loses nothing when it is killed."""

from __future__ import annotations

import signal
from datetime import timedelta
from random import Random

from tests.daemon import Requests, daemon_of
from tests.office import Office
from tests.people import fill, random_edit

KILLS = 50


async def test_changes_arrive_and_sigterm_ends_with_0(office: Office) -> None:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    pam.create("First", now + timedelta(hours=1), attendees=[{"email": "a@buyer.example.net"}])
    requests = Requests(office)
    async with daemon_of(office) as daemon:
        await daemon.start()
        await requests.until(lambda: len(office.alive("pam")) == 1)
        second = pam.create("Second", now + timedelta(hours=2))
        await requests.until(lambda: len(office.alive("pam")) == 2)
        pam.cancel_all(second)
        await requests.until(lambda: len(office.alive("pam")) == 1)
        assert office.differences() == []
        assert await daemon.end() == 0
        assert "First" not in daemon.log
        assert "buyer.example.net" not in daemon.log


async def test_killed_at_fifty_random_points(office: Office) -> None:
    rng = Random(11)
    for name in ("pam", "jim", "dwight"):
        fill(office.hire(name), rng, office.clock(), singles=400, series=40)
    # Singly, or there are few requests to be killed between; tests of bulk jobs have their own deaths.
    config = office.config / "connector.toml"
    text = config.read_text()
    config.write_text(text.replace("[salesloft]\n", "[salesloft]\nbulk_threshold = 100000\n"))
    requests = Requests(office)
    async with daemon_of(office) as daemon:
        for _ in range(KILLS):
            await daemon.start()
            await requests.more(rng.randint(1, 60))
            assert await daemon.end(signal.SIGKILL) == -signal.SIGKILL
            seller = rng.choice(sorted(office.sellers))
            random_edit(office.sellers[seller], rng, office.clock(), office.window(seller))
        await daemon.start()
        await requests.until(lambda: office.differences() == [])
        assert await daemon.end() == 0
    assert office.salesloft.overlaps == []
    assert office.salesloft.stale_writes == []


async def test_a_second_process_on_the_same_state_is_told_who_has_it(office: Office) -> None:
    office.hire("pam")
    requests = Requests(office)
    async with daemon_of(office) as first, daemon_of(office) as second:
        await first.start()
        await requests.more(2)
        await second.start()
        assert await second._process.wait() == 1  # type: ignore[union-attr]
        assert f"process {first._process.pid}" in second.log  # type: ignore[union-attr]
        assert await first.end() == 0
