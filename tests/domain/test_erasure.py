"""Who was erased is in no payload, whatever the event looks like; and nobody else is missing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.domain.erasure import (
    NOBODY,
    Erased,
    is_address,
    names_erased,
    normalised,
    stands_in,
    without_erased,
)
from connector.domain.mapping import (
    CANCELLED,
    CANCELLED_AND_BLANKED,
    content_of,
    encode,
    fingerprint,
    payload_of,
)
from connector.domain.model import Attendee, Event, Person, Tombstone
from connector.domain.plan import Gone, Key, Known, Seen, Send, decide
from connector.domain.policy import Disclosure, classify
from connector.domain.rewriting import names, without
from tests.domain.builders import (
    CALENDAR,
    COLLEAGUE,
    GROUND,
    ME,
    NOW,
    PROSPECT,
    RULES,
    ZONE,
    an_event,
)
from tests.values import replace

ADDRESSES = [f"{who}@{domain}" for who in "abc" for domain in ("example.com", "shop.example.org")]


def erased_of(*emails: str) -> Erased:
    hashing = Erased(b"key of a test")
    return Erased(hashing.key, frozenset(hashing.digest_of(email) for email in emails))


events = st.builds(
    lambda guests, organizer, title: an_event(
        ME,
        *(Attendee(email, email.upper()) for email in guests),
        organizer=Person(organizer) if organizer else None,
        summary=title,
    ),
    st.lists(st.sampled_from(ADDRESSES), max_size=6, unique=True),
    st.none() | st.sampled_from(ADDRESSES),
    st.text(max_size=5),
)


def body_of(event: Event, erased: Erased) -> bytes:
    verdict = classify(event, RULES)
    return encode(
        payload_of(
            content_of(event, verdict, RULES, ZONE, erased=erased),
            calendar_id=CALENDAR,
            event_id=event.id,
            ical_uid=event.ical_uid,
            updated_at=NOW,
            zone=ZONE,
            blank=False,
            revived=False,
        )
    )


@given(events, st.sets(st.sampled_from(ADDRESSES), min_size=1))
def test_no_payload_names_an_erased_person_and_nobody_else_is_missing(
    event: Event, gone: set[str]
) -> None:
    erased = erased_of(*gone)
    assert not names(body_of(event, erased), erased)
    verdict = classify(event, RULES)
    before = content_of(event, verdict, RULES, ZONE).text
    after = content_of(event, verdict, RULES, ZONE, erased=erased).text
    assert (before is None) == (after is None)
    if before is not None and after is not None:
        assert before.attendees is not None
        stay = tuple(guest for guest in before.attendees if guest.email not in gone)
        assert after.attendees == stay
        assert after.organizer == ("" if before.organizer in gone else before.organizer)


@given(events, st.sets(st.sampled_from(ADDRESSES), min_size=1))
def test_a_rewritten_payload_is_what_the_next_reading_maps(event: Event, gone: set[str]) -> None:
    erased, verdict = erased_of(*gone), classify(event, RULES)
    old = fingerprint(content_of(event, verdict, RULES, ZONE))
    made = without(body_of(event, NOBODY), old, erased, NOW)
    if verdict.disclosure is not Disclosure.FULL or not names_erased(event, erased):
        assert made is None
        return
    assert made is not None
    assert made.payload == body_of(event, erased)
    assert made.fingerprint == fingerprint(content_of(event, verdict, RULES, ZONE, erased=erased))


@given(events)
def test_nobody_erased_changes_nothing(event: Event) -> None:
    assert without_erased(event, NOBODY) is event
    assert body_of(event, NOBODY) == body_of(event, erased_of("nobody@example.net"))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Dwight@Customer.Example.ORG", "dwight@customer.example.org", True),
        ("  dwight@customer.example.org. ", "dwight@customer.example.org", True),
        ("u@b\u00fccher.example.org", "u@xn--bcher-kva.example.org", True),
        ("ju\u0308rgen@example.org", "j\u00fcrgen@example.org", True),
        ("dwight+sales@customer.example.org", "dwight@customer.example.org", False),
        ("d.wight@customer.example.org", "dwight@customer.example.org", False),
    ],
)
def test_addresses_compare_as_documented(one: str, other: str, equal: bool) -> None:
    assert (normalised(one) == normalised(other)) is equal
    assert erased_of(one).has(other) is equal


@given(st.text(max_size=12))
def test_any_text_can_be_asked_for(text: str) -> None:
    assert erased_of(text).has(text) or not text
    assert is_address(text) in (True, False)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Call DWIGHT@customer.example.org now", True),
        ("<a href='mailto:dwight%40customer.example.org'>", True),
        ("dwight&#64;customer.example.org", True),
        ("(dwight@customer.example.org)", True),
        ("big.dwight@customer.example.org", False),
        ("write to dwight@customer.example.org.", True),
        ("dwight@customer.example.org.example.com", False),
        ("", False),
    ],
)
def test_an_address_is_found_in_texts(text: str, found: bool) -> None:
    assert stands_in(text, "dwight@customer.example.org") is found


def test_a_cut_off_list_that_shows_the_person_replaces_the_one_that_salesloft_holds() -> None:
    erased = erased_of(PROSPECT.email or "")
    event = an_event(ME, PROSPECT, COLLEAGUE, attendees_omitted=True)
    verdict = classify(event, RULES)
    content = content_of(event, verdict, RULES, ZONE, attendees_known=True, erased=erased)
    assert content.text is not None
    assert content.text.attendees is not None
    assert [guest.email for guest in content.text.attendees] == [ME.email, COLLEAGUE.email]
    unseen = replace(event, attendees=(ME, COLLEAGUE))
    kept = content_of(unseen, replace(verdict), RULES, ZONE, attendees_known=True, erased=erased)
    assert kept.text is not None
    assert kept.text.attendees is None
    theirs = replace(unseen, organizer=Person(PROSPECT.email))
    replaced = content_of(theirs, verdict, RULES, ZONE, attendees_known=True, erased=erased)
    assert replaced.text is not None
    assert replaced.text.attendees is not None
    assert replaced.text.organizer == ""


def cancelled(event: Event) -> Known:
    return Known(
        Key(event.id, event.ical_uid),
        None,
        NOW + timedelta(days=3),
        NOW + timedelta(days=3, hours=1),
        all_day=False,
        alive=False,
        accepted=CANCELLED,
        exposed=True,
        prospect=True,
        updated_at=NOW - timedelta(days=1),
        canceled_at=NOW - timedelta(days=1),
    )


@pytest.mark.parametrize("body", [True, False])
def test_cancelled_text_that_may_name_the_person_is_blanked_once(body: bool) -> None:
    event = an_event(ME, PROSPECT)
    finding = Gone(Key(event.id, event.ical_uid), Tombstone(event.id, body=event if body else None))
    erased = erased_of(PROSPECT.email or "")
    since = replace(GROUND, erased=erased, same_people=False)
    sent = decide(since, finding, cancelled(event))
    assert isinstance(sent, Send)
    assert sent.known.pending == CANCELLED_AND_BLANKED
    # Cancelled after the erasure: what Salesloft holds was sent without the person, and stays.
    assert decide(replace(since, same_people=True), finding, cancelled(event)) is None


def test_a_cancelled_meeting_of_others_keeps_its_text() -> None:
    event = an_event(ME, PROSPECT)
    finding = Gone(Key(event.id, event.ical_uid), Tombstone(event.id, body=event))
    ground = replace(GROUND, erased=erased_of("else@example.net"), same_people=False)
    assert decide(ground, finding, cancelled(event)) is None


def test_an_erasure_is_no_reason_to_forget_who_is_a_prospect() -> None:
    event = an_event(ME, COLLEAGUE, attendees_omitted=True)
    known = replace(cancelled(event), alive=True)
    ground = replace(GROUND, erased=erased_of("else@example.net"), same_people=False)
    sent = decide(ground, Seen(event), known)
    assert isinstance(sent, Send)
    assert sent.prospect
