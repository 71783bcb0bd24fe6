"""Channels and their notifications in the state, on either database."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.domain.mapping import to_millis
from connector.domain.push import Channel, MessageState, Notification, Verdict, secret_digest
from connector.store import channels
from connector.store.channels import Trouble
from tests.domain.builders import NOW
from tests.store.world import OpenState, add_calendar, all_bytes, count

TOKEN = "a-secret-of-forty-three-characters-or-so"
WEEK = timedelta(days=7)


def make(
    state: OpenState, name: str = "one", calendar: int = 1, *, answered: bool = True
) -> Channel:
    channel = Channel(name, calendar, "address.calendar.client", NOW)
    channels.begin(state, channel, secret_digest(TOKEN))
    if answered:
        assert channels.answered(state, name, "resource", NOW + WEEK)
    return channel


def said(
    number: int,
    name: str = "one",
    token: str = TOKEN,
    state: str = "exists",
    resource: str = "resource",
) -> Notification:
    return Notification(name, resource, secret_digest(token), number, MessageState(state))


def verdicts(state: OpenState, *notifications: Notification) -> list[Verdict]:
    return [one.verdict for one in channels.accept(state, notifications, NOW)]


def test_what_is_kept_of_a_channel_is_read_back_and_its_secret_is_not_kept(
    state: OpenState,
) -> None:
    made = make(state, answered=False)
    assert channels.of_calendar(state, 1) == [made]
    assert channels.answered(state, "one", "resource", NOW + WEEK)
    (found,) = channels.of_calendar(state, 1)
    assert (found.resource, found.expires, found.number) == ("resource", NOW + WEEK, 0)
    assert TOKEN.encode() not in all_bytes(state)


def test_an_answer_to_a_channel_that_was_given_up_is_told_to_be_late(state: OpenState) -> None:
    make(state, answered=False)
    channels.forget(state, ["one"])
    assert not channels.answered(state, "one", "resource", None)


def test_a_channel_is_asked_for_again_with_another_secret_until_it_is_known_to_exist(
    state: OpenState,
) -> None:
    make(state, answered=False)
    assert channels.begin_again(state, "one", secret_digest("another"))
    assert verdicts(state, said(1)) == [Verdict.FORGED]
    assert verdicts(state, said(1, token="another", state="sync")) == [Verdict.EARLY]
    assert not channels.begin_again(state, "one", secret_digest("a third"))
    make(state, "two")
    make(state, "three", answered=False)
    channels.retire(state, ["three"], NOW)
    for gone in ("two", "three", "four"):
        assert not channels.begin_again(state, gone, secret_digest("another"))


def test_a_notification_counts_once(state: OpenState) -> None:
    make(state)
    assert verdicts(state, said(1, state="sync"), said(3), said(3), said(2), said(9)) == [
        Verdict.SYNC,
        Verdict.ACCEPTED,
        Verdict.DUPLICATE,
        Verdict.DUPLICATE,
        Verdict.ACCEPTED,
    ]
    assert verdicts(state, said(9), said(10)) == [Verdict.DUPLICATE, Verdict.ACCEPTED]
    (found,) = channels.of_calendar(state, 1)
    assert found.number == 10


def test_what_is_forged_or_unknown_changes_nothing(state: OpenState) -> None:
    make(state)
    make(state, "two", answered=False)
    before = channels.overview(state)
    assert verdicts(
        state,
        said(5, token="guess"),
        said(5, token=""),
        said(5, resource="other"),
        said(5, "three"),
        said(5, "two", token="guess"),
    ) == [Verdict.FORGED, Verdict.FORGED, Verdict.FORGED, Verdict.UNKNOWN, Verdict.FORGED]
    assert channels.overview(state) == before
    assert channels.notified_since(state, 0) == []


@pytest.mark.parametrize(("named", "number"), [("resource", 1), ("other", 0)])
def test_a_message_ahead_of_the_answer_counts_only_once_the_answer_agrees(
    state: OpenState, named: str, number: int
) -> None:
    make(state, answered=False)
    assert verdicts(state, said(1, state="sync", resource=named)) == [Verdict.EARLY]
    (waiting,) = channels.of_calendar(state, 1)
    assert (waiting.resource, waiting.number, waiting.notified) == (None, 0, None)
    assert channels.answered(state, "one", "resource", NOW + WEEK)
    (found,) = channels.of_calendar(state, 1)
    assert (found.resource, found.number) == ("resource", number)


def test_who_serves_a_calendar_finds_its_news_whoever_took_them_in(state: OpenState) -> None:
    add_calendar(state, 2)
    make(state)
    make(state, "two", 2)
    channels.accept(state, [said(5)], NOW)
    at = to_millis(NOW)
    assert channels.notified_since(state, at - 1) == [(1, at)]
    assert channels.notified_since(state, at) == []
    # Another process whose clock is behind: still something new.
    channels.accept(state, [said(6)], NOW - timedelta(seconds=5))
    channels.accept(state, [said(6, "two")], NOW)
    assert sorted(channels.notified_since(state, at - 1)) == [(1, at + 1), (2, at)]


def test_a_quiet_channel_is_heard_again(state: OpenState) -> None:
    make(state)
    channels.turned_quiet(state, [1], NOW)
    channels.turned_quiet(state, [1], NOW + WEEK)
    assert channels.of_calendar(state, 1)[0].quiet_since == NOW
    channels.accept(state, [said(5)], NOW)
    assert channels.of_calendar(state, 1)[0].quiet_since is None


def test_channels_are_counted_as_they_stand(state: OpenState) -> None:
    assert set(channels.counts(state, NOW).values()) == {0}
    for name in ("healthy", "unproved", "quiet", "stopping", "ended"):
        make(state, name)
    make(state, "not answered", answered=False)
    channels.accept(state, [said(1, "quiet")], NOW)
    channels.turned_quiet(state, [1], NOW)
    channels.accept(state, [said(2, "healthy")], NOW)
    channels.retire(state, ["stopping"], NOW)
    channels.answered(state, "ended", "resource", NOW - WEEK)
    found = channels.counts(state, NOW)
    assert found == {"healthy": 1, "unproved": 1, "quiet": 1, "stopping": 1}


def test_why_a_calendar_is_not_watched_is_kept_until_it_is(state: OpenState) -> None:
    add_calendar(state, 2)
    trouble = Trouble("address_refused", "verify the domain", NOW, NOW + WEEK, "a.b.c")
    channels.keep_trouble(state, 1, trouble)
    channels.keep_trouble(state, 1, trouble)
    channels.keep_trouble(state, 2, trouble.since_then(NOW - WEEK))
    assert channels.troubles(state) == {1: trouble, 2: trouble.since_then(NOW - WEEK)}
    channels.keep_trouble(state, 1, None)
    assert list(channels.troubles(state)) == [2]


def test_an_overview_tells_who_is_served(state: OpenState) -> None:
    for calendar in (2, 3):
        add_calendar(state, calendar)
    state.execute("UPDATE calendars SET left_ms = 1 WHERE id = 2")
    state.execute("UPDATE calendars SET disconnected_ms = 1 WHERE id = 3")
    found = channels.overview(state).calendars
    assert {calendar: served for calendar, (_, served) in found.items()} == {
        1: True,
        2: False,
        3: False,
    }


def test_channels_are_forgotten_by_name(state: OpenState) -> None:
    make(state)
    make(state, "two")
    channels.forget(state, ["two", "three"])
    assert [one.id for one in channels.of_calendar(state, 1)] == ["one"]
    channels.forget(state, [])
    assert count(state, "channels") == 1
