"""What Salesloft must hold, by an own reading of the contract; shares no code with the connector.

The truth is the Google simulator's own expansion (`Calendar.truth`). Where Google does not show the connector what the
person sees (free/busy role, a list of attendees that is cut off, an end before the start), the judge allows what can be
known from the outside, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connector.simulator.google import Calendar
from connector.simulator.google.truth import Occurrence
from connector.simulator.salesloft import StoredEvent

Key = tuple[str, str]
NEVER_SENT = frozenset({"workingLocation", "birthday"})
BUSY_TYPES = frozenset({"outOfOffice", "focusTime", "fromGmail"})
TEXT = ("title", "description", "location", "organizer")
_FAR = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Rules:
    """The `[policy]` table as the person wrote it."""

    internal_domains: tuple[str, ...] = ("example.com",)
    private: str = "busy_only"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What must stand in Salesloft of one occurrence. `text` None: nothing of it may be shown.

    `attendees` None: Google cut the list off, so that it cannot be told which list stands there; `perhaps_blank`: then
    it may also be that nothing is shown, if the connector never knew of a prospect.
    """

    facts: dict[str, Any]
    text: dict[str, str] | None
    attendees: frozenset[tuple[str, str, str, bool]] | None = frozenset()
    perhaps_blank: bool = False


def window(calendar: Calendar, now: datetime, past: int, future: int) -> tuple[datetime, datetime]:
    """The contract's window: whole days of the calendar's zone."""
    today = now.astimezone(calendar.zone).date()
    return (
        _midnight(today - timedelta(days=past), calendar.zone),
        _midnight(today + timedelta(days=future + 1), calendar.zone),
    )


def wanted_of(seen: Occurrence, calendar: Calendar, rules: Rules) -> Wanted | None:
    """None: Salesloft must not hold it alive, nor any text of it."""
    role = calendar.role_of(calendar.owner)
    restricted = seen.visibility in ("private", "confidential")
    scrubbed = role == "freeBusyReader" or (
        role in ("reader", "writerWithoutPrivateAccess") and restricted
    )
    facts: dict[str, Any] = {
        "start": instant(seen.start, calendar.zone),
        "end": instant(seen.end, calendar.zone),
        "all_day": seen.all_day,
        "status": seen.status,
        "transparency": seen.transparency,
        "recurring": seen.recurring,
    }
    if scrubbed:
        # Google shows neither type nor attendees, and calls everything private.
        return None if rules.private == "nothing" else Wanted(facts, None)
    if seen.event_type in NEVER_SENT or (restricted and rules.private == "nothing"):
        return None
    if any(guest.is_self and guest.response_status == "declined" for guest in seen.attendees):
        facts["transparency"] = "transparent"
    if (restricted and rules.private != "full") or seen.event_type in BUSY_TYPES:
        return Wanted(facts, None)
    people = [g.email for g in seen.attendees if not g.resource and not g.is_self and g.email]
    host = seen.organizer or ""
    hosts = [seen.creator or "" if below(host, "calendar.google.com") else host]
    # The calendar's own address is `self`, never external, whatever the configuration says.
    hosts = [email for email in hosts if email.casefold() not in calendar.own_addresses]
    text = {
        "title": seen.summary or "",
        "description": seen.description or "",
        "location": seen.location or seen.video_link or "",
        "organizer": host,
    }
    if is_omitted(seen, calendar):
        known = any(_external(email, rules) for email in hosts)
        return Wanted(facts, text, None, perhaps_blank=not known)
    if not any(_external(email, rules) for email in people + hosts):
        return Wanted(facts, None)
    attendees = frozenset(
        (g.email, g.display_name or "", g.response_status, g.organizer)
        for g in seen.attendees
        if g.email and not g.resource and not below(g.email, "calendar.google.com")
    )
    return Wanted(facts, text, attendees)


