"""Sync tokens, page tokens, windows and parameters of events.list (reference 2.1-2.9)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import PAM, Sim, at

JIM = "jim@example.com"


def singles(sim: Sim, count: int) -> list[str]:
    return [
        sim.calendar.create(f"m{number}", at(f"2026-11-{number + 2:02}T09:00"))
        for number in range(count)
    ]


async def test_pages_come_in_order_of_updated_and_only_the_last_has_a_sync_token(sim: Sim) -> None:
    made = singles(sim, 5)
    sim.calendar.edit_one(made[0], summary="touched")
    items, token = await sim.walk(maxResults=2)
    assert [item["id"] for item in items] == [*made[1:], made[0]]
    assert token is not None


async def test_a_page_is_cut_before_its_cancelled_rows_are_dropped(sim: Sim) -> None:
    made = singles(sim, 4)
    sim.calendar.cancel_one(made[0])
    sim.calendar.cancel_one(made[1])
    last = sim.calendar.create("last", at("2026-11-20T09:00"))
    pages: list[list[str]] = []
    page: dict[str, str] = {}
    for _ in range(3):
        answer = await sim.events(maxResults=2, **page)
        pages.append(answer.ids)
        page = {"pageToken": answer.body.get("nextPageToken", "")}
    assert pages == [made[2:], [], [last]]


async def test_a_row_edited_during_the_walk_comes_twice_and_again_in_the_increment(
    sim: Sim,
) -> None:
    made = singles(sim, 3)
    first = await sim.events(maxResults=2)
    sim.calendar.edit_one(made[0], summary="new")
    rest, token = await sim.walk(maxResults=2, pageToken=first.body["nextPageToken"])
    assert [item["id"] for item in rest] == [made[2], made[0]]
    assert rest[1]["summary"] == "new"
    assert token is not None
    assert [item["id"] for item in await sim.delta(token)] == [made[0]]


async def test_an_idle_increment_returns_the_same_token(sim: Sim) -> None:
    singles(sim, 2)
    token = await sim.token()
    answer = await sim.events(syncToken=token)
    assert (answer.body["items"], answer.body["nextSyncToken"]) == ([], token)


async def test_an_old_token_replays_what_came_after_it(sim: Sim) -> None:
    token = await sim.token()
    made = singles(sim, 2)
    assert [item["id"] for item in await sim.delta(token)] == made
    assert [item["id"] for item in await sim.delta(token)] == made


async def test_a_page_token_belongs_to_its_parameters(sim: Sim) -> None:
    singles(sim, 3)
    token = await sim.token()
    singles(sim, 3)
    page = (await sim.events(maxResults=2, syncToken=token)).body["nextPageToken"]
    lost = await sim.events(maxResults=2, pageToken=page)
    assert lost.reason == (400, "invalid")
    other = await sim.events(maxResults=1, syncToken=token, pageToken=page)
    assert other.reason == (400, "invalid")
    assert (await sim.events(maxResults=2, syncToken=token, pageToken=page)).status == 200


@pytest.mark.parametrize(
    "restriction",
    [
        {"timeMin": "2026-11-01T00:00:00Z"},
        {"timeMax": "2026-11-01T00:00:00Z"},
        {"updatedMin": "2026-11-01T00:00:00Z"},
        {"q": "x"},
        {"iCalUID": "x"},
        {"orderBy": "updated"},
        {"privateExtendedProperty": "a=b"},
        {"sharedExtendedProperty": "a=b"},
        {"showDeleted": "false"},
    ],
)
async def test_a_sync_token_admits_no_restriction(sim: Sim, restriction: dict[str, str]) -> None:
    token = await sim.token()
    answer = await sim.events(syncToken=token, **restriction)
    assert answer.reason == (400, "syncTokenWithRequestRestrictions")


async def test_a_sync_token_admits_the_rest(sim: Sim) -> None:
    token = await sim.token()
    answer = await sim.events(
        syncToken=token, showDeleted="true", eventTypes="default", maxAttendees=1, timeZone="UTC"
    )
    assert answer.status == 200


async def test_expired_and_foreign_and_broken_tokens(sim: Sim) -> None:
    token = await sim.token()
    sim.world.add_calendar(JIM)
    foreign = await sim.events(syncToken=token, user=JIM)
    assert foreign.reason == (400, "invalid")
    assert foreign.body["error"]["message"] == "Invalid sync token value."
    assert (await sim.events(syncToken="nonsense!")).reason == (400, "invalid")
    sim.world.expire_tokens(sim.calendar)
    gone = await sim.events(syncToken=token)
    assert gone.reason == (410, "fullSyncRequired")
    assert gone.body["error"]["message"] == (
        "Sync token is no longer valid, a full sync is required."
    )


async def test_sharing_voids_fresh_tokens(sim: Sim) -> None:
    token = await sim.token()
    sim.world.set_role(sim.calendar, JIM, "reader")
    assert (await sim.events(syncToken=token)).reason == (410, "fullSyncRequired")


async def test_a_token_forgets_the_window_that_it_came_from(sim: Sim) -> None:
    window = {"timeMin": "2026-11-01T00:00:00Z", "timeMax": "2026-11-10T00:00:00Z"}
    _, token = await sim.walk(**window)
    outside = sim.calendar.create("far", at("2030-01-01T09:00"))
    assert token is not None
    assert [item["id"] for item in await sim.delta(token)] == [outside]
    items, _ = await sim.walk(**window)
    assert items == []


async def test_order_by_yields_no_sync_token(sim: Sim) -> None:
    made = singles(sim, 3)
    items, token = await sim.walk(singleEvents="true", orderBy="startTime", maxResults=2)
    assert ([item["id"] for item in items], token) == (made, None)
    refused = await sim.events(orderBy="startTime")
    assert refused.reason[0] == 400
    assert (await sim.walk(singleEvents="true"))[1] is not None


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"maxResults": "0"}, "invalid"),
        ({"maxResults": "x"}, "invalid"),
        ({"singleEvents": "True"}, "invalid"),
        ({"timeMin": "2026-11-01T00:00:00"}, "badRequest"),
        ({"timeMin": "2026-11-02T00:00:00Z", "timeMax": "2026-11-02T00:00:00Z"}, "timeRangeEmpty"),
        ({"eventTypes": "party"}, "invalid"),
        ({"timeZone": "Mars/Phobos"}, "invalid"),
        ({"fields": "items(id"}, "invalidParameter"),
        ({"fields": "items(nonsense)"}, "invalidParameter"),
        ({"fields": "items(attendees(nonsense))"}, "invalidParameter"),
        ({"fields": "items(id/nonsense)"}, "invalidParameter"),
        ({"fields": "items(conferenceData/entryPoints/nonsense)"}, "invalidParameter"),
        ({"fields": "items(attendees(self),conferenceData/entryPoints(uri,label))"}, None),
        ({"fields": ""}, None),
    ],
)
async def test_parameters_are_read_strictly(
    sim: Sim, query: dict[str, str], reason: str | None
) -> None:
    answer = await sim.events(**query)
    assert (answer.status == 200) if reason is None else (answer.reason == (400, reason))


async def test_cancelled_exceptions_are_listed_and_cancelled_masters_are_not(sim: Sim) -> None:
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY")
    gone = sim.calendar.cancel_one(f"{series}_20261103T140000Z")
    single = sim.calendar.create("m", at("2026-11-02T09:00"))
    sim.calendar.cancel_one(single)
    assert (await sim.events()).ids == [series, gone]
    shown = await sim.events(showDeleted="true")
    assert shown.ids == [series, gone, single]
    assert shown.body["items"][2]["summary"] == "m"
    sim.calendar.cancel_all(series)
    assert (await sim.events()).ids == []
    sim.calendar.set_quirk("cancelled_masters_listed")
    assert (await sim.events()).ids == [single, series]


async def test_updated_min_includes_its_instant_and_the_deleted(sim: Sim) -> None:
    early = sim.calendar.create("early", at("2026-11-02T09:00"))
    sim.clock.advance(hours=1)
    late = sim.calendar.create("late", at("2026-11-02T10:00"))
    sim.calendar.cancel_one(late)
    answer = await sim.events(updatedMin="2026-11-02T10:00:00Z")
    assert answer.ids == [late]
    assert (await sim.events(updatedMin="2026-11-02T09:00:00Z")).ids == [early, late]
    old = await sim.events(updatedMin="2026-09-01T00:00:00Z")
    assert old.reason == (410, "updatedMinTooLongAgo")


async def test_the_window_bounds_occurrences_strictly_when_expanded(sim: Sim) -> None:
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY")
    sim.calendar.edit_one(f"{series}_20261103T140000Z", start=at("2026-12-01T09:00"))
    sim.calendar.cancel_one(f"{series}_20261104T140000Z")
    window = {"timeMin": "2026-11-02T14:30:00Z", "timeMax": "2026-11-06T14:00:00Z"}
    answer = await sim.events(singleEvents="true", **window)
    assert answer.ids == [f"{series}_20261105T140000Z"]
    with_deleted = await sim.events(singleEvents="true", showDeleted="true", **window)
    assert with_deleted.ids == [f"{series}_20261104T140000Z", f"{series}_20261105T140000Z"]


async def test_a_series_that_ended_before_the_window_is_listed_all_the_same(sim: Sim) -> None:
    series = sim.calendar.create_series("s", at("2026-01-05T09:00"), rule="FREQ=DAILY;COUNT=2")
    sim.calendar.create("old", at("2026-01-05T09:00"))
    edge = sim.calendar.create("edge", at("2026-11-01T09:00"), at("2026-11-01T10:00"))
    answer = await sim.events(timeMin="2026-11-01T15:00:00Z")
    assert answer.ids == [series, edge]


async def test_expansion_stops_at_730_and_a_change_tells_it_all_again(sim: Sim) -> None:
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY")
    items, token = await sim.walk(singleEvents="true", maxResults=2500)
    assert len(items) == 730
    sim.calendar.edit_one(f"{series}_20261103T140000Z", summary="x")
    again, _ = await sim.walk(singleEvents="true", maxResults=2500, syncToken=token)
    assert len(again) == 730
    sim.calendar.cancel_all(series)
    gone, _ = await sim.walk(singleEvents="true", maxResults=2500, syncToken=token)
    assert {item["status"] for item in gone} == {"cancelled"}
    assert 150 < len(gone) < 200


async def test_a_long_running_series_still_shows_the_present(sim: Sim) -> None:
    sim.calendar.create_series("s", at("2018-01-01T09:00"), rule="FREQ=DAILY")
    items, _ = await sim.walk(singleEvents="true", maxResults=2500)
    assert len(items) == 730
    assert any(item["start"]["dateTime"].startswith("2026-11-02") for item in items)


async def test_filters_by_uid_text_type_and_properties(sim: Sim) -> None:
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY")
    changed = sim.calendar.edit_one(f"{series}_20261103T140000Z", summary="Budget")
    focus = sim.calendar.create(
        "f",
        at("2026-11-02T09:00"),
        event_type="focusTime",
        extended_properties={"private": {"a": "b"}},
    )
    assert (await sim.events(iCalUID=f"{series}@google.com")).ids == [series, changed]
    assert (await sim.events(q="bUDGET")).ids == [changed]
    assert (await sim.events(eventTypes="focusTime")).ids == [focus]
    assert (await sim.events(privateExtendedProperty="a=b")).ids == [focus]
    assert (await sim.events(privateExtendedProperty="a=c")).ids == []


async def test_many_types_are_repeated_keys(sim: Sim) -> None:
    made = [
        sim.calendar.create(kind, at("2026-11-02T09:00"), event_type=kind)
        for kind in ("focusTime", "birthday", "default")
    ]
    query: Any = [("eventTypes", "focusTime"), ("eventTypes", "default")]
    token = sim.world.accounts.access_token(PAM)
    url = f"{sim.url}/calendar/v3/calendars/primary/events"
    async with sim.http.get(
        url, params=query, headers={"Authorization": f"Bearer {token}"}
    ) as answer:
        assert [item["id"] for item in (await answer.json())["items"]] == [made[0], made[2]]


async def test_one_calendar_never_tells_of_another(sim: Sim) -> None:
    other = sim.world.add_calendar(JIM)
    sim.calendar.create("mine", at("2026-11-02T09:00"), event_id="same5")
    other.create("his", at("2026-11-02T09:00"), event_id="same5")
    assert (await sim.events()).body["items"][0]["summary"] == "mine"
    assert (await sim.events(user=JIM)).body["items"][0]["summary"] == "his"
    assert (await sim.events(JIM)).reason == (404, "notFound")
