"""The process dies at every commit and at every network call of a cycle, before and after it took effect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from connector.store import Database
from tests.office import Office, open_office

PROSPECT = {"email": "dwight@customer.example.org"}


class Death(BaseException):
    """The process is gone: no handler of the program may catch this."""


@dataclass
class Reaper:
    """Kills at the `at`-th step, before it happens or right after."""

    at: int
    after: bool
    steps: int = 0
    struck: bool = False

    async def step(self, act: Any) -> Any:
        self.steps += 1
        mine = self.steps == self.at
        if mine and not self.after:
            self.struck = True
            raise Death
        result = await act()
        if mine:
            self.struck = True
            raise Death
        return result


@asynccontextmanager
async def reaping(reaper: Reaper) -> AsyncIterator[None]:
    """Every commit and every request of this process is a step."""
    commit, request = Database.run, aiohttp.ClientSession._request

    async def commit_or_die(self: Database, function: Any) -> Any:
        return await reaper.step(lambda: commit(self, function))

    async def request_or_die(self: aiohttp.ClientSession, *args: Any, **kwargs: Any) -> Any:
        return await reaper.step(lambda: request(self, *args, **kwargs))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "run", commit_or_die)
        patch.setattr(aiohttp.ClientSession, "_request", request_or_die)
        yield


async def die_once(office: Office, reaper: Reaper) -> None:
    """One run that dies at the reaper's step, if it has so many."""
    try:
        async with reaping(reaper):
            await office.once()
    except Death:
        return
    except BaseExceptionGroup as group:
        if group.split(Death)[1] is not None:
            raise


async def prepared(directory: Path, *, bulk: bool) -> AsyncIterator[Office]:
    async with open_office(directory) as office:
        pam = office.hire("pam")
        now = office.clock().replace(minute=0, second=0, microsecond=0)
        pitch = pam.create("Pitch", now + timedelta(hours=4), attendees=[PROSPECT])
        weekly = pam.create_series("Weekly", now + timedelta(hours=1), attendees=[PROSPECT])
        if bulk:
            config = office.config / "connector.toml"
            text = config.read_text()
            config.write_text(text.replace("[salesloft]\n", "[salesloft]\nbulk_threshold = 3\n"))
            office.salesloft.switches.bulk_seconds_per_record = 0.0
        await office.once(full=True)
        pam.move_in_time(pitch, now + timedelta(hours=6))
        third = [o for o in pam.truth(*office.window("pam")) if o.recurring_event_id == weekly][2]
        pam.edit_following(third.id, summary="New half")
        pam.create("New", now + timedelta(days=3))
        yield office


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("bulk", [False, True], ids=["singly", "in bulk"])
async def test_death_at_every_step_loses_nothing(tmp_path: Path, after: bool, bulk: bool) -> None:
    at, finished = 0, False
    while not finished:
        at += 1
        async for office in prepared(tmp_path / str(at), bulk=bulk):
            reaper = Reaper(at, after)
            await die_once(office, reaper)
            finished = not reaper.struck
            summary = await office.once()
            assert summary.exit_status == 0, f"step {at}"
            assert office.differences() == [], f"step {at}"
            before = office.told()
            await office.once()
            assert office.told() == before, f"step {at}"
            assert office.salesloft.stale_writes == [], f"step {at}"
            assert office.salesloft.bulk_conflicts == [], f"step {at}"
            states = [j.state for j in office.salesloft.writers[1].queue.jobs.values()]
            assert set(states) <= {"done"}, f"step {at}"
    assert at > 15
