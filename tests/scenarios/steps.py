"""What scenarios share: a clock that a test sets, a known series, and `settle`, the end of every scenario."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connector.google import GoogleCalendar
from connector.simulator.google import Calendar
from connector.simulator.google.truth import Occurrence
from connector.simulator.google.world import LogEntry
from tests.office import Office
from tests.values import replace

AUTUMN = datetime(2026, 10, 20, 14, 7, tzinfo=UTC)
"""A Tuesday. The window holds the ends of summer time in Europe (25 October) and America (1 November)."""
SPRING = datetime(2026, 2, 10, 14, 7, tzinfo=UTC)
"""The window holds the beginnings of summer time in America (8 March) and Europe (29 March)."""
PROSPECT = {"email": "angela@buyer.example.net", "displayName": "Angela"}
COLLEAGUE = {"email": "jim@example.com"}
NEW_YORK = "America/New_York"


class Clock:
    """The time of simulators and connector; stands still until a test moves it."""

    def __init__(self, at: datetime = AUTUMN) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at.astimezone(UTC)

    def advance(self, **delta: float) -> None:
        self.at += timedelta(**delta)


def at(text: str, zone: str = NEW_YORK) -> datetime:
    """A wall-clock time in a zone."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@dataclass(frozen=True, slots=True)
class Settled:
    """What a cycle came to: the bodies that Salesloft was sent, and the questions that Google was asked."""

    sent: list[dict[str, Any]]
    asked: list[LogEntry]

    @property
    def cancelled(self) -> list[dict[str, Any]]:
        return [body for body in self.sent if body["status"] == "cancelled"]

    @property
    def alive(self) -> list[dict[str, Any]]:
        return [body for body in self.sent if body["status"] != "cancelled"]

    @property
    def questions(self) -> dict[str, int]:
        """How often each of Google's methods was called. `changes`, `listing` and `window` are `events.list`."""
        return dict(Counter(_question(entry) for entry in self.asked))

    def window_asked(self) -> list[tuple[str, str]]:
        """The bounds of the windows that were listed."""
        return [
            (entry.query["timeMin"], entry.query["timeMax"])
            for entry in self.asked
            if _question(entry) == "window"
        ]


CHANGES = {"changes": 1}
SERIES = {"changes": 1, "instances": 1}
"""What an edit of one series may cost: the feed, and that series over the window."""
FULL = {"listing": 1, "window": 1}
RESYNC = {**CHANGES, **FULL}
"""What the increment says makes a full listing necessary."""
GONE = {"get": 1}
"""What a full listing lacks is asked for by id, before it is cancelled."""


async def cycle(office: Office, *, exit_status: int = 0) -> Settled:
    """One cycle of all sellers: everything that was sent changed something, and nothing was sent twice."""
    before = {name: office.held(name) for name in office.sellers}
    sent, asked = len(written(office)), len(office.google.log)
    summary = await office.once()
    assert summary.exit_status == exit_status, summary
    done = Settled(
        written(office)[sent:],
        [entry for entry in office.google.log[asked:] if entry.route != "token"],
    )
    changed = {
        (f"external_{guid}", *key)
        for guid, key in (
            (event.calendar_id.removeprefix("external_"), key)
            for name in office.sellers
            for key, event in office.held(name).items()
            if _lasting(event) != _lasting(before[name].get(key))
        )
    }
    keys = [(body["calendar_id"], body["id"], body["i_cal_uid"]) for body in done.sent]
    assert sorted(keys) == sorted(changed)
    assert office.salesloft.overlaps == []
    assert office.salesloft.stale_writes == []
    return done


def written(office: Office) -> list[dict[str, Any]]:
    """All bodies that Salesloft was sent so far, one by one or in bulk, in order."""
    bodies: list[dict[str, Any]] = []
    for entry in office.salesloft.log:
        if entry.body is not None and entry.route == "events.upsert":
            bodies.append(dict(entry.body))
        elif entry.body is not None and entry.route == "bulk.data.create":
            bodies += entry.body["data"]
    return bodies


