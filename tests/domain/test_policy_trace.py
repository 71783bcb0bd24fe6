"""The trace that `explain` shows is the verdict's own, and says nothing of an event's text or people."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connector.domain.model import Attendee, Event, EventType, Person, ResponseStatus
from connector.domain.policy import DeclinedRule, Disclosure, PolicyRules, classify, trace
from tests.domain.builders import an_event

ADDRESSES = st.sampled_from(
    [None, "zoe@example.com", "zoe@customer.example.org", "c_zoe@group.calendar.google.com"]
)
ATTENDEES = st.builds(
    Attendee,
    ADDRESSES,
    st.just("Zoe"),
    st.sampled_from(ResponseStatus),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
PEOPLE = st.none() | st.builds(Person, ADDRESSES, st.just("Zoe"), st.booleans())
EVENTS = st.builds(
    lambda attendees, **changes: an_event(*attendees, summary="Zoe", **changes),
    st.lists(ATTENDEES, max_size=3),
    private=st.booleans(),
    transparent=st.booleans(),
    event_type=st.sampled_from(EventType),
    organizer=PEOPLE,
    creator=PEOPLE,
    attendees_omitted=st.booleans(),
)
SHOWN = st.sampled_from(Disclosure)
RULES = st.builds(
    PolicyRules,
    internal_domains=st.just(frozenset({"example.com"})),
    private=SHOWN,
    internal=SHOWN,
    declined=st.sampled_from(DeclinedRule),
    event_types=st.dictionaries(st.sampled_from(EventType), SHOWN),
)


@given(EVENTS, RULES, st.booleans())
def test_the_last_step_is_the_verdict(event: Event, rules: PolicyRules, known: bool) -> None:
    verdict = classify(event, rules, known_prospect=known)
    *before, last = trace(event, rules, known_prospect=known)
    assert last.applies
    assert (last.rule, last.disclosure) == (verdict.rule, verdict.disclosure)
    assert all(not step.applies and step.disclosure is None for step in before)
    assert all("zoe" not in step.why.casefold() for step in (*before, last))
