"""Every body validates against Google's own discovery document, over a storm of a person's actions."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import googleapiclient
import jsonschema
import pytest

from .conftest import PAM, Sim, at

DOCUMENT = "discovery_cache/documents/calendar.v3.json"
Action = Callable[[Any], None]
JIM = "jim@example.com"
LOW, HIGH = at("2026-10-20T00:00"), at("2027-02-01T00:00")
WINDOW = {"timeMin": LOW.isoformat(), "timeMax": HIGH.isoformat()}


def strict(schema: Any) -> Any:
    """A discovery schema as JSON Schema that admits nothing unknown."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    shown: dict[str, Any] = {}
    for name in ("type", "format", "items", "enum", "additionalProperties"):
        if name in schema:
            shown[name] = strict(schema[name])
    if shown.get("type") == "any":
        del shown["type"]
    if schema.get("format") in ("int64", "uint64"):
        del shown["format"]
    if "properties" in schema:
        shown["properties"] = {k: strict(v) for k, v in schema["properties"].items()}
        shown.setdefault("additionalProperties", False)
    return shown


FORMATS = jsonschema.FormatChecker(["date"])


@FORMATS.checks("date-time", ValueError)
def _is_date_time(text: object) -> bool:
    return not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None


@pytest.fixture(scope="module")
def check() -> Callable[[str, Any], None]:
    path = Path(googleapiclient.__file__).parent / DOCUMENT
    schemas = {k: strict(v) for k, v in json.loads(path.read_text())["schemas"].items()}
    validators = {
        name: jsonschema.Draft202012Validator(
            {"$ref": f"#/$defs/{name}", "$defs": schemas},
            format_checker=FORMATS,
        )
        for name in ("Events", "Event", "Calendar", "CalendarList", "CalendarListEntry")
    }

    def against(name: str, body: Any) -> None:
        validators[name].validate(body)

    return against


def test_the_schema_refuses_what_google_does_not_have(check: Callable[[str, Any], None]) -> None:
    check("Event", {"id": "x", "start": {"date": "2026-11-02"}})
    for wrong in ({"nonsense": 1}, {"start": {"date": "yesterday"}}, {"sequence": "0"}):
        with pytest.raises(jsonschema.ValidationError):
            check("Event", wrong)


class Storm:
    """Random actions of a person, all of them possible."""

    def __init__(self, sim: Sim, seed: int) -> None:
        self.sim, self.random = sim, Random(seed)
        self.other = sim.world.add_calendar(PAM, calendar_id="c_2@example.com", owner=PAM)

    def day(self) -> date:
        return date(2026, 11, 1) + timedelta(days=self.random.randrange(60))

    def step(self) -> None:
        self.sim.clock.advance(seconds=self.random.choice([0, 0.4, 30]))
        seen = self.sim.calendar.truth(LOW, HIGH)
        creating: list[Action] = [self.make, self.make_series, self.invite]
        action = self.random.choice([*creating, *([self.change] * 5), self.split])
        if not seen or action in creating:
            (action if action in creating else self.make)(None)
            return
        one = self.random.choice(seen)
        (self.change if one.recurring_event_id is None else action)(one)

    def make(self, _: Any) -> None:
        hour, zone = self.random.randrange(24), self.random.choice(["UTC", "Asia/Kolkata"])
        start: Any = at(f"{self.day()}T{hour:02}:15", zone)
        if self.random.random() < 0.3:
            start = self.day()
        self.sim.calendar.create(
            self.random.choice(["m", None]),
            start,
            attendees=self.random.choice([None, [JIM], [JIM, "r@resource.calendar.google.com"]]),
            conference=self.random.choice([None, True, "https://zoom.example.com/j/1"]),
            visibility=self.random.choice(["default", "private", "public"]),
            transparency=self.random.choice(["opaque", "transparent"]),
            event_type=self.random.choice(["default", "focusTime"]),
            show_zone=self.random.random() < 0.8,
        )

    def make_series(self, _: Any) -> None:
        rule = self.random.choice(
            ["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,WE", "FREQ=DAILY;COUNT=9", "FREQ=MONTHLY"]
        )
        start: Any = at(f"{self.day()}T09:00")
        if self.random.random() < 0.3:
            start = self.day()
        self.sim.calendar.create_series("s", start, rule=rule, attendees=[JIM])

    def invite(self, _: Any) -> None:
        when = at(f"{self.day()}T11:00")
        if self.random.random() < 0.5:
            self.sim.calendar.invite(JIM, start=when)
        else:
            self.sim.calendar.invite_to_occurrence(JIM, when)

    def change(self, one: Any) -> None:
        calendar, moved = self.sim.calendar, at(f"{self.day()}T13:00")
        series = one.recurring_event_id
        whole = series if series in calendar.rows else one.id
        options: list[Callable[[], str]] = [
            lambda: calendar.edit_one(one.id, summary="x", description=None),
            lambda: calendar.edit_one(one.id, start=moved),
            lambda: calendar.edit_all(whole, summary="y", location="z"),
            lambda: calendar.edit_all(whole, start=moved),
            lambda: calendar.cancel_one(one.id),
            lambda: calendar.cancel_all(whole),
            lambda: calendar.restore_one(calendar.cancel_one(one.id)),
            lambda: calendar.rsvp(one.id, "declined"),
            lambda: calendar.set_visibility(whole, "private"),
            lambda: calendar.add_guest(one.id, "new@example.net"),
            lambda: calendar.remove_guest(whole, JIM),
            lambda: calendar.set_ical_uid(whole, f"{whole}@example.net"),
            lambda: calendar.move_to(whole, self.other),
        ]
        self.random.choice(options)()

    def split(self, one: Any) -> None:
        calendar = self.sim.calendar
        if one.recurring_event_id not in calendar.rows:
            return
        options: list[Callable[[], str]] = [
            lambda: calendar.edit_following(one.id, summary="following"),
            lambda: calendar.edit_following(one.id, start=at(f"{self.day()}T16:00")),
            lambda: calendar.edit_following(one.id, summary="reset", keep_exceptions=False),
            lambda: calendar.cancel_following(one.id),
        ]
        self.random.choice(options)()


