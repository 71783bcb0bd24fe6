"""Push, put together for the daemon: the receiver of Google's notifications, the keeper of channels, and their rounds.

::

    push = Push(parts, engine, lambda: settings)      # beside the engine
    await push.start()                                # before it runs: ListenerUnusable if the port is taken
    await push.close()                                # after it ended

Whom it is for it takes from `parts.served` at each look, so that a reload needs no word to it. Channels outlive the
process; they are stopped when their user goes, not when the daemon does.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import web

from connector import google
from connector.app.observability import listen_on
from connector.app.parts import Parts, Served
from connector.app.to_google import project_of
from connector.domain.errors import ConnectorError
from connector.domain.model import UserGuid
from connector.domain.push import Channel, Notification, client_of, made_for
from connector.engines.local import Calendar
from connector.engines.rounds import Rounds
from connector.google.receiver import PATH, make_receiver
from connector.observe.log import get_logger
from connector.settings.model import Settings, UserSettings
from connector.settings.values import split_listen
from connector.sync.channels import ChannelKeeper
from connector.sync.cycle import Report
from connector.sync.notifications import Notifications
from connector.sync.wakes import Wakes
from connector.sync.watching import Company, Watcher

_log = get_logger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks for news that another process took in, and between two rounds of few channels."""
CALENDARS_A_SECOND = 1000
"""With more of them the rounds come more slowly: each looks at all."""
IDLE_EVERY = 60.0
"""While nobody wants notifications and no channel is left, the state is hardly asked."""
LISTEN_AGAIN = 60.0
SHARE_OF_REQUESTS = 0.1
"""Of a project's requests, at most so many go into channels."""
MOST_AT_ONCE = 100


class Reads(Protocol):
    """What push needs of an engine, whichever it is. `rounds` are done until it ends."""

    rounds: Rounds
    heard: Callable[[Calendar, Report, float], None]
    """Called after each reading of a calendar with its report and when it began, by `time.monotonic`. Readings are
    paced by `calendar.relaxed` where that is set and the last one did not fail."""

    def hasten(self, calendar_id: int) -> None:
        """Read a calendar (its row) at once, or again after the reading under way; nothing if it is not served here."""

    def watch(self, task: asyncio.Task[None]) -> None:
        """A task that dies of something nobody foresaw ends the process."""


