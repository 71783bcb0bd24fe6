"""Salesloft may keep its own time: an update that it ignores is noticed and sent again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.domain.model import EventId
from connector.store import State, open_database
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


async def test_what_salesloft_answered_is_kept_by_name_only(office: Office) -> None:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    pitch = pam.create("Pitch", now + timedelta(hours=4), attendees=[PROSPECT])
    await office.once(full=True)
    pam.edit_one(pitch, summary="Pitch, again")
    await office.once()
    state = State(open_database(office.place))
    created, updated = await state.journal(1, EventId(pitch))
    await state.purge_journal(now + timedelta(days=15))
    assert await state.journal(1, EventId(pitch)) == []
    state.close()
    assert (created.upsert_type, updated.upsert_type) == ("create", "update")
    assert "title" in updated.changed
    assert created.request_id != updated.request_id
    assert b"Pitch" not in office.state.read_bytes()
