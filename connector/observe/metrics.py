"""The metrics, in a registry of their own. `docs/metrics.md` describes each; tests compare.

What happens is counted as it happens (`Metrics`, an `Observer`); what stands is read from the newest snapshot when
somebody scrapes (`Standings`), so that a scrape asks nothing of the state. Labels have few values: user names only
where `[observability] user_labels` allows them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from connector.observe.observer import NOTIFIED, DeliveryOutcome, Observer, PollResult
from connector.observe.snapshot import LANES, Snapshot, TeamStanding, UserState, team_label

PREFIX = "gcal_salesloft_"
FRESHNESS_BUCKETS = (1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 300, 600, 1800, 3600, 14400, 86400)
REQUEST_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
NO_ANSWER = "no_answer"


class Metrics(Observer):
    """Counts what the steps tell. `turns` is when each user was last polled (monotonic) and how that ended."""

    __slots__ = (
        "_answers",
        "_deliveries",
        "_freshness",
        "_full",
        "_google",
        "_google_seconds",
        "_labels",
        "_monotonic",
        "_notifications",
        "_polls",
        "_resets",
        "_results",
        "_salesloft",
        "_salesloft_seconds",
        "_timers",
        "registry",
        "turns",
    )

    def __init__(self, version: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.registry = registry = CollectorRegistry(auto_describe=True)
        self.turns: dict[str, tuple[float, PollResult]] = {}
        self._monotonic = monotonic
        self._labels: dict[str, str] = {}
        self._answers: dict[tuple[str, str, int], Counter] = {}
        self._timers: dict[tuple[str, str], Histogram] = {}
        self._freshness = Histogram(
            f"{PREFIX}freshness_seconds",
            "From Google's `updated` of a change to Salesloft's accepting answer; backfill is left out",
            ["team"],
            buckets=FRESHNESS_BUCKETS,
            registry=registry,
        )
        self._polls = Counter(
            f"{PREFIX}polls", "Turns of calendars, by how they ended", ["result"], registry=registry
        )
        self._full = Counter(f"{PREFIX}full_readings", "Calendars read in full", registry=registry)
        self._resets = Counter(
            f"{PREFIX}token_resets", "Sync tokens that Google no longer accepted", registry=registry
        )
        self._deliveries = Counter(
            f"{PREFIX}deliveries",
            "Upserts, by what became of them",
            ["team", "outcome"],
            registry=registry,
        )
        self._google = Counter(
            f"{PREFIX}google_requests", "Requests to Google", ["call", "result"], registry=registry
        )
        self._google_seconds = Histogram(
            f"{PREFIX}google_request_seconds",
            "How long Google took to answer",
            ["call"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self._salesloft = Counter(
            f"{PREFIX}salesloft_requests",
            "Requests to Salesloft",
            ["route", "result"],
            registry=registry,
        )
        self._salesloft_seconds = Histogram(
            f"{PREFIX}salesloft_request_seconds",
            "How long Salesloft took to answer",
            ["route"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        notifications = Counter(
            f"{PREFIX}notifications",
            "Google's push notifications, by what they were worth",
            ["worth"],
            registry=registry,
        )
        ProcessCollector(registry=registry)
        registry.register(_Build(version))
        # All from the start, so that a rate can be taken of the first one, too.
        self._notifications = {worth: notifications.labels(worth) for worth in NOTIFIED}
        self._results = {result: self._polls.labels(result) for result in get_args(PollResult)}

    def polled(self, user: str, result: PollResult) -> None:
        self.turns[user] = (self._monotonic(), result)
        self._results[result].inc()
        if result == "full":
            self._full.inc()

    def token_reset(self) -> None:
        self._resets.inc()

    def delivered(
        self, team: str, outcome: DeliveryOutcome, seconds: float | None = None, count: int = 1
    ) -> None:
        label = self._labels.get(team)
        if label is None:
            label = self._labels[team] = team_label(team)
        self._deliveries.labels(label, outcome).inc(count)
        if seconds is not None:
            self._freshness.labels(label).observe(max(0.0, seconds))

    def google_answered(self, call: str, status: int, seconds: float) -> None:
        self._answered(self._google, self._google_seconds, "google", call, status, seconds)

    def salesloft_answered(self, route: str, status: int, seconds: float) -> None:
        self._answered(
            self._salesloft, self._salesloft_seconds, "salesloft", route, status, seconds
        )

    def notified(self, worth: str) -> None:
        self._notifications[worth].inc()

    def _answered(
        self, counter: Counter, timer: Histogram, to: str, name: str, status: int, seconds: float
    ) -> None:
        count = self._answers.get((to, name, status))
        if count is None:
            result = str(status) if 100 <= status <= 599 else NO_ANSWER
            count = self._answers[to, name, status] = counter.labels(name, result)
            self._timers[to, name] = timer.labels(name)
        count.inc()
        self._timers[to, name].observe(seconds)


class Exposed(Collector):
    """What a registry shows, without the moments at which each series was created, which nobody asks for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


