"""A small company for tests: sellers' calendars at a simulated Google, a simulated Salesloft, and the judge of both.

`Office` writes real configuration files and runs the real program (`connector.app`) against the simulators on loopback.
`differences()` compares what Salesloft holds with what the sellers see, by an own, plain reading of the policy: it
shares no code with the connector.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5
from zoneinfo import ZoneInfo

import pytest

from connector.app import Summary, run_once
from connector.settings.files import load_settings
from connector.simulator.google import Calendar, GoogleWorld, make_google_app
from connector.simulator.google.quota import Quota
from connector.simulator.google.truth import Occurrence
from connector.simulator.processes import serve
from connector.simulator.salesloft import SalesloftWorld, StoredEvent, make_salesloft_app
from connector.store import Server, StatePlace
from tests.postgres import postgres_server
from tests.values import replace

KEY = "simulated-key"
NEVER_SENT = frozenset({"workingLocation", "birthday"})
BUSY_TYPES = frozenset({"outOfOffice", "focusTime", "fromGmail"})
KNOWN_TYPES = NEVER_SENT | BUSY_TYPES | {"default"}


def _state_url() -> str:
    """`GCAL_TEST_STATE=postgresql` runs everything that has an office on a PostgreSQL server."""
    return postgres_server().database() if os.environ.get("GCAL_TEST_STATE") == "postgresql" else ""


@dataclass
class Office:
    """Simulators, configuration and clock of one test."""

    directory: Path
    google: GoogleWorld
    salesloft: SalesloftWorld
    google_url: str
    salesloft_url: str
    clock: Callable[[], datetime]
    sellers: dict[str, Calendar] = field(default_factory=dict)
    internal_domains: list[str] = field(default_factory=lambda: ["example.com"])
    bookings: bool = False
    """Most tests count Salesloft's requests, and want no look-ups of meetings among them."""
    poll_interval: str = "1s"
    points_per_minute: int = 100_000
    past_days: int = 30
    future_days: int = 90
    state_url: str = field(default_factory=_state_url)
    """Of a PostgreSQL server; empty: a SQLite file."""
    process: str = ""
    """Further tables of connector.toml."""

    @property
    def config(self) -> Path:
        return self.directory / "config"

    @property
    def state(self) -> Path:
        """SQLite's file; who looks into it is about SQLite."""
        if self.state_url:
            pytest.skip("looks into SQLite's file")
        return self.directory / "state.db"

    @property
    def place(self) -> StatePlace:
        """Where the state is, as `connector.store` opens it."""
        return Server(self.state_url) if self.state_url else self.state

    def hire(
        self, name: str, time_zone: str = "America/New_York", key: str = KEY, **config: str
    ) -> Calendar:
        """A new seller `<name>@example.com` with a calendar, a Salesloft user and a configuration file.

        `key` is that of another team, which must be there.
        """
        email = f"{name}@example.com"
        self.sellers[name] = self.google.add_calendar(email, time_zone)
        self.salesloft.add_user(key, email, guid=guid_of(name))
        if key != KEY:
            _secret(self.config / "users" / f"{key}.key", key)
            config["extra"] = f'api_key_file = "{key}.key"\n{config.get("extra", "")}'
        self.configure(name, **config)
        return self.sellers[name]

    def configure(self, name: str, *, google: str = "", extra: str = "") -> None:
        """Write the seller's file, and the files of the process."""
        users = self.config / "users"
        users.mkdir(parents=True, exist_ok=True)
        _secret(self.config / "salesloft.key", KEY)
        (self.config / "connector.toml").write_text(
            f'[state]\nurl = "{self.state_url or f"sqlite:///{self.state}"}"\n'
            f'[salesloft]\napi_key_file = "salesloft.key"\napi_url = "{self.salesloft_url}"\n'
            f"points_per_minute = {self.points_per_minute}\n"
            f"[bookings]\nenabled = {str(self.bookings).lower()}\n"
            f"[policy]\ninternal_domains = {json.dumps(self.internal_domains)}\n"
            f'[sync]\npoll_interval = "{self.poll_interval}"\n'
            f"past_days = {self.past_days}\nfuture_days = {self.future_days}\n{self.process}"
        )
        credentials = self.google.add_authorized_user(f"{name}@example.com")
        _secret(users / f"{name}.json", json.dumps(credentials))
        (users / f"{name}.toml").write_text(
            f'[google]\ncredentials_file = "{name}.json"\napi_url = "{self.google_url}"\n{google}\n'
            f'[salesloft]\nuser_guid = "{guid_of(name)}"\n{extra}'
        )

    async def once(self, *, full: bool = False) -> Summary:
        """`run --once`, or with `full` `run --initial-sync`, in this process."""
        return await run_once(
            load_settings(self.config), asyncio.Event(), full=full, clock=self.clock
        )

    def upserts(self) -> list[dict[str, Any]]:
        """Bodies of all upserts so far that were answered, in order."""
        return [
            dict(entry.body)
            for entry in self.salesloft.log
            if entry.route == "events.upsert" and entry.body is not None
        ]

    def told(self) -> int:
        """How many requests Salesloft got so far that are no look-ups of settings or bookings."""
        looks = ("settings.search", "meetings.list")
        return sum(entry.route not in looks for entry in self.salesloft.log)

    def held(self, name: str) -> dict[tuple[str, str], StoredEvent]:
        """What Salesloft holds of a seller."""
        return self.salesloft.events(f"external_{guid_of(name)}")

    def set_stored_time(self, name: str, later: datetime) -> None:
        """Salesloft holds a later `updated_at` of everything of a seller than was ever sent."""
        rows = self.salesloft.team_of(guid_of(name)).calendars[f"external_{guid_of(name)}"]
        for key, row in rows.items():
            rows[key] = replace(row, event=replace(row.event, updated_at=later))

    def alive(self, name: str) -> dict[tuple[str, str], StoredEvent]:
        return {k: e for k, e in self.held(name).items() if e.status != "cancelled"}

    def window(self, name: str) -> tuple[datetime, datetime]:
        zone = self.sellers[name].zone
        today = self.clock().astimezone(zone).date()
        return (
            _midnight(today - timedelta(days=self.past_days), zone),
            _midnight(today + timedelta(days=self.future_days + 1), zone),
        )

    def differences(self) -> list[str]:
        """Every way in which Salesloft differs from what the sellers see, in words."""
        return [line for name in self.sellers for line in self._differences_of(name)]

    def _differences_of(self, name: str) -> list[str]:
        calendar = self.sellers[name]
        start, end = self.window(name)
        wanted = {
            (seen.id, seen.ical_uid): seen
            for seen in calendar.truth(start, end)
            if seen.event_type not in NEVER_SENT
        }
        held = {
            key: event
            for key, event in self.alive(name).items()
            if event.end > start and event.start < end
        }
        found = [f"{name}: missing {key}" for key in wanted.keys() - held.keys()]
        found += [f"{name}: extra {key} {held[key]}" for key in held.keys() - wanted.keys()]
        for key in wanted.keys() & held.keys():
            expected = self.expected(wanted[key], calendar)
            actual = _facts(held[key])
            found += [
                f"{name}: {key} {fact}: wanted {expected[fact]!r}, held {actual[fact]!r}"
                for fact in expected
                if expected[fact] != actual[fact]
            ]
        return found

    def expected(self, seen: Occurrence, calendar: Calendar) -> dict[str, Any]:
        """What Salesloft must hold of an occurrence."""
        declined = any(g.is_self and g.response_status == "declined" for g in seen.attendees)
        role = calendar.role_of(calendar.owner)
        facts: dict[str, Any] = {
            "start": _instant(seen.start, calendar.zone),
            "end": _instant(seen.end, calendar.zone),
            "all_day": seen.all_day,
            "status": seen.status,
            "transparency": "transparent" if declined else seen.transparency,
            "recurring": seen.recurring,
            "title": "",
            "description": "",
            "location": "",
            "organizer": "",
            "attendees": frozenset(),
        }
        if role == "freeBusyReader":
            # Who declined is a detail and withheld; whether the event blocks the slot is not.
            return facts | {"transparency": seen.transparency}
        if self._shown_in_full(seen):
            facts |= {
                "title": seen.summary or "",
                "description": seen.description or "",
                "location": seen.location or seen.video_link or "",
                "organizer": seen.organizer or "",
                "attendees": frozenset(
                    (g.email, g.display_name or "", g.response_status, g.organizer)
                    for g in seen.attendees
                    if g.email and not g.resource and not _below(g.email, "calendar.google.com")
                ),
            }
        return facts

    def _shown_in_full(self, seen: Occurrence) -> bool:
        if seen.visibility in ("private", "confidential"):
            return False
        if seen.event_type in BUSY_TYPES or seen.event_type not in KNOWN_TYPES:
            return False
        people = [g.email for g in seen.attendees if not g.resource and not g.is_self and g.email]
        host = seen.organizer or ""
        people.append(seen.creator or "" if _below(host, "calendar.google.com") else host)
        return any(self._external(email) for email in people)

    def _external(self, email: str) -> bool:
        if "@" not in email or _below(email, "calendar.google.com"):
            return False
        return not any(_below(email, domain) for domain in self.internal_domains)


