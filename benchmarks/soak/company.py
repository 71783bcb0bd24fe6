"""Who works in the soak's company, and what they do all day."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.soak.plants import Plants
from connector.simulator.google import Calendar
from connector.simulator.google.quota import Quota
from tests.office import KEY, Office, guid_of
from tests.people import COLLEAGUES, fill, random_edit, some_time

POINTS_PER_MINUTE = 600
SIGNED_IN = 10
"""So many sellers have a file of their own; a service account acts for the others."""
SINGLES, SERIES = 25, 2
PLANTED_SHARE = 0.15
"""Of all edits, so many are made to planted meetings; `random_edit` makes the others."""


@dataclass
class Company:
    """Sellers, their planted meetings and what is edited."""

    office: Office
    rng: Random
    plants: Plants
    port: int
    hidden: dict[str, list[str]] = field(default_factory=dict)
    """Seller → ids of planted meetings that are withheld."""
    full: dict[str, list[str]] = field(default_factory=dict)
    """Seller → ids of planted meetings with prospects."""
    spared: set[str] = field(default_factory=set)
    """All planted meetings, also those that are no longer in either."""
    edits: int = 0
    poll_interval: str = "30s"

    def found(self, users: int) -> None:
        """Calendars, users and files for everybody."""
        office = self.office
        office.google.quota = Quota()
        office.points_per_minute = POINTS_PER_MINUTE
        office.salesloft.set_limit(KEY, POINTS_PER_MINUTE)
        self.plants.keep_secret("API key", KEY)
        account = office.google.add_service_account()
        self.write_secret("google.json", self.plants.keep_secrets_of(account))
        self.write_secret("listen.token", self.plants.secret("token of the listener", "lt-"))
        self.take_key(self.new_key())
        (office.config / "users").mkdir()
        (office.config / "connector.toml").write_text(
            f'[state]\nurl = "sqlite:///{office.state}"\n'
            f'[google]\ncredentials_file = "google.json"\napi_url = "{office.google_url}"\n'
            f'[salesloft]\napi_key_file = "salesloft.key"\napi_url = "{office.salesloft_url}"\n'
            f"points_per_minute = {POINTS_PER_MINUTE}\n"
            f"[policy]\ninternal_domains = {json.dumps(office.internal_domains)}\n"
            f'[sync]\npoll_interval = "{self.poll_interval}"\n'
            f"past_days = {office.past_days}\nfuture_days = {office.future_days}\n"
            f'[observability]\nlisten = "127.0.0.1:{self.port}"\ntoken_file = "listen.token"\n'
            'log_format = "json"\nuser_labels = true\n'
        )
        for number in range(users):
            self._hire(f"seller{number:03}", signed_in=number < SIGNED_IN)

    def new_key(self) -> str:
        """A further API key of the same team."""
        key = self.plants.secret("API key", "v2_ak_")
        self.office.salesloft.add_key(self.office.salesloft.keys[KEY].team, key)
        return key

    def take_key(self, key: str) -> None:
        """The key that the connector is to use."""
        self.write_secret("salesloft.key", key)

    def write_secret(self, name: str, text: str) -> None:
        path = self.office.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)

    def file_of(self, seller: str) -> Path:
        return self.office.config / "users" / f"{seller}.toml"

    def anyone(self) -> str:
        return self.rng.choice(list(self.office.sellers))

    def edit(self) -> None:
        """Somebody does something."""
        name, now = self.anyone(), self.office.clock()
        calendar = self.office.sellers[name]
        if self.rng.random() < PLANTED_SHARE:
            self._edit_planted(name, calendar)
        else:
            random_edit(calendar, self.rng, now, self.office.window(name), self.spared)
        self.edits += 1

    def plant_hidden(self, name: str) -> str:
        """A meeting of which nothing may be told but its time; one of several kinds."""
        calendar, plants, kind = self.office.sellers[name], self.plants, self.rng.randrange(5)
        words: dict[str, Any] = {
            "description": plants.hidden("we will say that"),
            "location": plants.hidden("room"),
        }
        start = some_time(self.rng, self.office.clock(), low=0)
        colleague = {
            "email": f"{plants.hidden()}@sales.example.com",
            "displayName": plants.hidden("K."),
        }
        prospect = {
            "email": f"{plants.hidden()}@customer.example.org",
            "displayName": plants.hidden("D."),
        }
        title = plants.hidden("Merger")
        if kind == 0:
            made = calendar.create(
                title, start, visibility="private", attendees=[prospect], conference="meet", **words
            )
        elif kind == 1:
            made = calendar.create(title, start, attendees=[colleague], **words)
        elif kind == 2:
            made = calendar.create(
                title, start, event_type="outOfOffice", attendees=[prospect], **words
            )
        elif kind == 3:
            made = calendar.invite(
                colleague, title, start=start, attendees=[{"email": COLLEAGUES[0]}], **words
            )
        else:
            made = calendar.create_series(
                title, start, rule="FREQ=WEEKLY;COUNT=4", attendees=[colleague], **words
            )
        self.hidden.setdefault(name, []).append(made)
        self.spared.add(made)
        return made

    def plant_full(self, name: str) -> str:
        """A meeting with a prospect, full of words that may be sent and be told nowhere else."""
        plants = self.plants
        made = self.office.sellers[name].create(
            plants.public("Offer"),
            some_time(self.rng, self.office.clock(), low=0),
            description=plants.public("terms:"),
            location=plants.public("at their office"),
            attendees=[
                {
                    "email": f"{plants.public()}@buyer.example.net",
                    "displayName": plants.public("A."),
                }
            ],
        )
        self.full.setdefault(name, []).append(made)
        self.spared.add(made)
        return made

    def _hire(self, name: str, *, signed_in: bool) -> None:
        office, email = self.office, f"{name}@example.com"
        zone = self.rng.choice(["America/New_York", "Europe/Berlin", "Asia/Kolkata"])
        calendar = office.sellers[name] = office.google.add_calendar(email, zone)
        office.salesloft.add_user(KEY, email, guid=guid_of(name))
        fill(calendar, self.rng, office.clock(), singles=SINGLES, series=SERIES)
        self.plant_hidden(name)
        self.plant_full(name)
        who = f'subject = "{email}"'
        if signed_in:
            credentials = office.google.add_authorized_user(email)
            self.write_secret(f"users/{name}.json", self.plants.keep_secrets_of(credentials))
            who = f'credentials_file = "{name}.json"'
        self.file_of(name).write_text(
            f'[google]\n{who}\n[salesloft]\nuser_guid = "{guid_of(name)}"\n'
        )

    def _edit_planted(self, name: str, calendar: Calendar) -> None:
        plants, rng = self.plants, self.rng
        hidden, full = self.hidden.get(name, []), self.full.get(name, [])
        what = rng.randrange(6)
        if what == 0 or not hidden or not full:
            self.plant_hidden(name)
            self.plant_full(name)
        elif what == 1:
            calendar.edit_one(
                rng.choice(hidden),
                summary=plants.hidden("Layoffs"),
                description=plants.hidden("list:"),
                location=plants.hidden("basement"),
            )
        elif what == 2:
            calendar.edit_one(rng.choice(full), summary=plants.public("Offer"))
        elif what == 3:  # withheld from now on: what was sent is blanked, what waits must not go
            calendar.edit_one(full.pop(rng.randrange(len(full))), visibility="private")
        elif what == 4:
            calendar.cancel_one(hidden.pop(rng.randrange(len(hidden))))
        else:
            start = some_time(rng, self.office.clock(), low=0) + timedelta(minutes=5)
            calendar.edit_one(rng.choice(full), start=start)
