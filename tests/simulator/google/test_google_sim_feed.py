"""What the feed tells of each thing that a person does, in the recorded shapes (reference 2.10)."""

from __future__ import annotations

from typing import Any

from connector.simulator.google.recurrence import parts_of

from .conftest import PAM, Sim, at

FOUR = {"kind", "etag", "id", "status"}
SIX = FOUR | {"recurringEventId", "originalStartTime"}


async def series_with_exception(sim: Sim) -> tuple[str, str]:
    """A daily series at 9:00 (14:00Z) from 2 November, and the id of its changed 4 November."""
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY")
    changed = sim.calendar.edit_one(f"{series}_20261104T140000Z", summary="changed")
    return series, changed


def stamps(items: list[Any]) -> set[tuple[str, str | None]]:
    return {(item["etag"], item.get("updated")) for item in items}


async def test_a_new_series_is_one_master_with_the_recorded_keys(sim: Sim) -> None:
    token = await sim.token()
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY")
    (master,) = await sim.delta(token)
    assert list(master) == [
        "kind",
        "etag",
        "id",
        "status",
        "htmlLink",
        "created",
        "updated",
        "summary",
        "creator",
        "organizer",
        "start",
        "end",
        "recurrence",
        "iCalUID",
        "sequence",
        "reminders",
        "eventType",
    ]
    assert master["organizer"] == {"email": PAM, "self": True}
    assert master["start"] == {
        "dateTime": "2026-11-02T09:00:00-05:00",
        "timeZone": "America/New_York",
    }
    assert (master["iCalUID"], master["sequence"]) == (f"{series}@google.com", 0)


async def test_the_etag_is_twice_updated_in_microseconds(sim: Sim) -> None:
    event = sim.calendar.create("m", at("2026-11-02T09:00"))
    body = (await sim.get(f"calendars/primary/events/{event}")).body
    micros = int(body["etag"].strip('"')) // 2
    assert micros == sim.calendar.rows[event].stamp
    assert body["updated"].endswith(f"{micros // 1000 % 1000:03d}Z")


async def test_editing_one_stamps_the_master_and_every_exception_alike(sim: Sim) -> None:
    series, first = await series_with_exception(sim)
    token = await sim.token()
    sim.clock.advance(seconds=5)
    second = sim.calendar.edit_one(f"{series}_20261106T140000Z", start=at("2026-11-06T15:00"))
    items = await sim.delta(token)
    assert [item["id"] for item in items] == [series, first, second]
    assert len(stamps(items)) == 1
    assert [item["sequence"] for item in items] == [0, 0, 1]
    assert items[2]["originalStartTime"]["dateTime"] == "2026-11-06T09:00:00-05:00"
    assert items[2]["end"]["dateTime"] == "2026-11-06T15:30:00-05:00"


async def test_deleting_one_is_a_tombstone_of_six_keys_with_its_master(sim: Sim) -> None:
    series, changed = await series_with_exception(sim)
    token = await sim.token()
    gone = sim.calendar.cancel_one(f"{series}_20261103T140000Z")
    items = await sim.delta(token)
    assert [item["id"] for item in items] == [series, gone, changed]
    assert set(items[1]) == SIX
    assert items[1]["originalStartTime"] == {
        "dateTime": "2026-11-03T09:00:00-05:00",
        "timeZone": "America/New_York",
    }


async def test_deleting_a_series_is_one_tombstone_and_none_for_its_exceptions(sim: Sim) -> None:
    series, _ = await series_with_exception(sim)
    token = await sim.token()
    sim.calendar.cancel_all(series)
    (tombstone,) = await sim.delta(token)
    assert (tombstone["id"], set(tombstone)) == (series, FOUR)


async def test_deleting_what_follows_leaves_bare_tombstones_of_exceptions_only(sim: Sim) -> None:
    series, changed = await series_with_exception(sim)
    token = await sim.token()
    sim.calendar.cancel_following(f"{series}_20261103T140000Z")
    master, bare = await sim.delta(token)
    # 23:59:59 of 2 November in New York.
    assert parts_of(master["recurrence"][0])["UNTIL"] == "20261103T045959Z"
    assert (bare["id"], set(bare)) == (changed, FOUR)


