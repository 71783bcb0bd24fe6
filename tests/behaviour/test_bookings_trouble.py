"""Bookings when something is in the way: rights, quotas, stops, restarts, people who change their minds."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from connector.app.opening import state_place
from connector.app.parts import assemble
from connector.cli import steering
from connector.domain.booking import event_id_of
from connector.domain.model import UserGuid
from connector.google import GoogleBookings
from connector.settings.files import load_settings
from connector.simulator.faults import Fault
from connector.store import open_database
from connector.sync.bookings import TeamBookings
from tests.behaviour.command import command, process
from tests.daemon import Requests, daemon_of
from tests.office import KEY, Office, guid_of, open_office
from tests.scenarios.steps import Clock

HALF_HOUR = timedelta(minutes=30)
READ_SCOPE = "https://www.googleapis.com/auth/calendar.events.readonly"
WRITE_SCOPE = "https://www.googleapis.com/auth/calendar.events"
PAM = "pam@example.com"


@pytest.fixture
def clock() -> Clock:
    """Stands still, so that a test says when a pause is over."""
    return Clock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
async def office(tmp_path: Path, clock: Clock) -> AsyncIterator[Office]:
    async with open_office(tmp_path, clock) as opened:
        opened.bookings = True
        opened.poll_interval = "30s"
        opened.hire("pam")
        await opened.once(full=True)
        yield opened


def tomorrow(office: Office, hours: int = 0) -> datetime:
    noon = office.clock().replace(hour=12, minute=0, second=0, microsecond=0)
    return noon + timedelta(days=1, hours=hours)


def book(office: Office, name: str = "pam", **more: Any) -> int:
    start = more.pop("start", tomorrow(office))
    details = {"start": start, "end": start + HALF_HOUR, **more}
    return office.salesloft.book_meeting(
        guid_of(name), **{"recipient_email": "dwight@customer.example.org", **details}
    )


def reschedule(office: Office, number: int, start: datetime) -> None:
    office.salesloft.reschedule_meeting(number, start, start + HALF_HOUR)


def status(office: Office, number: int) -> str:
    return office.salesloft.meeting(number).status


def starts(office: Office, name: str = "pam") -> list[Any]:
    """When the seller's coming events begin."""
    found = [one.start for one in office.sellers[name].truth(*office.window(name))]
    return [one.astimezone(UTC) if isinstance(one, datetime) else one for one in found]


def refuse(office: Office, route: str, code: int, reason: str) -> None:
    """Google refuses these calls, until the faults are cleared."""
    body = {"error": {"code": code, "errors": [{"reason": reason}]}} if reason else None
    kind = "status" if reason else "html"
    office.google.faults.add(Fault(route, kind=kind, status=code, times=None, body=body))  # type: ignore[arg-type]


@asynccontextmanager
async def team_of(office: Office, clock: Clock) -> AsyncIterator[TeamBookings]:
    """What a running daemon books with, round by round."""
    settings = load_settings(office.config)
    async with assemble(settings, open_database(state_place(settings)), clock) as parts:
        (team,) = parts.bookings.values()
        yield team


def said(logs: list[Any], event: str) -> list[str]:
    return [line["message"] for line in logs if line["event"] == event]


# -- invitations


async def test_guests_are_told_of_a_booking_its_move_and_its_cancellation(office: Office) -> None:
    number = book(office, guests=["angela@buyer.example.net"])
    await office.once()
    reschedule(office, number, tomorrow(office, 2))
    await office.once()
    office.salesloft.cancel_meeting(number)
    await office.once()
    to = ("dwight@customer.example.org", "angela@buyer.example.net")
    ours = event_id_of(UserGuid(guid_of("pam")), str(number))
    assert [(mail.what, mail.event_id, mail.to) for mail in office.google.invitations] == [
        (what, ours, to) for what in ("insert", "patch", "delete")
    ]


