"""The workload model: what a seller's calendar holds, and what happens in it, the same for every benchmark.

450 occurrences in the window (30 days back, 90 ahead), half of them recurring; 65 changes a week, of which 3 are edits
of a whole series, or of one from some day on; in the first minutes of every hour ten times as many as otherwise. What
the model leaves open is chosen here: nine of ten changes are made in working hours (Monday to Friday, 8 to 18 in the
calendar's zone), most of what is not a series edit concerns an occurrence of the next two weeks, as many meetings are
made as are cancelled, and two of five meetings have a guest from outside.

Everything follows from a seed and the user's number:

    fill(calendar, seed, number, now)                     # into the simulator
    for seconds, change in changes(seed, number, zone, start, seconds=86_400):
        …wait…
        event_id = change.make(calendar, now)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from connector.simulator.google import Calendar
from connector.simulator.google.bodies import times
from connector.simulator.google.content import meet
from connector.simulator.google.truth import Occurrence

Body = dict[str, Any]
"""An event as Google's API has it."""

HOUR, WEEK = 3600.0, 7 * 86_400.0
WORK_BEGINS, WORK_ENDS = 8, 18
_SATURDAY = 5
_WORKING_HOURS_A_WEEK = (WORK_ENDS - WORK_BEGINS) * _SATURDAY
_LETTERS = "abcdefghijklmnopqrstuv"
_NEAR = timedelta(days=14)
COLLEAGUES = [f"colleague{number}@example.com" for number in range(40)]
PROSPECTS = [f"buyer{number}@customer{number % 25}.example.org" for number in range(100)]
_WORDS = [
    *("agenda", "pricing", "renewal", "contract", "pilot", "rollout", "security", "review"),
    *("next", "owner", "budget", "quarter", "call", "demo", "proposal", "legal"),
    *("onboarding", "status", "planning", "question", "follow", "up", "summary"),
]


@dataclass(frozen=True, slots=True)
class Model:
    """The figures of the model; `burst_seconds` at the beginning of each hour see `burst_factor` times the changes."""

    occurrences: int = 450
    recurring_share: float = 0.5
    changes_a_week: float = 65.0
    series_edits_a_week: float = 3.0
    burst_factor: float = 10.0
    burst_seconds: float = 180.0
    working_share: float = 0.9
    past_days: int = 30
    future_days: int = 90


MODEL = Model()


# -- what a calendar holds


def bodies(
    seed: int, user: int, now: datetime, zone: ZoneInfo, model: Model = MODEL
) -> Iterator[Body]:
    """The events of one calendar: `model.occurrences` in the window around `now`, once series are expanded."""
    rng = _random(seed, user, "events")
    today = now.astimezone(zone).date()
    days = [today + timedelta(days=n) for n in range(-model.past_days, model.future_days + 1)]
    working_days = [day for day in days if day.weekday() < _SATURDAY]
    recurring = round(model.occurrences * model.recurring_share)
    for _ in range(model.occurrences - recurring):
        yield _meeting(rng, rng.choice(working_days), zone)
    while recurring > 0:
        body, met = _series(rng, days, recurring, zone)
        recurring -= met
        yield body


def fill(calendar: Calendar, seed: int, user: int, now: datetime, model: Model = MODEL) -> None:
    """Put the events of one calendar into the simulator."""
    for body in bodies(seed, user, now, calendar.zone, model):
        _put(calendar, body)


def _put(calendar: Calendar, body: Body) -> str:
    start, end = times(body, calendar.zone)
    named = ("id", "summary", "start", "end", "recurrence", "attendees")
    return calendar.create(
        body["summary"],
        start,
        end,
        recurrence=body.get("recurrence", ()),
        attendees=body.get("attendees"),
        event_id=body["id"],
        extra={name: value for name, value in body.items() if name not in named},
    )