async def test_a_split_at_the_same_time_has_an_id_of_the_split(sim: Sim) -> None:
    series, changed = await series_with_exception(sim)
    later = sim.calendar.edit_one(f"{series}_20261110T140000Z", summary="later")
    token = await sim.token()
    half = sim.calendar.edit_following(f"{series}_20261106T140000Z", summary="new")
    items = {item["id"]: item for item in await sim.delta(token)}
    assert half == f"{series}_R20261106T140000"
    assert set(items) == {series, changed, half, later}
    assert items[half]["iCalUID"] == f"{half}@google.com"
    assert items[half]["created"] == items[series]["created"]
    assert (items[half]["sequence"], items[half]["summary"]) == (0, "new")
    assert items[later]["recurringEventId"] == half
    assert items[changed]["recurringEventId"] == series
    assert parts_of(items[series]["recurrence"][0])["UNTIL"] == "20261106T045959Z"
    instances = (await sim.get(f"calendars/primary/events/{half}/instances", maxResults=2)).body
    assert [one["id"] for one in instances["items"]] == [
        f"{series}_20261106T140000Z",
        f"{series}_20261107T140000Z",
    ]
    assert {one["recurringEventId"] for one in instances["items"]} == {half}


async def test_a_split_at_another_time_has_an_id_of_its_own(sim: Sim) -> None:
    series, _ = await series_with_exception(sim)
    later = sim.calendar.edit_one(f"{series}_20261110T140000Z", summary="later")
    token = await sim.token()
    half = sim.calendar.edit_following(f"{series}_20261106T140000Z", start=at("2026-11-06T16:00"))
    items = {item["id"]: item for item in await sim.delta(token)}
    assert not half.startswith(series)
    assert (items[half]["iCalUID"], items[half]["sequence"]) == (f"{half}@google.com", 1)
    assert set(items[later]) == FOUR
    again = sim.calendar.edit_following(f"{half}_20261108T210000Z", summary="split of a split")
    assert again == f"{half}_R20261108T210000"


async def test_splits_of_a_split_keep_the_first_base(sim: Sim) -> None:
    series, _ = await series_with_exception(sim)
    sim.calendar.edit_following(f"{series}_20261106T140000Z", summary="b")
    second = sim.calendar.edit_following(f"{series}_20261109T140000Z", summary="c")
    assert second == f"{series}_R20261109T140000"
    token = await sim.token()
    sim.calendar.edit_all(series, summary="all")
    items = await sim.delta(token)
    assert {item["summary"] for item in items} == {"all"}
    assert len([item for item in items if "recurrence" in item]) == 3
    assert len(items) == 4


async def test_an_all_day_split_has_a_date_in_its_id(sim: Sim) -> None:
    day = at("2026-11-02T00:00").date()
    series = sim.calendar.create_all_day("d", day, recurrence=["RRULE:FREQ=DAILY"])
    half = sim.calendar.edit_following(f"{series}_20261106", summary="e")
    assert half == f"{series}_R20261106"
    assert sim.calendar.rows[series].recurrence == ("RRULE:FREQ=DAILY;UNTIL=20261105",)


async def test_a_split_shares_out_what_count_has_left(sim: Sim) -> None:
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY;COUNT=5")
    half = sim.calendar.edit_following(f"{series}_20261104T140000Z", summary="t")
    assert sim.calendar.rows[half].recurrence == ("RRULE:FREQ=DAILY;COUNT=3",)
    assert "COUNT" not in sim.calendar.rows[series].recurrence[0]


async def test_moving_the_series_bumps_sequence_and_voids_old_exceptions(sim: Sim) -> None:
    series, changed = await series_with_exception(sim)
    token = await sim.token()
    sim.calendar.edit_all(series, start=at("2026-11-02T10:00"))
    items = {item["id"]: item for item in await sim.delta(token)}
    assert items[series]["sequence"] == 1
    assert set(items[changed]) == FOUR
    assert (await sim.get(f"calendars/primary/events/{series}_20261104T150000Z")).status == 200


