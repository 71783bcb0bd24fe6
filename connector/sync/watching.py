"""Whom push channels are for, what the keeper needs of Google, and how long it leaves alone what failed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from connector.domain.model import UserGuid, UserName
from connector.domain.push import Channel
from connector.google.channels import Watched

BACKOFF_FIRST = timedelta(seconds=5)


class Channels(Protocol):
    """Google's side for one user, as `google.GoogleChannels` has it."""

    async def watch(self, channel: str, address: str, token: str) -> Watched: ...
    async def stop(self, channel: str, resource: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Watcher:
    """A calendar that may be watched. `open` gives its side of Google for a few requests."""

    calendar: int
    name: UserName
    address: str
    made_for: str
    open: Callable[[], AbstractAsyncContextManager[Channels]]


@dataclass(frozen=True, slots=True)
class Company:
    """Whom a round is for. `watchers`: calendars that this process serves and that are to be watched.

    `elsewhere` says of a user whether another process may watch for them: theirs is not ours to stop. `stopper` finds
    who may stop a channel; None: nobody is left who can, and it runs out by itself.
    """

    watchers: Mapping[int, Watcher]
    elsewhere: Callable[[UserGuid], bool]
    stopper: Callable[[Channel], Watcher | None]


@dataclass(slots=True)
class Backoff:
    """What failed so often and is left alone until then."""

    failures: int = 0
    until: datetime | None = None

    def failed(self, now: datetime, most: timedelta, asked: float | None = None) -> datetime:
        self.failures += 1
        pause = min(most, BACKOFF_FIRST * 2 ** min(self.failures - 1, 12))
        spread = 1 + secrets.randbelow(1000) / 2000
        self.until = now + max(pause * spread, timedelta(seconds=asked or 0.0))
        return self.until