async def test_nobody_is_told_where_send_updates_says_so(office: Office) -> None:
    office.configure("pam", extra='[bookings]\nsend_updates = "none"\n')
    number = book(office)
    await office.once()
    reschedule(office, number, tomorrow(office, 2))
    await office.once()
    assert starts(office) == [tomorrow(office, 2)]
    assert office.google.invitations == []


async def test_nobody_is_told_twice_of_a_move_that_was_interrupted(office: Office) -> None:
    number = book(office)
    await office.once()
    reschedule(office, number, tomorrow(office, 2))
    office.salesloft.faults.add(Fault("meetings.update", kind="reset_before", times=5))
    await office.once()
    office.salesloft.faults.clear()
    await office.once()
    assert office.salesloft.meeting(number).reschedule_status == "booked"
    assert [mail.what for mail in office.google.invitations] == ["insert", "patch"]


async def test_a_conference_that_comes_later_follows(office: Office) -> None:
    office.configure("pam", extra='[bookings]\nconference = "hangoutsMeet"\n')
    office.google.conferences_pending = True
    number = book(office)
    await office.once()
    assert status(office, number) == "booked"
    office.google.finish_conferences()
    await office.once()
    (held,) = office.alive("pam").values()
    assert (held.location or "").startswith("https://meet.google.com/")
    assert office.differences() == []


# -- rights


@pytest.mark.parametrize("kind", ["authorized_user", "service_account"])
async def test_a_missing_scope_is_probed_slowly_and_found_again(
    office: Office, clock: Clock, kind: str
) -> None:
    account = PAM
    if kind == "service_account":
        key = office.google.add_service_account("connector")
        account = key["client_email"]
        office.configure("pam", google=f'subject = "{PAM}"')
        (office.config / "users" / "pam.json").write_text(json.dumps(key))
    office.google.grant_scopes(account, [READ_SCOPE])
    number = book(office)

    async with team_of(office, clock) as team:

        async def asks() -> bool:
            """Whether a round asks Google for anything at all."""
            before = len(office.google.log)
            result = await team.round()
            assert (result.booked, result.failed) == (1 - result.left, 0)
            return len(office.google.log) > before

        with capture_logs() as logs:
            assert await asks()
            clock.advance(seconds=29)
            assert not await asks()
            clock.advance(seconds=1)
            assert await asks()
            clock.advance(minutes=5)
            assert await asks()
            clock.advance(seconds=30)
            assert not await asks()
            clock.advance(seconds=30)
            assert await asks()
            assert status(office, number) == "pending"
            office.google.grant_scopes(account, [READ_SCOPE, WRITE_SCOPE])
            clock.advance(minutes=1)
            assert await asks()
        assert status(office, number) == "booked"
    (message,) = said(logs, "bookings_off")
    assert f"{WRITE_SCOPE} " in message
    assert [line["event"] for line in logs].count("bookings_on") == 1


async def test_a_calendar_that_may_only_be_read_keeps_meetings_pending(
    office: Office, clock: Clock
) -> None:
    boss = office.google.add_calendar("boss@example.com")
    office.google.set_role(boss, PAM, "reader")
    office.configure("pam", google='calendar_id = "boss@example.com"')
    number = book(office)
    async with team_of(office, clock) as team:
        with capture_logs() as logs:
            for _ in range(3):
                assert (await team.round()).left == 1
                clock.advance(minutes=2)
            assert status(office, number) == "pending"
            office.google.set_role(boss, PAM, "writer")
            assert (await team.round()).booked == 1
    (message,) = said(logs, "bookings_off")
    assert "right to change events" in message


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (403, "forbidden"),
        (403, "requiredAccessLevel"),
        (403, "forbiddenForServiceAccounts"),
        (403, "somethingNew"),
        (403, ""),
        (403, "quotaExceeded"),
        (403, "rateLimitExceeded"),
        (429, "rateLimitExceeded"),
        (400, ""),
        (503, "backendError"),
    ],
)
async def test_what_passes_or_an_admin_can_mend_keeps_a_meeting_pending(
    office: Office, clock: Clock, code: int, reason: str
) -> None:
    number = book(office)
    async with team_of(office, clock) as team:
        with capture_logs() as logs:
            refuse(office, "events.insert", code, reason)
            for _ in range(2):
                result = await team.round()
                assert (result.left, result.failed, status(office, number)) == (1, 0, "pending")
                clock.advance(minutes=2)
            office.google.faults.clear()
            clock.advance(hours=2)
            assert (await team.round()).booked == 1
        assert len(said(logs, "bookings_off") + said(logs, "booking_later")) == 1
    assert starts(office) == [tomorrow(office)]