async def test_a_tombstone_is_silent_once_its_id_is_an_occurrence_again(sim: Sim) -> None:
    series, changed = await series_with_exception(sim)
    token = await sim.token()
    sim.calendar.edit_all(series, start=at("2026-11-02T10:00"))
    sim.calendar.edit_all(series, start=at("2026-11-02T09:00"))
    assert [item["id"] for item in await sim.delta(token)] == [series]
    assert (await sim.get(f"calendars/primary/events/{changed}")).body["summary"] == "s"


async def test_an_answer_to_one_occurrence_stamps_the_series(sim: Sim) -> None:
    series = sim.calendar.create_series(
        "s", at("2026-11-02T09:00"), rule="FREQ=DAILY", attendees=["buyer@example.org"]
    )
    token = await sim.token()
    one = sim.calendar.rsvp(f"{series}_20261103T140000Z", "declined")
    items = {item["id"]: item for item in await sim.delta(token)}
    assert set(items) == {series, one}
    mine = [guest for guest in items[one]["attendees"] if guest.get("self")]
    assert [guest["responseStatus"] for guest in mine] == ["declined"]
    assert items[one]["sequence"] == 0
    mine = [guest for guest in items[series]["attendees"] if guest.get("self")]
    assert [guest["responseStatus"] for guest in mine] == ["accepted"]


async def test_an_invitation_to_one_occurrence_comes_without_a_master(sim: Sim) -> None:
    token = await sim.token()
    one = sim.calendar.invite_to_occurrence("buyer@example.org", at("2026-11-03T09:00"))
    (item,) = await sim.delta(token)
    assert item["id"] == one == f"{item['recurringEventId']}_20261103T140000Z"
    missing = await sim.get(f"calendars/primary/events/{item['recurringEventId']}")
    assert missing.reason == (404, "notFound")
    (seen,) = sim.calendar.truth(at("2026-11-03T00:00"), at("2026-11-04T00:00"))
    assert seen.id == one


async def test_a_move_is_told_by_both_feeds(sim: Sim) -> None:
    other = sim.world.add_calendar("team@example.com", calendar_id="c_team@example.com", owner=PAM)
    series, changed = await series_with_exception(sim)
    token = await sim.token()
    sim.calendar.move_to(series, other)
    (tombstone,) = await sim.delta(token)
    assert (tombstone["id"], set(tombstone)) == (series, FOUR)
    arrived = (await sim.events(other.id)).body["items"]
    assert [item["id"] for item in arrived] == [series, changed]
    assert arrived[0]["iCalUID"] == f"{series}@google.com"
    assert arrived[0]["organizer"] == {"email": other.id, "self": True}


async def test_reminders_change_neither_etag_nor_feed(sim: Sim) -> None:
    event = sim.calendar.create("m", at("2026-11-02T09:00"))
    token = await sim.token()
    sim.calendar.set_reminders(event, 10)
    assert await sim.delta(token) == []
    shown = (await sim.get(f"calendars/primary/events/{event}")).body
    assert shown["reminders"]["overrides"] == [{"method": "popup", "minutes": 10}]


async def test_a_restored_occurrence_is_whole_again(sim: Sim) -> None:
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY")
    gone = sim.calendar.cancel_one(series, original=at("2026-11-03T09:00")) or ""
    token = await sim.token()
    sim.calendar.restore_one(gone)
    items = {item["id"]: item for item in await sim.delta(token)}
    assert items[gone]["status"] == "confirmed"
    assert items[gone]["summary"] == "s"


async def test_changing_the_calendars_zone_stamps_nothing_but_the_rendering(sim: Sim) -> None:
    event = sim.calendar.create("m", at("2026-11-02T09:00"))
    token = await sim.token()
    sim.calendar.set_time_zone("UTC")
    assert await sim.delta(token) == []
    shown = (await sim.events()).body
    assert shown["timeZone"] == "UTC"
    assert shown["items"][0]["id"] == event
    assert shown["items"][0]["start"] == {
        "dateTime": "2026-11-02T14:00:00Z",
        "timeZone": "America/New_York",
    }
