"""Issue 5 part 4: access is lost for good, told apart from what passes; the user's banner, up and down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connector.domain.errors import ParkReason
from connector.simulator.faults import Fault
from connector.simulator.google import Calendar
from connector.simulator.google.accounts import ALL_SCOPES
from tests.office import KEY, Office, guid_of
from tests.scenarios.steps import PROSPECT, WEEKLY, Clock, at, begin, settle, sql, weekly, written
from tests.scenarios.test_roster import engage, set_roster, without_files

PAM = "pam@example.com"
FORBIDDEN = {"error": {"code": 403, "errors": [{"domain": "global", "reason": "forbidden"}]}}
ADMIN_RATE = {
    "error": {"code": 403, "errors": [{"domain": "usageLimits", "reason": "userRateLimitExceeded"}]}
}
DISABLED = {
    "error": {"code": 403, "errors": [{"domain": "usageLimits", "reason": "accessNotConfigured"}]}
}


def banner(office: Office, name: str = "pam") -> bool:
    return office.salesloft.users[guid_of(name)].connection_failed


def banners(office: Office) -> list[bool]:
    """Every banner that was set, in order."""
    return [
        bool((entry.body or {}).get("primary_calendar_connection_failed"))
        for entry in office.salesloft.log
        if entry.route == "settings.update"
    ]


def parked(office: Office) -> tuple[str | None, str]:
    ((reason, message),) = sql(office, "SELECT parked_reason, parked_message FROM calendars")
    return reason, message or ""


async def fail(office: Office, clock: Clock, times: int = 2, seconds: float = 60) -> None:
    """Cycles that cannot read, over so many seconds in all."""
    for number in range(times):
        if number:
            clock.advance(seconds=seconds / (times - 1))
        assert (await office.once()).exit_status != 0


@pytest.mark.parametrize("mode", ["both", "files"])
async def test_a_lasting_loss_shows_the_banner_once_and_the_first_good_listing_takes_it_down(
    office: Office, pam: Calendar, clock: Clock, mode: str
) -> None:
    set_roster(office, f'mode = "{mode}"')
    weekly(pam)
    await begin(office)
    sent = len(written(office))
    pam.set_role(PAM, "none")
    await fail(office, clock, times=3, seconds=59)
    assert not banner(office)
    await fail(office, clock, times=1)
    clock.advance(seconds=1)
    await fail(office, clock, times=5)
    assert banner(office)
    assert banners(office) == [True]
    assert len(written(office)) == sent  # events are never cancelled because access was lost
    assert len(office.alive("pam")) == WEEKLY
    pam.set_role(PAM, "owner")
    await settle(office, sent=0)
    assert banners(office) == [True, False]


async def test_two_refusals_within_lost_after_raise_nothing(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    await begin(office)
    office.google.revoke(PAM)
    await fail(office, clock, times=20, seconds=59)
    assert banners(office) == []


async def test_lost_after_is_as_configured(office: Office, pam: Calendar, clock: Clock) -> None:
    office.configure("pam", google='lost_after = "10m"')
    await begin(office)
    office.google.revoke(PAM)
    await fail(office, clock, times=10, seconds=590)
    assert banners(office) == []
    clock.advance(seconds=10)
    await fail(office, clock, times=1)
    assert banners(office) == [True]


async def test_a_good_listing_between_starts_the_count_anew(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    """Refusals and successes in turn: no banner, however long."""
    await begin(office)
    for _ in range(10):
        pam.set_role(PAM, "none")
        await fail(office, clock, times=2, seconds=50)
        pam.set_role(PAM, "owner")
        clock.advance(seconds=20)
        assert (await office.once()).exit_status == 0
        clock.advance(seconds=20)
    assert banners(office) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("events.*", status=403, body=ADMIN_RATE, times=None),
        Fault("events.*", status=429, times=None),
        Fault("events.*", status=500, times=None),
        Fault("events.*", status=503, kind="html", times=None),
        Fault("events.*", kind="reset_before", times=None),
        Fault("token", status=500, times=None),
        Fault("events.*", status=403, body=DISABLED, times=None),
    ],
    ids=["user rate limit", "429", "500", "html", "network", "token endpoint", "API disabled"],
)
async def test_passing_errors_and_the_operators_own_never_raise_it(
    office: Office,
    pam: Calendar,
    clock: Clock,
    fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nothing is waited for: each question is asked once.
    monkeypatch.setattr("connector.google.transport._Attempts.exhausted", lambda *_: True)
    monkeypatch.setattr("connector.app.one_shot.ONE_SHOT_ROUNDS", 1)
    await begin(office)
    office.google.faults.add(fault)
    for _ in range(2):
        clock.advance(minutes=5)
        await office.once()
    office.google.faults.clear()
    assert banners(office) == []
    assert sql(office, "SELECT refusals, lost_ms FROM calendars") == [(0, None)]


async def test_a_401_that_a_refresh_cures_never_counts(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    await begin(office)
    for _ in range(3):
        office.google.faults.add(Fault("events.list", status=401))
        clock.advance(minutes=2)
        assert (await office.once()).exit_status == 0
    assert sql(office, "SELECT refusals FROM calendars") == [(0,)]


Cause = Callable[[Office], object]


def deny_scope(office: Office) -> None:
    (user,) = [one for one in office.google.accounts.authorized_users.values() if one.email == PAM]
    office.google.grant_scopes(user.email, [next(s for s in ALL_SCOPES if "calendarlist" in s)])


USER_CAUSES: list[tuple[Cause, ParkReason, str]] = [
    (lambda o: o.google.revoke(PAM), ParkReason.TOKEN_REVOKED, "consent again"),
    (deny_scope, ParkReason.SCOPE_MISSING, "calendar.events.readonly"),
    (lambda o: o.sellers["pam"].delete(), ParkReason.CALENDAR_GONE, "calendar_id"),
]
ACCOUNT_CAUSES: list[tuple[Cause, ParkReason, str]] = [
    (lambda o: o.google.suspend(PAM), ParkReason.SUBJECT_UNKNOWN, "suspended"),
    (lambda o: o.google.accounts.people.discard(PAM), ParkReason.SUBJECT_UNKNOWN, "no such user"),
    (
        lambda o: o.google.withdraw_delegation(_account(o)),
        ParkReason.DELEGATION_MISSING,
        "Domain-wide delegation, client id",
    ),
    (
        lambda o: o.google.grant_scopes(
            _account(o), ["https://www.googleapis.com/auth/calendar.calendarlist"]
        ),
        ParkReason.DELEGATION_MISSING,
        "calendar.events.readonly",
    ),
    (lambda o: o.google.revoke(_account(o)), ParkReason.KEY_INVALID, "credentials file"),
]


def _account(office: Office) -> str:
    (email,) = office.google.accounts.service_accounts
    return email


@pytest.mark.parametrize(("cause", "reason", "remedy"), USER_CAUSES)
async def test_each_cause_of_an_authorised_user(
    office: Office, pam: Calendar, clock: Clock, cause: Cause, reason: ParkReason, remedy: str
) -> None:
    weekly(pam)
    await begin(office)
    cause(office)
    await fail(office, clock)
    assert parked(office)[0] == reason
    assert remedy in parked(office)[1]
    assert "pam" in parked(office)[1]
    assert PAM not in parked(office)[1]
    assert banners(office) == [True]
    assert len(office.alive("pam")) == WEEKLY


@pytest.mark.parametrize(("cause", "reason", "remedy"), ACCOUNT_CAUSES)
@pytest.mark.usefixtures("google_clock")
async def test_each_cause_of_a_service_account(
    office: Office, clock: Clock, cause: Cause, reason: ParkReason, remedy: str
) -> None:
    engage(office, "pam")
    without_files(office)
    weekly(office.sellers["pam"])
    await begin(office)
    cause(office)
    await fail(office, clock)
    assert parked(office)[0] == reason
    assert remedy in parked(office)[1]
    assert banners(office) == [True]
    assert len(office.alive("pam")) == WEEKLY


@pytest.mark.parametrize(
    ("days", "reason"),
    [
        (7, ParkReason.CONSENT_EXPIRED),
        (2, ParkReason.TOKEN_REVOKED),
        (20, ParkReason.TOKEN_REVOKED),
    ],
)
async def test_a_consent_screen_in_testing_mode_is_told_apart_by_its_seven_days(
    office: Office, pam: Calendar, clock: Clock, days: int, reason: ParkReason
) -> None:
    await begin(office)
    clock.advance(days=days)
    office.google.revoke(PAM)
    await fail(office, clock)
    assert parked(office)[0] == reason
    assert ("publish the consent screen" in parked(office)[1]) == (days == 7)
    assert banners(office) == [True]
    # New credentials count from their own first day.
    office.configure("pam")
    await settle(office)
    office.google.revoke(PAM)
    await fail(office, clock, times=1)
    assert parked(office)[0] == ParkReason.TOKEN_REVOKED


async def test_the_api_switched_off_names_the_project(office: Office, pam: Calendar) -> None:
    await begin(office)
    office.google.faults.add(Fault("events.*", status=403, body=DISABLED, times=None))
    await office.once()
    reason, message = parked(office)
    assert reason == ParkReason.API_DISABLED
    assert "enable the Google Calendar API" in message
    assert "project" in message


@pytest.mark.parametrize("kind", ["reset_after", "reset_before", "status", "html", "truncate"])
async def test_a_failing_salesloft_only_delays_the_banner(
    office: Office, pam: Calendar, clock: Clock, kind: Any
) -> None:
    await begin(office)
    office.google.revoke(PAM)
    office.salesloft.faults.add(Fault("settings.update", kind=kind, status=503))
    await fail(office, clock)
    await fail(office, clock)
    await fail(office, clock)
    assert banner(office)
    # What was done although its answer was lost is not done again: the look-up shows it.
    lost_answer = kind in ("reset_after", "truncate")
    assert office.salesloft.count("settings.update") == (1 if lost_answer else 2)
    office.configure("pam")
    office.salesloft.faults.add(Fault("settings.update", kind=kind, status=503))
    await office.once()
    clock.advance(seconds=61)
    await office.once()
    assert not banner(office)
    assert sql(office, "SELECT banner_ms FROM calendars") == [(None,)]


async def test_a_banner_of_an_earlier_installation_is_taken_down_by_a_good_listing(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    weekly(pam)
    await begin(office)
    office.google.revoke(PAM)
    await fail(office, clock)
    office.state.unlink()
    await fail(office, clock, times=1)
    assert banner(office)  # parked: nobody knows that it works again
    office.configure("pam")
    assert (await office.once()).exit_status == 0
    assert not banner(office)


async def test_a_user_who_is_not_external_never_gets_a_banner(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    set_roster(office, 'mode = "files"')
    await begin(office)
    office.salesloft.set_calendar_type(guid_of("pam"), "google")
    office.google.revoke(PAM)
    await fail(office, clock, times=4, seconds=400)
    assert banners(office) == []


async def test_no_longer_external_leaves_the_banner_as_it_is(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    await begin(office)
    office.google.revoke(PAM)
    await fail(office, clock)
    assert banners(office) == [True]
    office.salesloft.set_calendar_type(guid_of("pam"), "google")
    office.configure("pam")
    clock.advance(minutes=5)
    assert (await office.once()).not_served
    assert banners(office) == [True]


async def test_without_manage_team_it_is_said_what_to_grant(
    office: Office, pam: Calendar, clock: Clock, logged: list[dict[str, Any]]
) -> None:
    office.salesloft.keys[KEY].manage_team = False
    weekly(pam)
    await begin(office)
    office.google.revoke(PAM)
    await fail(office, clock)
    (told,) = [entry for entry in logged if entry["event"] == "banner_refused"]
    assert "manage_team" in told["message"]
    assert len(office.alive("pam")) == WEEKLY


async def test_a_clock_set_back_does_not_break_the_count(
    office: Office, pam: Calendar, clock: Clock
) -> None:
    await begin(office)
    office.google.revoke(PAM)
    await fail(office, clock, times=1)
    clock.advance(hours=-2)
    await fail(office, clock, times=1)
    assert banners(office) == []
    clock.advance(seconds=60)
    await fail(office, clock, times=1)
    assert banners(office) == [True]
    clock.advance(hours=-2)
    office.configure("pam")
    await office.once()
    assert banners(office) == [True, False]


async def test_a_dry_run_sets_no_banner(office: Office, pam: Calendar, clock: Clock) -> None:
    import asyncio

    from connector.app import run_dry
    from connector.settings.files import load_settings

    await begin(office)
    office.google.revoke(PAM)
    await fail(office, clock, times=1)
    pam.create("New", at("2026-10-26T09:00"), attendees=[PROSPECT])
    before = sql(office, "SELECT * FROM calendars")
    for _ in range(2):
        await run_dry(
            load_settings(office.config), asyncio.Event(), full=False, show=lambda *_: None
        )
    assert banners(office) == []
    assert sql(office, "SELECT * FROM calendars") == before
