"""Push channels (reference 6): who watches which calendar, and the notifications that go out, not all of them and late.

Every change of a calendar becomes one message for each of its channels: a POST without a body, with rising numbers that
leave gaps. `Push` has knobs for all that goes wrong on the way; everything random comes from the world's seed. Messages
travel in tasks of their own, so a person's edit never waits for a receiver.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from random import Random
from typing import Any, Literal
from urllib.parse import quote

import aiohttp

ResourceState = Literal["sync", "exists", "not_exists"]
USER_AGENT = "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"
LIFETIME = timedelta(days=7, seconds=10)
"""What a channel gets that asks for nothing, and the most that it can get; the 10 s are as recorded."""
RETRIED = frozenset({500, 502, 503, 504})
RETRIES = 5
RECEIVER_SECONDS = 10.0
KNOBS = frozenset(
    {
        "allow_http",
        "duplicate",
        "gap",
        "late",
        "lifetime",
        "lose_sync",
        "loss",
        "refusal_status",
        "retry_seconds",
        "sync_first",
        "unauthorized",
        "unsupported",
    }
)
"""What `adjust` takes, over HTTP too."""


@dataclass(eq=False)
class Channel:
    """One channel. `account` and `project` tell who may stop it; `sent` is the number of the last message."""

    id: str
    calendar_id: str
    address: str
    token: str | None
    account: str
    project: str
    resource_id: str
    resource_uri: str
    expires: datetime
    sent: int = 0
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One notification, as it is sent (again)."""

    channel: Channel
    number: int
    state: ResourceState

    @property
    def headers(self) -> dict[str, str]:
        channel = self.channel
        shown = {
            "User-Agent": USER_AGENT,
            "Content-Length": "0",
            "X-Goog-Channel-ID": channel.id,
            "X-Goog-Message-Number": str(self.number),
            "X-Goog-Resource-ID": channel.resource_id,
            "X-Goog-Resource-State": self.state,
            "X-Goog-Resource-URI": channel.resource_uri,
            # An HTTP date, not milliseconds as in the answer to `watch`.
            "X-Goog-Channel-Expiration": format_datetime(channel.expires, usegmt=True),
        }
        return shown if channel.token is None else {**shown, "X-Goog-Channel-Token": channel.token}


@dataclass(frozen=True, slots=True)
class Sent:
    """One attempt at a message and its answer; 0: there was none."""

    message: Message
    status: int


@dataclass
class Push:
    """The channels of a world. Shares are from 0 to 1; each message meets each of them for itself."""

    now: Callable[[], datetime]
    random: Random
    loss: float = 0.0
    """Sent to nobody."""
    duplicate: float = 0.0
    """Sent twice, with the same number."""
    late: float = 0.0
    """Held back until the next message of any channel went out, or `release()`: so they come out of order."""
    sync_first: float = 0.5
    """The `sync` message goes out, and is waited for, before `watch` is answered; else after that."""
    lose_sync: bool = False
    lifetime: timedelta = LIFETIME
    """The most that a channel gets; some have seen an hour."""
    gap: int = 3
    """A number is at most so much above the last one."""
    retry_seconds: float = 0.5
    """Before a message is tried again that met 500, 502, 503 or 504; it doubles each time."""
    allow_http: bool = False
    """Take http:// on loopback for an address, which Google does not."""
    refusal_status: Literal[400, 401] = 401
    """Of `push.webhookUrlUnauthorized`; both were seen."""
    unauthorized: set[str] = field(default_factory=set)
    """Addresses whose domain nobody has verified."""
    unsupported: set[str] = field(default_factory=set)
    """Calendars (ids) that cannot be watched, as holidays and imported ones."""
    trust: ssl.SSLContext | None = None
    """For receivers with a certificate of a test's own; None: the system's authorities."""
    channels: dict[str, Channel] = field(default_factory=dict)
    """By id; those that are gone stay, because an id is never used twice."""
    sent: list[Sent] = field(default_factory=list)
    dropped: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._held: list[Message] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def adjust(self, **knobs: Any) -> None:
        """Set knobs by their names; `unauthorized` and `unsupported` as lists, `lifetime` in seconds."""
        for name, value in knobs.items():
            if name not in KNOBS:
                raise ValueError(f"unknown knob {name!r}; one of {', '.join(sorted(KNOBS))}")
            if name == "lifetime":
                value = timedelta(seconds=value)
            setattr(self, name, set(value) if isinstance(value, list) else value)

    def live(self, calendar_id: str | None = None) -> list[Channel]:
        """The channels that notify now, oldest first."""
        return [
            one
            for one in self.channels.values()
            if not one.stopped
            and one.expires > self.now()
            and calendar_id in (None, one.calendar_id)
        ]

    def changed(self, calendar_id: str, state: ResourceState = "exists") -> None:
        """A calendar changed, whoever did it: its channels are told."""
        for channel in self.live(calendar_id):
            channel.sent += self.random.randint(1, self.gap)
            self._dispatch(Message(channel, channel.sent, state))

    def release(self) -> None:
        """Send what is held back, the latest first."""
        held, self._held = self._held, []
        for message in reversed(held):
            self.send(message)

    def send(self, message: Message) -> None:
        """Send a message now, whatever the shares say: also for tests that repeat or forge one."""
        task = asyncio.get_running_loop().create_task(self._deliver(message), name="push")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until nothing is on its way; what is held back stays so."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def synchronise(self, channel: Channel) -> None:
        """The first message of a channel, before its `watch` is answered or after it."""
        channel.sent = 1
        message = Message(channel, 1, "sync")
        if self.lose_sync:
            self.dropped.append(message)
        elif self.random.random() < self.sync_first:
            await self._deliver(message)
        else:
            # After the answer was written: the handler that asks for this has yet to return.
            asyncio.get_running_loop().call_later(0.01, self.send, message)

    async def close(self) -> None:
        """Nothing is sent any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _dispatch(self, message: Message) -> None:
        if self.random.random() < self.loss:
            self.dropped.append(message)
            return
        if self.random.random() < self.late:
            self._held.append(message)
            return
        self.send(message)
        if self.random.random() < self.duplicate:
            self.send(message)
        self.release()

    async def _deliver(self, message: Message) -> None:
        pause = self.retry_seconds
        for attempt in range(RETRIES):
            if attempt and message.channel.stopped:
                return
            status = await self._post(message)
            self.sent.append(Sent(message, status))
            if status not in RETRIED or attempt == RETRIES - 1:
                return
            await asyncio.sleep(pause * self.random.uniform(1, 1.5))
            pause *= 2

    async def _post(self, message: Message) -> int:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=RECEIVER_SECONDS),
            )
        try:
            async with self._session.post(
                message.channel.address,
                headers=message.headers,
                skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding"),
                allow_redirects=False,
                ssl=self.trust if self.trust is not None else True,
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0


def resource_id_of(calendar_id: str, parameters: Iterable[tuple[str, str]]) -> str:
    """The same for the same resource, whoever watches it."""
    return sha256(repr((calendar_id, sorted(parameters))).encode()).hexdigest()[:27]


def resource_uri_of(base_url: str, calendar: str) -> str:
    """As recorded: with the id that the client used, and `alt=json`."""
    return f"{base_url}/calendar/v3/calendars/{quote(calendar, safe='@')}/events?alt=json"
