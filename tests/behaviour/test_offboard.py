"""A user leaves: nothing more is read or sent for them, but for the cancellations that were asked for."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from connector.cli.commands import app
from connector.observe.log import configure_logging
from connector.store import State, lock_state, open_database
from connector.store.leaving import forget_left
from tests.daemon import Requests, daemon_of
from tests.office import KEY, Office, guid_of

PROSPECT = [{"email": "dwight@customer.example.org"}]


def soon(office: Office, hours: int = 2) -> datetime:
    return office.clock().replace(minute=0, second=0, microsecond=0) + timedelta(hours=hours)


async def command(office: Office, *arguments: str) -> tuple[int, str, str]:
    """Run a command in a thread, since it brings its own loop: status, stdout, stderr."""
    result = await asyncio.to_thread(
        CliRunner().invoke, app, [*arguments, "--config", str(office.config)]
    )
    configure_logging("text")  # the command's logs went to the runner's own stderr
    return result.exit_code, result.stdout, result.stderr


async def offboard(office: Office, *more: str, user: str = "pam") -> tuple[int, dict[str, Any]]:
    status, out, err = await command(office, "offboard", "--user", user, "--json", *more)
    assert out, err
    receipt: dict[str, Any] = json.loads(out)
    return status, receipt


async def a_team(office: Office) -> dict[str, str]:
    """Pam has a past and two coming meetings in Salesloft, Jim has one."""
    pam, jim = office.hire("pam"), office.hire("jim")
    ids = {
        "past": pam.create("Past", soon(office, -30), attendees=PROSPECT),
        "next": pam.create("Next", soon(office), attendees=PROSPECT),
        "later": pam.create("Later", soon(office, 100), attendees=PROSPECT),
        "jim": jim.create("His", soon(office), attendees=PROSPECT),
    }
    assert (await office.once(full=True)).exit_status == 0
    return ids


def alive(office: Office, name: str) -> set[str]:
    return {event_id for event_id, _ in office.alive(name)}


async def test_future_meetings_are_cancelled_and_nobody_elses(office: Office) -> None:
    ids = await a_team(office)
    status, receipt = await offboard(office, "--cancel-future")
    assert status == 0
    assert alive(office, "pam") == {ids["past"]}
    assert alive(office, "jim") == {ids["jim"]}
    events = receipt["cancellations"]["events"]
    assert [(e["event_id"], e["outcome"]) for e in events] == [
        (ids["next"], "accepted"),
        (ids["later"], "accepted"),
    ]
    assert receipt["untouched"]["begun_or_past"] == 1
    assert (receipt["user_guid"], receipt["delivered_by"]) == (guid_of("pam"), "this command")
    (gone,) = [e for (i, _), e in office.held("pam").items() if i == ids["next"]]
    assert gone.title == "Next"  # the text of what is cancelled stays
    assert "Next" not in json.dumps(receipt)


async def test_a_second_call_tells_the_same_and_sends_nothing(office: Office) -> None:
    await a_team(office)
    _, first = await offboard(office, "--cancel-future")
    before = office.told()
    status, second = await offboard(office, "--cancel-future")
    assert status == 0
    assert office.told() == before
    assert second.pop("delivered_by") == "nothing to deliver"
    del first["delivered_by"]
    assert second == first
    _, third = await offboard(office)
    assert third["cancellations"] == first["cancellations"]


async def test_without_the_option_everything_stays_and_nothing_more_is_read(office: Office) -> None:
    ids = await a_team(office)
    status, receipt = await offboard(office)
    assert status == 0
    assert receipt["untouched"]["to_come_and_kept"] == 2
    office.sellers["pam"].create("New", soon(office, 5), attendees=PROSPECT)
    his = office.sellers["jim"].create("New", soon(office, 5), attendees=PROSPECT)
    office.google.log.clear()
    assert (await office.once()).exit_status == 0
    assert alive(office, "pam") == {ids["past"], ids["next"], ids["later"]}
    assert his in alive(office, "jim")
    # The decision can still be made later.
    assert (await offboard(office, "--cancel-future"))[0] == 0
    assert alive(office, "pam") == {ids["past"]}


async def test_what_waits_is_dropped(office: Office) -> None:
    ids = await a_team(office)
    pam = office.sellers["pam"]
    refused = pam.create("Cursed", soon(office, 3), attendees=PROSPECT)
    office.salesloft.refuse_event(refused)
    await office.once()
    pam.edit_one(ids["next"], summary="Renamed")
    office.salesloft.refuse_event(ids["next"])
    await office.once()
    status, receipt = await offboard(office)
    assert status == 0
    assert receipt["dropped"] == 2
    before = office.told()
    assert (await office.once()).exit_status == 0
    assert office.told() == before


async def test_what_was_only_found_in_salesloft_is_not_cancelled(office: Office) -> None:
    pam = office.hire("pam")
    event = pam.create("Pitch", soon(office), attendees=PROSPECT)
    await office.once(full=True)
    for file in office.state.parent.glob("state.db*"):
        file.unlink()  # a lost state: what Salesloft holds is adopted
    mine = pam.create("Mine", soon(office, 5), attendees=PROSPECT)
    assert (await office.once()).exit_status == 0
    status, receipt = await offboard(office, "--cancel-future")
    assert status == 0
    assert [e["event_id"] for e in receipt["cancellations"]["events"]] == [mine]
    assert receipt["untouched"]["not_sent_from_here"] == 1
    assert alive(office, "pam") == {event}


async def test_a_dry_run_shows_the_receipt_and_changes_nothing(office: Office) -> None:
    ids = await a_team(office)
    before = office.told(), office.state.read_bytes()
    status, receipt = await offboard(office, "--cancel-future", "--dry-run")
    assert status == 0
    assert receipt["dry_run"]
    assert receipt["cancellations"]["total"] == 2
    assert (office.told(), office.state.read_bytes()) == before
    assert alive(office, "pam") == {ids["past"], ids["next"], ids["later"]}


async def test_an_unknown_user_is_a_mistyped_command(office: Office) -> None:
    await a_team(office)
    status, out, err = await command(office, "offboard", "--user", "creed")
    assert (status, out) == (2, "")
    assert "creed" in err
    assert "jim, pam" in err


async def test_a_user_without_a_file_leaves_with_the_only_teams_key(office: Office) -> None:
    ids = await a_team(office)
    (office.config / "users" / "pam.toml").unlink()
    status, _ = await offboard(office, "--cancel-future")
    assert status == 0
    assert alive(office, "pam") == {ids["past"]}


async def test_of_several_teams_the_receipt_says_what_is_missing(office: Office) -> None:
    await a_team(office)
    (office.config / "users" / "pam.toml").unlink()
    other = office.config / "other.key"
    other.touch(mode=0o600)
    other.write_text("another-key")
    office.hire("kelly", extra='api_key_file = "../other.key"\n')
    status, receipt = await offboard(office, "--cancel-future")
    assert status == 1
    assert receipt["cancellations"]["waiting"] == 2
    assert "key" in receipt["left_to_do"][0]


async def test_a_refused_key_exits_77_and_loses_nothing(office: Office) -> None:
    ids = await a_team(office)
    office.salesloft.withdraw_key(KEY)
    status, receipt = await offboard(office, "--cancel-future")
    assert status == 77
    assert receipt["cancellations"]["waiting"] == 2
    office.salesloft.restore_key(KEY)
    assert (await offboard(office, "--cancel-future"))[0] == 0
    assert alive(office, "pam") == {ids["past"]}


async def test_a_refused_cancellation_is_reported(office: Office) -> None:
    ids = await a_team(office)
    office.salesloft.refuse_event(ids["next"])
    status, receipt = await offboard(office, "--cancel-future")
    assert status == 1
    assert receipt["cancellations"]["refused"] == 1
    assert any("dead-letters" in step for step in receipt["left_to_do"])


async def test_cancellations_that_a_crash_left_are_sent_by_the_next_run(office: Office) -> None:
    ids = await a_team(office)
    with lock_state(office.state):  # marked, and delivered by nobody
        status, receipt = await offboard(office, "--cancel-future")
    assert (status, receipt["delivered_by"]) == (0, "the running daemon")
    assert len(alive(office, "pam")) == 3
    assert (await office.once()).exit_status == 0
    assert alive(office, "pam") == {ids["past"]}


async def test_the_running_daemon_delivers_and_stops_reading(office: Office) -> None:
    ids = await a_team(office)
    requests = Requests(office)
    async with daemon_of(office) as daemon:
        await daemon.start()
        await requests.more(4)
        status, receipt = await offboard(office, "--cancel-future")
        assert (status, receipt["delivered_by"]) == (0, "the running daemon")
        await requests.until(lambda: alive(office, "pam") == {ids["past"]})
        office.sellers["pam"].create("New", soon(office, 5), attendees=PROSPECT)
        his = office.sellers["jim"].create("New", soon(office, 5), attendees=PROSPECT)
        await requests.until(lambda: his in alive(office, "jim"))
        assert alive(office, "pam") == {ids["past"]}
        assert await daemon.end(signal.SIGTERM) == 0
        assert daemon.log.count("user_left") == 1


@pytest.mark.parametrize("as_json", [True, False])
async def test_receipts_hold_no_text_of_a_meeting(office: Office, as_json: bool) -> None:
    await a_team(office)
    more = ["--json"] if as_json else []
    status, out, _ = await command(office, "offboard", "--user", "pam", "--cancel-future", *more)
    assert status == 0
    for word in ("Past", "Next", "Later", "dwight"):
        assert word not in out


async def test_hundreds_of_cancellations_arrive(office: Office) -> None:
    pam, jim = office.hire("pam"), office.hire("jim")
    for number in range(5):
        pam.create_series(
            f"Daily {number}", soon(office, number + 1), rule="FREQ=DAILY;COUNT=60", time_zone="UTC"
        )
    his = jim.create("His", soon(office), attendees=PROSPECT)
    assert (await office.once(full=True)).exit_status == 0
    status, receipt = await offboard(office, "--cancel-future")
    assert status == 0
    assert receipt["cancellations"]["accepted"] == 300
    assert alive(office, "pam") == set()
    assert alive(office, "jim") == {his}


async def test_whoever_comes_back_is_listed_in_full_and_compared(office: Office) -> None:
    await a_team(office)
    assert (await offboard(office, "--cancel-future"))[0] == 0
    state = State(open_database(office.place))
    try:
        (pam,) = [c for c in await state.calendars() if c.name == "pam"]
        await state.run(lambda c: forget_left(c, pam.id))
    finally:
        state.close()
    office.sellers["pam"].create("New", soon(office, 5), attendees=PROSPECT)
    assert (await office.once()).exit_status == 0
    assert office.differences() == []


async def test_one_users_file_alone_will_do(office: Office) -> None:
    ids = await a_team(office)
    file = office.config / "users" / "pam.toml"
    result = await asyncio.to_thread(
        CliRunner().invoke,
        app,
        ["offboard", "--config", str(file), "--user", guid_of("pam"), "--cancel-future"],
    )
    configure_logging("text")
    assert result.exit_code == 0, result.output
    assert alive(office, "pam") == {ids["past"]}
