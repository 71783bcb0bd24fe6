"""`explain` says why an event is in Salesloft, or is not, and tells nothing that the policy withholds."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sqlite3
from datetime import datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from connector.app.to_salesloft import team_of
from connector.cli.commands import app
from connector.settings.files import load_settings
from connector.simulator.faults import Fault
from connector.store import State, open_database
from connector.sync.sharing import borrowing
from tests.behaviour.command import process
from tests.office import Office

PROSPECT = {"email": "dwight@customer.example.org", "displayName": "Dwight"}
COLLEAGUE = {"email": "jim@example.com"}
SECRET = "zirconium"


def soon(office: Office, hours: int = 4) -> datetime:
    return office.clock().replace(minute=0, second=0, microsecond=0) + timedelta(hours=hours)


async def ask(office: Office, text: str, *options: str) -> tuple[int, str]:
    """Run the command in a thread: it brings its own loop. Several texts are words of one title."""
    arguments = ["explain", text, "--user", "pam", "--config", str(office.config), *options]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    return result.exit_code, result.output


async def facts(office: Office, text: str, *options: str) -> dict[str, Any]:
    status, output = await ask(office, text, "--json", *options)
    answer: dict[str, Any] = json.loads(output)
    assert answer["found"] is (status == 0)
    return answer


async def test_a_meeting_with_a_prospect_is_told_in_full(office: Office) -> None:
    pitch = office.hire("pam").create("Pitch", soon(office), attendees=[PROSPECT])
    await office.once(full=True)
    status, output = await ask(office, pitch, "--live")
    assert status == 0
    assert output.startswith("Sent in full; accepted ")
    assert "Salesloft has exactly this" in output
    assert "exactly as it should be" in output
    told = await facts(office, pitch, "--live")
    detail = told["detail"]
    assert detail["google"]["title"] == "Pitch"
    assert detail["payload"] == office.upserts()[0]
    assert [one["outcome"] for one in detail["requests"]] == ["accepted"]
    assert detail["requests"][0]["same_content"] is True
    assert detail["requests"][0]["rule"] == "external_attendee"
    assert told["points"] >= 1
    step = detail["steps"][-1]
    assert (step["rule"], step["applies"], step["verdict"]) == ("external_attendee", True, "full")
    assert step["configured"] == [f"policy.internal_domains: {office.config / 'connector.toml'}"]
    assert detail["steps"][0]["configured"] == ["policy.event_types.default: default"]


async def test_a_link_an_icaluid_and_words_of_the_title_find_it(office: Office) -> None:
    pitch = office.hire("pam").create("Pitch for Vance", soon(office), attendees=[PROSPECT])
    await office.once(full=True)
    eid = base64.urlsafe_b64encode(f"{pitch} pam@example.com".encode()).decode().rstrip("=")
    for text in (
        f"https://www.google.com/calendar/event?eid={eid}",
        f"https://calendar.google.com/calendar/u/0/r/eventedit/{eid}",
        f"{pitch}@google.com",
        "vance PITCH",
        "pitch for vance",
    ):
        told = await facts(office, text)
        assert told["detail"]["google"]["event_id"] == pitch, text


async def test_several_matches_are_listed(office: Office) -> None:
    pam = office.hire("pam")
    ids = [pam.create("Pitch", soon(office, h), attendees=[PROSPECT]) for h in (4, 5)]
    await office.once(full=True)
    status, output = await ask(office, "pitch")
    assert status == 1
    assert all(one in output for one in ids)
    assert f"--user pam {ids[0]}" in output


async def test_what_is_withheld_is_found_by_its_id_alone_and_told_nowhere(office: Office) -> None:
    pam = office.hire("pam")
    content: dict[str, Any] = {"description": SECRET, "location": SECRET}
    private = pam.create(
        SECRET, soon(office), attendees=[PROSPECT], visibility="private", **content
    )
    internal = pam.create(SECRET, soon(office, 6), attendees=[COLLEAGUE], **content)
    await office.once(full=True)
    assert (await ask(office, SECRET))[0] == 1
    rules = {private: "private", internal: "internal"}
    for event, rule in rules.items():
        for options in ((), ("--live",), ("--json", "--live")):
            status, output = await ask(office, event, *options)
            assert status == 0
            assert rule in output
            for hidden in (SECRET, "dwight", "Dwight", "jim@", "customer.example"):
                assert hidden not in output.casefold(), (hidden, options)
    for file in office.directory.glob("state.db*"):
        assert SECRET.encode() not in file.read_bytes()


async def test_logs_of_a_command_do_not_go_to_its_answer(office: Office) -> None:
    pitch = office.hire("pam").create("Pitch", soon(office), attendees=[PROSPECT])
    await office.once(full=True)
    office.salesloft.faults.add(Fault(status=500, route="events.list", times=1))
    status, out, _ = await process(office, "explain", pitch, "--user", "pam", "--live", "--json")
    assert (status, json.loads(out)["found"]) == (0, True)


async def test_what_asking_salesloft_costs_is_kept(office: Office) -> None:
    """Or the next run, or another command, would spend the same points again within the minute."""
    pitch = office.hire("pam").create("Pitch", soon(office), attendees=[PROSPECT])
    await office.once(full=True)
    told = await facts(office, pitch, "--live")
    with contextlib.closing(sqlite3.connect(office.state)) as state:
        kept = state.execute("SELECT sum(cost) FROM points WHERE team LIKE '%+borrowed'")
        assert kept.fetchone() == (told["points"],)


async def test_an_answer_comes_also_while_another_command_borrows_the_points(
    office: Office,
) -> None:
    pitch = office.hire("pam").create("Pitch", soon(office), attendees=[PROSPECT])
    await office.once(full=True)
    (user,) = load_settings(office.config).users
    team = team_of(user)
    state = State(open_database(office.place))
    async with borrowing(state, {team: 1000.0}, lambda: False):
        status, output = await ask(office, pitch, "--live")
    state.close()
    assert (status, "Sent in full" in output) == (0, True)
    assert "note: Salesloft was not asked: another `verify`" in output


async def test_asking_for_nothing_is_a_wrong_command_line(office: Office) -> None:
    office.hire("pam")
    assert (await ask(office, "  "))[0] == 2


async def test_a_title_can_not_steer_the_terminal(office: Office) -> None:
    """Titles are written by strangers who invite the user."""
    title = "Pitch \x1b]0;owned\x07\x1b[2J\x9b31m\nUser pam is gone"
    pitch = office.hire("pam").create(title, soon(office), attendees=[PROSPECT])
    office.sellers["pam"].create("Pitch II", soon(office, 6), attendees=[PROSPECT])
    await office.once(full=True)
    for text in (pitch, "Pitch"):
        _, output = await ask(office, text)
        assert not set(output) & {"\x1b", "\x07", "\x9b"}
        assert "Pitch \\x1b]0;owned\\x07" in output
        assert "\nUser pam is gone" not in output


async def test_what_is_never_sent_says_by_which_rule(office: Office) -> None:
    pam = office.hire("pam")
    home = pam.create("Home", soon(office), event_type="workingLocation")
    await office.once(full=True)
    status, output = await ask(office, home)
    assert status == 0
    assert output.startswith("Not sent (events of the type workingLocation")
    assert "policy.event_types.workingLocation: default" in output


async def test_a_dead_letter_is_told_with_salesloft_s_words(office: Office) -> None:
    pam = office.hire("pam")
    cursed = pam.create("Cursed", soon(office), attendees=[PROSPECT])
    office.salesloft.refuse_event(cursed)
    await office.once(full=True)
    told = await facts(office, cursed)
    assert told["occurrences"][0]["standing"] == "refused"
    assert "422" in told["answer"]
    (request,) = told["detail"]["requests"]
    assert (request["outcome"], request["status"]) == ("refused", 422)
    assert request["request_id"] in told["answer"]


async def test_a_change_that_was_not_read_yet_is_told_as_such(office: Office) -> None:
    pam = office.hire("pam")
    pitch = pam.create("Pitch", soon(office), attendees=[PROSPECT])
    await office.once(full=True)
    pam.edit_one(pitch, summary="Pitch, again")
    fresh = pam.create("Fresh", soon(office, 6), attendees=[PROSPECT])
    for event in (pitch, fresh):
        assert (await facts(office, event))["occurrences"][0]["standing"] == "different"
    before = len(office.upserts())
    await office.once()
    assert (
        len(office.upserts()) == before + 2
    )  # the questions took nothing away from the daemon's token
    requests = (await facts(office, pitch))["detail"]["requests"]
    assert [one["same_content"] for one in requests] == [False, True]


async def test_a_cancelled_meeting_says_when_that_was_accepted(office: Office) -> None:
    pam = office.hire("pam")
    pitch = pam.create("Pitch", soon(office), attendees=[PROSPECT])
    await office.once(full=True)
    pam.cancel_one(pitch)
    await office.once()
    told = await facts(office, pitch)
    assert told["occurrences"][0]["standing"] == "cancelled"
    assert told["answer"].startswith("Cancelled in Google; its cancellation was accepted ")


async def test_a_series_is_told_occurrence_by_occurrence(office: Office) -> None:
    pam = office.hire("pam")
    series = pam.create_series(
        "Weekly", soon(office), rule="FREQ=WEEKLY;COUNT=4", attendees=[PROSPECT]
    )
    await office.once(full=True)
    second = sorted(key for key, _ in office.held("pam"))[1]
    pam.cancel_one(second)
    await office.once()
    told = await facts(office, series)
    assert told["series"]["google"]["is_series"]
    assert [one["standing"] for one in told["occurrences"]] == [
        "accepted",
        "cancelled",
        "accepted",
        "accepted",
    ]
    assert "3 accepted, 1 cancelled" in told["answer"]
    assert (await facts(office, second))["occurrences"][0]["standing"] == "cancelled"
    assert (await facts(office, "weekly"))["series"]["google"]["event_id"] == series


async def test_outside_the_window_is_said(office: Office) -> None:
    pam = office.hire("pam")
    far = pam.create("Far", soon(office, 24 * 200), attendees=[PROSPECT])
    await office.once(full=True)
    status, output = await ask(office, far)
    assert status == 0
    assert "outside the window" in output.splitlines()[0]


async def test_nothing_found_says_where_it_was_looked(office: Office) -> None:
    office.hire("pam")
    await office.once(full=True)
    status, output = await ask(office, "nosuchevent12345")
    assert status == 1
    assert "looked in: Google, the state" in output
    assert "Traceback" not in output


async def test_without_google_the_state_answers(office: Office) -> None:
    pam = office.hire("pam")
    pitch = pam.create("Pitch", soon(office), attendees=[PROSPECT])
    await office.once(full=True)
    office.google.revoke("pam@example.com")
    told = await facts(office, pitch)
    assert told["occurrences"][0]["standing"] == "unknown"
    assert "accepted" in told["answer"]
    assert any("from the state alone" in note for note in told["notes"])


async def test_an_event_that_became_unreadable_says_so(office: Office) -> None:
    pam = office.hire("pam")
    broken = pam.create("Pitch", soon(office), soon(office, 3), attendees=[PROSPECT])
    await office.once(full=True)
    told = await facts(office, broken)
    assert told["answer"].startswith("Not sent: Google's event cannot be read")
    assert "end before start" in told["answer"]


async def test_words_may_stand_without_quotes(office: Office) -> None:
    office.hire("pam").create("Pitch for Vance", soon(office), attendees=[PROSPECT])
    await office.once(full=True)
    status, output = await ask(office, "pitch", "vance")
    assert (status, "Pitch for Vance" in output) == (0, True)


async def test_what_was_put_off_and_then_accepted_is_in_the_journal(office: Office) -> None:
    pam = office.hire("pam")
    pitch = pam.create("Pitch", soon(office), attendees=[PROSPECT])
    office.salesloft.faults.add(Fault("events.upsert", "status", status=503, times=1))
    await office.once(full=True)
    requests = (await facts(office, pitch))["detail"]["requests"]
    assert [(one["outcome"], one["status"]) for one in requests] == [
        ("put off", 503),
        ("accepted", 201),
    ]


async def test_bulk_has_one_entry_a_record(office: Office) -> None:
    pam = office.hire("pam", extra="bulk_threshold = 2\n")
    ids = [pam.create("Pitch", soon(office, 72 + h), attendees=[PROSPECT]) for h in range(4)]
    office.salesloft.refuse_event(ids[0])
    await office.once(full=True)
    outcomes = []
    for event in ids:
        detail = (await facts(office, event))["detail"]
        outcomes.append([(one["outcome"], one["via"]) for one in detail["requests"]])
    assert outcomes == [[("bulk refused", "bulk")], *[[("bulk accepted", "bulk")]] * 3]


@pytest.mark.parametrize("user", ["nobody"])
async def test_an_unknown_user_is_a_usage_error(office: Office, user: str) -> None:
    office.hire("pam")
    await office.once(full=True)
    arguments = ["explain", "x", "--user", user, "--config", str(office.config)]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert result.exit_code == 2
    assert "pam" in result.output
