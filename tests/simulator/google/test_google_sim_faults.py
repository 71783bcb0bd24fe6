"""What goes wrong on purpose, and the control API that makes it go wrong."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from connector.simulator.faults import Fault
from connector.simulator.google.calendar import Tampering

from .conftest import PAM, Sim, at


def singles(sim: Sim, count: int = 4) -> list[str]:
    return [sim.calendar.create(f"m{n}", at(f"2026-11-{n + 2:02}T09:00")) for n in range(count)]


async def test_gone_in_the_middle_of_a_walk(sim: Sim) -> None:
    singles(sim)
    sim.world.faults_google("gone_mid_pagination")
    first = await sim.events(maxResults=2)
    page = {"maxResults": 2, "pageToken": first.body["nextPageToken"]}
    assert (await sim.events(**page)).reason == (410, "fullSyncRequired")
    assert (await sim.events(**page)).status == 200


async def test_gone_right_after_a_full_sync(sim: Sim) -> None:
    sim.world.faults_google("gone_after_full", sim.calendar)
    token = await sim.token()
    assert (await sim.events(syncToken=token)).reason == (410, "fullSyncRequired")
    again = await sim.token()
    assert (await sim.events(syncToken=again)).status == 200


async def test_an_item_twice_across_pages(sim: Sim) -> None:
    made = singles(sim)
    sim.world.faults_google("duplicate_item")
    items, _ = await sim.walk(maxResults=2)
    assert [item["id"] for item in items] == [made[0], made[1], made[1], made[2], made[3]]


async def test_empty_pages_lose_nothing(sim: Sim) -> None:
    made = singles(sim)
    sim.world.faults_google("empty_page", times=3)
    first = await sim.events(maxResults=2)
    assert first.ids == []
    items, token = await sim.walk(maxResults=2)
    assert [item["id"] for item in items] == made
    assert token is not None


async def test_exceptions_before_their_master(sim: Sim) -> None:
    series = sim.calendar.create_series("s", at("2026-11-02T09:00"), rule="FREQ=DAILY")
    changed = sim.calendar.edit_one(f"{series}_20261103T140000Z", summary="x")
    assert (await sim.events()).ids == [series, changed]
    sim.calendar.set_quirk("exception_before_master")
    items, _ = await sim.walk(maxResults=1)
    assert [item["id"] for item in items] == [changed, series]


@pytest.mark.parametrize(
    ("how", "key", "value"),
    [
        ("unknown_event_type", "eventType", "hologram"),
        ("unknown_field", "holographicProperties", {"depth": [1, {"unit": "m"}]}),
        ("null_summary", "summary", None),
        ("missing_end", "end", None),
        ("malformed", "status", 7),
    ],
)
async def test_tampered_items_come_with_the_next_increment(
    sim: Sim, how: Tampering, key: str, value: Any
) -> None:
    (event,) = singles(sim, 1)
    token = await sim.token()
    sim.calendar.tamper(event, how)
    (item,) = await sim.delta(token)
    assert item.get(key) == value
    (seen,) = sim.calendar.truth(at("2026-11-01T00:00"), at("2026-12-01T00:00"))
    assert seen.tampered == {how}
    sim.calendar.tamper(event)
    (item,) = await sim.delta(token)
    assert item["status"] == "confirmed"
    assert item["eventType"] == "default"


async def test_an_end_before_its_start(sim: Sim) -> None:
    (event,) = singles(sim, 1)
    sim.calendar.tamper(event, "end_before_start")
    item = (await sim.events()).body["items"][0]
    assert item["end"]["dateTime"] < item["start"]["dateTime"]


async def test_the_shared_plan_of_faults_applies(sim: Sim) -> None:
    (event,) = singles(sim, 1)
    body = {"error": {"errors": [{"reason": "backendError"}], "code": 500}}
    sim.world.faults.add(Fault("events.list", "status", 500, body))
    sim.world.faults.add(Fault("events.get", "reset_before", times=None))
    assert (await sim.events()).reason == (500, "backendError")
    with pytest.raises(aiohttp.ClientError):
        await sim.get(f"calendars/primary/events/{event}")
    assert (await sim.events()).status == 200
    # aiohttp itself repeats a GET whose kept connection broke.
    assert [entry.status for entry in sim.world.requests("events.list")] == [500, 200]
    assert {entry.status for entry in sim.world.requests("events.get")} == {0}


async def test_a_reset_after_applying_has_applied(sim: Sim) -> None:
    sim.world.faults.add(Fault("events.insert", "reset_after"))
    body = {"start": {"date": "2026-11-03"}, "end": {"date": "2026-11-04"}, "id": "booking1"}
    with pytest.raises(aiohttp.ClientError):
        await sim.call("POST", "calendars/primary/events", body=body)
    again = await sim.call("POST", "calendars/primary/events", body=body)
    assert again.reason == (409, "duplicate")


async def test_a_truncated_page(sim: Sim) -> None:
    singles(sim)
    sim.world.faults.add(Fault("events.list", "truncate"))
    with pytest.raises((aiohttp.ClientError, asyncio.IncompleteReadError)):
        await sim.events()


async def control(sim: Sim, method: str, path: str, body: Any = None) -> Any:
    async with sim.http.request(method, f"{sim.url}/_sim/{path}", json=body) as answer:
        text = await answer.text()
        return json.loads(text) if answer.status == 200 else (answer.status, text)


async def test_a_person_acts_over_http(sim: Sim) -> None:
    act = f"calendars/{PAM}"
    made = await control(
        sim,
        "POST",
        f"{act}/create_series",
        {"summary": "s", "start": "2026-11-02T09:00:00", "time_zone": "Europe/Berlin"},
    )
    series = made["id"]
    await control(
        sim,
        "POST",
        f"{act}/edit_one",
        {"event_id": series, "original": "2026-11-09T08:00:00+00:00", "summary": "t"},
    )
    await control(sim, "POST", f"{act}/tamper", {"event_id": series, "how": ["unknown_field"]})
    window = "start=2026-11-01T00:00:00Z&end=2026-11-12T00:00:00Z"
    seen = (await control(sim, "GET", f"{act}/truth?{window}"))["items"]
    assert [(one["summary"], one["start"]) for one in seen] == [
        ("s", "2026-11-02T09:00:00+01:00"),
        ("t", "2026-11-09T09:00:00+01:00"),
    ]


async def test_control_complains_in_words(sim: Sim) -> None:
    wrong = await control(sim, "POST", f"calendars/{PAM}/explode")
    assert wrong[0] == 400
    assert "create_series" in wrong[1]
    wrong = await control(sim, "POST", f"calendars/{PAM}/create", {"sumary": "x"})
    assert wrong == (400, "TypeError: an event has no 'sumary'")
    wrong = await control(sim, "POST", "calendars/nobody@example.com/create")
    assert wrong[0] == 400


async def test_control_expires_tokens_arms_faults_and_shows_the_log(sim: Sim) -> None:
    token = await sim.token()
    await control(sim, "POST", "expire_tokens", {"email": PAM})
    await control(
        sim,
        "POST",
        "faults",
        {"faults": [{"route": "events.get", "status": 503}], "lists": [{"kind": "empty_page"}]},
    )
    assert (await sim.get("calendars/primary/events/x")).status == 503
    assert (await sim.events(syncToken=token)).status == 410
    first = await sim.events(key="secret")
    assert "nextPageToken" in first.body
    log = (await control(sim, "GET", "log"))["items"]
    assert [entry["status"] for entry in log] == [200, 503, 410, 200]
    assert log[-1]["subject"] == PAM
    assert "secret" not in json.dumps(log)
    assert (await control(sim, "POST", "faults", {"lists": [{"kind": "nonsense"}]}))[0] == 400


async def test_control_makes_calendars_and_credentials(sim: Sim) -> None:
    made = await control(sim, "POST", "calendars", {"email": "jim@example.com"})
    assert made == {"id": "jim@example.com", "time_zone": "America/New_York"}
    file = await control(sim, "POST", "authorized_users", {"email": "jim@example.com"})
    assert file["token_uri"] == f"{sim.url}/token"
    key = await control(sim, "POST", "service_accounts", {})
    assert key["type"] == "service_account"
