"""events.get, instances, insert, patch, update, delete and move."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import PAM, Sim, at

EVENTS = "calendars/primary/events"


def body(**changes: Any) -> dict[str, Any]:
    return {
        "summary": "Demo",
        "start": {"dateTime": "2026-11-03T10:00:00-05:00", "timeZone": "America/New_York"},
        "end": {"dateTime": "2026-11-03T10:30:00-05:00", "timeZone": "America/New_York"},
        **changes,
    }


async def insert(sim: Sim, **changes: Any) -> Any:
    answer = await sim.call("POST", EVENTS, body=body(**changes))
    assert answer.status == 200, answer.body
    return answer.body


async def test_insert_with_a_chosen_id_happens_once(sim: Sim) -> None:
    chosen = "a1b2c3"
    made = await insert(sim, id=chosen, attendees=[{"email": "buyer@example.org"}])
    assert (made["id"], made["iCalUID"]) == (chosen, f"{chosen}@google.com")
    assert made["attendees"] == [{"email": "buyer@example.org", "responseStatus": "needsAction"}]
    again = await sim.call("POST", EVENTS, body=body(id=chosen))
    assert again.reason == (409, "duplicate")
    sim.calendar.cancel_one(chosen)
    assert (await sim.call("POST", EVENTS, body=body(id=chosen))).status == 409
    refused = await sim.call("POST", EVENTS, body=body(id="WXYZ-1"))
    assert refused.reason == (400, "invalid")


async def test_insert_makes_a_conference_only_in_version_1(sim: Sim) -> None:
    wanted = {
        "createRequest": {"requestId": "r-1", "conferenceSolutionKey": {"type": "hangoutsMeet"}}
    }
    plain = await insert(sim, conferenceData=wanted)
    assert "conferenceData" not in plain
    made = await sim.call("POST", EVENTS, body=body(conferenceData=wanted), conferenceDataVersion=1)
    data = made.body["conferenceData"]
    assert data["createRequest"]["status"] == {"statusCode": "success"}
    assert made.body["hangoutLink"] == data["entryPoints"][0]["uri"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"start": None}, "required"),
        ({"end": {"dateTime": "2026-11-03T10:30:00"}}, "required"),
        ({"end": {"dateTime": "2026-11-03T09:00:00-05:00"}}, "timeRangeEmpty"),
        ({"end": {"date": "2026-11-04"}}, "invalid"),
        ({"attendees": [{"email": "nobody"}]}, "invalid"),
        ({"recurrence": ["RRULE:COUNT=2"]}, "invalid"),
        ({"status": "maybe"}, "invalid"),
    ],
)
async def test_insert_refuses_what_makes_no_sense(
    sim: Sim, changes: dict[str, Any], reason: str
) -> None:
    answer = await sim.call("POST", EVENTS, body=body(**changes))
    assert answer.reason == (400, reason)


async def test_send_updates_is_checked_and_logged(sim: Sim) -> None:
    assert (await sim.call("POST", EVENTS, body=body(), sendUpdates="some")).status == 400
    assert (await sim.call("POST", EVENTS, body=body(), sendUpdates="all")).status == 200
    assert sim.world.requests("events.insert")[-1].query == {"sendUpdates": "all"}


async def test_patch_changes_what_it_names_and_update_the_rest_too(sim: Sim) -> None:
    made = await insert(sim, description="d", location="l")
    path = f"{EVENTS}/{made['id']}"
    patched = (await sim.call("PATCH", path, body={"location": None, "summary": "New"})).body
    assert (patched["summary"], patched["description"]) == ("New", "d")
    assert "location" not in patched
    assert patched["sequence"] == 0
    updated = (await sim.call("PUT", path, body=body(summary="Whole"))).body
    assert updated["summary"] == "Whole"
    assert "description" not in updated
    moved = {
        "start": {"dateTime": "2026-11-03T15:00:00Z"},
        "end": {"dateTime": "2026-11-03T16:00:00Z"},
    }
    assert (await sim.call("PATCH", path, body=moved)).body["sequence"] == 1


async def test_if_match_guards_writes(sim: Sim) -> None:
    made = await insert(sim)
    path = f"{EVENTS}/{made['id']}"
    headers = {"If-Match": made["etag"]}
    assert (await sim.call("PATCH", path, body={"summary": "a"}, headers=headers)).status == 200
    stale = await sim.call("PATCH", path, body={"summary": "b"}, headers=headers)
    assert stale.reason == (412, "conditionNotMet")
    assert (await sim.call("DELETE", path, headers=headers)).reason == (412, "conditionNotMet")


async def test_delete_answers_204_and_then_410(sim: Sim) -> None:
    made = await insert(sim)
    path = f"{EVENTS}/{made['id']}"
    gone = await sim.call("DELETE", path)
    assert (gone.status, gone.body) == (204, None)
    assert (await sim.call("DELETE", path)).reason == (410, "deleted")
    assert (await sim.call("PATCH", path, body={"summary": "x"})).reason == (410, "deleted")
    shown = await sim.get(path)
    assert (shown.body["status"], shown.body["summary"]) == ("cancelled", "Demo")


async def test_patching_an_occurrence_makes_an_exception(sim: Sim) -> None:
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY")
    token = await sim.token()
    one = f"{series}_20261104T140000Z"
    patched = await sim.call("PATCH", f"{EVENTS}/{one}", body={"summary": "only this"})
    assert patched.body["recurringEventId"] == series
    assert [item["id"] for item in await sim.delta(token)] == [series, one]
    await sim.call("DELETE", f"{EVENTS}/{series}_20261105T140000Z")
    listed = (await sim.get(f"{EVENTS}/{series}/instances", maxResults=3)).body["items"]
    assert [item["id"][-16:] for item in listed] == [
        "20261102T140000Z",
        "20261103T140000Z",
        "20261104T140000Z",
    ]
    assert listed[2]["summary"] == "only this"


async def test_guests_may_not_change_what_is_shared(sim: Sim) -> None:
    copy = sim.calendar.invite("buyer@example.org", "theirs", start=at("2026-11-02T09:00"))
    path = f"{EVENTS}/{copy}"
    refused = await sim.call("PATCH", path, body={"summary": "mine"})
    assert refused.reason == (403, "forbiddenForNonOrganizer")
    answer = await sim.call("PATCH", path, body={"colorId": "3"})
    assert answer.body["colorId"] == "3"


async def test_readers_may_not_write(sim: Sim) -> None:
    sim.world.set_role(sim.calendar, "jim@example.com", "reader")
    answer = await sim.call("POST", f"calendars/{PAM}/events", body=body(), user="jim@example.com")
    assert answer.reason == (403, "requiredAccessLevel")


async def test_get_knows_untouched_occurrences_and_nothing_else(sim: Sim) -> None:
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=WEEKLY")
    one = await sim.get(f"{EVENTS}/{series}_20261109T140000Z")
    assert one.body["recurringEventId"] == series
    assert "recurrence" not in one.body
    for nothing in (f"{series}_20261110T140000Z", f"{series}_20261109", "nonsense"):
        assert (await sim.get(f"{EVENTS}/{nothing}")).reason == (404, "notFound")
    sim.calendar.cancel_one(f"{series}_20261109T140000Z")
    gone = await sim.get(f"{EVENTS}/{series}_20261109T140000Z")
    assert (gone.body["status"], gone.body["summary"]) == ("cancelled", "s")


async def test_instances_in_a_window_by_start_with_exceptions_in_place(sim: Sim) -> None:
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY")
    moved = sim.calendar.edit_one(f"{series}_20261103T140000Z", start=at("2026-11-05T07:00"))
    gone = sim.calendar.cancel_one(f"{series}_20261104T140000Z")
    path = f"{EVENTS}/{series}/instances"
    window = {"timeMin": "2026-11-02T14:30:00Z", "timeMax": "2026-11-06T14:00:00Z"}
    answer = await sim.get(path, **window)
    # timeMin includes what ends at it; timeMax excludes what starts at it.
    assert answer.ids == [f"{series}_20261102T140000Z", moved, f"{series}_20261105T140000Z"]
    everything = await sim.get(path, showDeleted="true", **window)
    assert gone in everything.ids
    first = await sim.get(path, maxResults=2, **window)
    second = await sim.get(path, maxResults=2, pageToken=first.body["nextPageToken"], **window)
    assert first.ids + second.ids == answer.ids
    assert (await sim.get(path, maxResults=3, pageToken=first.body["nextPageToken"])).status == 400


@pytest.mark.parametrize(
    ("original", "found"),
    [
        ("2026-11-03T09:00:00-05:00", True),
        ("2026-11-03T14:00:00Z", True),
        ("2026-11-03T09:00:00-04:00", False),
        ("2026-11-03", False),
    ],
)
async def test_original_start_resolves_an_occurrence(sim: Sim, original: str, found: bool) -> None:
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY")
    answer = await sim.get(f"{EVENTS}/{series}/instances", originalStart=original)
    assert answer.ids == ([f"{series}_20261103T140000Z"] if found else [])


async def test_instances_of_a_deleted_series(sim: Sim) -> None:
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY;COUNT=2")
    sim.calendar.cancel_all(series)
    path = f"{EVENTS}/{series}/instances"
    assert (await sim.get(path)).reason == (410, "deleted")
    shown = (await sim.get(path, showDeleted="true")).body["items"]
    assert [item["status"] for item in shown] == ["cancelled", "cancelled"]


async def test_move_shows_the_source_copy_cancelled(sim: Sim) -> None:
    other = sim.world.add_calendar(PAM, calendar_id="c_1@group.calendar.google.com", owner=PAM)
    made = await insert(sim)
    answer = await sim.call("POST", f"{EVENTS}/{made['id']}/move", destination=other.id)
    assert answer.body["status"] == "cancelled"
    assert answer.body["organizer"]["email"] == other.id
    encoded = other.id.replace("@", "%40")
    assert (await sim.events(encoded)).ids == [made["id"]]


async def test_fields_selects_parts(sim: Sim) -> None:
    await insert(sim, location="here")
    answer = await sim.events(fields="items(id,start/dateTime),nextSyncToken")
    assert set(answer.body) == {"items", "nextSyncToken"}
    (item,) = answer.body["items"]
    assert set(item) == {"id", "start"}
    assert set(item["start"]) == {"dateTime"}
    starred = (await sim.events(fields="items/*/dateTime,nextPageToken")).body
    assert starred["items"][0]["end"] == {"dateTime": "2026-11-03T10:30:00-05:00"}
    assert set(starred) == {"items"}


async def test_times_are_written_in_the_zone_asked_for(sim: Sim) -> None:
    made = await insert(sim)
    shown = (await sim.get(f"{EVENTS}/{made['id']}", timeZone="Asia/Tokyo")).body
    assert shown["start"] == {
        "dateTime": "2026-11-04T00:00:00+09:00",
        "timeZone": "America/New_York",
    }


async def test_omitted_attendees(sim: Sim) -> None:
    event = sim.calendar.create(
        "m", at("2026-11-02T09:00"), attendees=["a@example.org", "b@example.org"]
    )
    path = f"{EVENTS}/{event}"
    assert len((await sim.get(path)).body["attendees"]) == 3
    few = (await sim.get(path, maxAttendees=2)).body
    assert few["attendeesOmitted"] is True
    assert [guest["email"] for guest in few["attendees"]] == [PAM]
    sim.calendar.omit_attendees(event)
    assert (await sim.get(path)).body["attendeesOmitted"] is True


async def test_guests_are_told_as_send_updates_says(sim: Sim) -> None:
    jim = "jim.halpert@example.com"
    sim.world.add_calendar(jim)
    guests = [{"email": email} for email in ("buyer@example.org", jim, PAM)]
    everybody, outside = ("buyer@example.org", jim), ("buyer@example.org",)
    for told, to in (("all", everybody), ("externalOnly", outside), ("none", ()), (None, ())):
        sim.world.invitations.clear()
        asked: dict[str, Any] = {"sendUpdates": told} if told else {}
        made = await sim.call("POST", EVENTS, body=body(attendees=guests), **asked)
        at_event = f"{EVENTS}/{made.body['id']}"
        await sim.call("PATCH", at_event, body={"summary": "Later"}, **asked)
        assert (await sim.call("DELETE", at_event, **asked)).status == 204
        assert [(mail.what, mail.to) for mail in sim.world.invitations] == [
            (what, to) for what in ("insert", "patch", "delete") if to
        ]


async def test_a_conference_may_come_about_later(sim: Sim) -> None:
    sim.world.conferences_pending = True
    request = {"requestId": "r-1", "conferenceSolutionKey": {"type": "hangoutsMeet"}}
    made = await sim.call(
        "POST",
        EVENTS,
        body=body(conferenceData={"createRequest": request}),
        conferenceDataVersion=1,
    )
    waiting = made.body["conferenceData"]["createRequest"]["status"]
    assert (waiting, "hangoutLink" in made.body) == ({"statusCode": "pending"}, False)
    sim.world.finish_conferences()
    now = (await sim.get(f"{EVENTS}/{made.body['id']}")).body
    assert now["conferenceData"]["createRequest"]["status"] == {"statusCode": "success"}
    assert now["hangoutLink"] == now["conferenceData"]["entryPoints"][0]["uri"]
    assert now["etag"] != made.body["etag"]


async def test_a_calendar_that_is_written_to_too_often_takes_no_writes(sim: Sim) -> None:
    sim.world.writes_over_quota = True
    assert (await sim.call("POST", EVENTS, body=body())).reason == (403, "quotaExceeded")
    assert (await sim.get(EVENTS)).status == 200
