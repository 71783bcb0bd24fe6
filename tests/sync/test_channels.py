"""The keeper of channels against the simulated Google, under a clock of the test's own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from connector import google
from connector.domain.model import UserGuid, UserName
from connector.domain.push import Channel, Verdict, client_of, made_for, secret_digest
from connector.google import read_notification
from connector.observe.observer import Observer
from connector.simulator.faults import Fault
from connector.simulator.google import Calendar, GoogleWorld, make_google_app
from connector.simulator.google import push as simulated
from connector.simulator.processes import serve
from connector.store import State, open_copy
from connector.store import channels as rows
from connector.sync.channels import ADDRESS_AGAIN, ChannelKeeper
from connector.sync.notifications import BATCH, ROOM, Notifications
from connector.sync.wakes import Wakes
from connector.sync.watching import Company, Watcher
from tests.store.world import an_empty_file_state

ADDRESS = "https://calendar.example.com/google/notifications"
WEEK = timedelta(days=7)


class Tokens:
    """Access tokens of one user, without the token endpoint."""

    def __init__(self, world: GoogleWorld, email: str) -> None:
        self._world, self._email = world, email

    def ready(self) -> None:
        return None

    async def token(self) -> str:
        return self._world.accounts.access_token(self._email)

    def reject(self, token: str) -> None:
        raise AssertionError(f"{token} is as good as any other")


class Heard(Observer):
    """What notifications were worth."""

    def __init__(self) -> None:
        self.verdicts: list[Any] = []

    def notified(self, worth: str) -> None:
        self.verdicts.append(worth)


@dataclass
class Watching:
    """A world, a state, and a keeper of Pam's and Jim's channels."""

    world: GoogleWorld
    url: str
    session: aiohttp.ClientSession
    state: State
    now: datetime = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
    address: str = ADDRESS
    people: dict[str, Calendar] = field(default_factory=dict)
    served: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    relaxed: dict[int, bool] = field(default_factory=dict)
    hastened: list[int] = field(default_factory=list)
    heard: Heard = field(default_factory=Heard)

    def __post_init__(self) -> None:
        self.limiter = google.RequestLimiter(1_000_000, clock=lambda: self.now.timestamp())
        self.new_process()

    def new_process(self) -> None:
        """As after a crash: what only the process knew is gone."""
        self.wakes = Wakes(self.hastened.append, lambda: self.now.timestamp())
        self.keeper = ChannelKeeper(
            self.state,
            lambda: self.now,
            self.wakes,
            relax=self.relaxed.__setitem__,
            hasten=self.hastened.append,
            monotonic=lambda: self.now.timestamp(),
        )
        self.notifications = Notifications(
            self.state,
            lambda: self.now,
            told=self.keeper.told,
            observer=self.heard,
        )

    async def hire(self, name: str) -> int:
        """A calendar that is served and watched; its row."""
        self.people[name] = self.world.add_calendar(f"{name}@example.com")
        self.served.add(name)
        row = await self.state.calendar(UserGuid(f"guid-{name}"), UserName(name))
        return row.id

    def watcher(self, calendar: int, name: str) -> Watcher:
        requests = google.CalendarRequests(self.url, "primary")
        transport = google.GoogleTransport(
            self.session,
            Tokens(self.world, f"{name}@example.com"),  # type: ignore[arg-type]
            self.limiter,
            who=name,
            policy=google.RetryPolicy(attempts=2, base_seconds=0.0),
        )
        channels = google.GoogleChannels(requests, transport)

        @contextlib.asynccontextmanager
        async def opened() -> AsyncIterator[google.GoogleChannels]:
            yield channels

        return Watcher(
            calendar, UserName(name), self.address, made_for(self.address, name, name), opened
        )

    async def round(self, batch: int = 40) -> None:
        """A round, and what the world sends because of it."""
        calendars = {row.name: row.id for row in await self.state.calendars()}
        everybody = {calendar: self.watcher(calendar, name) for name, calendar in calendars.items()}
        watchers = {c: w for c, w in everybody.items() if w.name in self.served}

        def stopper(channel: Channel) -> Watcher | None:
            """Also of who is gone: what the process keeps of them."""
            one = everybody[channel.calendar]
            return one if client_of(one.made_for) == client_of(channel.made_for) else None

        company = Company(
            watchers, lambda guid: guid.removeprefix("guid-") in self.elsewhere, stopper
        )
        await self.keeper.round(company, batch)

    async def rows(self) -> list[Channel]:
        return list((await self.state.run(rows.overview)).channels)

    async def tell(self, channel: simulated.Channel, number: int, state: Any = "exists") -> Verdict:
        """A message of the world's reaches the receiver."""
        channel.sent = max(channel.sent, number)
        said = read_notification(simulated.Message(channel, number, state).headers)
        assert self.notifications.take(said)
        assert await self.notifications.judge_some()
        return Verdict(self.heard.verdicts[-1])

    def live(self) -> list[simulated.Channel]:
        return self.world.push.live()


