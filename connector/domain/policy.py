"""Which facts of an event may leave the company. Pure rules; every verdict names the rule that gave it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

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


class Verdict(msgspec.Struct, frozen=True, gc=False):
    disclosure: Disclosure
    rule: Rule
    transparent: bool = False
    """The slot does not block: transparent in Google, or declined by the user."""


@dataclass(frozen=True, slots=True)
class Step:
    """One rule that was asked of an event, in the order of the asking.

    `applies`: it gave the verdict, `disclosure`, and nothing was asked after it. `why`: in words, with counts but
    without any text, name or address of the event. `keys`: what decides it in the configuration, dotted.
    """

    rule: Rule
    applies: bool
    disclosure: Disclosure | None
    why: str
    keys: tuple[str, ...]


@dataclass(slots=True)
class _Case:
    """What the rules ask of. `declined`: by the user. `of_type`: the most that an event of this type may show."""

    event: Event
    rules: PolicyRules
    known_prospect: bool
    declined: bool
    of_type: Disclosure


def classify(event: Event, rules: PolicyRules, *, known_prospect: bool = False) -> Verdict:
    """The verdict on a living event. `known_prospect`: it was last sent in full with a complete list of attendees."""
    case = _case(event, rules, known_prospect)
    for rule, ask, _ in _ORDER:
        disclosure = ask(case)
        if disclosure is not None:
            return Verdict(disclosure, rule, _is_transparent(case))
    return Verdict(rules.internal, Rule.INTERNAL, _is_transparent(case))


def trace(event: Event, rules: PolicyRules, *, known_prospect: bool = False) -> tuple[Step, ...]:
    """How `classify` comes to its verdict: every rule that it asks; the last one applies."""
    case = _case(event, rules, known_prospect)
    steps: list[Step] = []
    for rule, ask, tell in _ORDER:
        disclosure = ask(case)
        why, *keys = tell(case, disclosure)
        steps.append(Step(rule, disclosure is not None, disclosure, why, tuple(keys)))
        if disclosure is not None:
            return tuple(steps)
    why = "nobody from outside takes part, as far as Google tells"
    return (*steps, Step(Rule.INTERNAL, True, rules.internal, why, ("policy.internal",)))


def _case(event: Event, rules: PolicyRules, known_prospect: bool) -> _Case:
    of_type = rules.event_types.get(event.event_type, Disclosure.BUSY_ONLY)
    return _Case(event, rules, known_prospect, declined_by_user(event), of_type)


def _is_transparent(case: _Case) -> bool:
    return case.event.transparent or (
        case.declined and case.rules.declined is DeclinedRule.TRANSPARENT
    )


# Each rule is a question, which gives its verdict or None, and the words for it. `classify` and `trace` ask the same
# questions in the same order; neither knows a rule that the other does not.


def _type_hidden(case: _Case) -> Disclosure | None:
    return Disclosure.NOTHING if case.of_type is Disclosure.NOTHING else None


def _declined_hidden(case: _Case) -> Disclosure | None:
    hidden = case.declined and case.rules.declined is DeclinedRule.NOTHING
    return Disclosure.NOTHING if hidden else None


def _private(case: _Case) -> Disclosure | None:
    private = case.event.private and case.rules.private is not Disclosure.FULL
    return case.rules.private if private else None


def _type_busy(case: _Case) -> Disclosure | None:
    return Disclosure.BUSY_ONLY if case.of_type is Disclosure.BUSY_ONLY else None


def _external_attendee(case: _Case) -> Disclosure | None:
    rules = case.rules
    for attendee in case.event.attendees:
        if is_external_attendee(attendee, rules):
            return Disclosure.FULL
    return None


def _external_organizer(case: _Case) -> Disclosure | None:
    return Disclosure.FULL if has_external_organizer(case.event, case.rules) else None


# Google cut the list: a prospect may be in the part that is missing. What was known stays known; else the doubt is
# settled on the safe side.


def _omitted_known(case: _Case) -> Disclosure | None:
    known = case.event.attendees_omitted and case.known_prospect
    return Disclosure.FULL if known else None


def _omitted(case: _Case) -> Disclosure | None:
    if not case.event.attendees_omitted:
        return None
    return min_disclosure(case.rules.internal, Disclosure.BUSY_ONLY)


Words = tuple[str, ...]
"""Why, and then the keys of the configuration that decide it."""


def _tell_type(case: _Case, _: Disclosure | None) -> Words:
    shown = case.of_type.value.replace("_", " ")
    kind = case.event.event_type.value
    why = "the other rules decide" if case.of_type is Disclosure.FULL else f"at most {shown}"
    return f"events of the type {kind}: {why}", f"policy.event_types.{kind}"


def _tell_declined(case: _Case, _: Disclosure | None) -> Words:
    if not case.declined:
        return "the user did not decline", "policy.declined"
    effect = {
        DeclinedRule.NOTHING: "not sent",
        DeclinedRule.TRANSPARENT: "sent like any other, but does not block the time",
        DeclinedRule.AS_IS: "sent like any other",
    }[case.rules.declined]
    return f"the user declined: {effect}", "policy.declined"


def _tell_private(case: _Case, disclosure: Disclosure | None) -> Words:
    if not case.event.private:
        return "its visibility is neither private nor confidential", "policy.private"
    if disclosure is None:
        return "private or confidential, which this policy shows like any other", "policy.private"
    return "its visibility is private or confidential", "policy.private"


def _tell_attendee(case: _Case, _: Disclosure | None) -> Words:
    of, outside = len(case.event.attendees), external_attendees(case.event, case.rules)
    return f"{outside} of {of} attendees are from outside", "policy.internal_domains"


def _tell_organizer(_: _Case, disclosure: Disclosure | None) -> Words:
    where = "from outside" if disclosure is not None else "not from outside, or not a person"
    return f"the organizer is {where}", "policy.internal_domains"


def _tell_omitted_known(case: _Case, disclosure: Disclosure | None) -> Words:
    if not case.event.attendees_omitted:
        return ("Google gives the whole list of attendees",)
    known = "was" if disclosure is not None else "was not"
    return (f"Google cut the list of attendees off, and a prospect {known} known before",)


def _tell_omitted(case: _Case, disclosure: Disclosure | None) -> Words:
    if disclosure is None:
        return ("Google gives the whole list of attendees",)
    return "Google cut the list of attendees off: who is missing may be anyone", "policy.internal"


_ORDER: tuple[
    tuple[
        Rule,
        Callable[[_Case], Disclosure | None],
        Callable[[_Case, Disclosure | None], Words],
    ],
    ...,
] = (
    (Rule.EVENT_TYPE, _type_hidden, _tell_type),
    (Rule.DECLINED, _declined_hidden, _tell_declined),
    (Rule.PRIVATE, _private, _tell_private),
    (Rule.EVENT_TYPE, _type_busy, _tell_type),
    (Rule.EXTERNAL_ATTENDEE, _external_attendee, _tell_attendee),
    (Rule.EXTERNAL_ORGANIZER, _external_organizer, _tell_organizer),
    (Rule.ATTENDEES_OMITTED_KNOWN, _omitted_known, _tell_omitted_known),
    (Rule.ATTENDEES_OMITTED, _omitted, _tell_omitted),
)
"""All rules but the last resort, `internal`. The type is asked twice: first what is never sent, then, after what the
user made private, what shows no more than the time."""


def min_disclosure(one: Disclosure, other: Disclosure) -> Disclosure:
    """The one that shows less."""
    order = (Disclosure.NOTHING, Disclosure.BUSY_ONLY, Disclosure.FULL)
    return min(one, other, key=order.index)


def declined_by_user(event: Event) -> bool:
    for attendee in event.attendees:
        if attendee.is_self and attendee.response is ResponseStatus.DECLINED:
            return event.status is not EventStatus.CANCELLED
    return False


def is_external_attendee(attendee: Attendee, rules: PolicyRules) -> bool:
    """A person from elsewhere, whatever they answered. An attendee without an address decides nothing."""
    if attendee.is_self or attendee.is_resource:
        return False
    return is_external_address(attendee.email, rules)


def external_attendees(event: Event, rules: PolicyRules) -> int:
    """How many people from elsewhere are invited."""
    return sum(is_external_attendee(attendee, rules) for attendee in event.attendees)


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
    for internal in rules.internal_domains:  # noqa: SIM110  # the hot path: `all` costs half as much again
        if _at_or_below(domain, internal):
            return False
    return True


def names_a_calendar(email: str | None) -> bool:
    return _at_or_below(domain_of(email), CALENDAR_ADDRESSES)


def domain_of(email: str | None) -> str:
    """The lower-case domain of an address, without a trailing dot; empty if there is none."""
    if not email or "@" not in email:
        return ""
    return email.rsplit("@", 1)[1].strip().rstrip(".").lower()


def _at_or_below(domain: str, parent: str) -> bool:
    return domain == parent or domain.endswith("." + parent)