def _series(rng: Random, days: list[date], most: int, zone: ZoneInfo) -> tuple[Body, int]:
    """A series with `most` occurrences on these days at most, and how many it has."""
    kind = rng.random()
    weekday = rng.randrange(_SATURDAY)
    if kind < 0.1:
        rule, on = (
            "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
            [day for day in days if day.weekday() < _SATURDAY],
        )
    elif kind < 0.25:
        rule, on = "FREQ=WEEKLY;INTERVAL=2", [d for d in days if d.weekday() == weekday][::2]
    else:
        rule, on = "FREQ=WEEKLY", [day for day in days if day.weekday() == weekday]
    if len(on) > most:
        rule, on = f"{rule};COUNT={most}", on[:most]
    first = on[0] if "COUNT" in rule else on[0] - timedelta(weeks=8)
    return _meeting(rng, first, zone) | {"recurrence": [f"RRULE:{rule}"]}, len(on)


def _meeting(rng: Random, day: date, zone: ZoneInfo) -> Body:
    start = datetime.combine(day, time(rng.randrange(8, 18), 15 * rng.randrange(4)), zone)
    body: Body = {
        "id": "".join(rng.choices(_LETTERS, k=26)),
        "summary": _text(rng, 4),
        "start": _moment(start, zone),
        "end": _moment(start + timedelta(minutes=rng.choice((30, 30, 45, 60))), zone),
    }
    if rng.random() < 0.1:
        return body  # time for oneself
    guests = rng.sample(COLLEAGUES, rng.randint(1, 5))
    if rng.random() < 0.4:
        guests += rng.sample(PROSPECTS, rng.randint(1, 3))
    body["attendees"] = [{"email": guest, "displayName": _name(guest)} for guest in guests]
    if rng.random() < 0.5:
        body |= meet("".join(rng.choices(_LETTERS, k=10)))
    if rng.random() < 0.5:
        body["description"] = _text(rng, 50)
    if rng.random() < 0.05:
        body["visibility"] = "private"
    return body


def _moment(at: datetime, zone: ZoneInfo) -> dict[str, str]:
    return {"dateTime": at.isoformat(), "timeZone": zone.key}


def _name(email: str) -> str:
    return email.partition("@")[0].capitalize()


def _text(rng: Random, words: int) -> str:
    return " ".join(rng.choices(_WORDS, k=words)).capitalize()


# -- what happens in it


class Kind(Enum):
    """What somebody does. The first six concern one meeting, the others a series."""

    MAKE = "make"
    CANCEL = "cancel"
    MOVE = "move"
    REWORD = "reword"
    INVITE = "invite"
    ANSWER = "answer"
    REWORD_SERIES = "reword series"
    MOVE_SERIES = "move series"
    MOVE_FOLLOWING = "move this and following"