@pytest.fixture
async def watching() -> AsyncIterator[Watching]:
    clock: list[Watching] = []
    world = GoogleWorld(now=lambda: clock[0].now if clock else datetime.now(UTC), seed=3)
    world.push.lose_sync = True
    state = State(open_copy(None))  # type: ignore[arg-type]
    async with serve(make_google_app(world)) as url, aiohttp.ClientSession() as session:
        made = Watching(world, url, session, state)
        clock.append(made)
        await made.notifications.look()
        yield made
    state.close()


async def proved(watching: Watching, name: str = "pam") -> simulated.Channel:
    """A channel of which the first message came."""
    if name not in watching.people:
        await watching.hire(name)
    await watching.round()
    (channel,) = watching.world.push.live(f"{name}@example.com")
    assert await watching.tell(channel, 1, "sync") is Verdict.SYNC
    await watching.round()
    return channel


async def test_a_calendar_gets_one_channel_with_a_secret_of_its_own(watching: Watching) -> None:
    await watching.hire("pam")
    await watching.hire("jim")
    for _ in range(3):
        await watching.round()
    pams, jims = watching.live()
    assert {pams.calendar_id, jims.calendar_id} == {"pam@example.com", "jim@example.com"}
    assert pams.token != jims.token
    assert pams.id != jims.id
    assert {row.expires for row in await watching.rows()} == {
        watching.now + WEEK + timedelta(seconds=10)
    }


async def test_polls_are_slower_only_once_a_message_has_proved_the_channel(
    watching: Watching,
) -> None:
    calendar = await watching.hire("pam")
    await watching.round()
    await watching.round()
    assert not watching.relaxed.get(calendar)
    await proved(watching)
    assert watching.relaxed[calendar]


async def test_a_notification_wakes_and_keeps_the_usual_pace_for_a_while(
    watching: Watching,
) -> None:
    channel = await proved(watching)
    (calendar,) = watching.relaxed
    assert await watching.tell(channel, 2) is Verdict.ACCEPTED
    assert watching.hastened == [calendar]
    await watching.round()
    assert not watching.relaxed[calendar]
    watching.now += timedelta(seconds=61)
    await watching.round()
    assert watching.relaxed[calendar]


async def test_a_channel_is_renewed_with_an_overlap_and_the_old_one_is_then_stopped(
    watching: Watching,
) -> None:
    old = await proved(watching)
    watching.now = old.expires - timedelta(days=0.5)
    await watching.round()
    first, new = watching.live()
    assert first is old
    await watching.round()
    assert len(watching.live()) == 2  # nothing of the new one was heard
    assert await watching.tell(old, 5) is Verdict.ACCEPTED
    assert await watching.tell(new, 1, "sync") is Verdict.SYNC
    await watching.round()
    assert watching.live() == [new]
    assert [row.id for row in await watching.rows()] == [new.id]
    assert await watching.tell(old, 9) is Verdict.UNKNOWN


