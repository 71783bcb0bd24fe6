"""Three full calendars: an initial sync, silence, and twenty random edits."""

from __future__ import annotations

from random import Random

from tests.office import Office
from tests.people import fill, random_edit


async def test_initial_sync_silence_and_random_edits(office: Office) -> None:
    rng = Random(7)
    for name in ("pam", "jim", "dwight"):
        fill(office.hire(name), rng, office.clock(), singles=400, series=40)
    summary = await office.once(full=True)
    assert summary.exit_status == 0
    assert office.differences() == []
    before = office.told()
    assert (await office.once()).exit_status == 0
    assert office.told() == before
    for round_number in range(20):
        name = rng.choice(sorted(office.sellers))
        held = {seller: office.held(seller) for seller in office.sellers}
        sent = len(office.upserts())
        edit = random_edit(office.sellers[name], rng, office.clock(), office.window(name))
        assert (await office.once()).exit_status == 0
        assert office.differences() == [], f"round {round_number}: {name}: {edit}"
        changed = sum(
            facts != held[seller].get(key)
            for seller in office.sellers
            for key, facts in office.held(seller).items()
        )
        assert len(office.upserts()) - sent == changed, f"round {round_number}: {name}: {edit}"
    assert office.salesloft.overlaps == []
    assert office.salesloft.stale_writes == []
