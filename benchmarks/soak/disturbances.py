"""What goes wrong in the soak's company, and what its admin does, again and again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from benchmarks.soak.commands import Connector
from benchmarks.soak.company import Company
from connector.simulator.faults import FaultKind
from tests.office import KEY, guid_of
from tests.people import some_time

FAULTS: tuple[FaultKind, ...] = (
    "status",
    "html",
    "truncate",
    "slow",
    "reset_before",
    "reset_after",
)
FAULTY_SHARE = 0.01
KEY_OVERLAP_SECONDS = 20.0


@dataclass
class _Due:
    """What comes next, and how often; `at` is of the monotonic clock."""

    at: float
    every: float
    act: Callable[[], Awaitable[None]]


class Disturbances:
    """Each kind happens every so many seconds; `done` counts them."""

    def __init__(self, company: Company, connector: Connector, whole_seconds: float) -> None:
        self.done: Counter[str] = Counter()
        self._company = company
        self._office = company.office
        self._connector = connector
        self._paused: str | None = None
        self._broken: str | None = None
        self._meetings: list[int] = []
        self._refused: list[str] = []
        kinds: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (7, self.sync_token_expires),
            (11, self.meeting_is_booked),
            (17, self.meeting_changes),
            (23, self.file_is_written_anew),
            (29, self.access_tokens_expire),
            (31, self.event_is_refused),
            (37, self.list_goes_wrong),
            (47, self.user_is_paused),
            (61, self.file_is_broken),
            (whole_seconds / 2, self.key_is_rotated),
        ]
        now = time.monotonic()
        self._due = [_Due(now + every, every, act) for every, act in kinds]

    def begin(self) -> None:
        """A share of all calls fails from now on."""
        for faults in (self._office.google.faults, self._office.salesloft.faults):
            faults.random(FAULTY_SHARE, FAULTS)

    async def act(self) -> None:
        """Whatever is due by now, once."""
        for due in self._due:
            if due.at <= time.monotonic():
                due.at = time.monotonic() + due.every
                await due.act()
                self.done[due.act.__name__] += 1

    async def end(self) -> None:
        """Everything works again; what was refused is still refused."""
        self._office.google.faults.clear()
        self._office.google.list_faults.clear()
        self._office.salesloft.faults.clear()
        await self.resume()
        self.mend()

    def accept(self) -> None:
        """Salesloft takes what it refused."""
        for event_id in self._refused:
            self._office.salesloft.accept_event(event_id)

    async def sync_token_expires(self) -> None:
        self._office.google.expire_tokens(self._office.sellers[self._company.anyone()])

    async def access_tokens_expire(self) -> None:
        name = self._company.anyone()
        self._office.google.accounts.expire_access_tokens(f"{name}@example.com")

    async def list_goes_wrong(self) -> None:
        calendar = self._office.sellers[self._company.anyone()]
        self._office.google.faults_google("duplicate_item", calendar)
        self._office.google.faults_google("empty_page", calendar)

    async def meeting_is_booked(self) -> None:
        company, plants = self._company, self._company.plants
        start = some_time(company.rng, self._office.clock(), low=1)
        self._meetings.append(
            self._office.salesloft.book_meeting(
                guid_of(company.anyone()),
                start=start,
                end=start + timedelta(minutes=30),
                recipient_email=f"{plants.public()}@buyer.example.net",
                title=plants.public("Introduction"),
                description=plants.public("agenda:"),
                guests=[f"{plants.public()}@customer.example.org"],
            )
        )

    async def meeting_changes(self) -> None:
        """Moved or cancelled, once it is booked."""
        rng = self._company.rng
        booked = [
            number
            for number in self._meetings
            if self._office.salesloft.meeting(number).status == "booked"
        ]
        if not booked:
            return
        number = rng.choice(booked)
        if rng.random() < 0.5:
            start = some_time(rng, self._office.clock(), low=1)
            self._office.salesloft.reschedule_meeting(number, start, start + timedelta(minutes=30))
        else:
            self._office.salesloft.cancel_meeting(number)
            self._meetings.remove(number)

    async def event_is_refused(self) -> None:
        """A planted meeting changes, and Salesloft refuses it, quoting what it may know."""
        company, name = self._company, self._company.anyone()
        hidden = company.rng.random() < 0.5
        event_id = company.plant_hidden(name) if hidden else company.plant_full(name)
        event = self._office.sellers[name].occurrence(event_id)
        title = "" if hidden else str(event.fields["summary"])
        self._refused.append(event_id)
        self._office.salesloft.refuse_event(
            event_id, f"{title} of x@buyer.example.net could not be processed"
        )

    async def file_is_written_anew(self) -> None:
        file = self._company.file_of(self._company.anyone())
        file.write_text(file.read_text().partition("# ")[0] + f"# {time.time()}\n")

    async def file_is_broken(self) -> None:
        """A user's file is broken; at the next time it is mended, and another one breaks."""
        self.mend()
        self._broken = self._company.anyone()
        with self._company.file_of(self._broken).open("a") as file:
            file.write("# broken:\n[syncc]\n")

    def mend(self) -> None:
        if self._broken is not None:
            file = self._company.file_of(self._broken)
            file.write_text(file.read_text().partition("# ")[0])
            self._broken = None

    async def user_is_paused(self) -> None:
        """A user is paused; at the next time they go on, and another one is paused."""
        await self.resume()
        self._paused = self._company.anyone()
        await self._connector.command("pause", "--user", self._paused)

    async def resume(self) -> None:
        if self._paused is not None:
            await self._connector.command("resume", "--user", self._paused)
            self._paused = None

    async def key_is_rotated(self) -> None:
        """A new API key for the same team; the old ones are withdrawn a little later."""
        salesloft = self._office.salesloft
        old = [key for key in salesloft.keys if key != KEY]
        self._company.take_key(self._company.new_key())
        await asyncio.sleep(KEY_OVERLAP_SECONDS)
        for key in old:
            salesloft.withdraw_key(key)