async def test_a_calendar_written_to_too_often_waits_for_an_hour(
    office: Office, clock: Clock
) -> None:
    number = book(office)
    async with team_of(office, clock) as team:
        office.google.writes_over_quota = True
        await team.round()
        office.google.writes_over_quota = False
        clock.advance(minutes=59)
        await team.round()
        assert len(office.google.requests("events.insert")) == 1
        clock.advance(minutes=2)
        await team.round()
    assert status(office, number) == "booked"


@pytest.mark.parametrize(("route", "step"), [("events.patch", "move"), ("events.delete", "cancel")])
@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "status", "truncate", "html"])
async def test_a_fault_at_a_move_or_a_cancellation_is_made_good(
    office: Office, route: str, step: str, kind: str
) -> None:
    number = book(office)
    await office.once()
    if step == "move":
        reschedule(office, number, tomorrow(office, 2))
    else:
        office.salesloft.cancel_meeting(number)
    office.google.faults.add(Fault(route, kind=kind, status=503, times=2))  # type: ignore[arg-type]
    await office.once()
    office.google.faults.clear()
    await office.once()
    wanted = [tomorrow(office, 2)] if step == "move" else []
    assert starts(office) == wanted
    assert office.differences() == []


# -- stops, restarts, neighbours


async def test_a_stop_in_the_middle_of_a_booking_books_once(tmp_path: Path) -> None:
    async with open_office(tmp_path) as office, daemon_of(office) as daemon:
        office.bookings = True
        office.hire("pam", extra='[bookings]\ninterval = "1s"\n')
        await office.once(full=True)
        number = book(office)
        requests = Requests(office)
        office.salesloft.faults.add(Fault("meetings.update", kind="slow", seconds=0.5))
        await daemon.start()
        await requests.until(lambda: bool(office.google.requests("events.insert")))
        assert await daemon.end(signal.SIGTERM) == 0
        await daemon.start()
        before = office.salesloft.count("meetings.list")
        await requests.until(lambda: office.salesloft.count("meetings.list") > before + 2)
        assert status(office, number) == "booked"
        assert await daemon.end(signal.SIGTERM) == 0
        assert "Traceback" not in daemon.log
        made = [one for one in office.google.requests("events.insert") if one.status == 200]
        assert (len(made), starts(office)) == (1, [tomorrow(office)])


async def test_two_rounds_at_once_book_once(office: Office, clock: Clock) -> None:
    book(office)
    async with team_of(office, clock) as team:
        results = await asyncio.gather(team.round(), team.round())
    assert sorted(result.booked for result in results) == [0, 1]
    assert len(office.google.requests("events.insert")) == 1


async def test_after_a_stop_nothing_new_is_begun(office: Office, clock: Clock) -> None:
    book(office)
    stopping = asyncio.Event()
    stopping.set()
    async with team_of(office, clock) as team:
        assert (await team.round(stopping)).left == 1
    assert office.google.requests("events.insert") == []