async def settle(
    office: Office,
    *,
    sent: int | None = None,
    asked: Mapping[str, int] | None = None,
    exit_status: int = 0,
) -> Settled:
    """One cycle makes everything true; one more sends nothing and asks for changes only."""
    done = await cycle(office, exit_status=exit_status)
    assert office.differences() == []
    if sent is not None:
        assert len(done.sent) == sent, [(b["id"], b["status"]) for b in done.sent]
    if asked is not None:
        assert done.questions == dict(asked)
    quiet = await cycle(office)
    assert quiet.sent == []
    assert quiet.questions == {"changes": len(office.sellers)}
    assert office.differences() == []
    return done


async def begin(office: Office) -> None:
    """The initial sync of what there is."""
    assert (await office.once(full=True)).exit_status == 0
    assert office.differences() == []


def weekly(calendar: Calendar, **content: Any) -> str:
    """A series with a prospect on Mondays at 9, New York: 17 occurrences in the window of `AUTUMN`."""
    content = {"attendees": [PROSPECT], "rule": "FREQ=WEEKLY", "time_zone": NEW_YORK, **content}
    start = content.pop("start", at("2026-09-28T09:00"))
    return calendar.create_series("Weekly", start, **content)


WEEKLY = 17


def occurrences(office: Office, series: str, seller: str = "pam") -> list[Occurrence]:
    """The occurrences of a series in the seller's window, by start. Other halves of it are other series."""
    seen = office.sellers[seller].truth(*office.window(seller))
    return [one for one in seen if one.recurring_event_id == series]


PAST, INSIDE, LATER, AHEAD, FURTHER = (
    "2026-08-20T09:00",
    "2026-10-22T09:00",
    "2026-12-02T09:00",
    "2027-03-01T09:00",
    "2027-06-01T09:00",
)
"""Times before, in and after the window of `AUTUMN`."""


def pitch(calendar: Calendar, when: str = INSIDE) -> str:
    """A meeting with a prospect."""
    return calendar.create("Pitch", at(when), attendees=[PROSPECT])


def held(office: Office, event_id: str) -> tuple[str | None, str]:
    """How Salesloft holds an event of Pam's: its status, and its start by her clock."""
    (event,) = [e for (held_id, _), e in office.held("pam").items() if held_id == event_id]
    local = event.start.astimezone(office.sellers["pam"].zone)
    return event.status, f"{local:%Y-%m-%dT%H:%M}"


def sql(office: Office, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Look into the state, or spoil it, while nobody uses it."""
    connection = sqlite3.connect(office.state)
    try:
        with connection:
            return connection.execute(statement, parameters).fetchall()
    finally:
        connection.close()


def set_policy(office: Office, *internal_domains: str) -> None:
    """Another `[policy] internal_domains` in the configuration; credentials stay as they are."""
    path = office.config / "connector.toml"
    old = _policy(office.internal_domains)
    office.internal_domains = list(internal_domains)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, _policy(office.internal_domains)))


def set_page_size(monkeypatch: pytest.MonkeyPatch, events: int) -> None:
    """Listings of all calendars show so many events a page."""
    monkeypatch.setattr(GoogleCalendar.__init__, "__kwdefaults__", {"page_size": events})


def _policy(domains: list[str]) -> str:
    quoted = ", ".join(f'"{domain}"' for domain in domains)
    return f"[policy]\ninternal_domains = [{quoted}]\n"


def _question(entry: LogEntry) -> str:
    if entry.route != "events.list":
        return entry.route.removeprefix("events.")
    if "syncToken" in entry.query:
        return "changes"
    return "window" if entry.query.get("singleEvents") == "true" else "listing"


def _lasting(event: Any) -> Any:
    """A stored event without what tells when it was told."""
    return event and replace(event, updated_at=None)


Edit = Callable[[Calendar, str, list[Occurrence]], object]
"""Something that a person does to a series (its id) with these occurrences."""
