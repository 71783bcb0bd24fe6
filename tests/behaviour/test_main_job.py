"""The main job: calendars reach Salesloft, stay true, and quiet is silent."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.office import Office

PROSPECT = {"email": "dwight@customer.example.org", "displayName": "Dwight"}
COLLEAGUE = {"email": "jim@example.com"}


def this_hour(office: Office) -> datetime:
    return office.clock().replace(minute=0, second=0, microsecond=0)


async def test_initial_sync_then_quiet_is_silent(office: Office) -> None:
    pam = office.hire("pam")
    now = this_hour(office)
    pam.create("Standup", now + timedelta(hours=2))
    pam.create("Pitch", now + timedelta(hours=4), attendees=[PROSPECT], location="Room 1")
    pam.create_series("Weekly", now + timedelta(hours=1), rule="FREQ=WEEKLY", attendees=[PROSPECT])
    pam.create_all_day("Holiday")
    summary = await office.once(full=True)
    assert office.differences() == []
    assert summary.exit_status == 0
    before = office.told()
    summary = await office.once()
    assert summary.exit_status == 0
    assert office.told() == before


async def test_each_kind_of_edit_arrives_with_one_cycle(office: Office) -> None:
    pam = office.hire("pam")
    now = this_hour(office)
    pitch = pam.create("Pitch", now + timedelta(hours=4), attendees=[PROSPECT])
    standup = pam.create("Standup", now + timedelta(hours=2), attendees=[COLLEAGUE])
    weekly = pam.create_series("Weekly", now + timedelta(hours=1), attendees=[PROSPECT])
    await office.once(full=True)
    assert office.differences() == []

    async def sent_by_one_cycle() -> int:
        before = len(office.upserts())
        summary = await office.once()
        assert summary.exit_status == 0
        assert office.differences() == []
        return len(office.upserts()) - before

    pam.move_in_time(pitch, now + timedelta(hours=5))
    assert await sent_by_one_cycle() == 1
    pam.add_guest(standup, PROSPECT)
    assert await sent_by_one_cycle() == 1
    pam.set_visibility(standup, "private")
    assert await sent_by_one_cycle() == 1
    instances = [o for o in pam.truth(*office.window("pam")) if o.recurring_event_id == weekly]
    pam.edit_one(instances[2].id, summary="Weekly, special")
    assert await sent_by_one_cycle() == 1
    pam.cancel_one(instances[3].id)
    assert await sent_by_one_cycle() == 1
    pam.edit_all(weekly, summary="Weekly, renamed")
    assert await sent_by_one_cycle() == len(instances) - 1
    pam.edit_following(instances[6].id, description="from here on")
    # New half: the same ids under a new iCalUID; the old keys are cancelled.
    assert await sent_by_one_cycle() == 2 * (len(instances) - 6)
    pam.cancel_following(instances[8].id)
    assert await sent_by_one_cycle() == len(instances) - 8
    pam.cancel_all(weekly)
    assert await sent_by_one_cycle() > 0
    pam.cancel_all(pitch)
    assert await sent_by_one_cycle() == 1
    assert await sent_by_one_cycle() == 0


async def test_lost_state_is_rebuilt_from_both_sides(office: Office) -> None:
    pam = office.hire("pam")
    now = this_hour(office)
    pitch = pam.create("Pitch", now + timedelta(hours=4), attendees=[PROSPECT])
    pam.create("Kept", now + timedelta(hours=6), attendees=[PROSPECT])
    await office.once(full=True)
    office.state.unlink()
    pam.cancel_all(pitch)
    before = len(office.upserts())
    await office.once()
    assert office.differences() == []
    assert len(office.upserts()) == before + 1