@contextlib.asynccontextmanager
async def open_office(
    directory: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC), seed: int = 0
) -> AsyncIterator[Office]:
    """Both simulators on loopback, nobody hired yet."""
    google = GoogleWorld(now=clock, seed=seed)
    google.quota = Quota(1_000_000, 1_000_000)
    salesloft = SalesloftWorld(now=clock, seed=seed, limit_per_minute=1_000_000)
    salesloft.add_team(KEY)
    async with (
        serve(make_google_app(google)) as google_url,
        serve(make_salesloft_app(salesloft)) as salesloft_url,
    ):
        google.base_url = google_url
        yield Office(directory, google, salesloft, google_url, salesloft_url, clock)


def guid_of(name: str) -> str:
    return str(uuid5(NAMESPACE_DNS, f"{name}.example.com"))


def _secret(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def _facts(event: StoredEvent) -> dict[str, Any]:
    return {
        "start": event.start,
        "end": event.end,
        "all_day": event.all_day,
        "status": event.status,
        "transparency": event.transparency,
        "recurring": event.recurring,
        "title": event.title or "",
        "description": event.description or "",
        "location": event.location or "",
        "organizer": event.organizer or "",
        "attendees": frozenset(
            (a.email, a.name or "", a.status, a.organizer) for a in event.attendees
        ),
    }


def _below(email: str, domain: str) -> bool:
    of = email.rpartition("@")[2].lower()
    return of == domain or of.endswith("." + domain)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def _instant(when: datetime | date, zone: ZoneInfo) -> datetime:
    if isinstance(when, datetime):
        return when.astimezone(UTC)
    return _midnight(when, zone)
