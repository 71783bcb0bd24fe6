"""One event under every sequence of edits, polls, answers and crashes, against a plain model of Salesloft.

`decide`, the commit and the settling together keep the product's promises: at quiet Salesloft holds what the policy
makes of Google's event; `updated_at` rises with every new content; nothing unchanged is sent; nothing withheld stays.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from connector.domain.mapping import PayloadAttendee, content_of
from connector.domain.model import Event, EventType, ICalUid, Instant, Tombstone
from connector.domain.plan import Finding, Gone, Ground, Key, Seen
from connector.domain.policy import Disclosure, Verdict, classify
from connector.domain.window import Window, window_at
from connector.store import outbox
from connector.store.outbox import Row
from tests.domain.builders import (
    CALENDAR,
    COLLEAGUE,
    ME,
    NOW,
    PROSPECT,
    RULES,
    ZONE,
    an_event,
)
from tests.store.world import (
    Fields,
    OpenState,
    PlainSalesloft,
    an_empty_state,
    commit,
    count,
    fields_of,
    take,
)
from tests.values import replace

TEXT = ("title", "description", "location", "organizer", "attendees")
edits = st.sampled_from(
    [
        {"summary": "Pitch"},
        {"summary": "Pitch 2"},
        {"attendees": (ME, PROSPECT), "attendees_omitted": False},
        {"attendees": (PROSPECT, ME), "attendees_omitted": False},
        {"attendees": (ME, COLLEAGUE), "attendees_omitted": False},
        {"attendees": (ME,), "attendees_omitted": True},
        {"private": True},
        {"private": False},
        {"transparent": True},
        {"event_type": EventType.BIRTHDAY},
        {"event_type": EventType.DEFAULT},
        {"days": 4},
        {"days": 3},
        {"days": 200},
        {"days": -60},
        {"ical_uid": ICalUid("u1")},
        {"ical_uid": ICalUid("u2")},
    ]
)
afterwards = st.sampled_from(["nothing", "poll", "poll", "poll and claim", "quiet"])


class OneEvent(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.state: OpenState = an_empty_state()
        self.salesloft = PlainSalesloft()
        self.now = NOW
        self.flying: list[Row] = []
        self.event: Event = an_event(ME, PROSPECT, ical_uid=ICalUid("u1"))
        self.alive = True
        self.tombstone: Tombstone | None = None
        self.sent: dict[str, tuple[datetime, Fields]] = {}
        self.clean = True
        """No answer was lost or refused, no list cut off: what was accepted is what Salesloft holds."""
        self.known_prospect = False
        """As the state knew it at the last poll."""
        self.whole_list: tuple[PayloadAttendee, ...] | None = None
        """The complete list that Salesloft held at quiet, as long as no other one was polled."""
        self.withheld = False

    def teardown(self) -> None:
        self.quiet()
        self.state.close()

    @property
    def window(self) -> Window:
        return window_at(self.now, ZONE, 30, 90)

    # What happens in Google

    @initialize(then=afterwards)
    def begin(self, then: str) -> None:
        self.go_on(then)

    @rule(
        changes=edits, stamp=st.sampled_from(["now", "now", "as before", "none"]), then=afterwards
    )
    def edit(self, changes: dict[str, Any], stamp: str, then: str) -> None:
        self.now += timedelta(seconds=1)
        updated = {"now": self.now, "as before": self.event.updated, "none": None}[stamp]
        changes = dict(changes)
        if changes.get("ical_uid", self.event.ical_uid) != self.event.ical_uid:
            self.whole_list = None
        if "days" in changes:
            start = self.now + timedelta(days=changes.pop("days"))
            changes |= {
                "start": Instant(start),
                "end": Instant(start + timedelta(hours=1)),
            }
        self.event = replace(self.event, updated=updated, **changes)
        self.alive = True
        self.go_on(then)

    def go_on(self, then: str) -> None:
        if then == "quiet":
            self.quiet()
        elif then != "nothing":
            self.poll()
        if then == "poll and claim":
            self.claim(2)

    def touch(self) -> None:
        self.now += timedelta(seconds=1)
        self.event = replace(self.event, updated=self.now)

    @rule(how=st.sampled_from(["absent", "bare", "body"]), then=afterwards)
    def delete(self, how: str, then: str) -> None:
        self.now += timedelta(seconds=1)
        self.alive = False
        self.tombstone = None
        if how != "absent":
            self.tombstone = Tombstone(
                self.event.id,
                updated=self.now if how == "body" else None,
                body=self.event if how == "body" else None,
            )
        self.go_on(then)

    @rule(then=afterwards)
    def restore(self, then: str) -> None:
        self.touch()
        self.alive = True
        self.go_on(then)

    @rule(days=st.sampled_from([1, 40]))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)

    # What the connector does

    @rule()
    def poll(self) -> None:
        self.now += timedelta(seconds=1)
        ground = Ground(CALENDAR, ZONE, self.window, RULES, self.now)
        self.known_prospect = self.remembered_as_prospect()
        commit(self.state, *self.findings(), ground=ground, now=self.now)
        self.note_text()
        assert count(self.state, "outbox") <= 2  # one row for each key

    def findings(self) -> list[Finding]:
        if self.alive:
            return [Seen(self.event)]
        keys = self.state.execute("SELECT event_id, ical_uid FROM occurrences").fetchall()
        return [Gone(Key(*key), self.tombstone) for key in keys]

    def remembered_as_prospect(self) -> bool:
        row = self.state.execute(
            "SELECT prospect FROM occurrences WHERE ical_uid = ?", (self.event.ical_uid,)
        ).fetchone()
        return bool(row and row[0])

    def note_text(self) -> None:
        """What a reader of the contract knows about the text after this poll."""
        if not self.alive:
            body = self.tombstone.body if self.tombstone else None
            if body and self.verdict().disclosure is not Disclosure.FULL:
                self.withheld = True
            return
        self.withheld = self.verdict().disclosure is not Disclosure.FULL
        if self.event.attendees_omitted:
            self.clean = (
                False  # which list is held is not always known: rather one request too many
            )
        if self.withheld or not self.event.attendees_omitted:
            self.whole_list = None

    def verdict(self) -> Verdict:
        return classify(self.event, RULES, known_prospect=self.known_prospect)

    @rule(limit=st.integers(1, 2))
    def claim(self, limit: int) -> None:
        for row in take(self.state, [1], limit, self.now + timedelta(days=1)):
            assert row.key not in {other.key for other in self.flying}
            self.flying.append(row)
            self.check_order(row)

    def check_order(self, row: Row) -> None:
        """`updated_at` rises strictly with every new content, and is the same for a retry."""
        body = fields_of(row)
        at = datetime.fromisoformat(body["updated_at"])
        before = self.sent.get(row.key.ical_uid)
        if before is not None:
            assert at > before[0] or body == before[1]
        self.sent[row.key.ical_uid] = (at, body)

    @precondition(lambda self: self.flying)
    @rule(outcome=st.sampled_from(["ok", "ok", "ok", "lost", "down", "refused", "unauthorised"]))
    def answer(self, outcome: str) -> None:
        row = self.flying.pop(0)
        self.clean = self.clean and outcome == "ok"
        if outcome in ("ok", "lost"):
            self.apply(row)
        if outcome == "ok":
            outbox.settle_accepted(self.state, [row])
        elif outcome in ("lost", "down"):
            later = self.now + timedelta(seconds=1)
            outbox.settle_later(self.state, row, next_attempt=later, error="later")
        elif outcome == "refused":
            outbox.settle_refused(
                self.state, row, status=422, reason="no", request_id="r", now=self.now
            )
        else:
            outbox.release(self.state, [row])

    def apply(self, row: Row) -> None:
        body = fields_of(row)
        new = (row.key.event_id, row.key.ical_uid) not in self.salesloft.held
        changed = self.salesloft.upsert(body)
        assert self.salesloft.stale == 0, "older content was sent after newer"
        if self.clean:
            blanks = body.get("title") == "" and not body["attendees"]  # rather once too often
            assert changed or blanks, f"sent again unchanged: {body}"
            assert not (new and body["status"] == "cancelled"), "cancelled what was never sent"

    @precondition(lambda self: self.flying)
    @rule(arrived=st.booleans())
    def crash(self, arrived: bool) -> None:
        self.clean = False
        for row in self.flying:
            if arrived:
                self.apply(row)
        self.flying.clear()
        outbox.release_all(self.state)

    # What must hold

    @rule()
    def quiet(self) -> None:
        """Poll once, deliver everything: Salesloft is true, and a further poll says nothing."""
        self.poll()
        self.deliver()
        if not count(self.state, "dead_letters"):
            self.check()
        self.touch()
        self.poll()
        assert count(self.state, "outbox") == 0 or count(self.state, "dead_letters")

    def deliver(self) -> None:
        while self.flying:
            self.answer("ok")
        due = self.now + timedelta(days=1)
        while rows := take(self.state, [1], 1, due):
            self.flying += rows
            self.check_order(rows[0])
            self.answer("ok")

    def check(self) -> None:
        key = (self.event.id, self.event.ical_uid)
        for other, held in self.salesloft.held.items():
            if other != key and self.alive:
                assert held["status"] == "cancelled" or self.passed(held)
        held_now = self.salesloft.held.get(key)
        shown = self.verdict()
        start, end = self.event.start, self.event.end
        assert isinstance(start, Instant)
        assert isinstance(end, Instant)
        if self.withheld and held_now and not self.passed(held_now):
            assert not any(held_now.get(name) for name in TEXT), "withheld text remains"
        if not self.alive or shown.disclosure is Disclosure.NOTHING:
            assert not held_now or held_now["status"] == "cancelled" or self.passed(held_now)
            assert not held_now or self.passed(held_now) or held_now["canceled_at"]
            return
        if not self.window.overlaps(start.at, end.at):
            if held_now and held_now["status"] != "cancelled":
                assert not self.window.overlaps(*_times(held_now))
            return
        assert held_now is not None
        assert held_now["status"] == self.event.status.value
        assert held_now.get("canceled_at") is None
        assert _times(held_now) == (start.at, end.at)
        assert (held_now["transparency"] == "transparent") == shown.transparent
        if shown.disclosure is Disclosure.FULL:
            self.check_text(held_now)

    def check_text(self, held: Fields) -> None:
        assert held["title"] == self.event.summary
        assert held["organizer"] == "pam@example.com"
        listed = sorted(one["email"] for one in held.get("attendees", ()))
        if not self.event.attendees_omitted:
            assert listed == sorted(one.email or "" for one in self.event.attendees)
            text = content_of(self.event, self.verdict(), RULES, ZONE).text
            self.whole_list = text.attendees if text else None
        elif self.whole_list is not None:
            assert listed == sorted(one.email for one in self.whole_list)

    def passed(self, held: Fields) -> bool:
        """It lies before the window: history is not rewritten."""
        return _times(held)[1] <= self.window.start


def _times(held: Fields) -> tuple[datetime, datetime]:
    start, end = (datetime.fromisoformat(held[name]) for name in ("start_time", "end_time"))
    return start, end


TestOneEvent = OneEvent.TestCase
TestOneEvent.settings = settings(
    max_examples=400,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