async def test_an_old_channel_whose_successor_is_proved_says_nothing_that_counts(
    watching: Watching,
) -> None:
    old = await proved(watching)
    watching.now = old.expires - timedelta(days=0.5)
    await watching.round()
    new = watching.live()[1]
    await watching.tell(new, 1, "sync")
    watching.world.faults.add(Fault("channels.stop", times=None))
    await watching.round()
    assert await watching.tell(old, 9) is Verdict.STALE
    watching.world.faults.clear()
    watching.now += timedelta(minutes=5)
    await watching.round()
    assert old.stopped


async def test_a_short_life_is_read_from_the_answer(watching: Watching) -> None:
    watching.world.push.lifetime = timedelta(hours=1)
    old = await proved(watching)
    for _ in range(66):
        watching.now += timedelta(minutes=1)
        await watching.round()
        assert watching.live() != []
    assert not any(channel.expires <= watching.now for channel in watching.live())
    assert old.id not in {row.id for row in await watching.rows()}


async def test_an_answer_that_was_lost_twice_leaves_nothing_behind(watching: Watching) -> None:
    await watching.hire("pam")
    watching.world.faults.add(Fault("events.watch", "reset_before"))
    watching.world.faults.add(Fault("events.watch", "reset_after"))
    await watching.round()
    (orphan,) = watching.live()
    for _ in range(4):
        watching.now += timedelta(minutes=1)
        await (
            watching.round()
        )  # by the same id, which is taken; by another one; the first is stopped
    assert orphan.stopped
    (new,) = watching.live()
    assert [row.id for row in await watching.rows()] == [new.id]
    assert await watching.tell(new, 2) is Verdict.ACCEPTED


async def test_what_an_unanswered_channel_says_itself_tells_that_it_exists(
    watching: Watching,
) -> None:
    await watching.hire("pam")
    watching.world.faults.add(Fault("events.watch", "reset_before"))
    watching.world.faults.add(Fault("events.watch", "reset_after"))
    await watching.round()
    (orphan,) = watching.live()
    assert await watching.tell(orphan, 1, "sync") is Verdict.EARLY
    watching.now += timedelta(minutes=1)
    await watching.round()
    assert orphan.stopped
    assert len(watching.live()) == 1


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_process_that_died_before_the_answer_leaves_nothing_behind(
    watching: Watching, lost: int
) -> None:
    """The second attempt meets its own id; its answer is read, or lost as well."""
    await watching.hire("pam")
    watching.world.faults.add(Fault("events.watch", "reset_after", times=lost))
    await watching.round()
    (orphan,) = watching.live()
    watching.new_process()
    watching.now += timedelta(minutes=1)
    await watching.round()
    assert len(watching.live()) == 2
    await watching.round()
    (new,) = watching.live()
    assert new is not orphan
    assert [row.id for row in await watching.rows()] == [new.id]


async def test_a_channel_whose_answer_never_came_is_stopped_by_what_it_says_itself(
    watching: Watching,
) -> None:
    await watching.hire("pam")
    watching.world.faults.add(Fault("events.watch", "reset_after", times=2))
    await watching.round()
    (orphan,) = watching.live()
    watching.served.clear()  # and no other channel will tell its resource
    await watching.round()
    assert watching.live() == [orphan]
    assert await watching.tell(orphan, 3) is Verdict.EARLY
    assert watching.hastened == []
    await watching.round()
    assert orphan.stopped
    assert await watching.rows() == []


async def test_the_first_message_may_come_before_the_answer_and_proves_what_it_can(
    watching: Watching,
) -> None:
    calendar = await watching.hire("pam")
    push = watching.world.push
    verdicts: list[Verdict] = []

    async def ahead(channel: simulated.Channel) -> None:
        verdicts.append(await watching.tell(channel, 1, "sync"))

    push.synchronise = ahead  # type: ignore[method-assign]
    await watching.round()
    assert verdicts == [Verdict.EARLY]
    assert watching.hastened == []
    await watching.round()
    assert watching.relaxed[calendar]


