"""`verify` finds every way in which the three can differ, names it, and puts in line what mends it."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from typing import Any

import pytest

from connector.simulator.faults import Fault
from connector.simulator.salesloft import StoredEvent
from connector.simulator.salesloft.events import StoredAttendee
from tests.behaviour.command import command
from tests.office import KEY, Office, guid_of
from tests.values import replace

PROSPECT = {"email": "dwight@customer.example.org", "displayName": "Dwight"}


async def verify(office: Office, *arguments: str) -> tuple[int, str]:
    status, stdout, _ = await command(office, "verify", *arguments)
    return status, stdout


async def found(office: Office, *arguments: str) -> tuple[int, dict[str, Any]]:
    status, output = await verify(office, "--json", *arguments)
    answer = json.loads(output)
    return status, answer["users"][0]


def tamper(office: Office, event: str, **changes: Any) -> None:
    """Somebody changed what Salesloft holds of an event."""
    rows = office.salesloft.team_of(guid_of("pam")).calendars[f"external_{guid_of('pam')}"]
    for key, row in rows.items():
        if key[0] == event:
            rows[key] = replace(row, event=replace(row.event, **changes))


def drop(office: Office, event: str) -> None:
    rows = office.salesloft.team_of(guid_of("pam")).calendars[f"external_{guid_of('pam')}"]
    for key in [key for key in rows if key[0] == event]:
        del rows[key]


def in_state(office: Office, statement: str, *parameters: Any) -> None:
    with sqlite3.connect(office.state) as connection:
        connection.execute(statement, parameters)


async def filled(office: Office) -> dict[str, str]:
    """A calendar of a few meetings that has been synced, and was last edited an hour ago."""
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    events = {
        "pitch": pam.create("Pitch", now + timedelta(hours=4), attendees=[PROSPECT]),
        "standup": pam.create("Standup", now + timedelta(hours=5)),
        "demo": pam.create(
            "Demo", now + timedelta(hours=30), attendees=[PROSPECT], location="Room 1"
        ),
        "series": pam.create_series(
            "Weekly", now + timedelta(hours=6), rule="FREQ=WEEKLY", attendees=[PROSPECT]
        ),
    }
    assert (await office.once(full=True)).exit_status == 0
    later = round((now + timedelta(hours=2)).timestamp() * 1000)
    in_state(office, "UPDATE calendars SET last_success = ?", later)
    return events


async def mended(office: Office) -> None:
    """After a repair the next run sends it, and all is equal."""
    status, answer = await found(office, "--repair")
    assert status == 1
    assert answer["repaired"]["enqueued"] + answer["repaired"]["marked"] > 0
    before = len(office.upserts())
    again = (await found(office, "--repair"))[1]["repaired"]
    assert again is None or again["enqueued"] + again["marked"] + again["held"] == 0
    assert len(office.upserts()) == before, "repair only puts in line"
    await office.once()
    assert office.differences() == []
    assert (await verify(office))[0] == 0


async def test_all_equal_exits_0(office: Office) -> None:
    await filled(office)
    status, output = await verify(office)
    assert status == 0
    total = len(office.alive("pam"))
    assert f"{total}/{total} equal, 0 missing, 0 extra, 0 different" in output
    assert "Pitch" not in output
    status, answer = await found(office)
    assert (status, answer["equal"], answer["differences"]) == (0, total, [])
    assert sum(day["equal"] for day in answer["days"]) == total


async def test_missing_is_found_and_mended(office: Office) -> None:
    events = await filled(office)
    drop(office, events["pitch"])
    status, answer = await found(office)
    assert (status, answer["missing"], answer["different"]) == (1, 1, 0)
    (one,) = answer["differences"]
    assert (one["kind"], one["event_id"], one["state"]) == ("missing", events["pitch"], "accepted")
    await mended(office)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": "Other words"}, "title"),
        ({"description": "Added"}, "description"),
        ({"attendees": (StoredAttendee("angela@buyer.example.net"),)}, "attendees"),
        ({"status": "cancelled"}, "status"),
        ({"transparency": "transparent"}, "transparency"),
        ({"all_day": True}, "all_day"),
        ({"recurring": True}, "recurring"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_different_fields_are_named_and_mended(
    office: Office, changes: dict[str, Any], field: str
) -> None:
    events = await filled(office)
    tamper(office, events["demo"], **changes)
    status, answer = await found(office)
    assert (status, answer["different"]) == (1, 1)
    (one,) = answer["differences"]
    assert (one["event_id"], one["fields"], one["leak"]) == (events["demo"], [field], False)
    output = (await verify(office))[1]
    assert field in output
    assert "Demo" not in output
    assert "Other words" not in output
    await mended(office)


async def test_times_are_shown_from_both_sides(office: Office) -> None:
    events = await filled(office)
    start = office.clock().replace(minute=0, second=0, microsecond=0) + timedelta(hours=40)
    tamper(office, events["standup"], start=start, end=start + timedelta(hours=1))
    _, output = await verify(office)
    assert f"Salesloft {start:%Y-%m-%d %H:%M}" in output
    await mended(office)


async def test_salesloft_may_trim_and_reorder(office: Office) -> None:
    pam = office.hire("pam")
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    guests = [PROSPECT, {"email": "angela@buyer.example.net"}]
    pitch = pam.create("Pitch ", now + timedelta(hours=4), attendees=guests)
    await office.once(full=True)
    (stored,) = office.held("pam").values()
    tamper(office, pitch, title="Pitch", attendees=tuple(reversed(stored.attendees)))
    assert (await verify(office))[0] == 0


async def test_withheld_text_in_salesloft_is_a_leak(office: Office) -> None:
    events = await filled(office)
    tamper(office, events["standup"], title="Secret plan", location="Cellar")
    status, answer = await found(office)
    assert (status, answer["different"], answer["leaks"]) == (1, 1, 1)
    (one,) = answer["differences"]
    assert (one["leak"], one["fields"]) == (True, ["title", "location"])
    output = (await verify(office))[1]
    assert "LEAK" in output
    assert "Secret plan" not in output
    await mended(office)


async def test_text_in_a_cancelled_row_that_was_never_shown_is_a_leak(office: Office) -> None:
    events = await filled(office)
    office.sellers["pam"].cancel_all(events["standup"])
    await office.once()
    assert (await verify(office))[0] == 0
    tamper(office, events["standup"], title="Secret plan")
    assert (await found(office))[1]["leaks"] == 1
    await mended(office)
    assert not [e for e in office.held("pam").values() if e.title == "Secret plan"]


def plant(office: Office, count: int) -> None:
    """Salesloft holds meetings that Google does not know."""
    rows = office.salesloft.team_of(guid_of("pam")).calendars[f"external_{guid_of('pam')}"]
    (pattern, *_) = rows.values()
    start = office.clock().replace(minute=0, second=0, microsecond=0) + timedelta(hours=50)
    for number in range(count):
        event: StoredEvent = replace(
            pattern.event,
            id=f"planted{number}",
            i_cal_uid=f"planted{number}@google.com",
            start=start,
            end=start + timedelta(minutes=30),
        )
        rows[event.id, event.i_cal_uid] = replace(pattern, event=event)


async def test_extra_is_cancelled_once_google_says_that_it_is_gone(office: Office) -> None:
    await filled(office)
    plant(office, 2)
    before = len(office.google.log)
    status, answer = await found(office)
    assert (status, answer["extra"]) == (1, 2)
    asked = [entry.route for entry in office.google.log[before:]]
    assert asked.count("events.get") >= 2
    await mended(office)
    assert [e.status for e in office.held("pam").values() if e.id.startswith("planted")] == [
        "cancelled"
    ] * 2


async def test_implausibly_many_extras_are_held(office: Office) -> None:
    await filled(office)
    plant(office, 25)
    status, answer = await found(office, "--repair")
    assert (status, answer["extra"]) == (1, 25)
    assert answer["repaired"] == {"enqueued": 0, "marked": 0, "held": 25}
    before = len(office.upserts())
    await office.once()
    assert len(office.upserts()) == before
    status, answer = await found(office, "--repair")
    assert (status, answer["extra"], answer["waiting"]) == (1, 0, 25)
    assert {one["kind"] for one in answer["differences"]} == {"held"}


async def test_state_out_of_step_is_marked_without_sending(office: Office) -> None:
    events = await filled(office)
    in_state(office, "DELETE FROM occurrences WHERE event_id = ?", events["pitch"])
    status, answer = await found(office)
    assert (status, answer["out_of_step"], answer["missing"]) == (1, 1, 0)
    before = len(office.upserts())
    await mended(office)
    assert len(office.upserts()) == before


async def test_what_waits_is_reported_apart(office: Office) -> None:
    events = await filled(office)
    office.salesloft.refuse_event(events["pitch"])
    pam = office.sellers["pam"]
    pam.edit_one(events["pitch"], summary="Pitch, again")
    await office.once()
    status, answer = await found(office)
    assert (status, answer["different"], answer["waiting"]) == (1, 0, 1)
    assert answer["differences"][0]["kind"] == "refused"
    pam.edit_one(events["demo"], summary="Demo, again")
    in_state(office, "UPDATE calendars SET last_success = last_success - 86400000")
    answer = (await found(office, "--repair"))[1]
    assert {one["kind"] for one in answer["differences"]} == {"refused", "not_read_yet"}
    assert answer["repaired"] is None


async def test_what_moved_out_of_the_window_is_compared_and_history_is_not(office: Office) -> None:
    events = await filled(office)
    pam = office.sellers["pam"]
    now = office.clock().replace(minute=0, second=0, microsecond=0)
    pam.move_in_time(events["demo"], now + timedelta(days=200))
    await office.once()
    assert (await verify(office))[0] == 0
    tamper(office, events["demo"], title="Other")
    answer = (await found(office))[1]
    assert [(o["event_id"], o["fields"]) for o in answer["differences"]] == [
        (events["demo"], ["title"])
    ]


async def test_a_user_that_google_refuses_does_not_stop_the_others(office: Office) -> None:
    await filled(office)
    office.hire("jim")
    await office.once(full=True)
    office.google.revoke("jim@example.com")
    status, output = await verify(office)
    assert status == 1
    assert "jim: not compared" in output
    assert "pam: " in output


async def test_unknown_user_and_no_state(office: Office) -> None:
    office.hire("pam")
    assert (await verify(office))[0] == 1
    await office.once(full=True)
    assert (await verify(office, "--user", "nobody"))[0] == 2
    assert (await verify(office, "--user", "pam"))[0] == 0


async def test_status_shows_the_last_verification(office: Office) -> None:
    events = await filled(office)
    drop(office, events["pitch"])
    await verify(office)
    told = json.loads((await command(office, "status", "--json"))[1])["users"][0]["verified"]
    assert (told["missing"], told["clean"]) == (1, False)
    stdout = (await command(office, "status"))[1]
    assert "verified" in stdout
    assert "1 missing" in stdout


async def test_repair_wins_over_a_later_time_in_salesloft(office: Office) -> None:
    events = await filled(office)
    later = office.clock() + timedelta(days=1)
    tamper(office, events["standup"], title="Secret plan", updated_at=later)
    tamper(office, events["demo"], title="Other", updated_at=later)
    await mended(office)


async def test_what_only_the_state_believes_in_is_forgotten_without_sending(office: Office) -> None:
    events = await filled(office)
    in_state(
        office,
        """INSERT INTO occurrences SELECT calendar_id, 'ghost', 'ghost@google.com', NULL, start_ms, end_ms, all_day,
           alive, exposed, prospect, accepted, updated_ms, canceled_ms, rule, ours FROM occurrences
           WHERE event_id = ?""",
        events["demo"],
    )
    answer = (await found(office))[1]
    assert [(o["kind"], o["event_id"]) for o in answer["differences"]] == [("out_of_step", "ghost")]
    before = len(office.upserts())
    await mended(office)
    assert len(office.upserts()) == before


async def test_another_policy_that_nobody_read_under_is_no_difference_yet(office: Office) -> None:
    events = await filled(office)
    office.configure("pam", extra='[policy]\ninternal = "full"\n')
    status, answer = await found(office, "--repair")
    assert (status, answer["different"], answer["waiting"]) == (1, 0, 1)
    (one,) = answer["differences"]
    assert (one["kind"], one["event_id"]) == ("not_read_yet", events["standup"])
    await office.once()
    assert (await verify(office))[0] == 0


async def test_a_refused_key_exits_77(office: Office) -> None:
    await filled(office)
    office.salesloft.withdraw_key(KEY)
    status, output = await verify(office)
    assert status == 77
    assert "pam: not compared" in output


async def test_extras_that_google_will_not_tell_of_are_left_alone(office: Office) -> None:
    await filled(office)
    plant(office, 2)
    forbidden = {"error": {"code": 403, "errors": [{"reason": "forbidden"}]}}
    office.google.faults.add(Fault("events.get", status=403, body=forbidden, times=None))
    status, answer = await found(office, "--repair")
    assert (status, answer["extra"], answer["repaired"]) == (1, 0, None)
    assert {one["kind"] for one in answer["differences"]} == {"unreadable"}


async def test_a_series_that_ended_in_google_is_extra_and_mended(office: Office) -> None:
    events = await filled(office)
    pam = office.sellers["pam"]
    held = dict(office.held("pam"))
    pam.cancel_all(events["series"])
    await office.once()
    for key, event in held.items():  # somebody brought it back in Salesloft
        tamper(office, key[0], status=event.status, canceled_at=None)
    in_state(office, "UPDATE calendars SET last_success = last_success + 86400000")
    answer = (await found(office))[1]
    assert answer["extra"] > 10
    await mended(office)


async def test_points_are_told_before_and_after(office: Office) -> None:
    await filled(office)
    _, output, told = await command(office, "verify")
    assert "about 1 point," in told
    assert "1 point spent" in output
    assert office.salesloft.count("events.list") == 2  # one of the first sync
