"""The fingerprint is blind to what is no news, and to nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import fields

from connector.domain.mapping import (
    CANCELLED,
    CANCELLED_AND_BLANKED,
    Content,
    PayloadAttendee,
    Text,
    fingerprint,
    same,
)
from tests.domain.builders import NOW, PROSPECT, an_event, content
from tests.values import replace

words = st.text(max_size=6)
attendees = st.builds(
    PayloadAttendee,
    email=st.sampled_from(["a@example.org", "b@example.org", "A@example.org"]),
    name=words,
    status=st.sampled_from(["needsAction", "accepted", "tentative", "declined"]),
    organizer=st.booleans(),
)
lists = st.lists(attendees, max_size=4).map(tuple)
texts = st.builds(Text, words, words, words, words, st.none() | lists)
MS = timedelta(milliseconds=1)
moments = st.integers(0, 10**10).map(lambda ms: datetime(2026, 1, 1, tzinfo=UTC) + ms * MS)
contents = st.builds(
    Content,
    start=moments,
    end=moments,
    all_day=st.booleans(),
    status=st.sampled_from(["confirmed", "tentative"]),
    transparent=st.booleans(),
    recurring=st.booleans(),
    text=st.none() | texts,
)


def plain(of: Content) -> object:
    """Everything that counts, spelled out: the order of attendees does not."""
    text = of.text
    known = text.attendees if text else None
    parts = (text.title, text.description, text.location, text.organizer) if text else None
    listed = sorted((a.email, a.name, a.status, a.organizer) for a in known) if known else known
    return (of.start, of.end, of.all_day, of.status, of.transparent, of.recurring, parts, listed)


@given(one=contents, other=contents)
def test_equal_exactly_for_equal_contents(one: Content, other: Content) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (plain(one) == plain(other))


@given(one=contents, other=contents, data=st.data())
def test_each_field_counts_alone(one: Content, other: Content, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([field.name for field in fields(Content)]))
    mixed = replace(one, **{name: getattr(other, name)})
    assert (fingerprint(one) == fingerprint(mixed)) == (plain(one) == plain(mixed))


@given(of=contents, text=texts, other=texts, data=st.data())
def test_each_text_counts_alone(of: Content, text: Text, other: Text, data: st.DataObject) -> None:
    one = replace(of, text=text)
    name = data.draw(st.sampled_from([field.name for field in fields(Text)]))
    mixed = replace(of, text=replace(text, **{name: getattr(other, name)}))
    assert (fingerprint(one) == fingerprint(mixed)) == (plain(one) == plain(mixed))


@given(of=contents, text=texts, listed=lists, data=st.data())
def test_the_order_of_attendees_does_not_count(
    of: Content, text: Text, listed: tuple[PayloadAttendee, ...], data: st.DataObject
) -> None:
    def with_list(attendees: tuple[PayloadAttendee, ...]) -> Content:
        return replace(of, text=replace(text, attendees=attendees))

    shuffled = tuple(data.draw(st.permutations(listed)))
    assert fingerprint(with_list(shuffled)) == fingerprint(with_list(listed))


@given(of=contents, listed=lists, other=lists)
def test_an_unknown_list_is_no_difference_but_a_known_one_is(
    of: Content, listed: tuple[PayloadAttendee, ...], other: tuple[PayloadAttendee, ...]
) -> None:
    text = of.text or Text("t", "", "", "", None)
    whole = fingerprint(replace(of, text=replace(text, attendees=listed)))
    unknown = fingerprint(replace(of, text=replace(text, attendees=None)))
    changed = fingerprint(replace(of, text=replace(text, attendees=other)))
    assert same(unknown, whole)
    assert not same(whole, unknown)
    assert same(changed, whole) == (sorted(listed) == sorted(other))
    renamed = fingerprint(replace(of, text=replace(text, title=text.title + "x", attendees=None)))
    assert not same(renamed, whole)


@given(of=contents)
def test_withheld_differs_from_empty_and_from_cancelled(of: Content) -> None:
    hidden = fingerprint(replace(of, text=None))
    for attendees_ in ((), None):
        blank = fingerprint(replace(of, text=Text("", "", "", "", attendees_)))
        assert not same(hidden, blank)
        assert not same(blank, hidden)
    for cancelled in (CANCELLED, CANCELLED_AND_BLANKED):
        assert not same(fingerprint(of), cancelled)
        assert not same(cancelled, fingerprint(of))
    assert not same(fingerprint(of), None)
    assert same(fingerprint(of), fingerprint(of))


def test_a_change_of_updated_alone_is_no_news() -> None:
    event = an_event(PROSPECT)
    later = replace(event, updated=NOW)
    assert fingerprint(content(event)) == fingerprint(content(later))


def test_neither_fingerprint_shows_text() -> None:
    secret = "Unmistakable"
    shown = fingerprint(content(an_event(PROSPECT, summary=secret)))
    assert secret not in shown


PLAIN = content(an_event(PROSPECT))


@pytest.mark.parametrize(
    "change",
    [
        {"start": PLAIN.start + MS},
        {"end": PLAIN.end + MS},
        {"all_day": True},
        {"status": "tentative"},
        {"transparent": True},
        {"recurring": True},
        {"text": None},
    ],
    ids=str,
)
def test_each_field(change: dict[str, Any]) -> None:
    assert fingerprint(replace(PLAIN, **change)) != fingerprint(PLAIN)


@pytest.mark.parametrize("name", ["title", "description", "location", "organizer"])
def test_each_text(name: str) -> None:
    assert PLAIN.text is not None
    changed = replace(PLAIN.text, **{name: getattr(PLAIN.text, name) + "x"})
    assert fingerprint(replace(PLAIN, text=changed)) != fingerprint(PLAIN)


@pytest.mark.parametrize(
    "change", [{"email": "a@b.example"}, {"name": "x"}, {"status": "declined"}, {"organizer": True}]
)
def test_each_part_of_an_attendee(change: dict[str, Any]) -> None:
    text = PLAIN.text
    assert text is not None
    assert text.attendees is not None
    changed = replace(text, attendees=(structs.replace(text.attendees[0], **change),))
    assert fingerprint(replace(PLAIN, text=changed)) != fingerprint(PLAIN)