class _Build(Collector):
    def __init__(self, version: str) -> None:
        self._version = version

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            f"{PREFIX}build_info", "1, with the version of the program", labels=["version"]
        )
        family.add_metric([self._version], 1)
        yield family


class Standings(Collector):
    """Gauges out of the newest snapshot. `now` is the wall clock; `names` allows users' names as labels."""

    def __init__(
        self,
        latest: Callable[[], Snapshot | None],
        now: Callable[[], datetime],
        *,
        names: bool = False,
    ) -> None:
        self._latest = latest
        self._now = now
        self._names = names

    def describe(self) -> Iterator[Metric]:
        """Names without values, so that registering takes no snapshot."""
        return self._families(Snapshot(self._now()))

    def collect(self) -> Iterator[Metric]:
        snapshot = self._latest()
        if snapshot is not None:
            yield from self._families(snapshot)

    def _families(self, snapshot: Snapshot) -> Iterator[Metric]:
        now = self._now()
        yield _single(
            "snapshot_age_seconds", "Age of the gauges", (now - snapshot.at).total_seconds()
        )
        yield from _of_teams(snapshot.teams, now)
        users = _family("users", "Users, by how they stand", "state")
        for state, count in snapshot.users_by_state().items():
            users.add_metric([state], count)
        yield users
        read = [
            u.last_success for u in snapshot.users if u.state is UserState.OK and u.last_success
        ]
        oldest = (now - min(read)).total_seconds() if read else 0.0
        yield _single(
            "oldest_reading_seconds",
            "Age of the oldest last good reading, of users that are ok",
            oldest,
        )
        yield _single(
            "held_differences",
            "Mass cancellations that wait for a human",
            len(snapshot.differences),
        )
        yield from _of_what_goes_on_beside(snapshot, now)
        if self._names:
            yield from _of_users(snapshot)


def _of_teams(teams: tuple[TeamStanding, ...], now: datetime) -> Iterator[Metric]:
    backlog = GaugeMetricFamily(
        f"{PREFIX}backlog",
        "Occurrences that wait to be sent, by class of urgency",
        labels=["team", "class"],
    )
    for team in teams:
        for lane in LANES:
            backlog.add_metric([team.label, lane], team.backlog.get(lane, 0))
    yield backlog
    for name, text, value in _TEAM_GAUGES:
        family = _family(name, text, "team")
        for team in teams:
            family.add_metric([team.label], value(team))
        yield family
    age = _family(
        "oldest_unsent_change_seconds", "How long the longest-waiting change waits", "team"
    )
    told = _family(
        "points_remaining", "Points that Salesloft last said are left to the whole team", "team"
    )
    spent = CounterMetricFamily(f"{PREFIX}points", "Points spent since the start", labels=["team"])
    for team in teams:
        since = team.oldest_change
        age.add_metric([team.label], max(0.0, (now - since).total_seconds()) if since else 0.0)
        spent.add_metric([team.label], team.spent_in_all)
        if team.remaining is not None:
            told.add_metric([team.label], team.remaining)
    yield from (age, told, spent)


_TEAM_GAUGES: tuple[tuple[str, str, Callable[[TeamStanding], float]], ...] = (
    ("held", "Occurrences of held differences", lambda team: team.held),
    ("dead_letters", "Occurrences that Salesloft refused for good", lambda team: team.dead_letters),
    ("set_aside", "Events that cannot be read", lambda team: team.set_aside),
    ("points_spent", "Points of ours in the last 60 s", lambda team: team.spent),
    ("points_left", "Points that may be spent now", lambda team: team.left),
    ("points_limit", "Points that may be spent in any 60 s", lambda team: team.limit),
    ("points_reserve", "Points that are left to the team's other tools", lambda team: team.reserve),
)


def _of_what_goes_on_beside(snapshot: Snapshot, now: datetime) -> Iterator[Metric]:
    bookings = _family(
        "bookings", "Meetings booked in Salesloft that are remembered, by state", "state"
    )
    for state, count in snapshot.bookings.items():
        bookings.add_metric([state], count)
    yield bookings
    channels = _family("channels", "Push channels at Google, by how they stand", "state")
    for state, count in snapshot.channels.items():
        channels.add_metric([state], count)
    yield channels
    verified = _family(
        "verified_occurrences", "What the last verification of each user found", "result"
    )
    for result, count in snapshot.verified.items():
        verified.add_metric([result], count)
    yield verified
    if snapshot.verified_oldest is not None:
        age = (now - snapshot.verified_oldest).total_seconds()
        yield _single("oldest_verification_seconds", "Age of the oldest last verification", age)


def _of_users(snapshot: Snapshot) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        f"{PREFIX}user_state", "1 for the state that a user is in", labels=["user", "state"]
    )
    success = _family(
        "user_last_success_timestamp_seconds", "When a user's calendar was last read", "user"
    )
    for user in snapshot.users:
        states.add_metric([user.name, user.state], 1)
        if user.last_success is not None:
            success.add_metric([user.name], user.last_success.timestamp())
    yield from (states, success)


def _family(name: str, text: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=[label])


def _single(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, value=value)
