"""Which facts of an event may leave the company. Pure rules; every verdict names the rule that gave it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from connector.domain.model import (
    Attendee,
    Event,
    EventStatus,
    EventType,
    Person,
    ResponseStatus,
)

CALENDAR_ADDRESSES = "calendar.google.com"
"""Addresses at or below this domain name calendars (rooms, groups, unknown organizers), not people."""


class Disclosure(StrEnum):
    """How much of an event is sent."""

    FULL = "full"
    BUSY_ONLY = "busy_only"
    NOTHING = "nothing"


class DeclinedRule(StrEnum):
    """What an event that the user declined becomes."""

    TRANSPARENT = "transparent"
    AS_IS = "as_is"
    NOTHING = "nothing"


class Rule(StrEnum):
    """The rules in the order in which they are asked; `explain` and `--dry-run` print these names."""

    EVENT_TYPE = "event_type"
    DECLINED = "declined"
    PRIVATE = "private"
    EXTERNAL_ATTENDEE = "external_attendee"
    EXTERNAL_ORGANIZER = "external_organizer"
    ATTENDEES_OMITTED_KNOWN = "attendees_omitted_known"
    ATTENDEES_OMITTED = "attendees_omitted"
    INTERNAL = "internal"


DEFAULT_EVENT_TYPES: dict[EventType, Disclosure] = {
    EventType.DEFAULT: Disclosure.FULL,
    EventType.OUT_OF_OFFICE: Disclosure.BUSY_ONLY,
    EventType.FOCUS_TIME: Disclosure.BUSY_ONLY,
    EventType.FROM_GMAIL: Disclosure.BUSY_ONLY,
    EventType.WORKING_LOCATION: Disclosure.NOTHING,
    EventType.BIRTHDAY: Disclosure.NOTHING,
    EventType.UNKNOWN: Disclosure.BUSY_ONLY,
}


@dataclass(frozen=True, slots=True)
class PolicyRules:
    """The `[policy]` table. `internal_domains` are lower-case; a subdomain of one is internal too.

    `event_types` is the most that an event of a type may show: `full` lets the other rules decide.
    """

    internal_domains: frozenset[str]
    private: Disclosure = Disclosure.BUSY_ONLY
    internal: Disclosure = Disclosure.BUSY_ONLY
    declined: DeclinedRule = DeclinedRule.TRANSPARENT
    event_types: dict[EventType, Disclosure] = field(
        default_factory=lambda: dict(DEFAULT_EVENT_TYPES)
    )
    video_link_as_location: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    disclosure: Disclosure
    rule: Rule
    transparent: bool = False
    """The slot does not block: transparent in Google, or declined by the user."""


def classify(event: Event, rules: PolicyRules, *, known_prospect: bool = False) -> Verdict:
    """The verdict on a living event. `known_prospect`: it was last sent in full with a complete list of attendees."""
    declined = declined_by_user(event)
    transparent = event.transparent or (declined and rules.declined is DeclinedRule.TRANSPARENT)
    disclosure, rule = _disclosure(event, rules, declined=declined, known_prospect=known_prospect)
    return Verdict(disclosure, rule, transparent)


def _disclosure(
    event: Event, rules: PolicyRules, *, declined: bool, known_prospect: bool
) -> tuple[Disclosure, Rule]:
    of_type = rules.event_types.get(event.event_type, Disclosure.BUSY_ONLY)
    if of_type is Disclosure.NOTHING:
        return Disclosure.NOTHING, Rule.EVENT_TYPE
    if declined and rules.declined is DeclinedRule.NOTHING:
        return Disclosure.NOTHING, Rule.DECLINED
    if event.private and rules.private is not Disclosure.FULL:
        return rules.private, Rule.PRIVATE
    if of_type is Disclosure.BUSY_ONLY:
        return Disclosure.BUSY_ONLY, Rule.EVENT_TYPE
    if any(is_external_attendee(attendee, rules) for attendee in event.attendees):
        return Disclosure.FULL, Rule.EXTERNAL_ATTENDEE
    if has_external_organizer(event, rules):
        return Disclosure.FULL, Rule.EXTERNAL_ORGANIZER
    if event.attendees_omitted:
        # Google cut the list: a prospect may be in the part that is missing. What was known stays known; else the
        # doubt is settled on the safe side.
        if known_prospect:
            return Disclosure.FULL, Rule.ATTENDEES_OMITTED_KNOWN
        return min_disclosure(rules.internal, Disclosure.BUSY_ONLY), Rule.ATTENDEES_OMITTED
    return rules.internal, Rule.INTERNAL


def min_disclosure(one: Disclosure, other: Disclosure) -> Disclosure:
    """The one that shows less."""
    order = (Disclosure.NOTHING, Disclosure.BUSY_ONLY, Disclosure.FULL)
    return min(one, other, key=order.index)


def declined_by_user(event: Event) -> bool:
    return event.status is not EventStatus.CANCELLED and any(
        attendee.is_self and attendee.response is ResponseStatus.DECLINED
        for attendee in event.attendees
    )


def is_external_attendee(attendee: Attendee, rules: PolicyRules) -> bool:
    """A person from elsewhere, whatever they answered. An attendee without an address decides nothing."""
    if attendee.is_self or attendee.is_resource:
        return False
    return is_external_address(attendee.email, rules)


def has_external_organizer(event: Event, rules: PolicyRules) -> bool:
    """An organizer from elsewhere; one that is a calendar, not a person, is judged by the creator."""
    organizer = event.organizer
    if organizer is not None and names_a_calendar(organizer.email):
        return _is_external_person(event.creator, rules)
    return _is_external_person(organizer, rules)


def _is_external_person(person: Person | None, rules: PolicyRules) -> bool:
    return person is not None and not person.is_self and is_external_address(person.email, rules)


def is_external_address(email: str | None, rules: PolicyRules) -> bool:
    domain = domain_of(email)
    if not domain or _at_or_below(domain, CALENDAR_ADDRESSES):
        return False
    return not any(_at_or_below(domain, internal) for internal in rules.internal_domains)


def names_a_calendar(email: str | None) -> bool:
    return _at_or_below(domain_of(email), CALENDAR_ADDRESSES)


def domain_of(email: str | None) -> str:
    """The lower-case domain of an address, without a trailing dot; empty if there is none."""
    if not email or "@" not in email:
        return ""
    return email.rsplit("@", 1)[1].strip().rstrip(".").lower()


def _at_or_below(domain: str, parent: str) -> bool:
    return domain == parent or domain.endswith("." + parent)