_OF_ONE = {
    Kind.MAKE: 16,
    Kind.CANCEL: 16,
    Kind.MOVE: 12,
    Kind.REWORD: 8,
    Kind.INVITE: 5,
    Kind.ANSWER: 5,
}
"""Shares among the changes of single meetings."""
_OF_SERIES = (Kind.REWORD_SERIES, Kind.MOVE_SERIES, Kind.MOVE_FOLLOWING)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that somebody will do; with what exactly follows from `pick` and what the calendar holds then."""

    kind: Kind
    pick: int

    @property
    def of_series(self) -> bool:
        """Whether this edits a series, not one meeting."""
        return self.kind in _OF_SERIES

    def make(self, calendar: Calendar, now: datetime) -> str | None:
        """Do it; gives the id of what was touched, None if the calendar holds nothing of the kind."""
        rng = Random(self.pick)
        if self.kind is Kind.MAKE:
            return _make(calendar, rng, now)
        near = calendar.truth(now, now + _NEAR)
        if self.of_series:
            near = [one for one in near if one.recurring_event_id is not None]
        if self.kind is Kind.ANSWER:
            near = [one for one in near if any(guest.is_self for guest in one.attendees)]
        if not near:
            return None
        return _DOES[self.kind](calendar, rng, rng.choice(near))


def changes(
    seed: int,
    user: int,
    zone: ZoneInfo,
    start: datetime,
    seconds: float,
    model: Model = MODEL,
) -> Iterator[tuple[float, Change]]:
    """What happens in one calendar: seconds after `start`, ascending, and the change.

    Times are a Poisson process whose rate knows the calendar's working hours and the bursts at the hour.
    """
    rng = _random(seed, user, "changes")
    most = max(_rate(model, working=True), _rate(model, working=False)) * model.burst_factor
    at = 0.0
    while (at := at - math.log(1.0 - rng.random()) / most) < seconds:
        if rng.random() * most < rate_at(start + timedelta(seconds=at), zone, model):
            yield at, _change(rng, model)


def rate_at(moment: datetime, zone: ZoneInfo, model: Model = MODEL) -> float:
    """Changes a second that one calendar sees on average at a moment."""
    local = moment.astimezone(zone)
    working = local.weekday() < _SATURDAY and WORK_BEGINS <= local.hour < WORK_ENDS
    rate = _rate(model, working=working)
    bursting = local.minute * 60 + local.second < model.burst_seconds
    return rate * model.burst_factor if bursting else rate


def _rate(model: Model, *, working: bool) -> float:
    """Changes a second outside of bursts."""
    hours = _WORKING_HOURS_A_WEEK if working else WEEK / HOUR - _WORKING_HOURS_A_WEEK
    share = model.working_share if working else 1 - model.working_share
    weight = HOUR + (model.burst_factor - 1) * model.burst_seconds
    return model.changes_a_week * share / hours / weight


def _change(rng: Random, model: Model) -> Change:
    if rng.random() * model.changes_a_week < model.series_edits_a_week:
        kind = rng.choice(_OF_SERIES)
    else:
        (kind,) = rng.choices(list(_OF_ONE), weights=list(_OF_ONE.values()))
    return Change(kind, rng.getrandbits(32))


def _make(calendar: Calendar, rng: Random, now: datetime) -> str:
    today = now.astimezone(calendar.zone).date()
    days = [today + timedelta(days=n) for n in range(1, _NEAR.days + 1)]
    working_days = [day for day in days if day.weekday() < _SATURDAY]
    return _put(calendar, _meeting(rng, rng.choice(working_days), calendar.zone))


def _cancel(calendar: Calendar, _: Random, target: Occurrence) -> str:
    return calendar.cancel_one(target.id)


def _move(calendar: Calendar, rng: Random, target: Occurrence) -> str:
    assert isinstance(target.start, datetime)
    return calendar.edit_one(target.id, start=target.start + _a_little(rng))


def _reword(calendar: Calendar, rng: Random, target: Occurrence) -> str:
    return calendar.edit_one(target.id, summary=_text(rng, 5))


def _invite(calendar: Calendar, rng: Random, target: Occurrence) -> str:
    return calendar.add_guest(target.id, rng.choice(PROSPECTS))


def _answer(calendar: Calendar, rng: Random, target: Occurrence) -> str:
    return calendar.rsvp(target.id, rng.choice(("accepted", "declined", "tentative")))


def _reword_series(calendar: Calendar, rng: Random, target: Occurrence) -> str:
    return calendar.edit_all(_series_of(target), summary=_text(rng, 5))


def _move_series(calendar: Calendar, rng: Random, target: Occurrence) -> str:
    series = calendar.expect(_series_of(target))
    assert isinstance(series.start, datetime)
    return calendar.edit_all(series.id, start=series.start + _a_little(rng))


def _move_following(calendar: Calendar, rng: Random, target: Occurrence) -> str:
    assert isinstance(target.start, datetime)
    return calendar.edit_following(target.id, start=target.start + _a_little(rng))


def _series_of(target: Occurrence) -> str:
    assert target.recurring_event_id is not None
    return target.recurring_event_id


def _a_little(rng: Random) -> timedelta:
    return timedelta(minutes=rng.choice((-60, -30, -15, 15, 30, 60)))


_DOES: dict[Kind, Callable[[Calendar, Random, Occurrence], str]] = {
    Kind.CANCEL: _cancel,
    Kind.MOVE: _move,
    Kind.REWORD: _reword,
    Kind.INVITE: _invite,
    Kind.ANSWER: _answer,
    Kind.REWORD_SERIES: _reword_series,
    Kind.MOVE_SERIES: _move_series,
    Kind.MOVE_FOLLOWING: _move_following,
}


def _random(seed: int, user: int, what: str) -> Random:
    return Random(f"{seed} {user} {what}")
