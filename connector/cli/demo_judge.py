"""Compares a calendar, as its seller sees it, with what Salesloft holds of it: occurrence by occurrence.

The policy is read here once more, plainly and without any code of the connector, so that a mistake there cannot hide
itself. It knows only what the demo's calendars hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from connector.cli.demo_company import DOMAIN, FUTURE_DAYS, PAST_DAYS, Seller
from connector.cli.demo_control import Control, Facts

Key = tuple[str, str]

_BUSY_TYPES = {"outOfOffice": "out of office", "focusTime": "focus time", "fromGmail": "from Gmail"}
_NEVER_SENT = frozenset({"workingLocation", "birthday"})
_CALENDARS = "calendar.google.com"
"""Addresses there name rooms and calendars, not people."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found for one seller; the lists hold lines for people."""

    seller: Seller
    wanted: int
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    different: tuple[str, ...]

    @property
    def equal(self) -> int:
        return self.wanted - len(self.missing) - len(self.different)

    @property
    def same(self) -> bool:
        return not (self.missing or self.extra or self.different)

    @property
    def differences(self) -> list[str]:
        kinds = (("missing", self.missing), ("extra", self.extra), ("different", self.different))
        return [f"{self.seller.name}: {kind}: {line}" for kind, lines in kinds for line in lines]


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares within one window, fixed at the start, so that midnight changes nothing."""

    now: datetime

    def window(self, seller: Seller) -> tuple[datetime, datetime]:
        today = self.now.astimezone(seller.zone).date()
        first, last = today - timedelta(days=PAST_DAYS), today + timedelta(days=FUTURE_DAYS + 1)
        return _midnight(first, seller), _midnight(last, seller)

    async def wanted(self, control: Control, seller: Seller) -> list[Facts]:
        """What Salesloft should know of: all that the seller sees, but for what is never sent."""
        seen = await control.seen(seller, *self.window(seller))
        return [one for one in seen if one["event_type"] not in _NEVER_SENT]

    def compare(self, seller: Seller, wanted: list[Facts], held: list[Facts]) -> Comparison:
        """Both sides of one seller, as `wanted` and `Control.held` give them."""
        start, end = self.window(seller)
        sees = {(one["id"], one["ical_uid"]): one for one in wanted}
        has = {
            (one["id"], one["i_cal_uid"]): one
            for one in held
            if one["status"] != "cancelled"
            and _time(one["end"]) > start
            and _time(one["start"]) < end
        }
        different = []
        for key in sorted(sees.keys() & has.keys()):
            names = _differing(_expected(sees[key], seller), _actual(has[key]))
            if names:
                different.append(f"{_shown(sees[key])}: {', '.join(names)}")
        return Comparison(
            seller,
            len(sees),
            tuple(_shown(sees[key]) for key in sorted(sees.keys() - has.keys())),
            tuple(_shown(has[key]) for key in sorted(has.keys() - sees.keys())),
            tuple(different),
        )


def kind_of(seen: Facts) -> str:
    """How an occurrence goes to Salesloft and why, in a few words."""
    full, why = _disclosure(seen)
    return f"{'full' if full else 'busy only'}, {why}"


def _disclosure(seen: Facts) -> tuple[bool, str]:
    """Whether it goes in full, and the reason."""
    if seen["visibility"] in ("private", "confidential"):
        return False, "private"
    if seen["event_type"] in _BUSY_TYPES:
        return False, _BUSY_TYPES[seen["event_type"]]
    people = [one["email"] for one in seen["attendees"] if not (one["resource"] or one["is_self"])]
    if any(map(_external, [*people, seen["organizer"]])):
        return True, "prospect"
    return False, "internal"


def _expected(seen: Facts, seller: Seller) -> Facts:
    full, _ = _disclosure(seen)
    all_day = len(seen["start"]) == len("2026-01-31")
    declined = any(
        one["is_self"] and one["response_status"] == "declined" for one in seen["attendees"]
    )
    return {
        "start": _moment(seen["start"], seller),
        "end": _moment(seen["end"], seller),
        "all day": all_day,
        "status": seen["status"],
        "transparency": "transparent" if declined else seen["transparency"],
        "recurring": seen["recurring"],
        "title": (full and seen["summary"]) or "",
        "description": (full and seen["description"]) or "",
        "location": (full and (seen["location"] or seen["video_link"])) or "",
        "organizer": (full and seen["organizer"]) or "",
        "attendees": _people(
            (one["email"], one["display_name"], one["response_status"])
            for one in seen["attendees"]
            if full and not one["resource"]
        ),
    }


def _actual(held: Facts) -> Facts:
    return {
        "start": _time(held["start"]),
        "end": _time(held["end"]),
        "all day": held["all_day"],
        "status": held["status"],
        "transparency": held["transparency"],
        "recurring": held["recurring"],
        "title": held["title"] or "",
        "description": held["description"] or "",
        "location": held["location"] or "",
        "organizer": held["organizer"] or "",
        "attendees": _people(
            (one["email"], one["name"], one["status"]) for one in held["attendees"]
        ),
    }


def _people(people: Iterable[tuple[str, str | None, str]]) -> frozenset[tuple[str, str, str]]:
    return frozenset((email, name or "", status) for email, name, status in people)


def _differing(expected: Facts, actual: Facts) -> list[str]:
    return [name for name in expected if expected[name] != actual[name]]


def _external(email: str | None) -> bool:
    domain = (email or "").rpartition("@")[2].lower()
    inside = (DOMAIN, _CALENDARS)
    return bool(domain) and not any(domain == own or domain.endswith(f".{own}") for own in inside)


def _shown(event: Facts) -> str:
    """One occurrence of either side, for people."""
    title = event.get("summary") or event.get("title") or "(no title)"
    return f'"{title}" {event["start"]} ({event["id"]})'


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _moment(text: str, seller: Seller) -> datetime:
    """A time, or the midnight with which a day begins for the seller."""
    if len(text) == len("2026-01-31"):
        return _midnight(date.fromisoformat(text), seller)
    return datetime.fromisoformat(text).astimezone(UTC)


def _midnight(day: date, seller: Seller) -> datetime:
    return datetime.combine(day, time.min, seller.zone).astimezone(UTC)
