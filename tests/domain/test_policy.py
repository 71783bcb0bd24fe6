"""What may leave the company: the defaults, each option of [policy], and each settled question of the contract."""

from __future__ import annotations

import pytest

from connector.domain.model import Attendee, Event, EventStatus, EventType, Person, ResponseStatus
from connector.domain.policy import (
    DeclinedRule,
    Disclosure,
    PolicyRules,
    Rule,
    classify,
    is_external_address,
    min_disclosure,
)
from tests.domain.builders import COLLEAGUE, ME, PROSPECT, RULES, an_event
from tests.values import replace

FULL, BUSY, NOTHING = Disclosure.FULL, Disclosure.BUSY_ONLY, Disclosure.NOTHING
DECLINED = replace(ME, response=ResponseStatus.DECLINED)


def verdict(event: Event, rules: PolicyRules = RULES) -> tuple[Disclosure, Rule]:
    found = classify(event, rules)
    return found.disclosure, found.rule


def test_a_prospect_among_the_attendees_shows_the_event() -> None:
    assert verdict(an_event(ME, COLLEAGUE, PROSPECT)) == (FULL, Rule.EXTERNAL_ATTENDEE)


@pytest.mark.parametrize("attendees", [(), (ME,), (ME, COLLEAGUE)])
def test_without_one_it_is_internal(attendees: tuple[Attendee, ...]) -> None:
    assert verdict(an_event(*attendees)) == (BUSY, Rule.INTERNAL)


@pytest.mark.parametrize("answer", ResponseStatus)
def test_a_prospect_counts_whatever_they_answered(answer: ResponseStatus) -> None:
    assert verdict(an_event(ME, replace(PROSPECT, response=answer)))[0] is FULL


def test_an_external_organizer_shows_the_event() -> None:
    invited = an_event(ME, organizer=Person("dwight@customer.example.org"))
    assert verdict(invited) == (FULL, Rule.EXTERNAL_ORGANIZER)


@pytest.mark.parametrize(
    ("email", "external"),
    [
        ("jim@example.com", False),
        ("JIM@EXAMPLE.COM", False),
        ("jim@Sales.Example.Com", False),
        ("jim@example.com.", False),
        ("jim@notexample.com", True),
        ("jim@example.com.example.net", True),
        ("jim@example.org", True),
        ('"a@b"@example.org', True),
        ("room@resource.calendar.google.com", False),
        ("unknownorganizer@calendar.google.com", False),
        ("c_1@group.Calendar.Google.com", False),
        ("someone@notcalendar.google.com", True),
        ("someone@google.com", True),
        ("nobody", False),
        ("", False),
        (None, False),
    ],
)
def test_domains_compare_without_case_and_subdomains_are_internal(
    email: str | None, external: bool
) -> None:
    assert is_external_address(email, RULES) is external
    if email is not None and "@" in email:
        assert (verdict(an_event(ME, Attendee(email)))[0] is FULL) is external


def test_every_internal_domain_counts() -> None:
    rules = replace(RULES, internal_domains=frozenset({"example.com", "example.org"}))
    assert verdict(an_event(PROSPECT), rules) == (BUSY, Rule.INTERNAL)


def test_self_is_never_external() -> None:
    me = replace(ME, email="pam@private.example.net")
    own = Person("pam@private.example.net", is_self=True)
    assert verdict(an_event(me, organizer=own, creator=own)) == (BUSY, Rule.INTERNAL)


def test_rooms_are_no_people() -> None:
    room = Attendee("room@rooms.example.net", "Room", is_resource=True)
    assert verdict(an_event(ME, room)) == (BUSY, Rule.INTERNAL)


def test_an_attendee_without_address_decides_nothing() -> None:
    assert verdict(an_event(ME, Attendee(None, "Somebody"))) == (BUSY, Rule.INTERNAL)


@pytest.mark.parametrize(
    "calendar",
    ["c_12@group.calendar.google.com", "unknownorganizer@calendar.google.com"],
)
@pytest.mark.parametrize("is_self", [True, False])
@pytest.mark.parametrize(
    ("creator", "expected"),
    [
        (Person("dwight@customer.example.org"), FULL),
        (Person("jim@example.com"), BUSY),
        (Person("pam@elsewhere.example.net", is_self=True), BUSY),
        (Person("c_13@group.calendar.google.com"), BUSY),
        (Person(None), BUSY),
        (None, BUSY),
    ],
)
def test_a_calendar_as_organizer_is_judged_by_the_creator(
    calendar: str, is_self: bool, creator: Person | None, expected: Disclosure
) -> None:
    event = an_event(ME, organizer=Person(calendar, is_self=is_self), creator=creator)
    assert verdict(event)[0] is expected


def test_the_creator_of_a_persons_event_decides_nothing() -> None:
    event = an_event(organizer=Person("jim@example.com"), creator=Person("d@example.org"))
    assert verdict(event) == (BUSY, Rule.INTERNAL)


@pytest.mark.parametrize("organizer", [None, Person(None), Person("", "Nameless")])
def test_without_an_organizer_the_attendees_decide(organizer: Person | None) -> None:
    assert verdict(an_event(ME, organizer=organizer)) == (BUSY, Rule.INTERNAL)
    assert verdict(an_event(PROSPECT, organizer=organizer))[0] is FULL


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (EventType.DEFAULT, FULL),
        (EventType.OUT_OF_OFFICE, BUSY),
        (EventType.FOCUS_TIME, BUSY),
        (EventType.FROM_GMAIL, BUSY),
        (EventType.UNKNOWN, BUSY),
        (EventType.WORKING_LOCATION, NOTHING),
        (EventType.BIRTHDAY, NOTHING),
    ],
)
def test_the_types_defaults(kind: EventType, expected: Disclosure) -> None:
    found = verdict(an_event(PROSPECT, event_type=kind))
    assert found == (expected, Rule.EXTERNAL_ATTENDEE if expected is FULL else Rule.EVENT_TYPE)


