"""Salesloft may keep its own time: an update that it ignores is noticed and sent again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.office import Office

PROSPECT = {"email": "dwight@customer.example.org"}


@pytest.mark.parametrize("switch", ["store_own_time", "show_own_time"])
async def test_every_edit_arrives_although_salesloft_keeps_its_own_time(
    office: Office, switch: str
) -> None:
    setattr(office.salesloft.switches, switch, True)
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    pitch = pam.create("Pitch", now + timedelta(hours=4), attendees=[PROSPECT])
    await office.once(full=True)
    for hours in range(5, 9):
        pam.move_in_time(pitch, now + timedelta(hours=hours))
        assert (await office.once()).exit_status == 0
        assert office.differences() == []
    pam.set_visibility(pitch, "private")
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


async def test_an_ignored_blanking_is_sent_again(office: Office) -> None:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    pitch = pam.create("Pitch", now + timedelta(hours=4), attendees=[PROSPECT])
    await office.once(full=True)
    # Salesloft holds a later time than any that was sent, as after somebody else's write.
    office.set_stored_time("pam", now + timedelta(days=1))
    pam.set_visibility(pitch, "private")
    assert (await office.once()).exit_status == 0
    assert office.differences() == []
    assert [body["title"] for body in office.upserts()[1:]] == ["", ""]