async def test_a_foreign_resource_in_an_early_message_proves_nothing(watching: Watching) -> None:
    calendar = await watching.hire("pam")

    async def ahead(channel: simulated.Channel) -> None:
        other, channel.resource_id = channel.resource_id, "another-resource"
        assert await watching.tell(channel, 1, "sync") is Verdict.EARLY
        channel.resource_id = other

    watching.world.push.synchronise = ahead  # type: ignore[method-assign]
    await watching.round()
    await watching.round()
    assert not watching.relaxed.get(calendar)
    assert [row.number for row in await watching.rows()] == [0]


async def test_a_user_who_leaves_takes_the_channel_along_and_one_served_elsewhere_does_not(
    watching: Watching,
) -> None:
    pams, jims = await proved(watching), await proved(watching, "jim")
    watching.served.discard("jim")
    watching.elsewhere.add("jim")
    await watching.round()
    assert watching.live() == [pams, jims]
    watching.elsewhere.clear()
    await watching.round()
    assert watching.live() == [pams]
    await watching.state.run(lambda c: c.execute("UPDATE calendars SET left_ms = 1"))
    await watching.round()
    assert watching.live() == []
    assert await watching.rows() == []


async def test_channels_for_another_address_are_replaced(watching: Watching) -> None:
    old = await proved(watching)
    watching.address = "https://other.example.com/google/notifications"
    await watching.round()
    assert old.stopped
    assert [one.address for one in watching.live()] == [watching.address]


async def test_a_change_that_no_message_told_of_ends_the_slow_pace_until_one_does(
    watching: Watching,
) -> None:
    channel = await proved(watching)
    (calendar,) = watching.relaxed
    begin = watching.now.timestamp()
    with capture_logs() as logs:
        for second, touched in ((10, False), (20, True)):
            watching.keeper.was_read(calendar, begin + second, touched=touched, failed=False)
    assert [one["event"] for one in logs] == ["push_quiet"]
    assert not watching.relaxed[calendar]
    watching.now += timedelta(minutes=2)
    await watching.round()
    assert not watching.relaxed[calendar]
    watching.new_process()  # it is remembered
    await watching.round()
    assert not watching.relaxed[calendar]
    await watching.tell(channel, 2)
    watching.now += timedelta(minutes=2)
    await watching.round()
    assert watching.relaxed[calendar]


async def test_a_channel_that_misses_three_changes_in_a_row_is_replaced(watching: Watching) -> None:
    old = await proved(watching)
    (calendar,) = watching.relaxed
    for minute in range(5):
        watching.now += timedelta(minutes=3)
        watching.keeper.was_read(
            calendar, watching.now.timestamp(), touched=minute > 0, failed=False
        )
    await watching.round()
    assert len(watching.live()) == 2
    await watching.tell(watching.live()[1], 1, "sync")
    await watching.round()
    assert old.stopped
    assert len(watching.live()) == 1


async def test_what_changed_before_the_channel_was_there_is_looked_for_once(
    watching: Watching,
) -> None:
    calendar = await watching.hire("pam")
    watching.keeper.was_read(calendar, watching.now.timestamp() - 1, touched=False, failed=False)
    await watching.round()
    watching.keeper.was_read(calendar, watching.now.timestamp() - 1, touched=False, failed=False)
    (channel,) = watching.live()
    await watching.tell(channel, 1, "sync")
    await watching.round()
    await watching.round()
    assert watching.hastened == [calendar]


async def test_a_refused_address_is_asked_about_once_for_everybody(watching: Watching) -> None:
    for name in ("pam", "jim", "dwight"):
        await watching.hire(name)
    push = watching.world.push
    push.unauthorized.add(ADDRESS)
    asked = partial(watching.world.requests, "events.watch")
    with capture_logs() as logs:
        for _ in range(4):
            await watching.round(batch=1)
            watching.now += timedelta(seconds=1)
        assert len(asked()) == 1
        assert [one["event"] for one in logs] == ["push_address_refused"]
        assert len(await watching.state.run(rows.troubles)) == 3
        watching.new_process()
        await watching.round()
        assert len(asked()) == 1
        push.unauthorized.clear()
        watching.now += ADDRESS_AGAIN
        await watching.round()
    assert len(watching.live()) == 3
    assert await watching.state.run(rows.troubles) == {}
    assert [one["event"] for one in logs].count("push_back") == 3
    assert await watching.rows() != []


