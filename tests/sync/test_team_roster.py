"""The roster and the banners of a process that lives on: what a round costs, what is said once, what backs off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from connector.app.parts import assemble
from connector.app.roster import Rosters, Served
from connector.app.to_salesloft import team_of
from connector.settings.files import load_settings
from connector.simulator.faults import Fault
from connector.store import State, open_database
from connector.sync.connection import Connections
from tests.office import KEY, Office, guid_of, open_office
from tests.scenarios.steps import Clock, sql


@dataclass
class Daemon:
    office: Office
    clock: Clock
    rosters: Rosters
    connections: Connections
    team: str
    state: State

    async def round(self, **later: float) -> Served:
        self.clock.advance(**later)
        return await self.rosters.round(self.team)

    def searches(self) -> list[dict[str, Any]]:
        log = self.office.salesloft.log
        return [dict(e.body or {}) for e in log if e.route == "settings.search"]


@asynccontextmanager
async def daemon(office: Office, clock: Clock) -> AsyncIterator[Daemon]:
    settings = load_settings(office.config)
    async with assemble(settings, open_database(office.place), clock) as parts:
        team = team_of(settings.users[0])
        guids = {user.salesloft.user_guid for user in settings.users}
        client = parts.clients[team]
        rosters = Rosters(lambda: settings, parts.state, parts.clients, clock)
        connections = Connections(team, client, parts.state, lambda: guids, clock)
        yield Daemon(office, clock, rosters, connections, team, parts.state)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Daemon]:
    clock = Clock()
    async with open_office(tmp_path, clock=clock) as office:
        office.hire("pam")
        office.hire("jim")
        async with daemon(office, clock) as running:
            yield running


async def test_a_quiet_round_is_one_request_of_what_was_updated(served: Daemon) -> None:
    began = served.clock()
    await served.round()
    assert "updated_at" not in served.searches()[0]
    for _ in range(5):
        await served.round(seconds=60)
    assert len(served.searches()) == 6
    for asked in served.searches()[1:]:
        since = datetime.fromisoformat(asked["updated_at"]["gte"])
        assert since == began - timedelta(minutes=5)


async def test_a_change_is_seen_by_the_next_round_and_once_a_day_all_is_looked_up(
    served: Daemon,
) -> None:
    await served.round()
    served.office.salesloft.set_calendar_type(guid_of("jim"), "google")
    done = await served.round(seconds=60)
    assert [user.name for user in done.users] == ["pam"]
    assert [one.name for one in done.not_served] == ["jim"]
    assert [one.change for one in done.transitions] == ["left"]
    # It stays so, without a further transition.
    again = await served.round(seconds=60)
    assert ([user.name for user in again.users], again.transitions) == (["pam"], ())
    served.office.salesloft.set_calendar_type(guid_of("jim"), "external")
    back = await served.round(seconds=60)
    assert [one.change for one in back.transitions] == ["returned"]
    assert {user.name for user in back.users} == {"pam", "jim"}
    await served.round(hours=24)
    assert "updated_at" not in served.searches()[-1]


async def test_a_user_known_as_not_external_needs_no_search_of_their_own_again(
    served: Daemon,
) -> None:
    served.office.salesloft.set_calendar_type(guid_of("jim"), "google")
    await served.round()
    assert len(served.searches()) == 2  # who the nameless settings are of was asked for
    await served.round(hours=25)
    assert len(served.searches()) == 3


async def test_a_refused_look_up_is_said_once_and_tried_again_after_a_day(served: Daemon) -> None:
    served.office.salesloft.keys[KEY].manage_team = False
    with capture_logs() as logged:
        for _ in range(10):
            done = await served.round(seconds=60)
            assert len(done.users) == 2
        assert len(served.searches()) == 1
        await served.round(hours=24)
        assert len(served.searches()) == 2
    assert [entry["event"] for entry in logged] == ["roster_refused"]
    served.office.salesloft.keys[KEY].manage_team = True
    assert not (await served.round(hours=24)).failed


async def test_a_failing_look_up_backs_off_and_changes_nothing(served: Daemon) -> None:
    served.office.salesloft.set_calendar_type(guid_of("jim"), "google")
    await served.round()
    served.office.salesloft.set_calendar_type(guid_of("jim"), "external")
    fault = Fault("settings.search", status=503, times=None, headers={"Retry-After": "30"})
    served.office.salesloft.faults.add(fault)
    done = await served.round(seconds=60)
    assert done.failed
    assert [user.name for user in done.users] == ["pam"]
    asked = len(served.searches())
    await served.round(seconds=10)
    assert len(served.searches()) == asked
    served.office.salesloft.faults.clear()
    assert len((await served.round(seconds=30)).users) == 2


async def test_a_clock_set_back_looks_up_in_full(served: Daemon) -> None:
    await served.round()
    await served.round(days=-3)
    assert "updated_at" not in served.searches()[-1]


async def test_a_reading_under_way_when_a_user_leaves_stores_nothing_to_send(
    served: Daemon,
) -> None:
    """Decided in the commit: the listing began while the user was external."""
    from connector.store.commit import Committed, commit_cycle

    await served.round()
    served.office.salesloft.set_calendar_type(guid_of("pam"), "google")
    await served.round(seconds=60)
    (row,) = [one for one in await served.state.calendars() if one.name == "pam"]

    # Nothing of the reading may be looked at: only whose it is.
    unread: Any = SimpleNamespace(calendar=row.id)
    done = await served.state.run(lambda c: commit_cycle(c, unread))
    assert done == Committed(0, 0, 0, 0, 0)


def lose(office: Office, at: datetime) -> None:
    millis = round(at.timestamp() * 1000)
    sql(
        office,
        "UPDATE calendars SET lost_ms = ?, parked_since = ?, parked_reason = 'token_revoked'"
        " WHERE name = 'pam'",
        millis,
        millis,
    )


async def test_a_refused_banner_is_tried_once_and_then_rarely(served: Daemon) -> None:
    await served.round()
    lose(served.office, served.clock())
    served.office.salesloft.deny(KEY, "settings.update")
    with capture_logs() as logged:
        for _ in range(20):
            served.clock.advance(seconds=60)
            assert not await served.connections.round()
    assert [entry["event"] for entry in logged] == ["banner_refused"]
    assert served.office.salesloft.count("settings.update") == 1
    served.office.salesloft.allow(KEY, "settings.update")
    served.clock.advance(days=1)
    assert await served.connections.round()
    assert served.office.salesloft.users[guid_of("pam")].connection_failed


async def test_a_failing_banner_backs_off_further_and_further(served: Daemon) -> None:
    await served.round()
    lose(served.office, served.clock())
    served.office.salesloft.faults.add(Fault("settings.update", status=503, times=None))
    for _ in range(120):
        served.clock.advance(seconds=1)
        await served.connections.round()
    assert 4 <= served.office.salesloft.count("settings.update") <= 9
    served.office.salesloft.faults.clear()
    served.clock.advance(seconds=60)
    assert await served.connections.round()
    for _ in range(10):
        served.clock.advance(seconds=60)
        await served.connections.round()
    banners = [
        entry.body
        for entry in served.office.salesloft.log
        if entry.route == "settings.update" and entry.status == 200
    ]
    assert banners == [{"primary_calendar_connection_failed": True}]


async def test_a_paused_user_keeps_the_banner_as_it_is(served: Daemon) -> None:
    await served.round()
    lose(served.office, served.clock())
    sql(served.office, "UPDATE calendars SET paused_ms = 1 WHERE name = 'pam'")
    assert await served.connections.round()
    assert served.office.salesloft.count("settings.update") == 0
