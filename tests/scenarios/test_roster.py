"""Issue 5 part 1: who is connected, as Salesloft's meeting settings and the users' files say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector.simulator.faults import Fault
from connector.simulator.google import Calendar
from tests.office import KEY, Office, guid_of
from tests.scenarios.steps import (
    PROSPECT,
    WEEKLY,
    Clock,
    at,
    begin,
    cycle,
    settle,
    sql,
    weekly,
    written,
)

PAM = guid_of("pam")


def events(logged: list[dict[str, Any]]) -> list[str]:
    return [entry["event"] for entry in logged]


def set_roster(office: Office, text: str) -> None:
    path = office.config / "connector.toml"
    path.write_text(path.read_text() + f"[roster]\n{text}\n")


def searches(office: Office) -> list[dict[str, Any]]:
    return [
        dict(entry.body or {}) for entry in office.salesloft.log if entry.route == "settings.search"
    ]


async def test_every_round_looks_up_once_without_a_calendar_type(
    office: Office, pam: Calendar
) -> None:
    office.hire("jim")
    await begin(office)
    (asked,) = searches(office)
    assert set(asked["user_guids"]) == {PAM, guid_of("jim")}
    assert "calendar_type" not in asked
    summary = await office.once()
    assert len(searches(office)) == 2
    assert summary.points == 1


async def test_no_longer_external_stops_at_once_and_drops_what_waits(
    office: Office, pam: Calendar, logged: list[dict[str, Any]]
) -> None:
    series = weekly(pam)
    doomed = pam.create("Pitch", at("2026-10-22T09:00"), attendees=[PROSPECT])
    await begin(office)
    # Both wait: Salesloft takes nothing in the run that reads them.
    pam.cancel_all(doomed)
    pam.edit_all(series, summary="Renamed")
    office.salesloft.deny(KEY, "events.upsert")
    office.salesloft.deny(KEY, "bulk.*")
    before = office.held("pam")
    assert (await office.once()).pending == WEEKLY + 1
    office.salesloft.allow(KEY, "events.upsert")
    office.salesloft.allow(KEY, "bulk.*")
    office.salesloft.set_calendar_type(PAM, "google")
    sent, asked = len(written(office)), len(office.google.log)
    logged.clear()
    summary = await office.once()
    assert summary.exit_status == 0
    assert summary.not_served == (
        "pam: not served: calendar type in Salesloft is 'google', not 'external'",
    )
    assert len(written(office)) == sent
    assert len(office.google.log) == asked
    assert office.held("pam") == before
    assert sql(office, "SELECT count(*) FROM outbox") == [(0,)]
    (told,) = [entry for entry in logged if entry["event"] == "user_disconnected"]
    assert (told["dropped"], told["dropped_cancellations"], told["in_bulk_job"]) == (
        WEEKLY + 1,
        1,
        0,
    )
    logged.clear()
    # Said once; the state stays.
    assert (await office.once()).exit_status == 0
    assert "user_disconnected" not in events(logged)
    assert sql(office, "SELECT count(*) FROM occurrences") == [(WEEKLY + 1,)]


async def test_external_again_sends_only_what_differs(office: Office, pam: Calendar) -> None:
    weekly(pam)
    gone = pam.create("Gone", at("2026-10-22T09:00"), attendees=[PROSPECT])
    moved = pam.create("Moved", at("2026-10-23T09:00"), attendees=[PROSPECT])
    await begin(office)
    office.salesloft.set_calendar_type(PAM, "office365")
    assert (await office.once()).not_served
    pam.cancel_all(gone)
    pam.edit_all(moved, start=at("2026-10-23T15:00"))
    pam.create("New", at("2026-10-26T09:00"), attendees=[PROSPECT])
    assert (await office.once()).not_served
    office.salesloft.set_calendar_type(PAM, "external")
    done = await settle(office, sent=3)
    assert [body["id"] for body in done.cancelled] == [gone]


async def test_external_again_restores_what_salesloft_lost(office: Office, pam: Calendar) -> None:
    weekly(pam)
    await begin(office)
    office.salesloft.set_calendar_type(PAM, "google")
    await office.once()
    office.salesloft.team_of(PAM).calendars[f"external_{PAM}"].clear()
    office.salesloft.set_calendar_type(PAM, "external")
    await settle(office, sent=WEEKLY)


async def test_becoming_external_for_the_first_time_is_an_initial_sync(
    office: Office, pam: Calendar
) -> None:
    weekly(pam)
    office.salesloft.set_calendar_type(PAM, "google")
    assert (await office.once(full=True)).not_served
    assert written(office) == []
    assert office.google.log == []
    office.salesloft.set_calendar_type(PAM, "external")
    await settle(office, sent=WEEKLY)


async def test_a_neighbour_is_served_on(office: Office, pam: Calendar) -> None:
    jim = office.hire("jim")
    await begin(office)
    office.salesloft.set_calendar_type(PAM, "google")
    weekly(jim)
    summary = await office.once()
    assert (summary.exit_status, len(office.alive("jim"))) == (0, WEEKLY)
    assert len(summary.not_served) == 1


async def test_a_key_without_manage_team_works_from_the_files_and_says_so_once_a_run(
    office: Office, pam: Calendar, logged: list[dict[str, Any]]
) -> None:
    office.salesloft.keys[KEY].manage_team = False
    weekly(pam)
    await begin(office)
    assert events(logged).count("roster_refused") == 1
    await settle(office, sent=0)


@pytest.mark.parametrize("status", [404, 422, 503])
async def test_odd_answers_of_the_look_up_change_nothing(
    office: Office, pam: Calendar, status: int
) -> None:
    weekly(pam)
    office.salesloft.faults.add(Fault("settings.search", status=status, times=None))
    await begin(office)


async def test_a_user_whom_salesloft_does_not_know_is_served_from_the_file(
    office: Office, pam: Calendar, logged: list[dict[str, Any]]
) -> None:
    weekly(pam)
    nobody: dict[str, Any] = {"metadata": {}, "data": []}
    office.salesloft.faults.add(Fault("settings.search", status=200, body=nobody))
    assert (await office.once(full=True)).exit_status == 0
    assert events(logged).count("user_without_settings") == 1
    assert len(office.alive("pam")) == WEEKLY


async def test_mode_files_serves_whatever_salesloft_says(office: Office, pam: Calendar) -> None:
    weekly(pam)
    await begin(office)
    office.salesloft.set_calendar_type(PAM, "google")
    assert (await office.once()).not_served
    pam.create("New", at("2026-10-26T09:00"), attendees=[PROSPECT])
    set_roster(office, 'mode = "files"')
    asked = len(searches(office))
    await settle(office, sent=1)
    assert len(searches(office)) == asked


def without_files(office: Office, *, domains: bool = False) -> None:
    """Users without files: a service account and an API key in connector.toml."""
    (office.config / "users").mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("google.json", json.dumps(office.google.add_service_account())),
        ("salesloft.key", KEY),
    ):
        path = office.config / name
        path.touch(mode=0o600)
        path.write_text(text)
    policy = f"[policy]\ninternal_domains = {json.dumps(office.internal_domains)}\n"
    (office.config / "connector.toml").write_text(
        f'[state]\nurl = "sqlite:///{office.state}"\n'
        f'[google]\ncredentials_file = "google.json"\napi_url = "{office.google_url}"\n'
        f'[salesloft]\napi_key_file = "salesloft.key"\napi_url = "{office.salesloft_url}"\n'
        f"points_per_minute = {office.points_per_minute}\n{policy if domains else ''}"
        '[roster]\nmode = "settings"\n'
    )


def engage(office: Office, name: str, calendar_type: str = "external") -> Calendar:
    """A user without a file."""
    email = f"{name}@example.com"
    office.sellers[name] = office.google.add_calendar(email, "America/New_York")
    office.google.accounts.people.add(email)
    office.salesloft.add_user(KEY, email, guid=guid_of(name), calendar_type=calendar_type)
    return office.sellers[name]


@pytest.mark.parametrize("domains", [True, False])
@pytest.mark.usefixtures("google_clock")
async def test_mode_settings_serves_users_without_files(office: Office, domains: bool) -> None:
    pam, jim = engage(office, "pam"), engage(office, "jim", "google")
    without_files(office, domains=domains)
    weekly(pam)
    weekly(jim)
    summary = await office.once(full=True)
    assert (summary.exit_status, [user.name for user in summary.users]) == (0, ["pam"])
    assert len(office.alive("pam")) == WEEKLY
    assert office.held("jim") == {}
    assert "user_guids" not in searches(office)[0]
    office.salesloft.set_calendar_type(guid_of("jim"), "external")
    await settle(office, sent=WEEKLY)
    office.salesloft.set_calendar_type(guid_of("jim"), "google")
    jim.create("New", at("2026-10-26T09:00"), attendees=[PROSPECT])
    summary = await office.once()
    assert [user.name for user in summary.users] == ["pam"]
    assert summary.not_served == (
        "jim: not served: calendar type in Salesloft is 'google', not 'external'",
    )


@pytest.mark.usefixtures("google_clock")
async def test_mode_settings_a_deleted_user_is_no_longer_served(office: Office) -> None:
    engage(office, "pam")
    jim = engage(office, "jim")
    without_files(office)
    await begin(office)
    office.salesloft.team_of(guid_of("jim")).users.pop(guid_of("jim"))
    jim.create("New", at("2026-10-26T09:00"), attendees=[PROSPECT])
    summary = await office.once()
    assert [user.name for user in summary.users] == ["pam"]
    assert [line.partition(":")[0] for line in summary.not_served] == ["jim"]
    assert office.held("jim") == {}


@pytest.mark.usefixtures("google_clock")
async def test_mode_settings_a_file_goes_before(office: Office) -> None:
    engage(office, "pam")
    without_files(office)
    (office.config / "users" / "pam.toml").write_text(
        f'[google]\nsubject = "pam@example.com"\n[salesloft]\nuser_guid = "{PAM}"\n'
        "[sync]\nfuture_days = 30\n"
    )
    weekly(office.sellers["pam"])
    assert (await office.once(full=True)).exit_status == 0
    assert 0 < len(office.alive("pam")) < WEEKLY


@pytest.mark.usefixtures("google_clock")
async def test_mode_settings_without_an_answer_is_said_and_fails(office: Office) -> None:
    engage(office, "pam")
    without_files(office)
    office.salesloft.keys[KEY].manage_team = False
    summary = await office.once(full=True)
    assert summary.exit_status == 1
    assert summary.unknown is not None


@pytest.mark.usefixtures("google_clock")
async def test_a_team_of_more_than_a_page(office: Office) -> None:
    """More users than one page holds, met in order of their ids: the last ones count too."""
    for number in range(230):
        email = f"seller{number}@example.com"
        office.salesloft.add_user(
            KEY, email, guid=guid_of(f"seller{number}"), calendar_type="google"
        )
    engage(office, "pam")
    without_files(office)
    summary = await office.once(full=True)
    assert [user.name for user in summary.users] == ["pam"]
    assert [asked["page"] for asked in searches(office)] == [1, 2, 3]


async def test_a_refused_key_ends_a_one_shot_with_77(office: Office, pam: Calendar) -> None:
    await begin(office)
    office.salesloft.withdraw_key(KEY)
    assert (await office.once()).exit_status == 77


async def test_the_state_of_who_left_is_forgotten_in_time(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    from datetime import timedelta

    from connector.app.roster import purge_gone
    from connector.store import State, open_database

    weekly(pam)
    await begin(office)
    office.salesloft.set_calendar_type(PAM, "google")
    await office.once()
    state = State(open_database(office.place))
    try:
        month = timedelta(days=30)
        assert await purge_gone(state, month, clock() + timedelta(days=29)) == []
        assert await purge_gone(state, month, clock() + timedelta(days=31)) == ["pam"]
        assert await purge_gone(state, month, clock() + timedelta(days=32)) == []
    finally:
        state.close()
    assert sql(office, "SELECT count(*) FROM occurrences") == [(0,)]
    assert len(office.alive("pam")) == WEEKLY
    office.salesloft.set_calendar_type(PAM, "external")
    assert (await cycle(office)).sent == []
    assert office.differences() == []