@pytest.mark.parametrize("seed", range(8))
async def test_a_storm_of_actions(sim: Sim, check: Callable[[str, Any], None], seed: int) -> None:
    storm = Storm(sim, seed)
    for role, user in (("freeBusyReader", JIM), ("reader", "r@example.com")):
        sim.world.set_role(sim.calendar, user, role)  # type: ignore[arg-type]
    client = Client(await sim.token())
    for number in range(40):
        storm.step()
        if number % 8 == 7:
            await judge(sim, check, client)


class Client:
    """The simplest correct reader of the feed: upserts, deletes, and cascades to exceptions."""

    def __init__(self, token: str) -> None:
        self.token, self.items = token, dict[str, Any]()

    def apply(self, body: Any) -> None:
        self.token = body["nextSyncToken"]
        for item in body["items"]:
            if item["status"] == "cancelled" and "recurringEventId" not in item:
                gone = {item["id"]} | {
                    each["id"]
                    for each in self.items.values()
                    if each.get("recurringEventId") == item["id"]
                }
                self.items = {k: v for k, v in self.items.items() if k not in gone}
            else:
                self.items[item["id"]] = item

    def check(self, full: Any) -> None:
        """All that a full listing holds is known, and nothing else but exceptions that were reset."""
        listed = {item["id"]: item["etag"] for item in full["items"]}
        known = {key: item["etag"] for key, item in self.items.items()}
        assert {key: known.get(key) for key in listed} == listed
        stale = [self.items[key] for key in known.keys() - listed.keys()]
        assert all("recurringEventId" in item for item in stale)


async def judge(sim: Sim, check: Callable[[str, Any], None], client: Client) -> None:
    """Check all lists against the schema, the truth and each other."""
    delta = await sim.events(syncToken=client.token, maxResults=2500)
    client.apply(delta.body)
    client.check((await sim.events(maxResults=2500)).body)
    full = await sim.events(maxResults=2500, showDeleted="true")
    expanded = await sim.events(maxResults=2500, singleEvents="true", **WINDOW)
    for answer in (delta, full, expanded):
        assert answer.status == 200
        check("Events", answer.body)
    for user in (JIM, "r@example.com"):
        check("Events", (await sim.events(PAM, user=user)).body)
    check("Events", (await sim.events("c_2@example.com")).body)
    stamps = {item["id"]: item["etag"] for item in full.body["items"]}
    assert all(stamps[item["id"]] == item["etag"] for item in delta.body["items"])
    told = {
        (i["id"], i["iCalUID"], json.dumps(i["start"]), i.get("summary"))
        for i in expanded.body["items"]
    }
    seen = sim.calendar.truth(LOW, HIGH)
    assert len(told) == len(expanded.body["items"]) == len(seen)
    assert {(i[0], i[1], i[3]) for i in told} == {(s.id, s.ical_uid, s.summary) for s in seen}
    for one in seen[::7]:
        got = await sim.get(f"calendars/primary/events/{one.id}")
        check("Event", got.body)
        assert got.body["iCalUID"] == one.ical_uid
        if one.recurring_event_id in sim.calendar.rows:
            path = f"calendars/primary/events/{one.recurring_event_id}/instances"
            instances = await sim.get(path, maxResults=2500, **WINDOW)
            check("Events", instances.body)
            assert one.id in instances.ids


async def test_calendars_and_the_calendar_list(sim: Sim, check: Callable[[str, Any], None]) -> None:
    gone = sim.world.add_calendar(PAM, calendar_id="c_3@example.com", owner=PAM)
    first = (await sim.get("users/me/calendarList")).body
    sim.world.delete_calendar(gone)
    delta = (await sim.get("users/me/calendarList", syncToken=first["nextSyncToken"])).body
    for body in (first, delta, (await sim.get("users/me/calendarList", showDeleted="true")).body):
        check("CalendarList", body)
    assert [entry["id"] for entry in first["items"]] == [PAM, gone.id]
    assert [entry["id"] for entry in delta["items"]] == [gone.id]
    check("Calendar", (await sim.get("calendars/primary")).body)
    entry = (await sim.get("users/me/calendarList/primary")).body
    check("CalendarListEntry", entry)
    assert (entry["primary"], entry["accessRole"]) == (True, "owner")
