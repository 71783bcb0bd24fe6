"""The same actions give the same items as recorded from Google; skipped without the recordings."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from connector.simulator.google import Calendar
from connector.simulator.google.times import of_micros

from .conftest import Clock, Sim

RECORDED = Path("/work/shared/recorded-google")
USER = "test.user@gmail.com"
pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="no recordings on this machine")


def recorded(name: str) -> list[Any]:
    items: list[Any] = json.loads((RECORDED / f"compass-recur-{name}.json").read_text())["items"]
    return items


def updated(item: Any) -> datetime:
    return of_micros(int(item["etag"].strip('"')) // 2)


def moment(item: Any, name: str) -> datetime:
    return datetime.fromisoformat(item[name]["dateTime"])


def make(calendar: Calendar, master: Any, rule: str = "FREQ=DAILY") -> str:
    return calendar.create_series(
        master["summary"],
        moment(master, "start"),
        moment(master, "end"),
        rule=rule,
        event_id=master["id"],
        time_zone=master["start"]["timeZone"],
        created=datetime.fromisoformat(master["created"]),
        description=master.get("description"),
    )


def edit(calendar: Calendar, item: Any) -> None:
    """What made this exception of it."""
    if item["status"] == "cancelled":
        calendar.cancel_one(item["id"])
        return
    changes: dict[str, Any] = {"summary": item["summary"]}
    if "description" in item:
        changes["description"] = item["description"]
    if item["start"] != item["originalStartTime"]:
        changes |= {"start": moment(item, "start"), "end": moment(item, "end")}
    calendar.edit_one(item["id"], **changes)


def follow(calendar: Calendar, master: Any, half: Any) -> None:
    original = f"{master['id']}_{half['id'].rpartition('_R')[2]}Z"
    calendar.edit_following(original, summary=half["summary"], description=half.get("description"))


def replay(calendar: Calendar, items: list[Any], set_clock: Callable[[], None]) -> None:
    """A series, its exceptions, its split: the last of them at the recorded time."""
    master, *rest = items
    until = master["recurrence"][0].partition(";UNTIL=")[2]
    halves = [item for item in rest if "recurrence" in item]
    make(calendar, master, f"FREQ=DAILY;UNTIL={until}" if until and not halves else "FREQ=DAILY")
    steps: list[Callable[[], None]] = [
        lambda item=item: edit(calendar, item)  # type: ignore[misc]
        for item in rest
        if "recurrence" not in item
    ]
    steps += [lambda half=half: follow(calendar, master, half) for half in halves]  # type: ignore[misc]
    for step in steps[:-1]:
        step()
    set_clock()
    (steps[-1] if steps else lambda: calendar.edit_all(master["id"], summary=master["summary"]))()


@pytest.mark.parametrize(
    "name",
    [
        "create-create",
        "edit-single-single-instance-2",
        "edit-single-single-instance-3",
        "delete-single-delete-single",
        "delete-single-delete-single-2",
        "edit-this-and-following-this-and-following-1",
        "edit-this-and-following-this-and-following-2",
    ],
)
async def test_the_recorded_items(sim: Sim, clock: Clock, name: str) -> None:
    items = recorded(name)
    clock.at = datetime.fromisoformat(items[0]["created"])
    world = sim.world
    world._last_tick = 0  # the recordings are older than the fixture's calendar
    calendar = world.add_calendar(USER, "America/Chicago")

    def set_clock() -> None:
        clock.at = updated(items[0])

    replay(calendar, items, set_clock)
    answer = await sim.events(user=USER)
    shown = [{k: v for k, v in item.items() if k != "htmlLink"} for item in answer.body["items"]]
    assert shown == [{k: v for k, v in item.items() if k != "htmlLink"} for item in items]
    assert [list(item) for item in answer.body["items"]] == [list(item) for item in items]
    assert answer.body["updated"] == items[0]["updated"]


@pytest.mark.parametrize("name", ["delete-all-all-1", "delete-all-all-2"])
async def test_the_recorded_tombstone_of_a_series(sim: Sim, clock: Clock, name: str) -> None:
    (tombstone,) = recorded(name)
    clock.at = updated(tombstone)
    sim.world._last_tick = 0
    calendar = sim.world.add_calendar(USER, "America/Chicago")
    calendar.create_series("s", clock.at, rule="FREQ=DAILY", event_id=tombstone["id"])
    calendar.edit_one(tombstone["id"], original=calendar.rows[tombstone["id"]].start, summary="x")
    token = (await sim.events(user=USER)).body["nextSyncToken"]
    calendar.cancel_all(tombstone["id"])
    (item,) = (await sim.events(user=USER, syncToken=token)).body["items"]
    assert {**item, "etag": tombstone["etag"]} == tombstone
    assert list(item) == list(tombstone)