async def test_a_move_that_is_still_open_is_found_again_after_a_restart(
    office: Office, clock: Clock
) -> None:
    office.salesloft.switches.pending_includes_reschedules = False
    number = book(office)
    await office.once()
    clock.advance(minutes=10)
    reschedule(office, number, tomorrow(office, 2))
    refuse(office, "events.patch", 503, "backendError")
    async with team_of(office, clock) as team:
        assert (await team.round()).left == 1
        for _ in range(3):  # others move the walk's end on, by more than a page
            clock.advance(hours=1)
            for _ in range(50):
                book(office, start=tomorrow(office, 5), status="booked")
            await team.round()
    office.google.faults.clear()
    await office.once()
    assert tomorrow(office, 2) in starts(office)
    assert office.salesloft.meeting(number).reschedule_status == "booked"


async def test_walks_that_follow_a_complete_one_ask_for_small_pages(
    office: Office, clock: Clock
) -> None:
    office.salesloft.log.clear()
    async with team_of(office, clock) as team:
        await team.round()
        for _ in range(60):  # more than a small page shows, and nothing is passed over
            book(office, start=tomorrow(office, 5))
        assert (await team.round()).booked == 60
        office.salesloft.faults.add(Fault("meetings.list", status=503, skip=1, times=3))
        assert (await team.round()).error is not None
        await team.round()
    walks = [entry.query for entry in office.salesloft.log if "sort_by" in entry.query]
    firsts = [int(query["per_page"]) for query in walks if query["page"] == "1"]
    assert firsts == [100, 25, 25, 25, 25, 100]


async def test_more_than_a_page_of_meetings_is_booked(office: Office, clock: Clock) -> None:
    for number in range(101):
        book(office, start=tomorrow(office) + number * timedelta(minutes=7))
    office.salesloft.switches.odd_meetings = True
    async with team_of(office, clock) as team:
        assert (await team.round()).booked == 101
    assert len(set(starts(office))) == 101


# -- people who change their minds


async def test_a_reschedule_to_another_day_moves_it_there(office: Office) -> None:
    day = tomorrow(office).replace(hour=0)
    timed = book(office)
    whole = book(office, start=day, end=day + timedelta(days=1), all_day=True)
    await office.once()
    reschedule(office, timed, tomorrow(office, 48))
    office.salesloft.reschedule_meeting(whole, day + timedelta(days=3), day + timedelta(days=5))
    await office.once()
    assert set(starts(office)) == {tomorrow(office, 48), (day + timedelta(days=3)).date()}
    assert office.differences() == []


def while_booking(monkeypatch: pytest.MonkeyPatch, happens: Any) -> None:
    """Something happens in Salesloft between the insert and its confirmation."""
    insert = GoogleBookings.insert

    async def inserted(self: GoogleBookings, body: dict[str, Any]) -> Any:
        event = await insert(self, body)
        happens()
        return event

    monkeypatch.setattr(GoogleBookings, "insert", inserted)


