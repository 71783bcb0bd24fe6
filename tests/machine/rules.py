"""The machine: what a person, the world and the connector can do next, in any order.

Every rule draws small numbers; a target is picked by its place among what there is, so that a sequence shrinks well and
stays valid however it is cut. A rule that finds nothing to act on does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from connector.simulator.faults import Fault
from connector.simulator.google import Calendar
from connector.simulator.google.truth import Occurrence
from tests.machine.driver import Company
from tests.machine.judge import Rules

SINGLES, SERIES = 6, 3
BASES = (
    datetime(2026, 3, 5, 9, 30, tzinfo=UTC),  # America springs forward on the 8th
    datetime(
        2026, 10, 22, 21, 0, tzinfo=UTC
    ),  # Europe falls back on the 25th, America on 1 November
    datetime(2026, 4, 2, 12, 0, tzinfo=UTC),  # Lord Howe: half an hour, on the 5th
    datetime(2026, 12, 29, 3, 0, tzinfo=UTC),
    datetime(2026, 4, 21, 22, 15, tzinfo=UTC),  # Cairo skips midnight on the 24th
)
ZONES = (
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Auckland",
    "UTC",
)
PROSPECT = "dwight@customer.example.org"
GUESTS: tuple[tuple[Any, ...] | None, ...] = (
    None,
    ("jim@example.com",),
    (PROSPECT,),
    ("kelly@sales.example.com", PROSPECT),
    (
        {
            "email": "angela@buyer.example.net",
            "displayName": "Angela",
            "responseStatus": "tentative",
        },
    ),
    ({"displayName": "No address"}, "room@resource.calendar.google.com"),
)
RULES = (
    "FREQ=DAILY",
    "FREQ=DAILY;COUNT=6",
    "FREQ=WEEKLY",
    "FREQ=WEEKLY;BYDAY=MO,WE,FR",
    "FREQ=DAILY;INTERVAL=3",
    "FREQ=MONTHLY",
    "FREQ=MONTHLY;BYDAY=-1SU",
    "FREQ=DAILY;UNTIL={until}",
    "FREQ=HOURLY;INTERVAL=18;COUNT=9",
)
LINES = ((), ("EXDATE",), ("RDATE",), ("EXDATE", "RDATE"))
MINUTES = (30, 60, 0, 600, 1440, 3000)
TYPES = (
    "default",
    "default",
    "default",
    "outOfOffice",
    "focusTime",
    "workingLocation",
    "fromGmail",
)
VISIBILITIES = ("default", "private", "public", "confidential")
ORGANIZERS = (
    None,
    "michael@customer.example.org",
    "pam@example.com",
    "unknownorganizer@calendar.google.com",
)
POLICIES = (
    Rules(),
    Rules(("example.com", "customer.example.org")),
    Rules(("sales.example.com", "customer.example.org")),
    Rules(private="full"),
    Rules(private="nothing"),
)
SALESLOFT_KINDS = ("status", "html", "truncate", "reset_before", "reset_after")
GOOGLE_KINDS = ("status", "html", "truncate", "reset_before", "reset_after")

who = st.integers(0, 1)
pick = st.integers(0, 400)
hours = st.integers(-24 * 6, 24 * 14)
quarter = st.integers(0, 3)


def some(options: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    return st.integers(0, len(options) - 1).map(options.__getitem__)


class CalendarMachine(RuleBasedStateMachine):
    """One or two sellers; every sequence ends with a quiet cycle."""

    company: Company | None = None

    @initialize(
        base=some(BASES),
        zone=some(ZONES),
        other=some((None, None, *ZONES)),
        page=some((250, 20, 2, 1)),
        bulk=some((200, 200, 3)),
    )
    def begin(
        self, base: datetime, zone: str, other: str | None, page: int, bulk: int = 200
    ) -> None:
        zones = (zone,) if other is None else (zone, other)
        self.company = Company(base, zones, page_size=page, bulk_threshold=bulk).open()

    def teardown(self) -> None:
        if self.company is None:
            return
        try:
            self.company.quiet()
        finally:
            self.company.close()

    # -- what there is ---------------------------------------------------------------------------

    @property
    def it(self) -> Company:
        assert self.company is not None
        return self.company

    def calendar(self, number: int) -> Calendar:
        return self.it.calendars[number % len(self.it.calendars)]

    def singles(self, calendar: Calendar) -> list[str]:
        return sorted(
            r.id for r in calendar.rows.values() if r.live and not r.is_series and not r.series
        )

    def series(self, calendar: Calendar) -> list[str]:
        return sorted(r.id for r in calendar.rows.values() if r.live and r.is_series)

    def seen(self, calendar: Calendar) -> list[Occurrence]:
        now = self.it.clock()
        return calendar.truth(now - timedelta(days=7), now + timedelta(days=15))

    def when(self, hour: int, quarters: int) -> datetime:
        base = self.it.clock.at.replace(minute=15 * quarters, second=0, microsecond=0)
        return base + timedelta(hours=hour)

    def on_occurrence(
        self, number: int, at: int, act: Callable[[Calendar, Occurrence], Any]
    ) -> None:
        calendar = self.calendar(number)
        if seen := self.seen(calendar):
            act(calendar, seen[at % len(seen)])

    def on_recurring(
        self, number: int, at: int, act: Callable[[Calendar, Occurrence], Any]
    ) -> None:
        """On an occurrence whose series is in the calendar."""
        calendar = self.calendar(number)
        seen = [s for s in self.seen(calendar) if s.recurring_event_id in calendar.rows]
        if seen:
            act(calendar, seen[at % len(seen)])

    def on_whole(self, number: int, at: int, act: Callable[[Calendar, str], Any]) -> None:
        """On a single event or a series as a whole."""
        calendar = self.calendar(number)
        if there := self.singles(calendar) + self.series(calendar):
            act(calendar, there[at % len(there)])

    def on_series(self, number: int, at: int, act: Callable[[Calendar, str], Any]) -> None:
        calendar = self.calendar(number)
        if there := self.series(calendar):
            act(calendar, there[at % len(there)])

    def lines(self, rule_: str, kinds: tuple[str, ...], start: datetime | date) -> list[str]:
        """RRULE, and dates that hit or miss what the rule gives."""
        timed = isinstance(start, datetime)
        form = "%Y%m%dT%H%M%SZ" if timed else "%Y%m%d"
        until = self.it.clock.at + timedelta(days=4)
        found = ["RRULE:" + rule_.format(until=until.strftime(form))]
        if not timed and "HOURLY" in rule_:
            found = ["RRULE:FREQ=DAILY;COUNT=5"]
        for kind in kinds:
            day = start + timedelta(days=7 if kind == "EXDATE" else 5)
            at = day.astimezone(UTC) if isinstance(day, datetime) else day
            found.append(f"{kind}{'' if timed else ';VALUE=DATE'}:{at.strftime(form)}")
        return found

    # -- events come into being ------------------------------------------------------------------

    @rule(w=who, h=hours, q=quarter, minutes=some(MINUTES), zone=some(ZONES), guests=some(GUESTS),
          visibility=some(VISIBILITIES), kind=some(TYPES), organizer=some(ORGANIZERS),
          video=st.booleans(), free=st.booleans())  # fmt: skip
    def create_single(self, w: int, h: int, q: int, minutes: int, zone: str, guests: Any,
                      visibility: str, kind: str, organizer: Any, video: bool, free: bool) -> None:  # fmt: skip
        calendar = self.calendar(w)
        if len(self.singles(calendar)) >= SINGLES:
            return
        calendar.create(
            self.it.text("single"),
            self.when(h, q),
            minutes=minutes,
            time_zone=zone,
            attendees=guests,
            organizer=organizer,
            visibility=visibility,
            event_type=kind,
            transparency="transparent" if free else "opaque",
            location=None if video else self.it.text("place"),
            conference=True if video else None,
        )

    @rule(w=who, d=st.integers(-6, 14), days=st.integers(1, 4), guests=some(GUESTS))
    def create_all_day(self, w: int, d: int, days: int, guests: Any) -> None:
        calendar = self.calendar(w)
        if len(self.singles(calendar)) < SINGLES:
            day = self.it.clock.at.astimezone(calendar.zone).date() + timedelta(days=d)
            calendar.create_all_day(self.it.text("day"), day, days, attendees=guests)

    @rule(w=who, h=st.integers(-24 * 30, 24 * 13), q=quarter, rule_=some(RULES), kinds=some(LINES),
          zone=some(ZONES), minutes=some(MINUTES), guests=some(GUESTS), kind=some(TYPES),
          day=some((False, False, True)))  # fmt: skip
    def create_series(self, w: int, h: int, q: int, rule_: str, kinds: tuple[str, ...], zone: str,
                      minutes: int, guests: Any, kind: str, day: bool) -> None:  # fmt: skip
        calendar = self.calendar(w)
        if len(self.series(calendar)) >= SERIES:
            return
        start: datetime | date = self.when(h, q)
        if day:
            start = self.when(h, q).date()
        calendar.create(
            self.it.text("series"),
            start,
            minutes=minutes,
            time_zone=None if day else zone,
            recurrence=self.lines(rule_, kinds, start),
            attendees=guests,
            event_type=kind,
        )

    @rule(w=who, h=hours, q=quarter, host=some((PROSPECT, "jim@example.com")), known=st.booleans())
    def invite_to_one_occurrence(self, w: int, h: int, q: int, host: str, known: bool) -> None:
        calendar = self.calendar(w)
        if len(self.singles(calendar)) + len(self.orphans(calendar)) < SINGLES:
            series = next(iter(self.orphans(calendar)), None) if known else None
            start = self.when(h, q)
            taken = {row.start for row in calendar.rows.values() if row.series == series}
            if start not in taken:
                calendar.invite_to_occurrence(
                    host, start, series_id=series, summary=self.it.text("one of many")
                )

    def orphans(self, calendar: Calendar) -> list[str]:
        return sorted(
            {r.series for r in calendar.rows.values() if r.series and r.series not in calendar.rows}
        )

    @rule(w=who, at=pick)
    def copy_to_the_other_calendar(self, w: int, at: int) -> None:
        """The same meeting, with the same ids, in a colleague's calendar."""
        source, target = self.calendar(w), self.calendar(w + 1)
        there = self.singles(source) + self.series(source)
        if source is target or not there or len(self.singles(target)) >= SINGLES:
            return
        row = source.rows[there[at % len(there)]]
        if row.id not in target.rows:
            target.receive([row])

    # -- edits -----------------------------------------------------------------------------------

    @rule(
        w=who,
        at=pick,
        guests=some(GUESTS),
        place=st.booleans(),
        status=some((None, "tentative", "confirmed")),
    )
    def rewrite_one(self, w: int, at: int, guests: Any, place: bool, status: str | None) -> None:
        changes: dict[str, Any] = {"summary": self.it.text("edited")}
        if guests:
            changes["attendees"] = guests
        if place:
            changes["location"] = None
        self.on_occurrence(w, at, lambda c, o: c.edit_one(o.id, status=status, **changes))

    @rule(w=who, at=pick, h=st.integers(-24 * 12, 24 * 12), far=some((0, 0, 0, 20, -20)))
    def move_one(self, w: int, at: int, h: int, far: int) -> None:
        def act(calendar: Calendar, seen: Occurrence) -> None:
            days = timedelta(days=far or h // 24)
            length = timedelta(hours=h) if isinstance(seen.start, datetime) else days
            calendar.edit_one(seen.id, start=seen.start + length)

        self.on_occurrence(w, at, act)

    @rule(w=who, at=pick, minutes=some((15, 90, 0, -30, 2000)))
    def stretch_one(self, w: int, at: int, minutes: int) -> None:
        def act(calendar: Calendar, seen: Occurrence) -> None:
            length = timedelta(minutes=minutes)
            if isinstance(seen.start, datetime):
                calendar.edit_one(seen.id, start=seen.start, end=seen.start + length)

        self.on_occurrence(w, at, act)

    @rule(w=who, at=pick, h=st.integers(0, 23))
    def other_kind_of_time_one(self, w: int, at: int, h: int) -> None:
        self.on_occurrence(
            w, at, lambda c, o: c.edit_one(o.id, start=self.other_kind(c, o.start, h))
        )

    def other_kind(self, calendar: Calendar, start: datetime | date, hour: int) -> datetime | date:
        """Timed to all-day, and back."""
        if isinstance(start, datetime):
            return start.date()
        return datetime(start.year, start.month, start.day, hour, tzinfo=calendar.zone)

    @rule(w=who, at=pick, guests=some(GUESTS), family=st.booleans())
    def rewrite_all(self, w: int, at: int, guests: Any, family: bool) -> None:
        changes: dict[str, Any] = {
            "summary": self.it.text("all"),
            "description": self.it.text("more"),
        }
        if guests:
            changes["attendees"] = guests
        self.on_whole(w, at, lambda c, i: c.edit_all(i, family=family, **changes))

    @rule(w=who, at=pick, h=st.integers(-30, 30), tombstones=st.booleans())
    def move_all(self, w: int, at: int, h: int, tombstones: bool) -> None:
        def act(calendar: Calendar, event_id: str) -> None:
            start = calendar.rows[event_id].start
            length = timedelta(hours=h) if isinstance(start, datetime) else timedelta(days=h // 8)
            calendar.edit_all(event_id, start=start + length, tombstones=tombstones)

        self.on_whole(w, at, act)

    @rule(w=who, at=pick, rule_=some(RULES), kinds=some(LINES), tombstones=st.booleans())
    def change_rule(
        self, w: int, at: int, rule_: str, kinds: tuple[str, ...], tombstones: bool
    ) -> None:
        def act(calendar: Calendar, event_id: str) -> None:
            start = calendar.rows[event_id].start
            calendar.edit_all(
                event_id, recurrence=self.lines(rule_, kinds, start), tombstones=tombstones
            )

        self.on_whole(w, at, act)  # a single event becomes a series so

    @rule(w=who, at=pick)
    def series_becomes_single(self, w: int, at: int) -> None:
        self.on_series(w, at, lambda c, i: c.edit_all(i, recurrence=[]))

    @rule(w=who, at=pick, zone=some(ZONES))
    def change_zone_of_all(self, w: int, at: int, zone: str) -> None:
        self.on_whole(w, at, lambda c, i: c.edit_all(i, time_zone=zone))

    @rule(w=who, at=pick, h=st.integers(0, 23), rule_=some(RULES))
    def other_kind_of_time_all(self, w: int, at: int, h: int, rule_: str) -> None:
        def act(calendar: Calendar, event_id: str) -> None:
            row = calendar.rows[event_id]
            start = self.other_kind(calendar, row.start, h)
            calendar.edit_all(event_id, start=start, recurrence=self.lines(rule_, (), start))

        self.on_series(w, at, act)

    @rule(w=who, at=pick, keep=st.booleans(), rule_=some((None, None, *RULES)))
    def rewrite_following(self, w: int, at: int, keep: bool, rule_: str | None) -> None:
        def act(calendar: Calendar, seen: Occurrence) -> None:
            lines = None
            if rule_ is not None and seen.original_start is not None:
                lines = self.lines(rule_, (), seen.original_start)
            calendar.edit_following(
                seen.id, keep_exceptions=keep, recurrence=lines, summary=self.it.text("following")
            )

        self.on_recurring(w, at, act)

    @rule(w=who, at=pick, h=st.integers(1, 30))
    def move_following(self, w: int, at: int, h: int) -> None:
        def act(calendar: Calendar, seen: Occurrence) -> None:
            original = seen.original_start
            assert original is not None
            length = timedelta(hours=h) if isinstance(original, datetime) else timedelta(days=1)
            calendar.edit_following(seen.id, start=original + length)

        self.on_recurring(w, at, act)

    # -- deletions -------------------------------------------------------------------------------

    @rule(w=who, at=pick)
    def cancel_one(self, w: int, at: int) -> None:
        self.on_occurrence(w, at, lambda c, o: c.cancel_one(o.id))

    @rule(w=who, at=pick)
    def restore_one(self, w: int, at: int) -> None:
        calendar = self.calendar(w)
        gone = sorted(
            r.id
            for r in calendar.rows.values()
            if not r.live and not r.bare and not r.buried and not r.is_series
        )
        if gone:
            calendar.restore_one(gone[at % len(gone)])

    @rule(w=who, at=pick, family=st.booleans())
    def cancel_all(self, w: int, at: int, family: bool) -> None:
        self.on_whole(w, at, lambda c, i: c.cancel_all(i, family=family))

    @rule(w=who, at=pick)
    def cancel_following(self, w: int, at: int) -> None:
        self.on_recurring(w, at, lambda c, o: c.cancel_following(o.id))

    # -- people, visibility, identity ------------------------------------------------------------

    @rule(w=who, at=pick, answer=some(("declined", "accepted", "tentative")), whole=st.booleans())
    def answer(self, w: int, at: int, answer: str, whole: bool) -> None:
        if whole:
            self.on_whole(w, at, lambda c, i: c.rsvp(i, answer))
        else:
            self.on_occurrence(w, at, lambda c, o: c.rsvp(o.id, answer))

    @rule(w=who, at=pick, visibility=some(VISIBILITIES), whole=st.booleans())
    def hide_or_show(self, w: int, at: int, visibility: str, whole: bool) -> None:
        if whole:
            self.on_whole(w, at, lambda c, i: c.set_visibility(i, visibility))
        else:
            self.on_occurrence(w, at, lambda c, o: c.set_visibility(o.id, visibility))

    @rule(w=who, at=pick, add=st.booleans(), whole=st.booleans())
    def change_guests(self, w: int, at: int, add: bool, whole: bool) -> None:
        def act(calendar: Calendar, event_id: str) -> None:
            if add:
                calendar.add_guest(event_id, PROSPECT)
            else:
                calendar.remove_guest(event_id, PROSPECT)

        if whole:
            self.on_whole(w, at, act)
        else:
            self.on_occurrence(w, at, lambda c, o: act(c, o.id))

    @rule(w=who, at=pick, omitted=st.booleans())
    def omit_attendees(self, w: int, at: int, omitted: bool) -> None:
        self.on_occurrence(w, at, lambda c, o: c.omit_attendees(o.id, omitted=omitted))

    @rule(w=who, at=pick)
    def change_ical_uid(self, w: int, at: int) -> None:
        self.on_whole(w, at, lambda c, i: c.set_ical_uid(i, self.it.text("uid").replace(" ", "-")))

    @rule(w=who, at=pick)
    def change_ical_uid_back(self, w: int, at: int) -> None:
        self.on_whole(w, at, lambda c, i: c.set_ical_uid(i, f"{i}@google.com"))

    @rule(w=who, at=pick)
    def move_to_the_other_calendar(self, w: int, at: int) -> None:
        other = self.calendar(w + 1)
        if other is not self.calendar(w):
            self.on_whole(w, at, lambda c, i: c.move_to(i, other))

    # -- the calendar and the world --------------------------------------------------------------

    @rule(w=who, zone=some(ZONES))
    def calendar_zone(self, w: int, zone: str) -> None:
        self.calendar(w).set_time_zone(zone)

    @rule(w=who, role=some(("none", "freeBusyReader", "reader", "owner", "owner")))
    def access(self, w: int, role: Any) -> None:
        calendar = self.calendar(w)
        calendar.set_role(calendar.owner, role)

    @rule(w=who)
    def tokens_expire(self, w: int) -> None:
        self.calendar(w).expire_tokens()

    @rule(w=who)
    def google_forgets_deletions(self, w: int) -> None:
        # Only together: a token is not valid any longer than the deletions that it would have to tell of.
        self.calendar(w).purge_tombstones()
        self.calendar(w).expire_tokens()

    @rule(w=who, on=st.booleans(), late=st.booleans())
    def quirks(self, w: int, on: bool, late: bool) -> None:
        calendar = self.calendar(w)
        calendar.set_quirk("exception_before_master" if late else "cancelled_masters_listed", on=on)

    @rule(h=some((1, 5, 13, 24, 36, 24 * 4, 24 * 8, 24 * 22)))
    def time_passes(self, h: int) -> None:
        self.it.pass_time(hours=h)

    @rule()
    def the_clock_goes_back_a_day(self) -> None:
        self.it.pass_time(days=-1)

    @rule(policy=some(POLICIES))
    def policy(self, policy: Rules) -> None:
        if policy != self.it.rules:
            self.it.set_rules(policy)

    @rule(
        kind=some(("gone_mid_pagination", "gone_after_full", "duplicate_item", "empty_page")),
        times=st.integers(1, 3),
    )
    def google_lists_fail(self, kind: Any, times: int) -> None:
        self.it.clean = False
        self.it.office.google.faults_google(kind, times=times)

    @rule(
        share=some((0.1, 0.3, 0.6)),
        kinds=some((GOOGLE_KINDS, ("status",), ("truncate",), ("reset_after",))),
    )
    def google_fails(self, share: float, kinds: Any) -> None:
        self.it.clean = False
        self.it.office.google.faults.random(share, kinds)

    @rule(skip=st.integers(0, 6), reason=some(("fullSyncRequired", "notFound", "authError")))
    def google_refuses_once(self, skip: int, reason: str) -> None:
        self.it.clean = False
        status = {"fullSyncRequired": 410, "notFound": 404, "authError": 401}[reason]
        routes = "events.list" if status == 410 else "events.*"
        error = {"domain": "global", "reason": reason, "message": reason}
        body = {"error": {"errors": [error], "code": status, "message": reason}}
        self.it.office.google.faults.add(Fault(routes, "status", status, body, skip=skip))

    @rule(
        share=some((0.1, 0.4, 1.0)),
        kinds=some((SALESLOFT_KINDS, ("reset_after",), ("status",), ("truncate",))),
    )
    def salesloft_fails(self, share: float, kinds: Any) -> None:
        self.it.clean = False
        if self.it.bulk_threshold < 200:
            share = min(share, 0.4)  # a one-shot stays with its bulk job through any outage
        self.it.office.salesloft.faults.random(share, kinds)

    @rule()
    def faults_end(self) -> None:
        self.it.office.google.faults.clear()
        self.it.office.google.list_faults.clear()
        self.it.office.salesloft.faults.clear()

    # -- the connector ---------------------------------------------------------------------------

    @rule()
    def poll(self) -> None:
        self.it.poll()

    @rule()
    def poll_again(self) -> None:
        self.it.poll()

    @rule(w=who, at=pick, after=st.integers(1, 6), what=st.integers(0, 3))
    def poll_while_somebody_edits(self, w: int, at: int, after: int, what: int) -> None:
        """The edit falls between two of Google's answers to this very poll."""
        edits: tuple[Callable[[], None], ...] = (
            lambda: self.cancel_one(w, at),
            lambda: self.move_one(w, at, 30, 0),
            lambda: self.rewrite_following(w, at, True, None),
            lambda: self.change_rule(w, at, RULES[0], (), True),
        )
        self.it.poll_and(after, edits[what])

    @rule()
    def salesloft_refuses_the_key_for_a_while(self) -> None:
        self.it.poll_without_key()

    @rule()
    def the_state_is_lost(self) -> None:
        self.it.lose_state()

    @rule()
    def poll_in_full(self) -> None:
        self.it.poll(full=True)

    @rule()
    def quiet(self) -> None:
        self.it.quiet()

    @rule()
    def keep_parts(self) -> None:
        self.it.keep_parts()

    @rule()
    def restart(self) -> None:
        self.it.forget_parts()

    @rule()
    def crash_between_reading_and_delivery(self) -> None:
        self.it.read_only()

    @rule(after=st.integers(1, 8))
    def crash_while_delivering(self, after: int) -> None:
        self.it.die_while_delivering(after)

    @rule(after=st.integers(1, 6))
    def crash_while_reading(self, after: int) -> None:
        self.it.die_while_reading(after)
