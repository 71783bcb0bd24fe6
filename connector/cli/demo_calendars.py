"""Fills the sellers' calendars: what an ordinary quarter looks like, around today, the same for every seed.

Times are the seller's wall clock; a series that runs over a change of the clocks keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

from connector.cli.demo_company import DOMAIN, SELLERS, Seller
from connector.cli.demo_control import Control

PROSPECTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "pam": (("Vance", "bob@vance.example.org"), ("Harper", "mira@harper.example.net")),
    "jim": (("Lackawanna", "ana@lackawanna.example.org"), ("Stone", "lee@stone.example.net")),
    "andy": (("Blau", "uwe@blau.example.org"), ("Dupont", "eva@dupont.example.net")),
}
"""Customers of each seller, and whom the seller meets there."""
COLLEAGUE = f"kelly.kapoor@{DOMAIN}"
ROOM = "c_188@resource.calendar.google.com"


@dataclass(frozen=True, slots=True)
class Filled:
    """The events that are going to be edited, by their names, for one seller."""

    ids: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.ids[name]


def local(seller: Seller, day: date, hour: int, minute: int = 0) -> str:
    """A time of the seller's wall clock, with its offset."""
    return datetime.combine(day, time(hour, minute), seller.zone).isoformat()


def workday(now: datetime, seller: Seller, number: int) -> date:
    """The seller's `number`th working day after today; a negative one lies in the past."""
    day = now.astimezone(seller.zone).date()
    step = timedelta(days=1 if number > 0 else -1)
    for _ in range(abs(number)):
        day += step
        while day.weekday() > 4:
            day += step
    return day


async def fill(control: Control, now: datetime, seed: int) -> dict[Seller, Filled]:
    """Fill all calendars around today; the events to edit, of each seller."""
    return {seller: await _fill_one(control, now, seller, seed) for seller in SELLERS}


async def _fill_one(control: Control, now: datetime, seller: Seller, seed: int) -> Filled:
    ids = await _series(control, now, seller)
    ids |= await _coming_days(control, now, seller)
    await _unusual_days(control, now, seller)
    await _everyday(control, now, seller, Random(f"{seed} {seller.name}"))  # noqa: S311
    return Filled(ids)


async def _series(control: Control, now: datetime, seller: Seller) -> dict[str, str]:
    (first, contact), (second, other) = PROSPECTS[seller.name]

    async def weekly(summary: str, workdays_ago: int, hour: int, **content: Any) -> str:
        start = datetime.combine(workday(now, seller, -workdays_ago), time(hour)).isoformat()
        return await control.act(
            seller, "create_series", summary=summary, start=start, time_zone=seller.time_zone,
            **content,
        )  # fmt: skip

    review = await weekly("Pipeline review", 30, 9, attendees=[COLLEAGUE, ROOM])
    checkin = await weekly(f"Check-in {first}", 29, 11, attendees=[contact], conference=True)
    await weekly(
        f"Steering {second}", 28, 15,
        rule="FREQ=WEEKLY;INTERVAL=2", attendees=[other, COLLEAGUE], location="Room 1",
    )  # fmt: skip
    return {"review": review, "checkin": checkin}


async def _coming_days(control: Control, now: datetime, seller: Seller) -> dict[str, str]:
    """Meetings of the next days, which the demo edits."""
    (first, contact), (second, other) = PROSPECTS[seller.name]

    async def meet(summary: str, day: int, hour: int, **content: Any) -> str:
        start = local(seller, workday(now, seller, day), hour)
        return await control.act(seller, "create", summary=summary, start=start, **content)

    invited = {"email": other, "displayName": f"{other.partition('@')[0].title()} of {second}"}
    guests = [{"email": contact, "displayName": contact.partition("@")[0].title()}, COLLEAGUE]
    text = "Agenda: prices, start in spring"
    return {
        "demo": await meet(f"Demo {first}", 1, 14, attendees=guests, description=text),
        "budget": await meet("Budget", 1, 12, attendees=[COLLEAGUE]),
        "contract": await meet(f"Contract {second}", 2, 13, attendees=[other], minutes=60),
        "pricing": await meet(f"Pricing {first}", 3, 10, attendees=[contact], location="Room 2"),
        "invitation": await control.act(
            seller, "invite", organizer=other, summary=f"Kick-off {second}",
            start=local(seller, workday(now, seller, 2), 17), attendees=[invited],
        ),
        "dentist": await meet("Dentist", 4, 8, visibility="private", description="2nd filling"),
    }  # fmt: skip


async def _unusual_days(control: Control, now: datetime, seller: Seller) -> None:
    """What is easily got wrong: whole days, absences, refusals, an occurrence of its own, a day at home."""
    (first, contact), _ = PROSPECTS[seller.name]
    whole, away, home = (workday(now, seller, number).isoformat() for number in (9, 15, 6))
    await control.act(seller, "create_all_day", summary="Trade fair", start=whole, days=2)
    await control.act(
        seller, "create", summary="Holidays", event_type="outOfOffice",
        start=local(seller, workday(now, seller, 14), 9), end=local(seller, workday(now, seller, 14), 18),
    )  # fmt: skip
    await control.act(
        seller, "create_all_day", summary="At home", start=home, event_type="workingLocation",
        visibility="public", transparency="transparent",
        extra={"workingLocationProperties": {"type": "homeOffice", "homeOffice": {}}},
    )  # fmt: skip
    declined = await control.act(
        seller, "invite", organizer=contact, summary=f"Webinar {first}",
        start=local(seller, workday(now, seller, 5), 12), attendees=[contact],
    )  # fmt: skip
    await control.act(seller, "rsvp", event_id=declined, response="declined")
    offsite = await control.act(
        seller, "create_series", summary="Offsite", start=away, rule="FREQ=MONTHLY;COUNT=3"
    )
    await control.act(seller, "set_visibility", event_id=offsite, visibility="confidential")


async def _everyday(control: Control, now: datetime, seller: Seller, rng: Random) -> None:
    """Single meetings around today, with and without prospects."""
    for number in range(rng.randint(8, 16)):
        name, contact = PROSPECTS[seller.name][number % 2]
        prospect = rng.random() < 0.6
        day = workday(now, seller, rng.choice([*range(-18, 0), *range(7, 55)]))
        await control.act(
            seller, "create",
            summary=f"Call {name}" if prospect else "One to one",
            start=local(seller, day, rng.randint(8, 17), rng.choice([0, 15, 30, 45])),
            minutes=rng.choice([15, 30, 45, 60]),
            attendees=[contact] if prospect else [COLLEAGUE],
            visibility=rng.choice(["default", "default", "default", "private"]),
            status=rng.choice(["confirmed", "confirmed", "tentative"]),
        )  # fmt: skip