@pytest.mark.parametrize("broken", [False, True])
async def test_a_reschedule_while_it_is_booked_is_not_lost(
    office: Office, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    """No field of Salesloft's tells of it afterwards: not even a restart may forget it."""
    number = book(office)
    while_booking(monkeypatch, lambda: reschedule(office, number, tomorrow(office, 3)))
    if broken:
        refuse(office, "events.patch", 503, "backendError")
    await office.once()
    assert starts(office) == [tomorrow(office, 0 if broken else 3)]
    office.google.faults.clear()
    await office.once()
    assert (starts(office), status(office, number)) == ([tomorrow(office, 3)], "booked")
    await office.once()
    assert office.differences() == []


async def test_a_late_move_that_can_never_be_is_marked_as_failed_to_move(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = book(office)
    while_booking(monkeypatch, lambda: reschedule(office, number, tomorrow(office, 3)))
    refuse(office, "events.patch", 400, "invalid")
    summary = await office.once()
    meeting = office.salesloft.meeting(number)
    assert (meeting.status, meeting.reschedule_status) == ("booked", "failed")
    assert (summary.bookings_made, summary.bookings_failed) == (1, 1)


async def test_a_cancellation_while_it_is_booked_cancels_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = book(office)
    while_booking(monkeypatch, lambda: office.salesloft.cancel_meeting(number))
    summary = await office.once()
    assert (summary.bookings_made, summary.bookings_cancelled, starts(office)) == (1, 1, [])


async def test_a_whole_series_is_never_moved(office: Office) -> None:
    series = office.sellers["pam"].create_series(
        "Weekly", tomorrow(office), rule="RRULE:FREQ=WEEKLY;COUNT=3"
    )
    before = starts(office)
    number = book(office, status="booked")
    office.salesloft.meeting(number).event_id = series
    reschedule(office, number, tomorrow(office, 3))
    await office.once()
    assert office.salesloft.meeting(number).reschedule_status == "failed"
    assert starts(office) == before


# -- who is booked for


async def test_where_it_is_off_for_one_user_their_meetings_are_left_alone(office: Office) -> None:
    office.hire("jim", extra="[bookings]\nenabled = false\n")
    pams, jims = book(office), book(office, "jim")
    looked = office.salesloft.count("meetings.list")
    await office.once()
    assert (status(office, pams), status(office, jims)) == ("booked", "pending")
    assert office.salesloft.count("meetings.list") - looked == 2
    assert office.salesloft.count("meetings.update") == 1
    assert starts(office, "jim") == []


async def leaves(office: Office, how: str) -> None:
    match how:
        case "paused":
            await asyncio.to_thread(
                asyncio.run, steering.run(office.config, "pam", "pause", as_json=True)
            )
        case "left":
            assert (await command(office, "offboard", "--user", "pam", "--json"))[0] == 0
        case "not_external":
            office.salesloft.set_calendar_type(guid_of("pam"), "gmail")


@pytest.mark.parametrize("how", ["paused", "left", "not_external"])
async def test_nothing_is_booked_for_who_is_not_served(office: Office, how: str) -> None:
    office.hire("jim")
    await office.once()
    number, jims = book(office), book(office, "jim")
    await leaves(office, how)
    await office.once()
    assert (status(office, number), starts(office)) == ("pending", [])
    assert status(office, jims) == "booked"


# -- what is told


async def test_a_run_tells_what_became_of_bookings(office: Office) -> None:
    book(office)
    book(office, start=tomorrow(office, 2), end=tomorrow(office))
    code, out, _ = await process(office, "run", "--once")
    assert "bookings from Salesloft: 1 made, 1 failed\n" in out
    assert code == 1
    code, out, _ = await process(office, "run", "--once")
    assert "bookings" not in out
    assert code == 0


async def test_status_names_the_last_failure(office: Office) -> None:
    assert "failed bookings" not in (await command(office, "status"))[1]
    book(office)
    failed = book(office, start=tomorrow(office, 2), end=tomorrow(office))
    await office.once()
    told = f"Salesloft's meeting {failed}: the meeting ends before it starts"
    assert told in (await command(office, "status"))[1]
    (user,) = json.loads((await command(office, "status", "--json"))[1])["users"]
    bookings = user["bookings"]
    assert (bookings["booked"], bookings["open"], bookings["failed"]) == (1, 0, 1)
    assert (bookings["meeting"], bookings["message"]) == (
        str(failed),
        "the meeting ends before it starts",
    )


async def test_a_key_that_salesloft_does_not_know_ends_a_run_with_77(office: Office) -> None:
    unknown = {"error": "Unauthorized"}
    office.salesloft.faults.add(Fault("meetings.list", status=401, times=None, body=unknown))
    assert (await process(office, "run", "--once"))[0] == 77


async def test_a_key_that_may_not_read_meetings_is_told_and_the_rest_goes_on(
    office: Office,
) -> None:
    office.salesloft.deny(KEY, "meetings.list")
    office.sellers["pam"].create("Own", tomorrow(office))
    code, _, err = await process(office, "run", "--once")
    assert "bookings not looked up" in err
    assert code == 0, "what the key allows was done, and all of it"
    assert office.differences() == []