class Push:
    """Push for the users whom `parts` serves. Does nothing but look while nobody has an address for notifications."""

    def __init__(
        self,
        parts: Parts,
        engine: Reads,
        settings: Callable[[], Settings],
        *,
        shares_port: bool = False,
    ) -> None:
        """`shares_port`: several nodes of one machine listen together; each may take in what concerns any of them."""
        self._parts = parts
        self._engine = engine
        self._settings = settings
        self._shares_port = shares_port
        self._served: dict[int, Served] = {}
        self._watchers: dict[int, tuple[Served, Watcher]] = {}
        self._known: dict[str, tuple[int, UserSettings]] = {}
        self._runner: web.ServerRunner | None = None
        self._judging: asyncio.Task[None] | None = None
        self._looked_at: Settings | None = None
        self._paths: set[str] = set()
        self._pushed: dict[UserGuid, bool] = {}
        self._pushed_without_file = False
        self._is_idle = False
        self._round_not_before = 0.0
        self._listen_not_before = 0.0
        self.wakes = Wakes(engine.hasten)
        self.keeper = ChannelKeeper(
            parts.state, parts.clock, self.wakes, relax=self._relax, hasten=engine.hasten
        )
        self.notifications = Notifications(
            parts.state,
            parts.clock,
            told=self.keeper.told,
            observer=parts.observer,
        )
        self.url: str | None = None
        """Where it listens, once it does."""
        engine.heard = self._was_read
        engine.rounds.every(LOOK_EVERY, "notifications", self.look)
        engine.rounds.every(LOOK_EVERY, "channels", self.round)

    async def start(self) -> None:
        """Listen, if anybody wants it. ListenerUnusable, ConfigurationInvalid."""
        self._judging = asyncio.create_task(self.notifications.run(), name="notifications")
        self._judging.add_done_callback(self._engine.watch)
        if self._is_wanted():
            await self._listen()

    async def close(self) -> None:
        """Take nothing in any more."""
        self.wakes.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._judging is not None:
            self._judging.cancel()
            await asyncio.gather(self._judging, return_exceptions=True)

    async def round(self) -> None:
        """Bring the channels in step with who is served."""
        wanted = self._is_wanted()
        if wanted and self._runner is None:
            await self._listen_at_last()
        now = time.monotonic()
        if now < self._round_not_before and not (wanted and self._is_idle):
            return
        await self.keeper.round(self._company(), self._batch())
        self._forget_gone()
        self._is_idle = not wanted and not self.keeper.in_use
        pause = len(self._parts.served) / CALENDARS_A_SECOND
        self._round_not_before = now + (IDLE_EVERY if self._is_idle else pause)

    async def look(self) -> None:
        """Look for news that this process or another one took in."""
        if not self._is_idle:
            await self.notifications.look()

    # -- whom it is for

    def _is_wanted(self) -> bool:
        """Whether anybody has an address, also whom other processes serve: what is theirs may arrive here."""
        settings = self._settings()
        if settings is not self._looked_at:
            self._looked_at = settings
            template = [settings.template.prototype] if settings.template is not None else []
            addresses = {user.google.push.address for user in (*settings.users, *template)}
            self._paths = {urlsplit(address).path for address in addresses if address is not None}
            self._pushed = {
                user.salesloft.user_guid: user.google.push.address is not None
                for user in settings.users
            }
            self._pushed_without_file = any(one.google.push.address for one in template)
        return bool(self._paths)

    def _company(self) -> Company:
        self._served = {one.calendar.id: one for one in self._parts.served.values()}
        before, self._watchers = self._watchers, {}
        for calendar, one in self._served.items():
            if one.settings.google.push.address is not None:
                known = before.get(calendar)
                if known is None or known[0] is not one:
                    known = one, self._watcher_of(one)
                self._watchers[calendar] = known
                self._known[known[1].made_for] = calendar, one.settings
        watchers = {calendar: watcher for calendar, (_, watcher) in self._watchers.items()}
        return Company(watchers, self._is_elsewhere, self._stopper)

    def _forget_gone(self) -> None:
        """Credentials of who went are kept no longer than there is a channel to stop with them."""
        served = {watcher.made_for for _, watcher in self._watchers.values()}
        kept = served | self.keeper.in_use
        self._known = {name: user for name, user in self._known.items() if name in kept}

    def _stopper(self, channel: Channel) -> Watcher | None:
        """Who may stop a channel: the same client only. That of its own calendar first, also of who just went.

        A service account is one client for all whom it acts for; a user's own consent is one by itself.
        """
        client = client_of(channel.made_for)
        own = self._served.get(channel.calendar)
        if own is not None and client_of((watcher := self._watcher_of(own)).made_for) == client:
            return watcher
        known = self._known.get(channel.made_for)
        if known is not None:
            calendar, user = known
            return _watcher(user, calendar, partial(self._of_gone, user))
        for one in self._served.values():
            if client_of((watcher := self._watcher_of(one)).made_for) == client:
                return watcher
        return None

    def _watcher_of(self, one: Served) -> Watcher:
        return _watcher(one.settings, one.calendar.id, partial(self._of_served, one))

    def _is_elsewhere(self, guid: UserGuid) -> bool:
        """Whether a user who is not served here is to be watched all the same, by another process on this state."""
        return self._pushed.get(guid, self._pushed_without_file)

    def _of_served(self, one: Served) -> AbstractAsyncContextManager[google.GoogleChannels]:
        return contextlib.nullcontext(self._channels(one.settings, one.tokens))

    @contextlib.asynccontextmanager
    async def _of_gone(self, user: UserSettings) -> AsyncIterator[google.GoogleChannels]:
        tokens = google.TokenSource(
            user.google.credentials.info,
            self._parts.pool,
            kind=user.google.credentials.kind,
            subject=user.google.subject,
            who=user.name,
        )
        try:
            yield self._channels(user, tokens)
        finally:
            await tokens.close()

    def _channels(self, user: UserSettings, tokens: google.TokenSource) -> google.GoogleChannels:
        delegated = user.google.credentials.kind == "service_account"
        quota_user = google.quota_user(user.google.subject or user.name) if delegated else None
        limiter = self._parts.limiters.get(project_of(user))
        transport = google.GoogleTransport(
            self._parts.to_google,
            tokens,
            limiter or google.RequestLimiter(user.google.requests_per_minute),
            who=user.name,
            rate_key=quota_user,
            # The next round tries again; until then polls do all the work.
            policy=google.RetryPolicy(attempts=2, cap_seconds=1.0, deadline_seconds=5.0),
            on_answer=self._parts.observer.google_answered,
        )
        requests = google.CalendarRequests(
            user.google.api_url, user.google.calendar_id, quota_user=quota_user
        )
        return google.GoogleChannels(requests, transport)

    def _batch(self) -> int:
        """Requests for channels in one round, so that even a start of thousands leaves the readings their quota."""
        slowest = min(
            (limiter.requests_per_minute for limiter in self._parts.limiters.values()), default=60
        )
        seconds = max(LOOK_EVERY, len(self._parts.served) / CALENDARS_A_SECOND)
        return max(1, min(MOST_AT_ONCE, round(slowest * SHARE_OF_REQUESTS * seconds / 60)))

    # -- what comes and goes

    def _relax(self, calendar: int, relaxed: bool) -> None:  # a callback
        one = self._served.get(calendar)
        if one is not None:
            slower = one.settings.google.push.poll_interval if relaxed else None
            one.calendar.relaxed = slower.total_seconds() if slower is not None else None

    def _was_read(self, calendar: Calendar, report: Report, began: float) -> None:
        self.keeper.was_read(calendar.id, began, touched=report.touched, failed=report.failed)

    def _takes(self, path: str) -> bool:
        return path == PATH or path in self._paths

    def _take(self, said: Notification | None) -> bool:
        return self.notifications.take(said)

    async def _listen(self) -> None:
        host, port = split_listen(self._settings().process.push_listen)
        runner = make_receiver(self._takes, self._take)
        await runner.setup()
        try:
            self.url = await listen_on(
                runner, host, port, "google.push.listen", shared=self._shares_port
            )
        except ConnectorError:
            await runner.cleanup()
            raise
        self._runner = runner
        _log.info("push_listening", url=self.url)

    async def _listen_at_last(self) -> None:
        """Somebody came who wants notifications, after the start: a port that is taken must not end the daemon."""
        now = time.monotonic()
        if now < self._listen_not_before:
            return
        self._listen_not_before = now + LISTEN_AGAIN
        try:
            await self._listen()
        except ConnectorError as error:
            _log.error("push_listener_unusable", message=str(error))


def _watcher(
    user: UserSettings,
    calendar: int,
    opened: Callable[[], AbstractAsyncContextManager[google.GoogleChannels]],
) -> Watcher:
    credentials = user.google.credentials
    address = user.google.push.address or ""
    client = f"{credentials.kind} {credentials.identity} {credentials.consent or ''}"
    source = f"{user.google.api_url} {user.google.calendar_id} {user.google.subject} {client}"
    return Watcher(calendar, user.name, address, made_for(address, source, client), opened)