@pytest.mark.parametrize("kind", EventType)
@pytest.mark.parametrize("most", Disclosure)
def test_a_type_shows_at_most_what_its_option_says(kind: EventType, most: Disclosure) -> None:
    rules = replace(RULES, event_types={kind: most})
    assert verdict(an_event(PROSPECT, event_type=kind), rules)[0] is most
    if most is FULL:  # lets the other rules decide
        assert verdict(an_event(ME, event_type=kind), rules) == (BUSY, Rule.INTERNAL)


def test_a_type_that_no_option_names_is_busy_only() -> None:
    rules = replace(RULES, event_types={})
    assert verdict(an_event(PROSPECT), rules) == (BUSY, Rule.EVENT_TYPE)


@pytest.mark.parametrize("option", Disclosure)
def test_private(option: Disclosure) -> None:
    rules = replace(RULES, private=option)
    event = an_event(PROSPECT, private=True)
    expected = Rule.EXTERNAL_ATTENDEE if option is FULL else Rule.PRIVATE
    assert verdict(event, rules) == (option, expected)
    if option is FULL:
        assert verdict(an_event(ME, private=True), rules) == (BUSY, Rule.INTERNAL)
    assert verdict(an_event(PROSPECT), rules)[0] is FULL


def test_private_is_busy_only_by_default() -> None:
    assert verdict(an_event(PROSPECT, private=True)) == (BUSY, Rule.PRIVATE)


@pytest.mark.parametrize("option", Disclosure)
def test_internal(option: Disclosure) -> None:
    rules = replace(RULES, internal=option)
    assert verdict(an_event(ME, COLLEAGUE), rules) == (option, Rule.INTERNAL)
    assert verdict(an_event(PROSPECT), rules)[0] is FULL


@pytest.mark.parametrize("private", Disclosure)
@pytest.mark.parametrize("internal", Disclosure)
def test_what_an_option_withholds_no_other_rule_gives_back(
    private: Disclosure, internal: Disclosure
) -> None:
    rules = replace(RULES, private=private, internal=internal)
    busy_type = replace(rules, event_types={EventType.DEFAULT: BUSY})
    for event in (an_event(PROSPECT, private=True), an_event(ME, private=True)):
        found = verdict(event, rules)[0]
        assert private is FULL or found is private
        assert min_disclosure(verdict(event, busy_type)[0], BUSY) is verdict(event, busy_type)[0]


@pytest.mark.parametrize("private", [True, False])
def test_declined_is_classified_as_any_other_but_does_not_block(private: bool) -> None:
    event = an_event(DECLINED, PROSPECT, private=private)
    found = classify(event, RULES)
    assert found.disclosure is (BUSY if private else FULL)
    assert found.transparent


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (DeclinedRule.TRANSPARENT, (FULL, True)),
        (DeclinedRule.AS_IS, (FULL, False)),
        (DeclinedRule.NOTHING, (NOTHING, False)),
    ],
)
def test_declined(option: DeclinedRule, expected: tuple[Disclosure, bool]) -> None:
    rules = replace(RULES, declined=option)
    found = classify(an_event(DECLINED, PROSPECT), rules)
    assert (found.disclosure, found.transparent) == expected
    others = classify(an_event(ME, replace(PROSPECT, response=ResponseStatus.DECLINED)), rules)
    assert (others.disclosure, others.transparent) == (FULL, False)


@pytest.mark.parametrize("option", DeclinedRule)
def test_what_is_transparent_in_google_stays_so(option: DeclinedRule) -> None:
    rules = replace(RULES, declined=option)
    assert classify(an_event(ME, PROSPECT, transparent=True), rules).transparent
    assert classify(an_event(DECLINED, PROSPECT, transparent=True), rules).transparent


@pytest.mark.parametrize("status", [EventStatus.CONFIRMED, EventStatus.TENTATIVE])
def test_status_decides_nothing(status: EventStatus) -> None:
    assert verdict(an_event(PROSPECT, status=status))[0] is FULL
    assert verdict(an_event(ME, status=status))[0] is BUSY


def test_a_cut_off_list_is_settled_on_the_safe_side() -> None:
    cut = an_event(ME, attendees_omitted=True)
    assert verdict(cut) == (BUSY, Rule.ATTENDEES_OMITTED)
    known = classify(cut, RULES, known_prospect=True)
    assert (known.disclosure, known.rule) == (FULL, Rule.ATTENDEES_OMITTED_KNOWN)
    assert verdict(replace(cut, attendees=(ME, PROSPECT)))[0] is FULL
    assert verdict(cut, replace(RULES, internal=NOTHING))[0] is NOTHING
    assert verdict(cut, replace(RULES, internal=FULL))[0] is BUSY


def test_known_prospects_open_nothing_that_is_withheld() -> None:
    cut = an_event(ME, attendees_omitted=True, private=True)
    assert classify(cut, RULES, known_prospect=True).disclosure is BUSY
    gmail = an_event(ME, attendees_omitted=True, event_type=EventType.FROM_GMAIL)
    assert classify(gmail, RULES, known_prospect=True).disclosure is BUSY
    complete = an_event(ME, COLLEAGUE)
    assert classify(complete, RULES, known_prospect=True).disclosure is BUSY
