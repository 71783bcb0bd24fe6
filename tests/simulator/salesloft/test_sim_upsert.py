"""One upsert: stored, updated, ignored or refused, as the reference page says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from .conftest import KEY, Sim

# From Salesloft's published definition (`CalendarEvent`). Booleans are declared as strings there, with an example that
# is a boolean; attendees as an object, with an example that is a list.
_STRING = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_FLAG = {"type": ["string", "boolean"]}
_TEXT = {"type": ["string", "null"]}
_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id", "i_cal_uid", "calendar_id", "start_time", "end_time", "updated_at"],
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(("id", "i_cal_uid", "calendar_id", "user_guid"), _STRING),
        **dict.fromkeys(("title", "description", "body_html", "location", "organizer"), _TEXT),
        **dict.fromkeys(("status", "transparency", "provider", "html_link"), _TEXT),
        **dict.fromkeys(("canceled_at", "created_at", "updated_at"), _TEXT),
        **dict.fromkeys(("start_time", "end_time"), _TIME),
        **dict.fromkeys(("all_day", "recurring"), _FLAG),
        "busy": {"type": "boolean"},
        "tenant_id": {"type": "integer"},
        "creator": {"type": ["object", "null"]},
        "conference_data": {"type": ["object", "null"]},
        "recurrence": {"type": ["array", "null"]},
        "extended_properties": {"type": "object"},
        "attendees": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["email", "name", "status", "organizer", "deleted_at"],
                "properties": {"status_changed": {"type": "boolean"}},
            },
        },
    },
}


async def test_create_answers_201_with_the_stored_event_in_the_published_shape(sim: Sim) -> None:
    guest = {"name": "Ann", "email": "ann@example.org", "status": "accepted", "organizer": False}
    answer = await sim.upsert(title="Demo", attendees=[guest], all_day=False, status="confirmed")
    assert (answer.status, answer.body["upsert_type"]) == (201, "create")
    Draft202012Validator(_EVENT_SCHEMA).validate(answer.body["data"])
    assert answer.body["data"]["start_time"] == "2026-11-03T15:00:00.000000Z"
    assert answer.body["data"]["attendees"][0]["email"] == "ann@example.org"
    assert answer.headers["x-request-id"]
    stored = sim.stored()
    assert stored.start == datetime(2026, 11, 3, 15, tzinfo=UTC)
    assert (stored.title, stored.recurring) == ("Demo", False)


async def test_the_json_form_of_the_path_is_the_same_endpoint(sim: Sim) -> None:
    answer = await sim.call("POST", "/v2/calendar/events/upsert.json", sim.event())
    assert answer.status == 201
    assert sim.world.count("events.upsert") == 1


async def test_left_out_fields_keep_their_value_and_explicit_blanks_clear_them(sim: Sim) -> None:
    guest = {"email": "ann@example.org"}
    await sim.upsert(title="Demo", description="<b>x</b>", location="Here", attendees=[guest])
    kept = await sim.upsert(title="Demo 2")
    assert kept.body["upsert_type"] == "update"
    assert kept.body["data"]["extended_properties"]["changed_attributes"] == ["title"]
    assert (sim.stored().description, len(sim.stored().attendees)) == ("<b>x</b>", 1)
    await sim.upsert(title=None, description="", attendees=[])
    stored = sim.stored()
    assert (stored.title, stored.description, stored.attendees) == (None, None, ())
    assert stored.location == "Here"


async def test_strictly_earlier_updated_at_is_ignored_and_still_a_success(sim: Sim) -> None:
    await sim.upsert(title="new", updated_at="2026-11-02T08:00:01Z")
    late = await sim.upsert(title="old", updated_at="2026-11-02T08:00:00Z")
    assert (late.status, late.body["data"]["title"]) == (201, "new")
    assert sim.stored().title == "new"
    assert [stale.key.id for stale in sim.world.stale_writes] == ["event1"]
    await sim.upsert(title="same", updated_at="2026-11-02T09:00:01+01:00")
    assert sim.stored().title == "same"
    assert len(sim.world.stale_writes) == 1


async def test_own_time_is_stored_and_decides(sim: Sim) -> None:
    sim.world.switches.store_own_time = True
    first = await sim.upsert(title="a", updated_at="2026-11-02T08:00:00Z")
    assert first.body["data"]["updated_at"] == "2026-11-02T09:00:00.000000Z"
    await sim.upsert(title="b", updated_at="2026-11-02T08:59:59Z")
    assert sim.stored().title == "a"


async def test_shown_own_time_does_not_decide(sim: Sim) -> None:
    sim.world.switches.show_own_time = True
    first = await sim.upsert(title="a", updated_at="2026-11-02T08:00:00Z")
    assert first.body["data"]["updated_at"] == "2026-11-02T09:00:00.000000Z"
    await sim.upsert(title="b", updated_at="2026-11-02T08:00:01Z")
    assert sim.stored().title == "b"


async def test_upsert_key_id_replaces_the_icaluid_instead_of_duplicating(sim: Sim) -> None:
    await sim.upsert()
    await sim.upsert(i_cal_uid="other@example.com")
    assert len(sim.world.events(sim.user.calendar_id)) == 2
    await sim.upsert(id="event2")
    await sim.upsert(id="event2", i_cal_uid="moved@example.com", upsert_key=["id"])
    keys = {key for key in sim.world.events(sim.user.calendar_id) if key[0] == "event2"}
    assert keys == {("event2", "moved@example.com")}


async def test_attendees_status_changed_and_removed_attendees(sim: Sim) -> None:
    sim.world.switches.keep_removed_attendees = True
    ann, bob = {"email": "ann@example.org"}, {"email": "bob@example.org"}
    await sim.upsert(attendees=[ann, bob])
    answer = await sim.upsert(attendees=[{**ann, "status": "declined"}])
    shown = {one["email"]: one for one in answer.body["data"]["attendees"]}
    assert shown["ann@example.org"]["status_changed"] is True
    assert shown["bob@example.org"]["deleted_at"] is not None
    assert [one.email for one in sim.stored().attendees] == ["ann@example.org"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"id": ...}, "id"),
        ({"i_cal_uid": ""}, "i_cal_uid"),
        ({"start_time": None}, "start_time"),
        ({"calendar_id": ...}, "calendar_id"),
        ({"start_time": "2026-11-03T10:00:00"}, "start_time"),
        ({"end_time": "2026-11-03"}, "end_time"),
        ({"end_time": "2026-11-03T09:59:59-05:00"}, "end_time"),
        ({"updated_at": "2026-13-03T10:00:00Z"}, "updated_at"),
        ({"id": 5}, "id"),
        ({"title": ["x"]}, "title"),
        ({"all_day": "true"}, "all_day"),
        ({"status": "busy"}, "status"),
        ({"transparency": "free"}, "transparency"),
        ({"organizer": "Pam"}, "organizer"),
        ({"recurrence": "RRULE:FREQ=DAILY"}, "recurrence"),
        ({"html_link": "https://example.com"}, "html_link"),
        ({"upsert_key": ["i_cal_uid"]}, "upsert_key"),
        ({"attendees": {"email": "ann@example.org"}}, "attendees"),
        ({"attendees": [{"email": "ann@example.org", "status": "yes"}]}, "attendees"),
        ({"attendees": [{"name": "Ann"}]}, "attendees"),
        ({"attendees": [{"email": "ann@example.org", "self": True}]}, "attendees"),
    ],
)
async def test_mistakes_are_refused_with_their_field(
    sim: Sim, fields: dict[str, Any], named: str
) -> None:
    answer = await sim.upsert(**fields)
    assert answer.status == 422
    assert any(str(entry).startswith(named) for entry in answer.body["errors"])
    assert sim.world.events(sim.user.calendar_id) == {}


async def test_zero_length_is_accepted(sim: Sim) -> None:
    assert (await sim.upsert(end_time="2026-11-03T10:00:00-05:00")).status == 201


async def test_error_shapes_vary(sim: Sim) -> None:
    shapes = set()
    for _ in range(30):
        errors = (await sim.upsert(status="busy")).body["errors"]
        inner = next(iter(errors.values())) if isinstance(errors, dict) else None
        shapes.add((type(errors), type(inner)))
    assert shapes == {(dict, list), (dict, str), (list, type(None))}


async def test_a_calendar_of_another_team_is_refused(sim: Sim) -> None:
    stranger = sim.world.add_user(sim.world.add_team("other"), "jim@example.com")
    assert (await sim.upsert(calendar_id=stranger.calendar_id)).status == 422
    sim.world.switches.unknown_calendar_status = 404
    assert (await sim.upsert(calendar_id=stranger.calendar_id)).status == 404
    assert sim.world.events(stranger.calendar_id) == {}


async def test_refused_fields_and_events(sim: Sim) -> None:
    sim.world.refuse_field("transparency")
    sim.world.switches.error_shape = "map"
    refused = await sim.upsert(transparency="opaque")
    assert (refused.status, list(refused.body["errors"])) == (422, ["transparency"])
    assert (await sim.upsert()).status == 201
    sim.world.refuse_event("event1")
    assert (await sim.upsert()).status == 422
    sim.world.accept_event("event1")
    assert (await sim.upsert()).status == 201


async def test_body_must_be_json(sim: Sim) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    url = f"{sim.url}/v2/calendar/events/upsert"
    async with sim.http.post(url, data={"id": "event1"}, headers=headers) as response:
        assert response.status == 415
    async with sim.http.post(
        url, data="[", headers={**headers, "Content-Type": "application/json"}
    ) as response:
        assert response.status == 422


async def test_stringly_booleans(sim: Sim) -> None:
    sim.world.switches.stringly_booleans = True
    answer = await sim.upsert(all_day=True)
    assert (answer.body["data"]["all_day"], answer.body["data"]["recurring"]) == ("true", "false")
    assert sim.stored().all_day is True


async def test_no_longer_external_can_be_refused(sim: Sim) -> None:
    sim.world.set_calendar_type(sim.user.guid, "gmail")
    assert (await sim.upsert()).status == 201
    sim.world.switches.refuse_not_external = True
    assert (await sim.upsert()).status == 422
