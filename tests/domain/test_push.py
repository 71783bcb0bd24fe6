"""Which channels are made, renewed and stopped, and what a notification is worth."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.domain.push import (
    LONGEST_LIFETIME,
    SLACK,
    Channel,
    ChannelPlan,
    MessageState,
    Notification,
    Verdict,
    Wanted,
    after,
    client_of,
    judge,
    made_for,
    plan_channels,
    secret_digest,
    source_of,
)

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
WEEK = timedelta(days=7)
FOR = made_for("https://a.example.com", "primary pam", "client")
MINE = {1: Wanted(1, FOR)}
SECRET = secret_digest("secret")


def channel(
    name: str = "one", *, age: timedelta = timedelta(hours=1), **changes: object
) -> Channel:
    made = Channel(name, 1, FOR, NOW - age, resource="resource", expires=NOW - age + WEEK, number=1)
    return replace(made, **changes)  # type: ignore[arg-type]


def said(number: int = 5, **changes: object) -> Notification:
    plain = Notification("one", "resource", SECRET, number, MessageState.EXISTS)
    return replace(plain, **changes)  # type: ignore[arg-type]


def plan(*channels: Channel, now: datetime = NOW, **more: object) -> ChannelPlan:
    arguments: dict[str, object] = {"wanted": MINE, "kept": (), "now": now, **more}
    return plan_channels(channels, **arguments)  # type: ignore[arg-type]


# -- channels


def test_a_calendar_without_a_channel_gets_one() -> None:
    assert plan() == ChannelPlan(create=(1,))


def test_a_channel_that_serves_is_left_alone() -> None:
    assert plan(channel()) == ChannelPlan()


def test_while_an_answer_is_awaited_no_other_is_asked_for() -> None:
    waiting = channel(resource=None, expires=None, number=0)
    assert plan(waiting, awaited={"one"}) == ChannelPlan()


def test_a_crash_between_watch_and_answer_leaves_a_row_that_is_given_up_and_replaced() -> None:
    orphan = channel(resource=None, expires=None, number=0)
    assert plan(orphan) == ChannelPlan(create=(1,), retire=("one",))
    retired = replace(orphan, stopping_since=NOW)
    assert plan(retired, channel("two")).stop == ((retired, "resource"),)
    assert plan(retired).stop == ()
    heard = replace(retired, early="by its own word")
    assert plan(heard).stop == ((heard, "by its own word"),)
    assert plan(heard, channel("two")).stop == ((heard, "resource"),)


def test_what_failed_and_is_asked_for_again_is_no_orphan_unless_it_speaks() -> None:
    failed = channel(resource=None, expires=None, number=0)
    assert plan(failed, unsure={"one"}) == ChannelPlan(create=(1,))
    heard = replace(failed, early="by its own word")
    assert plan(heard, unsure={"one"}).retire == ("one",)
    other = {1: Wanted(1, made_for("https://b.example.com", "primary pam", "client"))}
    assert plan(failed, unsure={"one"}, wanted=other).retire == ("one",)


def test_an_orphan_of_which_nothing_is_ever_heard_is_forgotten_in_the_end() -> None:
    orphan = channel(resource=None, expires=None, number=0, stopping_since=NOW)
    assert plan(orphan, now=NOW + LONGEST_LIFETIME + SLACK).forget == ("one",)


def test_a_channel_is_renewed_before_its_end_and_the_old_one_goes_when_the_new_one_is_proved() -> (
    None
):
    old = channel()
    assert old.renew_at < old.ends
    assert plan(old, now=old.renew_at - timedelta(seconds=1)) == ChannelPlan()
    assert plan(old, now=old.renew_at) == ChannelPlan(create=(1,))
    new = channel("two", age=timedelta(), number=0)
    assert plan(old, new) == ChannelPlan()
    proved = replace(new, number=1)
    assert plan(old, proved) == ChannelPlan(retire=("one",), stop=((old, "resource"),))


def test_renewals_of_channels_made_together_are_spread() -> None:
    moments = {channel(f"channel {number}").renew_at for number in range(100)}
    assert len(moments) == 100
    assert max(moments) - min(moments) > timedelta(hours=24)
    ends = channel().ends
    assert all(timedelta(hours=16) < ends - one < timedelta(hours=51) for one in moments)


def test_a_short_life_is_renewed_in_time_too() -> None:
    short = channel(age=timedelta(), expires=NOW + timedelta(hours=1))
    assert timedelta(minutes=5) < short.ends - short.renew_at < timedelta(minutes=19)


def test_without_an_end_the_shortest_is_assumed() -> None:
    assert channel(expires=None).ends == NOW


def test_what_has_ended_is_forgotten_and_replaced() -> None:
    assert plan(channel(age=WEEK)) == ChannelPlan(create=(1,))
    later = NOW + SLACK  # clocks differ
    assert plan(channel(age=WEEK), now=later) == ChannelPlan(create=(1,), forget=("one",))


def test_another_address_or_account_needs_another_channel() -> None:
    other = {1: Wanted(1, made_for("https://b.example.com", "primary pam", "client"))}
    old = channel()
    assert plan(old, wanted=other) == ChannelPlan((1,), ("one",), ((old, "resource"),))


def test_channels_of_who_is_gone_are_stopped_and_of_who_is_elsewhere_left_alone() -> None:
    old = channel()
    gone = plan(old, wanted={})
    assert gone == ChannelPlan(retire=("one",), stop=((old, "resource"),))
    assert plan(old, wanted={}, kept={1}) == ChannelPlan()


def test_a_calendar_without_any_channel_comes_before_renewals() -> None:
    wanted = {1: Wanted(1, FOR), 2: Wanted(2, FOR)}
    due = channel(age=timedelta(days=6, hours=12))
    assert plan(due, wanted=wanted).create == (2, 1)


def test_a_channel_that_misses_change_after_change_is_replaced_but_not_at_once() -> None:
    assert plan(channel(age=timedelta(minutes=9)), suspect={1}) == ChannelPlan()
    assert plan(channel(age=timedelta(minutes=10)), suspect={1}) == ChannelPlan(create=(1,))


def test_only_a_proved_channel_that_is_not_quiet_vouches() -> None:
    assert channel().vouches(NOW)
    for worse in (
        channel(number=0),
        channel(quiet_since=NOW),
        channel(stopping_since=NOW),
        channel(age=WEEK),
        channel(resource=None),
    ):
        assert not worse.vouches(NOW)


def test_what_a_channel_is_made_for_is_no_readable_name() -> None:
    assert "pam" not in FOR
    assert "example" not in FOR
    other = made_for("https://b.example.com", "primary pam", "client")
    assert source_of(other) == source_of(FOR)
    assert client_of(other) == client_of(FOR)
    assert other != FOR


# -- notifications


@pytest.mark.parametrize(
    ("notification", "known", "verdict"),
    [
        (said(), channel(), Verdict.ACCEPTED),
        (said(state=MessageState.NOT_EXISTS), channel(), Verdict.ACCEPTED),
        (said(1, state=MessageState.SYNC), channel(number=0), Verdict.SYNC),
        (said(1, state=MessageState.SYNC), channel(), Verdict.DUPLICATE),
        (said(4), channel(number=5), Verdict.DUPLICATE),
        (said(5), channel(number=5), Verdict.DUPLICATE),
        (said(), channel(stopping_since=NOW), Verdict.STALE),
        (said(), channel(age=WEEK + timedelta(hours=1)), Verdict.STALE),
        (said(), channel(age=WEEK + timedelta(minutes=1)), Verdict.ACCEPTED),
        (said(secret=secret_digest("guess")), channel(), Verdict.FORGED),
        (said(secret=secret_digest("")), channel(), Verdict.FORGED),
        (said(resource="other"), channel(), Verdict.FORGED),
        (said(1, state=MessageState.SYNC), channel(resource=None, number=0), Verdict.EARLY),
        (said(), channel(resource=None, number=0), Verdict.EARLY),
        (said(secret=secret_digest("guess")), channel(resource=None), Verdict.FORGED),
    ],
)
def test_a_notification_is_worth(
    notification: Notification, known: Channel, verdict: Verdict
) -> None:
    assert judge(notification, known, SECRET, NOW) is verdict
    changed = after(known, notification, verdict, NOW) != known
    assert changed is (verdict in (Verdict.ACCEPTED, Verdict.SYNC))


def test_of_a_channel_that_is_not_ours_nothing_follows() -> None:
    assert judge(said(), None, None, NOW) is Verdict.UNKNOWN


def test_the_secret_is_in_no_repr() -> None:
    assert SECRET not in repr(said())


def test_each_notification_is_later_than_the_one_before_whatever_the_clock_says() -> None:
    first = after(channel(), said(5), Verdict.ACCEPTED, NOW)
    second = after(first, said(6), Verdict.ACCEPTED, NOW - timedelta(minutes=1))
    assert first.notified is not None
    assert second.notified is not None
    assert second.notified > first.notified


def test_a_notification_ends_a_quiet_time() -> None:
    heard = after(channel(quiet_since=NOW), said(), Verdict.ACCEPTED, NOW)
    assert heard.quiet_since is None
    assert after(channel(number=0, quiet_since=NOW), said(1), Verdict.SYNC, NOW).quiet_since == NOW