@pytest.mark.parametrize("status", [400, 401])
async def test_a_refused_address_is_told_apart_from_a_refused_token(
    watching: Watching, status: Any
) -> None:
    await watching.hire("pam")
    watching.world.push.unauthorized.add(ADDRESS)
    watching.world.push.refusal_status = status
    await watching.round()  # a rejected token would raise
    (trouble,) = (await watching.state.run(rows.troubles)).values()
    assert trouble.reason == "address_refused"
    assert "push.webhookUrlUnauthorized" in trouble.message
    assert await watching.rows() == []


async def test_a_calendar_that_cannot_be_watched_is_polled_and_said_once(
    watching: Watching,
) -> None:
    calendar = await watching.hire("pam")
    watching.world.push.unsupported.add("pam@example.com")
    with capture_logs() as logs:
        for _ in range(5):
            await watching.round()
            watching.now += timedelta(hours=1)
        watching.new_process()
        await watching.round()
    assert [one["event"] for one in logs] == ["push_not_supported"]
    assert len(watching.world.requests("events.watch")) == 1
    assert not watching.relaxed.get(calendar)
    watching.address = "https://other.example.com/"  # what is changed is tried at once
    await watching.round()
    assert len(watching.world.requests("events.watch")) == 2


async def test_passing_failures_are_repeated_with_growing_pauses(watching: Watching) -> None:
    await watching.hire("pam")
    watching.world.faults.add(Fault("events.watch", status=503, times=None))
    with capture_logs() as logs:
        for _ in range(360):
            await watching.round()
            watching.now += timedelta(seconds=10)
    assert 12 < len(watching.world.requests("events.watch")) < 40
    assert [one["event"] for one in logs].count("channel_put_off") == 1
    assert len(await watching.rows()) == 1  # an outage leaves no trail
    watching.world.faults.clear()
    watching.now += timedelta(minutes=20)
    await watching.round()
    assert [one.id for one in watching.live()] == [row.id for row in await watching.rows()]


async def test_channels_of_no_life_are_not_made_all_the_time(watching: Watching) -> None:
    await watching.hire("pam")
    watching.world.push.lifetime = timedelta(seconds=2)
    for _ in range(300):
        await watching.round()
        watching.now += timedelta(seconds=1)
    assert len(watching.world.requests("events.watch")) == 5


async def test_a_round_makes_no_more_than_it_may(watching: Watching) -> None:
    for number in range(10):
        await watching.hire(f"seller{number}")
    await watching.round(batch=3)
    assert len(watching.live()) == 3
    await watching.round(batch=3)
    assert len(watching.live()) == 6


async def test_news_that_another_process_took_in_wake_this_one(watching: Watching) -> None:
    channel = await proved(watching)
    (calendar,) = watching.relaxed
    said = read_notification(simulated.Message(channel, 4, "exists").headers)
    assert said is not None
    behind = watching.now - timedelta(seconds=10)  # and its clock is behind
    await watching.state.run(partial(rows.accept, said=[said], now=behind))
    await watching.notifications.look()
    await watching.notifications.look()
    assert watching.hastened == [calendar]


async def test_news_of_a_calendar_that_is_served_since_a_moment_ago_wake_it(
    watching: Watching,
) -> None:
    """Before any round has noticed; its first reading may have begun before the change."""
    channel = await proved(watching)
    (calendar,) = watching.relaxed
    watching.new_process()
    await watching.notifications.look()
    assert await watching.tell(channel, 4) is Verdict.ACCEPTED
    assert watching.hastened == [calendar]
    watching.served.clear()
    watching.elsewhere.add("pam")
    await watching.round()
    assert await watching.tell(channel, 5) is Verdict.ACCEPTED  # for another process
    assert watching.live() == [channel]


