"""Who is sent first: the contract's "Order of sending", the lanes, and users of a team in turns."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from connector.domain.mapping import CANCELLED, Fingerprint
from connector.domain.model import EventId, ICalUid
from connector.domain.plan import Key, Known, Send
from connector.store import outbox
from connector.store.outbox import Lane, Row
from connector.store.rows import enqueue
from tests.domain.builders import NOW
from tests.store.world import OpenState, add_calendar, take

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def put(
    state: OpenState,
    name: str,
    start: timedelta,
    *,
    calendar: int = 1,
    length: timedelta = HOUR,
    prospect: bool = False,
    cancels: bool = False,
    backfill: bool = False,
    after: str | None = None,
    uid: str | None = None,
) -> Key:
    """One row that waits, `start` from now."""
    key = Key(EventId(name), ICalUid(uid or name))
    known = Known(
        key,
        None,
        NOW + start,
        NOW + start + length,
        all_day=False,
        alive=not cancels,
        pending=CANCELLED if cancels else Fingerprint(f"{name}.x"),
        updated_at=NOW,
    )
    send = Send(known, b"{}", prospect, cancels, ICalUid(after) if after else None)
    enqueue(state, calendar, send, backfill=backfill, now=NOW)
    return key


def claimed(state: OpenState, limit: int = 100, **options: Any) -> list[str]:
    rows = take(state, [1, 2, 3], limit, NOW, **options)
    return [row.key.event_id for row in rows]


def test_coming_by_start_then_the_past_latest_first(state: OpenState) -> None:
    for name, start in [
        ("yesterday", -DAY),
        ("in a week", 7 * DAY),
        ("last week", -7 * DAY),
        ("running", -HOUR / 2),
        ("in three days", 3 * DAY),
        ("an hour ago", -2 * HOUR),
        ("soon", HOUR),
    ]:
        put(state, name, start)
    assert claimed(state) == [
        "running",
        "soon",
        "in three days",
        "in a week",
        "an hour ago",
        "yesterday",
        "last week",
    ]


def test_what_ends_now_is_past_and_what_runs_is_not(state: OpenState) -> None:
    put(state, "over", -HOUR)
    put(state, "nearly", -HOUR, length=HOUR + timedelta(milliseconds=1))
    put(state, "all day long", -10 * HOUR, length=DAY)
    rows = {row.key.event_id: row.lane for row in take(state, [1], 9, NOW)}
    assert rows == {"nearly": Lane.SOON, "all day long": Lane.SOON, "over": Lane.LATER}


@pytest.mark.parametrize(
    ("start", "options", "lane"),
    [
        (HOUR, {}, Lane.SOON),
        (HOUR, {"prospect": True}, Lane.SOON),
        (DAY - timedelta(milliseconds=1), {"cancels": True}, Lane.SOON),
        (DAY, {}, Lane.LATER),
        (DAY, {"prospect": True}, Lane.PROSPECT),
        (40 * DAY, {"cancels": True}, Lane.PROSPECT),
        (-DAY, {"prospect": True}, Lane.PROSPECT),
        (-DAY, {}, Lane.LATER),
        (HOUR, {"backfill": True, "prospect": True}, Lane.BACKFILL),
    ],
)
def test_lanes(state: OpenState, start: timedelta, options: dict[str, bool], lane: Lane) -> None:
    put(state, "x", start, **options)  # type: ignore[arg-type]
    assert [row.lane for row in take(state, [1], 1, NOW)] == [lane]


def test_lanes_go_before_nearness(state: OpenState) -> None:
    put(state, "backfill soon", HOUR, backfill=True, prospect=True)
    put(state, "internal", 2 * DAY)
    put(state, "prospect", 9 * DAY, prospect=True)
    put(state, "cancelled", 5 * DAY, cancels=True)
    put(state, "today", 8 * HOUR)
    order = ["today", "cancelled", "prospect", "internal", "backfill soon"]
    assert claimed(state) == order


def test_within_a_lane_the_past_comes_after_all_that_comes(state: OpenState) -> None:
    put(state, "past prospect", -DAY, prospect=True)
    put(state, "far prospect", 80 * DAY, prospect=True)
    assert claimed(state) == ["far prospect", "past prospect"]


def test_users_of_a_team_take_turns(state: OpenState) -> None:
    for calendar, letter in [(2, "b"), (3, "c")]:
        add_calendar(state, calendar)
        put(state, f"{letter}1", (50 + calendar) * DAY, calendar=calendar)
    for number in range(1, 5):
        put(state, f"a{number}", (2 + number) * DAY)
    assert claimed(state, 3) == ["a1", "b1", "c1"]
    assert claimed(state) == ["a2", "a3", "a4"]


def test_users_take_turns_when_points_trickle_in(state: OpenState) -> None:
    add_calendar(state, 2)
    for number in range(4):
        put(state, f"huge {number}", MINUTE * (number + 1))
    put(state, "small", 20 * HOUR, calendar=2)
    recent: Counter[int] = Counter()
    order = []
    for _ in range(5):
        (row,) = take(state, [1, 2, 3], 1, NOW, recent=recent)
        recent[row.calendar] += 1
        order.append(row.key.event_id)
    assert order == ["huge 0", "small", "huge 1", "huge 2", "huge 3"]


def test_only_the_calendars_asked_for(state: OpenState) -> None:
    add_calendar(state, 9)
    put(state, "other team", HOUR, calendar=9)
    assert claimed(state) == []
    assert outbox.waiting(state, [1, 2, 3], NOW) == (None, 0)
    assert outbox.waiting(state, [9], NOW)[1] == 1


def test_one_request_in_flight_for_a_key(state: OpenState) -> None:
    put(state, "x", HOUR)
    assert claimed(state) == ["x"]
    put(state, "x", 2 * HOUR)  # newer content
    assert claimed(state) == []
    assert outbox.waiting(state, [1], NOW) == (None, 0)


def rows_of(state: OpenState, limit: int = 9) -> list[Row]:
    return take(state, [1], limit, NOW)


def test_the_old_key_goes_after_the_new_one(state: OpenState) -> None:
    put(state, "e", HOUR, uid="old", cancels=True, after="new")
    put(state, "e", 2 * DAY, uid="new")
    [new] = rows_of(state)
    assert new.key.ical_uid == "new"
    assert rows_of(state) == []  # in flight is not yet in
    outbox.settle_later(state, new, next_attempt=NOW + MINUTE, error="later")
    assert rows_of(state) == []
    [new] = take(state, [1], 9, NOW + MINUTE)
    outbox.settle_accepted(state, [new])
    assert [row.key.ical_uid for row in rows_of(state)] == ["old"]


def test_the_old_key_stays_while_the_new_one_is_refused(state: OpenState) -> None:
    put(state, "e", HOUR, uid="old", cancels=True, after="new")
    put(state, "e", HOUR, uid="new")
    [new] = rows_of(state)
    outbox.settle_refused(state, new, status=422, reason="no", request_id="", now=NOW)
    assert rows_of(state) == []
    assert outbox.waiting(state, [1], NOW) == (None, 0)
    put(state, "e", HOUR, uid="new")  # retried or changed: its dead letter is gone
    [new] = rows_of(state)
    outbox.settle_accepted(state, [new])
    assert [row.key.ical_uid for row in rows_of(state)] == ["old"]


def test_the_old_key_waits_for_its_own_event_only(state: OpenState) -> None:
    put(state, "e", HOUR, uid="old", cancels=True, after="new")
    put(state, "other", 2 * HOUR, uid="new")
    assert claimed(state) == ["e", "other"]


def test_a_row_put_off_waits_for_its_time(state: OpenState) -> None:
    put(state, "x", HOUR)
    put(state, "y", 2 * HOUR)
    [x] = rows_of(state, 1)
    outbox.settle_later(state, x, next_attempt=NOW + MINUTE, error="later")
    assert claimed(state) == ["y"]
    due, count = outbox.waiting(state, [1], NOW)
    assert (due, count) == (int((NOW + MINUTE).timestamp() * 1000), 1)
    assert [row.attempts for row in take(state, [1], 9, NOW + MINUTE)] == [1]


def test_a_clock_that_went_back_puts_nothing_off_for_long(state: OpenState) -> None:
    put(state, "x", HOUR)
    [x] = rows_of(state)
    outbox.settle_later(state, x, next_attempt=NOW + 400 * DAY, error="later")
    assert outbox.waiting(state, [1], NOW) == (0, 1)
    assert claimed(state) == ["x"]


def test_newer_content_does_not_wait_for_the_olds_pause(state: OpenState) -> None:
    put(state, "x", HOUR)
    [x] = rows_of(state)
    outbox.settle_later(state, x, next_attempt=NOW + MINUTE, error="later")
    put(state, "x", 3 * HOUR)
    assert [row.attempts for row in rows_of(state)] == [0]


def test_waiting_leaves_out_what_failed_too_often(state: OpenState) -> None:
    put(state, "x", HOUR)
    for _ in range(3):
        [x] = rows_of(state)
        outbox.settle_later(state, x, next_attempt=NOW, error="later")
    assert outbox.waiting(state, [1], NOW, 4)[1] == 1
    assert outbox.waiting(state, [1], NOW, 3) == (None, 0)
    assert outbox.waiting(state, [1], NOW)[1] == 1


def test_waiting_leaves_out_what_waits_for_one_that_failed_too_often(
    state: OpenState,
) -> None:
    put(state, "e", HOUR, uid="old", cancels=True, after="new")
    put(state, "e", HOUR, uid="new")
    for _ in range(3):
        [new] = rows_of(state)
        outbox.settle_later(state, new, next_attempt=NOW, error="later")
    assert outbox.waiting(state, [1], NOW, 3) == (None, 0)
    assert outbox.waiting(state, [1], NOW, 4)[1] == 1


def test_unsettled_shows_everything_in_the_order_of_sending(state: OpenState) -> None:
    put(state, "later", 9 * DAY)
    put(state, "e", HOUR, uid="old", cancels=True, after="new")
    put(state, "e", 2 * DAY, uid="new")
    shown = outbox.unsettled(state, [1], NOW)
    assert [row.key.ical_uid for row in shown] == ["new", "later", "old"]
    assert len(rows_of(state)) == 2  # nothing was claimed
