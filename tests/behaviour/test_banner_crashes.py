"""The process dies at every commit and request of the run that shows the banner, or takes it down."""

from __future__ import annotations

from pathlib import Path

from tests.behaviour.test_crash_points import Reaper, die_once
from tests.office import Office, guid_of, open_office
from tests.scenarios.steps import Clock

PAM = "pam@example.com"


def banners(office: Office) -> list[bool]:
    return [
        bool((entry.body or {}).get("primary_calendar_connection_failed"))
        for entry in office.salesloft.log
        if entry.route == "settings.update"
    ]


async def test_a_death_at_any_step_shows_the_banner_once_and_takes_it_down(tmp_path: Path) -> None:
    """Death right after a step; before it is the same as after the one before."""
    at, finished = 0, False
    while not finished:
        at += 1
        clock = Clock()
        async with open_office(tmp_path / str(at), clock=clock) as office:
            pam = office.hire("pam")
            pam.create("Pitch", clock(), attendees=[{"email": "angela@buyer.example.net"}])
            await office.once(full=True)
            held = office.held("pam")
            pam.set_role(PAM, "none")
            await office.once()
            clock.advance(seconds=60)
            up = Reaper(at, after=True)
            await die_once(office, up)
            clock.advance(seconds=60)
            await office.once()
            assert banners(office) == [True], f"step {at}"
            assert office.held("pam") == held, f"step {at}"
            pam.set_role(PAM, "owner")
            down = Reaper(at, after=True)
            await die_once(office, down)
            await office.once()
            assert banners(office)[0] is True
            assert set(banners(office)[1:]) == {False}, f"step {at}"
            assert not office.salesloft.users[guid_of("pam")].connection_failed, f"step {at}"
            finished = not up.struck and not down.struck
    assert at > 12