async def test_a_start_wakes_nobody_for_what_came_before_it(watching: Watching) -> None:
    channel = await proved(watching)
    await watching.tell(channel, 4)
    watching.hastened.clear()
    watching.new_process()
    await watching.round()
    await watching.notifications.look()
    await watching.notifications.look()
    assert watching.hastened == []


async def test_what_floods_in_is_turned_away_and_judged_in_few_transactions(
    watching: Watching,
) -> None:
    channel = await proved(watching)
    taken = 0
    for number in range(ROOM + 50):
        message = simulated.Message(channel, number + 2, "exists")
        taken += watching.notifications.take(read_notification(message.headers))
    assert taken == ROOM
    for _ in range(ROOM // BATCH):
        assert await watching.notifications.judge_some()
    assert len(watching.heard.verdicts) == 1 + 50 + ROOM
    assert len(watching.hastened) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Goog-Channel-ID": "one", "X-Goog-Message-Number": "1"},
        {"X-Goog-Channel-ID": "one", "X-Goog-Message-Number": "1", "X-Goog-Resource-State": "add"},
        {"X-Goog-Channel-ID": "one", "X-Goog-Message-Number": "²", "X-Goog-Resource-State": "sync"},
        {
            "X-Goog-Channel-ID": "one",
            "X-Goog-Message-Number": "9" * 19,
            "X-Goog-Resource-State": "sync",
        },
        {
            "X-Goog-Channel-ID": "x" * 65,
            "X-Goog-Message-Number": "1",
            "X-Goog-Resource-State": "sync",
        },
    ],
)
def test_what_is_no_notification_is_none(headers: dict[str, str]) -> None:
    assert read_notification(headers) is None


ODD = st.text(st.characters(exclude_categories=[]), max_size=70)
HEADERS = st.fixed_dictionaries(
    {"X-Goog-Resource-State": st.sampled_from(["sync", "exists", "not_exists"])},
    optional={
        "X-Goog-Channel-ID": st.just("one") | ODD,
        "X-Goog-Message-Number": st.integers(0, 10**19).map(str) | ODD,
        "X-Goog-Resource-ID": ODD,
        "X-Goog-Channel-Token": st.just("secret") | ODD,
    },
)


@given(st.lists(HEADERS, max_size=5), st.booleans())
@settings(deadline=None, max_examples=200)
def test_whatever_comes_is_judged(headers: list[dict[str, str]], answered: bool) -> None:
    state = an_empty_file_state()
    now = datetime(2026, 11, 25, tzinfo=UTC)
    rows.begin(state, Channel("one", 1, "a.b.c", now), secret_digest("secret"))
    if answered:
        rows.answered(state, "one", "resource", now + WEEK)
    said = [one for one in map(read_notification, headers) if one is not None]
    assert len(rows.accept(state, said, now)) == len(said)
    state.close()


async def test_a_mistake_of_ours_is_said_and_ends_nothing(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = await proved(watching)
    broken = monkeypatch.context()
    with broken as patched, capture_logs() as logs:
        patched.setattr(rows, "accept", lambda *_, **__: 1 / 0)
        message = simulated.Message(channel, 7, "exists")
        watching.notifications.take(read_notification(message.headers))
        assert await watching.notifications._judged()
    assert [one["event"] for one in logs] == ["push_failed"]
    assert await watching.tell(channel, 8) is Verdict.ACCEPTED


def test_a_token_of_odd_bytes_is_merely_wrong() -> None:
    said = read_notification(
        {
            "X-Goog-Channel-ID": "o\udcffe",
            "X-Goog-Channel-Token": "\udcff\udcfe",
            "X-Goog-Message-Number": "7",
            "X-Goog-Resource-State": "exists",
            "X-Goog-Resource-ID": "r",
            "X-Goog-Channel-Expiration": "Thu, 19 Mar 2026 07:29:19 GMT",
        }
    )
    assert said is not None
    assert said.number == 7
    said.channel.encode()
