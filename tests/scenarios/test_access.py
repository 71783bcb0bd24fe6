"""Issue part 5: a calendar that is gone, not shared any more, shared for less, and shared again."""

from __future__ import annotations

import pytest

from connector.simulator.google import Calendar, GoogleWorld
from tests.office import Office
from tests.scenarios.steps import (
    CHANGES,
    PROSPECT,
    RESYNC,
    WEEKLY,
    at,
    begin,
    cycle,
    occurrences,
    settle,
    weekly,
)

PAM = "pam@example.com"


@pytest.fixture(params=["404", "403"])
def hidden(request: pytest.FixtureRequest, office: Office) -> GoogleWorld:
    """Google hides what is not shared, or says that it is forbidden."""
    office.google.forbid_instead_of_hiding = request.param == "403"
    return office.google


async def lost(office: Office) -> None:
    """A cycle in which the only calendar cannot be read."""
    before = {name: office.held(name) for name in office.sellers}
    summary = await office.once()
    assert summary.exit_status == 77
    assert {name: office.held(name) for name in office.sellers} == before


async def test_an_unshared_calendar_is_left_as_it_was(
    office: Office, pam: Calendar, hidden: GoogleWorld
) -> None:
    series = weekly(pam)
    await begin(office)
    pam.set_role(PAM, "none")
    for _ in range(3):
        await lost(office)
    pam.cancel_following(occurrences(office, series)[10].id)
    pam.create("New", at("2026-10-22T09:00"))
    await lost(office)
    pam.set_role(PAM, "owner")
    done = await settle(office, sent=WEEKLY - 10 + 1)
    assert len(done.cancelled) == WEEKLY - 10


async def test_a_deleted_calendar_cancels_nothing(office: Office, pam: Calendar) -> None:
    weekly(pam)
    await begin(office)
    pam.delete()
    await lost(office)
    await lost(office)
    assert len(office.alive("pam")) == WEEKLY


async def test_a_neighbour_goes_on(office: Office, pam: Calendar, hidden: GoogleWorld) -> None:
    jim = office.hire("jim")
    weekly(pam)
    weekly(jim)
    await begin(office)
    pam.set_role(PAM, "none")
    jim.create("Lunch", at("2026-10-22T12:00"))
    summary = await office.once()
    assert summary.exit_status == 1
    assert len(office.alive("jim")) == WEEKLY + 1
    assert len(office.alive("pam")) == WEEKLY
    pam.set_role(PAM, "owner")
    await settle(office, sent=0)


async def test_access_is_lost_in_the_middle_of_a_reading(office: Office, pam: Calendar) -> None:
    """The feed came through, the look-up of the series does not: nothing is concluded from that."""
    from connector.simulator.faults import Fault

    series = weekly(pam)
    await begin(office)
    pam.edit_all(series, summary="Renamed")
    body = {"error": {"errors": [{"domain": "global", "reason": "forbidden"}], "code": 403}}
    office.google.faults.add(Fault("events.instances", status=403, body=body))
    # Nor does the listing of the window that is tried instead; the feed came before.
    office.google.faults.add(Fault("events.list", status=403, body=body, skip=1))
    await lost(office)
    await settle(office, sent=WEEKLY)


@pytest.mark.parametrize("announced", [True, False], ids=["410", "only accessRole tells"])
async def test_down_to_free_busy_and_back(office: Office, pam: Calendar, announced: bool) -> None:
    series = weekly(pam, location="Room 1", description="Agenda")
    single = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    plain = pam.create("Own", at("2026-10-23T09:00"))
    pam.create("Declined", at("2026-10-23T11:00"), attendees=[PROSPECT])
    pam.create("Free", at("2026-10-23T15:00"), attendees=[PROSPECT], transparency="transparent")
    await begin(office)

    def share(role: str) -> None:
        if announced:
            pam.set_role(PAM, role)  # type: ignore[arg-type]
        else:
            pam.roles[PAM] = role  # type: ignore[assignment]

    share("freeBusyReader")
    done = await settle(office, sent=WEEKLY + 3, asked=RESYNC)
    assert done.cancelled == []
    for body in done.sent:
        blank = [body[name] for name in ("title", "description", "location", "organizer")]
        assert blank == ["", "", "", ""]
        assert body["attendees"] == []
    texts = {(e.title, e.location, e.organizer) for e in office.alive("pam").values()}
    assert texts <= {("", "", ""), (None, None, None)}
    pam.edit_one(single, start=at("2026-10-22T15:00"), summary="Secret")
    pam.cancel_one(occurrences(office, series)[5].id)
    done = await settle(office, sent=2)
    assert all(not body.get("title") for body in done.sent)
    share("owner")
    await settle(office, sent=WEEKLY - 1 + 3, asked=RESYNC)
    assert plain in {event_id for event_id, _ in office.alive("pam")}


async def test_from_the_start_for_free_busy_only(office: Office, pam: Calendar) -> None:
    weekly(pam)
    pam.roles[PAM] = "freeBusyReader"
    await begin(office)
    await settle(office, sent=0, asked=CHANGES)
    assert all(event.title is None for event in office.alive("pam").values())
    pam.set_role(PAM, "owner")
    await settle(office, sent=WEEKLY)


@pytest.mark.parametrize("role", ["reader", "writerWithoutPrivateAccess", "writer"])
async def test_other_roles_show_the_same(office: Office, pam: Calendar, role: str) -> None:
    weekly(pam)
    private = pam.create(
        "Secret", at("2026-10-22T09:00"), attendees=[PROSPECT], visibility="private"
    )
    await begin(office)
    pam.set_role(PAM, role)  # type: ignore[arg-type]
    await settle(office, sent=0, asked=RESYNC)
    pam.edit_one(private, start=at("2026-10-22T11:00"))
    await settle(office, sent=1, asked=CHANGES)


async def test_everything_is_deleted_while_access_is_lost(office: Office, pam: Calendar) -> None:
    events = [
        pam.create("Pitch", at("2026-10-22T09:00").replace(hour=hour), attendees=[PROSPECT])
        for hour in range(6, 18)
    ]
    await begin(office)
    pam.set_role(PAM, "none")
    await lost(office)
    for event in events:
        pam.cancel_all(event)
    await lost(office)
    pam.set_role(PAM, "owner")
    await settle(office, sent=len(events))


async def test_a_withdrawn_consent_cancels_nothing(office: Office, pam: Calendar) -> None:
    weekly(pam)
    await begin(office)
    office.google.revoke(PAM)
    await lost(office)
    office.configure("pam")
    done = await cycle(office)
    assert done.sent == []
    await settle(office, sent=0)
