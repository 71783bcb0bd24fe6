"""Each recorded sequence gives the occurrences that a person would expect; the expectations are written by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.app import run_once
from connector.settings.files import load_settings
from connector.simulator.processes import serve
from connector.simulator.salesloft import SalesloftWorld, StoredEvent, make_salesloft_app
from tests.recordings.replay import CHICAGO, RECORDED, Replay, recorded

pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="no recordings on this machine")

GUID = "00210d1a-df8a-459f-af75-89b953b618b0"
NOW = datetime(2025, 3, 23, 12, 50, tzinfo=UTC)
"""The day of most recordings: the window runs from 21 February to 21 June, the clocks went on 9 March."""
LAST = date(2025, 6, 21)


@dataclass
class Stage:
    """The connector between a replayed Google and a simulated Salesloft."""

    google: Replay
    salesloft: SalesloftWorld
    config: Path
    now: datetime = NOW
    sent: list[dict[str, Any]] = field(default_factory=list)

    async def cycle(self) -> int:
        """One cycle; how many upserts it sent."""
        before = len(self._sent())
        done = await run_once(
            load_settings(self.config), asyncio.Event(), full=False, clock=lambda: self.now
        )
        assert done.exit_status == 0
        return len(self._sent()) - before

    async def quiet(self) -> None:
        """The recording is told once more, which changes nothing; then there is nothing to tell."""
        self.google._number += 1
        assert await self.cycle() == 0
        self.google.feed = []
        self.google.asked = []
        assert await self.cycle() == 0
        assert self.google.asked == ["changes"]

    def shown(self) -> dict[str, str | None]:
        """What Salesloft holds alive: title by local start."""
        found = {}
        for event in self.held().values():
            if event.status != "cancelled":
                start = f"{event.start.astimezone(CHICAGO):%Y-%m-%d %H:%M}"
                assert start not in found, "twice in one slot"
                found[start] = event.title
        return found

    def held(self) -> dict[tuple[str, str], StoredEvent]:
        return self.salesloft.events(f"external_{GUID}")

    def _sent(self) -> list[Any]:
        return [entry for entry in self.salesloft.log if entry.route == "events.upsert"]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    google = Replay()
    salesloft = SalesloftWorld(now=lambda: NOW, limit_per_minute=100_000)
    salesloft.add_team("key")
    salesloft.add_user("key", "test.user@gmail.com", guid=GUID, time_zone="America/Chicago")
    async with serve(google.app()) as url, serve(make_salesloft_app(salesloft)) as to_salesloft:
        credentials = {
            "type": "authorized_user",
            "client_id": "replayed.apps.googleusercontent.example.com",
            "client_secret": "replayed",
            "refresh_token": "replayed",
            "token_uri": f"{url}/token",
        }
        for name, text in (("google.json", json.dumps(credentials)), ("salesloft.key", "key")):
            (tmp_path / name).touch(mode=0o600)
            (tmp_path / name).write_text(text)
        # Nothing of it is with a prospect: everything goes in full, so that titles can be compared.
        (tmp_path / "pam.toml").write_text(
            f'[google]\ncredentials_file = "google.json"\napi_url = "{url}"\n'
            f'[salesloft]\nuser_guid = "{GUID}"\napi_key_file = "salesloft.key"\n'
            f'api_url = "{to_salesloft}"\npoints_per_minute = 100000\n'
            '[policy]\ninternal_domains = ["gmail.com"]\ninternal = "full"\n'
            f'[state]\nurl = "sqlite:///{tmp_path}/state.db"\n'
        )
        yield Stage(google, salesloft, tmp_path / "pam.toml")


def days(first: str, last: date | str, clock: str, title: str) -> dict[str, str | None]:
    """A daily meeting from one day to another, both included."""
    day = date.fromisoformat(first)
    end = last if isinstance(last, date) else date.fromisoformat(last)
    found: dict[str, str | None] = {}
    while day <= end:
        found[f"{day} {clock}"] = title
        day += timedelta(days=1)
    return found


def before(items: list[dict[str, Any]], **original: Any) -> list[dict[str, Any]]:
    """The series as it was before the recording: its master alone, without an end."""
    return [{**items[0], "recurrence": ["RRULE:FREQ=DAILY"], **original}]


async def test_a_series_through_four_recordings(stage: Stage) -> None:
    """Created; its first occurrence moved to noon; everything renamed after a split; renamed once more."""
    assert await stage.cycle() == 0  # an empty calendar
    created = days("2025-03-24", LAST, "07:30", "🍽️ Dishes")
    stage.google.happens(recorded("compass-recur-create-create"))
    await stage.cycle()
    assert stage.shown() == created
    assert len(created) == 90
    await stage.quiet()

    stage.google.happens(recorded("compass-recur-edit-single-single-instance-1"))
    assert await stage.cycle() == 1
    moved = {k: v for k, v in created.items() if k != "2025-03-24 07:30"}
    assert stage.shown() == {**moved, "2025-03-24 12:30": "🍽️ Dishes (Modified)"}
    await stage.quiet()

    # Renamed for all, after it had been split at the 26th: the first occurrence stands at its old time again.
    stage.google.happens(recorded("compass-recur-edit-all-all-1"))
    # Each day's content, and from the 26th on also the old key: the new half has another iCalUID.
    assert await stage.cycle() == 90 + 88
    renamed = days("2025-03-24", LAST, "07:30", "🧽 Dishes")
    assert stage.shown() == renamed
    assert {e.description for e in alive(stage)} == {"Changed all occurrences"}
    await stage.quiet()

    stage.google.happens(recorded("compass-recur-edit-all-all-2"))
    assert await stage.cycle() == 90
    assert stage.shown() == renamed
    (text,) = {e.description for e in alive(stage)}
    assert text is not None
    assert text.startswith("Originally was")
    await stage.quiet()


def alive(stage: Stage) -> list[StoredEvent]:
    return [event for event in stage.held().values() if event.status != "cancelled"]


@dataclass(frozen=True, slots=True)
class Told:
    """One recorded increment: what stood there before, what stands there afterwards, and what had to be sent."""

    before: dict[str, str | None]
    after: dict[str, str | None]
    sent: int
    original: dict[str, Any] = field(default_factory=dict)


DISHES = days("2025-03-24", LAST, "07:30", "🍽️ Dishes")
JOURNAL = days("2025-03-12", LAST, "08:15", "📝 journal")
BREAKFAST = days("2025-02-21", LAST, "08:00", "🍜 Breakfast")
MEETING = days("2025-03-24", LAST, "10:00", "🗣️ Meeting w/ team")


def without(shown: dict[str, str | None], *starts: str) -> dict[str, str | None]:
    assert all(start in shown for start in starts)
    return {key: title for key, title in shown.items() if key not in starts}


TOLD = {
    # One occurrence goes from the morning to the evening, with another title.
    "edit-single-single-instance-2": Told(
        DISHES,
        {**without(DISHES, "2025-03-26 07:30"), "2025-03-26 20:45": "🌙 Dishes-Edited One"},
        sent=1,
    ),
    # Three occurrences have titles of their own; the master and the two older ones were only stamped again.
    "edit-single-single-instance-3": Told(
        DISHES,
        {
            **DISHES,
            "2025-03-26 07:30": "🧼 Dishes-Edited Just This One",
            "2025-03-27 07:30": "🫧 Dishes - Edited just this one",
            "2025-03-28 07:30": "🧺 Dishes - Just this one",
        },
        sent=3,
    ),
    # From the fourth day on it is another series: the same ids under a new iCalUID, the old keys cancelled.
    "edit-this-and-following-this-and-following-1": Told(
        DISHES,
        {
            **days("2025-03-24", "2025-03-26", "07:30", "🍽️ Dishes"),
            **days("2025-03-27", LAST, "07:30", "🧽 Dishes"),
        },
        sent=2 * 87,
    ),
    # The same with two exceptions before the split, which stay where they are.
    "edit-this-and-following-this-and-following-2": Told(
        JOURNAL,
        {
            **without(
                days("2025-03-12", "2025-03-25", "08:15", "📝 journal"),
                "2025-03-15 08:15",
                "2025-03-19 08:15",
            ),
            "2025-03-15 16:00": "📝 journal",
            "2025-03-20 16:30": "📝 journal",
            **days("2025-03-26", LAST, "08:15", "🐛 Journal - This And Following"),
        },
        sent=2 + 2 * 88,
    ),
    # One breakfast less, in a series that the same day was given an end: 31 March is the last.
    "delete-single-delete-single": Told(
        days("2025-02-21", "2025-03-31", "08:00", "🍜 Breakfast"),
        without(days("2025-02-21", "2025-03-31", "08:00", "🍜 Breakfast"), "2025-03-25 08:00"),
        sent=1,
        original={"recurrence": ["RRULE:FREQ=DAILY;UNTIL=20250401T045959Z"]},
    ),
    "delete-single-delete-single-2": Told(MEETING, without(MEETING, "2025-03-28 10:00"), sent=1),
}


@pytest.mark.parametrize("name", TOLD)
async def test_a_recorded_edit(stage: Stage, name: str) -> None:
    told, items = TOLD[name], recorded(f"compass-recur-{name}")
    stage.google.happens(before(items, **told.original), told=False)
    await stage.cycle()
    assert stage.shown() == told.before
    stage.google.happens(items)
    assert await stage.cycle() == told.sent
    assert stage.shown() == told.after
    await stage.quiet()


@pytest.mark.parametrize("name", TOLD)
async def test_the_same_as_a_full_listing(stage: Stage, name: str) -> None:
    """Whoever meets the calendar only afterwards sees the same."""
    stage.google.happens(recorded(f"compass-recur-{name}"), told=False)
    await stage.cycle()
    assert stage.shown() == TOLD[name].after
    await stage.quiet()


async def test_the_same_series_is_deleted_from_the_fifth_day_on(stage: Stage) -> None:
    """This and following: a trimmed master and the bare tombstone of an exception, both as recorded by parts."""
    items = recorded("compass-recur-delete-single-delete-single-2")
    stage.google.happens(items, told=False)
    await stage.cycle()
    master = {**items[0], "recurrence": ["RRULE:FREQ=DAILY;UNTIL=20250328T045959Z"]}
    bare = {key: items[1][key] for key in ("kind", "etag", "id", "status")}
    stage.google.happens([master, bare])
    # 28 March was cancelled already.
    assert await stage.cycle() == 85
    assert stage.shown() == days("2025-03-24", "2025-03-27", "10:00", "🗣️ Meeting w/ team")
    await stage.quiet()


@pytest.mark.parametrize("name", ["delete-all-all-1", "delete-all-all-2"])
async def test_a_recorded_deletion_of_all(stage: Stage, name: str) -> None:
    """One tombstone with four keys takes the whole series with it."""
    (tombstone,) = recorded(f"compass-recur-{name}")
    (master,) = recorded("compass-recur-create-create")
    uid = f"{tombstone['id']}@google.com"
    stage.google.happens([{**master, "id": tombstone["id"], "iCalUID": uid}], told=False)
    await stage.cycle()
    assert stage.shown() == DISHES
    stage.google.happens([tombstone])
    assert await stage.cycle() == len(DISHES)
    assert stage.shown() == {}
    assert all(event.canceled_at is not None for event in stage.held().values())
    await stage.quiet()


async def test_recorded_single_events(stage: Stage) -> None:
    """Timed ones of 2012 and 2013, their offsets not their zone's, and a day of 2022."""
    expected = {
        # -06:00 in a Chicago that had -05:00: the offset tells the moment.
        datetime(2012, 10, 26, 19, 5, tzinfo=UTC): {
            "2012-10-26 09:30": "No extendedProperties",
            "2012-10-26 14:00": "Meeting with Stan",
        },
        datetime(2013, 5, 10, 19, 5, tzinfo=UTC): {"2013-05-15 12:30": "Andrew, Jacob Party"},
        datetime(2022, 2, 27, 3, 0, tzinfo=UTC): {"2022-02-22 00:00": "Feb 22"},
    }
    stage.google.happens(
        recorded("compass-v1-gcal-timed") + recorded("compass-v1-gcal-allday"), told=False
    )
    seen: dict[str, str | None] = {}
    for stage.now, new in expected.items():
        await stage.cycle()
        seen |= new
        assert stage.shown() == seen
    days_off = [event for event in stage.held().values() if event.all_day]
    assert [(e.title, e.transparency) for e in days_off] == [("Feb 22", "transparent")]