def differences(
    calendar: Calendar,
    rules: Rules,
    held: dict[Key, StoredEvent],
    start: datetime,
    end: datetime,
) -> list[str]:
    """Every way in which Salesloft differs from what the person sees in the window, in words."""
    truth = {(seen.id, seen.ical_uid): seen for seen in calendar.truth(start, end)}
    everything = calendar.truth(start - _FAR, end + _FAR)
    aside = {(seen.id, seen.ical_uid) for seen in everything if is_set_aside(seen, calendar)}
    wanted = {key: wanted_of(seen, calendar, rules) for key, seen in truth.items()}
    found = []
    for key, event in held.items():
        if key in aside or key[0] in {uid for uid, _ in aside}:
            continue
        alive = event.status != "cancelled"
        inside = event.end > start and event.start < end
        if alive and inside and wanted.get(key) is None:
            found.append(f"extra {key} {event}")
        if key in wanted and wanted[key] is None and (_text_of(event) or event.attendees):
            found.append(f"text of {key} stands although nothing of it may be shown: {event}")
    for key, want in wanted.items():
        if want is None or key in aside:
            continue
        event_held = held.get(key)
        if event_held is None or event_held.status == "cancelled":
            found.append(f"missing {key} {truth[key].start} ({event_held})")
            continue
        found += [f"{key} {line}" for line in _compare(want, event_held)]
    return found


def _compare(want: Wanted, event: StoredEvent) -> list[str]:
    actual = {name: getattr(event, name) for name in want.facts}
    found = [
        f"{name}: wanted {value!r}, held {actual[name]!r}"
        for name, value in want.facts.items()
        if actual[name] != value
    ]
    text = _text_of(event)
    people = frozenset((a.email, a.name or "", a.status, a.organizer) for a in event.attendees)
    blank = not text and not people
    if want.text is None or (want.perhaps_blank and blank):
        return found + ([] if blank else [f"not blank: {text} {sorted(map(str, people))}"])
    shown = {name: value for name, value in want.text.items() if value}
    if text != shown:
        found.append(f"text: wanted {shown}, held {text}")
    if want.attendees is not None and people != want.attendees:
        found.append(
            f"attendees: wanted {sorted(map(str, want.attendees))}, held {sorted(map(str, people))}"
        )
    return found


def leaks(
    calendar: Calendar, rules: Rules, bodies: list[dict[str, Any]], now: datetime
) -> list[str]:
    """Bodies that say more than what may be said of their occurrences as they are now."""
    truth = {
        (seen.id, seen.ical_uid): wanted_of(seen, calendar, rules)
        for seen in calendar.truth(now - _FAR, now + _FAR)
    }
    found = []
    for body in bodies:
        said = {name: body[name] for name in TEXT if body.get(name)}
        if not said and not body.get("attendees"):
            continue
        want = truth.get((body["id"], body["i_cal_uid"]))
        allowed = want.text if want is not None and want.text is not None else {}
        if any(allowed.get(name, "") != value for name, value in said.items()):
            found.append(f"sent of {body['id']}: {said}, allowed {allowed}")
        if body.get("attendees") and not allowed:
            found.append(f"sent attendees of {body['id']}: {body['attendees']}")
    return found


def is_set_aside(seen: Occurrence, calendar: Calendar) -> bool:
    """An event that ends before it starts is set aside: nothing is said about it."""
    begin, finish = instant(seen.start, calendar.zone), instant(seen.end, calendar.zone)
    return finish < begin or seen.all_day != (not isinstance(seen.end, datetime))


def is_omitted(seen: Occurrence, calendar: Calendar) -> bool:
    """Whether Google cuts the list of attendees off."""
    row = calendar.find(seen.id)
    return row is not None and row.omit_attendees and bool(row.fields.get("attendees"))


def _text_of(event: StoredEvent) -> dict[str, str]:
    return {name: value for name in TEXT if (value := getattr(event, name))}


def _external(email: str, rules: Rules) -> bool:
    if "@" not in email or below(email, "calendar.google.com"):
        return False
    return not any(below(email, domain) for domain in rules.internal_domains)


def below(email: str, domain: str) -> bool:
    of = email.rpartition("@")[2].lower()
    return of == domain or of.endswith("." + domain)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def instant(when: datetime | date, zone: ZoneInfo) -> datetime:
    """The moment in UTC; a date begins at midnight of the zone."""
    if isinstance(when, datetime):
        return when.astimezone(UTC)
    return _midnight(when, zone)
