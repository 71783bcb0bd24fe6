"""What sellers do all day: fills calendars, and makes seeded random edits through the simulator's person API."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from random import Random

from connector.simulator.google import Calendar
from connector.simulator.google.truth import Occurrence

PROSPECTS = ["dwight@customer.example.org", "angela@buyer.example.net"]
COLLEAGUES = ["jim@example.com", "kelly@sales.example.com"]
RULES = ["FREQ=WEEKLY", "FREQ=WEEKLY;BYDAY=MO,WE", "FREQ=DAILY;COUNT=20", "FREQ=MONTHLY"]


def guests(rng: Random) -> list[dict[str, str]]:
    kind = rng.random()
    if kind < 0.35:
        return []
    people = [rng.choice(COLLEAGUES)] + ([rng.choice(PROSPECTS)] if kind > 0.6 else [])
    return [{"email": email} for email in people]


def some_time(rng: Random, now: datetime, *, low: int = -25, high: int = 85) -> datetime:
    """A quarter of an hour on some day around now."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=rng.randint(low, high), minutes=15 * rng.randint(28, 76))


def fill(calendar: Calendar, rng: Random, now: datetime, *, singles: int, series: int) -> None:
    """A calendar of some months."""
    for number in range(singles):
        calendar.create(
            f"Meeting {number}",
            some_time(rng, now),
            minutes=rng.choice([15, 30, 60]),
            attendees=guests(rng),
            visibility=rng.choice(["default"] * 8 + ["private"]),
            transparency=rng.choice(["opaque"] * 8 + ["transparent"]),
        )
    for number in range(series):
        calendar.create_series(
            f"Series {number}",
            some_time(rng, now, low=-60, high=30),
            rule=rng.choice(RULES),
            attendees=guests(rng),
            time_zone=rng.choice(["America/New_York", "Europe/Berlin", "Asia/Kolkata"]),
        )


def random_edit(
    calendar: Calendar,
    rng: Random,
    now: datetime,
    window: tuple[datetime, datetime],
    spared: Collection[str] = (),
) -> str:
    """One thing that a person does; says what, for a failing test's sake. Events whose id, or whose
    series' id, is `spared` are left alone."""
    seen = [
        occurrence
        for occurrence in calendar.truth(*window)
        if occurrence.id not in spared and occurrence.recurring_event_id not in spared
    ]
    if not seen or rng.random() < 0.1:
        return "create " + calendar.create("New", some_time(rng, now), attendees=guests(rng))
    target = rng.choice(seen)
    actions = _SERIES_EDITS + _EDITS if target.recurring_event_id else _EDITS
    action = rng.choice(actions)
    action(calendar, rng, now, target)
    return f"{action.__name__} {target.id}"


def retitle(calendar: Calendar, rng: Random, _: datetime, target: Occurrence) -> None:
    calendar.edit_one(target.id, summary=f"Retitled {rng.randint(0, 999)}")


def move(calendar: Calendar, rng: Random, now: datetime, target: Occurrence) -> None:
    calendar.edit_one(target.id, start=some_time(rng, now, low=-40, high=100))


def cancel(calendar: Calendar, _: Random, __: datetime, target: Occurrence) -> None:
    calendar.cancel_one(target.id)


def invite_prospect(calendar: Calendar, rng: Random, _: datetime, target: Occurrence) -> None:
    calendar.edit_one(target.id, attendees=[{"email": rng.choice(PROSPECTS)}])


def make_private(calendar: Calendar, rng: Random, _: datetime, target: Occurrence) -> None:
    calendar.edit_one(target.id, visibility=rng.choice(["private", "default"]))


def answer(calendar: Calendar, rng: Random, _: datetime, target: Occurrence) -> None:
    if any(guest.is_self for guest in target.attendees):
        calendar.rsvp(target.id, rng.choice(["declined", "accepted", "tentative"]))


def retitle_all(calendar: Calendar, rng: Random, _: datetime, target: Occurrence) -> None:
    calendar.edit_all(_series(target), summary=f"All {rng.randint(0, 999)}")


def change_rule(calendar: Calendar, rng: Random, _: datetime, target: Occurrence) -> None:
    calendar.edit_all(_series(target), recurrence=[f"RRULE:{rng.choice(RULES)}"])


def retitle_following(calendar: Calendar, rng: Random, _: datetime, target: Occurrence) -> None:
    calendar.edit_following(target.id, summary=f"Following {rng.randint(0, 999)}")


def move_following(calendar: Calendar, rng: Random, _: datetime, target: Occurrence) -> None:
    if isinstance(target.start, datetime):
        calendar.edit_following(target.id, start=target.start + timedelta(hours=rng.randint(1, 3)))


def end_here(calendar: Calendar, _: Random, __: datetime, target: Occurrence) -> None:
    calendar.cancel_following(target.id)


def cancel_series(calendar: Calendar, _: Random, __: datetime, target: Occurrence) -> None:
    calendar.cancel_all(_series(target))


def _series(target: Occurrence) -> str:
    assert target.recurring_event_id is not None
    return target.recurring_event_id


Edit = Callable[[Calendar, Random, datetime, Occurrence], None]
_EDITS: list[Edit] = [retitle, move, cancel, invite_prospect, make_private, answer]
_SERIES_EDITS: list[Edit] = [
    retitle_all,
    change_rule,
    retitle_following,
    move_following,
    end_here,
    cancel_series,
]
