"""Push channels: which to make, to renew and to stop, and what a notification is worth. Pure.

A channel is a promise of Google's to say that something changed, for a week at most, never renewed by itself and not
wholly reliable (reference/google-calendar.md 6). So a notification is a hint to read the calendar now; what is true is
what the reading finds. A channel is *proved* once a message of it arrived with the right secret, and *quiet* while a
reading found a change that it did not tell of. Only where a proved one is not quiet may polling be slower.

A successor is made ahead of the end, at a moment of its own for each channel, so that thousands made in one hour are
not renewed in one minute. The old one goes when the new one is proved: nothing is missed in between.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

LIFETIME_ASSUMED = timedelta(hours=1)
"""Of a channel whose answer names no end: the shortest that was ever seen."""
LONGEST_LIFETIME = timedelta(days=8)
"""After that a channel of which nothing was ever heard is gone, too."""
LEAD_LEAST, LEAD_MOST = 0.10, 0.30
"""The share of a channel's life that is left when it is renewed; between them by its id."""
MISSES_BORNE = 3
"""So many changes in a row that a channel did not tell of, and another one is made."""
REPLACED_EARLIEST = timedelta(minutes=10)
"""A channel younger than this is not replaced for its silence."""
SLACK = timedelta(minutes=5)
"""Clocks differ: messages of a channel that ended so short a time ago still count."""


class MessageState(StrEnum):
    """`X-Goog-Resource-State`."""

    SYNC = "sync"
    EXISTS = "exists"
    NOT_EXISTS = "not_exists"


@dataclass(frozen=True, slots=True)
class Notification:
    """What one POST says. `secret` is a digest of the token that came with it, never the token."""

    channel: str
    resource: str
    secret: str = field(repr=False)
    number: int
    state: MessageState


class Verdict(StrEnum):
    """What a notification is worth; the word is a label of the metric."""

    ACCEPTED = "accepted"  # the calendar is read
    SYNC = "sync"  # the first message: nothing changed
    EARLY = "early"  # its channel waits for Google's answer: nothing is known to compare it with
    DUPLICATE = "duplicate"  # its number, or a higher one, was seen
    STALE = "stale"  # of a channel that is replaced, or ended
    FORGED = "forged"  # the wrong secret, or another resource
    UNKNOWN = "unknown"  # no such channel


@dataclass(frozen=True, slots=True)
class Channel:
    """One row. `resource` is None until Google answered; `made_for` is what it was made with (`made_for`).

    `early` is the resource that a message named which came, with the right secret, ahead of the answer: nothing is
    adopted by it, but a channel whose answer never came can be stopped by that name.
    """

    id: str
    calendar: int
    made_for: str
    created: datetime
    resource: str | None = None
    expires: datetime | None = None
    number: int = 0
    notified: datetime | None = None
    quiet_since: datetime | None = None
    stopping_since: datetime | None = None
    early: str | None = None

    @property
    def is_answered(self) -> bool:
        return self.resource is not None

    @property
    def is_proved(self) -> bool:
        """A message of it arrived, so its address and its secret are right."""
        return self.is_answered and self.number > 0

    @property
    def ends(self) -> datetime:
        """When Google forgets it by itself, at the latest."""
        if self.expires is not None:
            return self.expires
        return self.created + (LIFETIME_ASSUMED if self.is_answered else LONGEST_LIFETIME)

    @property
    def renew_at(self) -> datetime:
        """When a successor is made."""
        position = int.from_bytes(sha256(self.id.encode()).digest()[:4], "big") / 2**32
        lead = LEAD_LEAST + (LEAD_MOST - LEAD_LEAST) * position
        return self.ends - (self.ends - self.created) * lead

    def vouches(self, now: datetime) -> bool:
        """Whether polling may rely on it."""
        return (
            self.is_proved
            and self.quiet_since is None
            and self.stopping_since is None
            and self.ends > now
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """A calendar that this process serves and that is to be watched, and what its channels are made for."""

    calendar: int
    made_for: str


@dataclass(frozen=True, slots=True)
class ChannelPlan:
    """What to do now; `create` are calendars, the most pressing first, the others channels."""

    create: tuple[int, ...] = ()
    retire: tuple[str, ...] = ()
    """To be marked as no longer wanted; from then on their messages change nothing."""
    stop: tuple[tuple[Channel, str], ...] = ()
    """Channels to stop at Google, each with its resource's id."""
    forget: tuple[str, ...] = ()
    """Over: Google has forgotten them, too."""


def secret_digest(token: str) -> str:
    """What is kept of a channel's secret. It is random and long, so that no salt is needed."""
    return sha256(b"gcal-salesloft channel " + token.encode("utf-8", "surrogatepass")).hexdigest()


def made_for(address: str, source: str, client: str) -> str:
    """A one-way name of what a channel is made with: the address, the calendar as its account reads it, the client."""
    parts = (sha256(one.encode()).hexdigest()[:16] for one in (address, source, client))
    return ".".join(parts)


def source_of(name: str) -> str:
    """The part of `made_for` that names the calendar: equal ones have equal resources."""
    return name.split(".")[1]


def client_of(name: str) -> str:
    """The part of `made_for` that names the client: only the same one may stop a channel."""
    return name.rpartition(".")[2]


def judge(said: Notification, known: Channel | None, secret: str | None, now: datetime) -> Verdict:
    """What a notification is worth. `secret` is the digest of the channel's; both None for an unknown one."""
    # Compared for unknown channels too, so that nobody learns by the time it takes which channels there are.
    is_right = hmac.compare_digest((secret or "0" * 64).encode(), said.secret.encode())
    if known is None or secret is None:
        return Verdict.UNKNOWN
    if not is_right:
        return Verdict.FORGED
    if known.resource is None:
        return Verdict.EARLY
    if not hmac.compare_digest(known.resource.encode(), said.resource.encode("utf-8", "replace")):
        return Verdict.FORGED
    if known.stopping_since is not None or known.ends + SLACK < now:
        return Verdict.STALE
    if said.number <= known.number:
        return Verdict.DUPLICATE
    return Verdict.SYNC if said.state is MessageState.SYNC else Verdict.ACCEPTED


def after(known: Channel, said: Notification, verdict: Verdict, now: datetime) -> Channel:
    """The channel once a notification was taken in."""
    if verdict is Verdict.SYNC:
        return replace(known, number=said.number)
    if verdict is not Verdict.ACCEPTED:
        return known
    # Later than the one before whatever the clocks say: who looks for news must see that there is some.
    at = now if known.notified is None else max(now, known.notified + timedelta(milliseconds=1))
    return replace(known, number=said.number, notified=at, quiet_since=None)


def plan_channels(
    channels: Iterable[Channel],
    wanted: Mapping[int, Wanted],
    kept: Collection[int],
    now: datetime,
    *,
    awaited: Collection[str] = (),
    unsure: Collection[str] = (),
    suspect: Collection[int] = (),
) -> ChannelPlan:
    """What to make, to stop and to forget.

    `kept` are calendars that are to be watched, by this process (`wanted`) or by another one: channels of any other
    are stopped. `awaited` are channels whose answer this process waits for, `unsure` those that it asks for once more
    by the same id, because the attempt failed and may have been applied. `suspect` calendars changed again and again
    without a word of their channel.
    """
    of_calendar: defaultdict[int, list[Channel]] = defaultdict(list)
    resources: dict[str, str] = {}
    forget: list[str] = []
    for channel in channels:
        if channel.ends <= now and channel.id not in awaited:
            # By this clock; by Google's a last message may still be on its way.
            if channel.ends + SLACK <= now:
                forget.append(channel.id)
            continue
        of_calendar[channel.calendar].append(channel)
        if channel.resource is not None:
            resources[source_of(channel.made_for)] = channel.resource
    retire: list[str] = []
    pressing: list[tuple[datetime, int]] = []
    for calendar in of_calendar.keys() | wanted.keys():
        found = of_calendar.get(calendar, [])
        want = wanted.get(calendar)
        if want is None:
            if calendar not in kept:
                retire += [one.id for one in found if one.stopping_since is None]
            continue
        unfit, fit, waiting = _sorted_out(found, want, awaited, unsure)
        retire += [one.id for one in unfit]
        due = _due(fit, now, suspect=calendar in suspect)
        if due is not None and not waiting:
            pressing.append((due, calendar))
        retire += [one.id for one in _replaced(fit)]
    stop = [
        (channel, resource)
        for found in of_calendar.values()
        for channel in found
        if (channel.stopping_since is not None or channel.id in retire)
        and channel.id not in awaited
        and (resource := _resource_of(channel, resources)) is not None
    ]
    create = tuple(calendar for _, calendar in sorted(pressing))
    return ChannelPlan(create, tuple(retire), tuple(stop), tuple(forget))


def _resource_of(channel: Channel, resources: Mapping[str, str]) -> str | None:
    """Google's answer, or that to another channel of the same calendar, or what its own message said."""
    return channel.resource or resources.get(source_of(channel.made_for)) or channel.early


def _sorted_out(
    found: Iterable[Channel], want: Wanted, awaited: Collection[str], unsure: Collection[str]
) -> tuple[list[Channel], list[Channel], bool]:
    """Those to give up, those that serve (the latest end last), and whether an answer is waited for."""
    unfit, fit, waiting = [], [], False
    for one in found:
        if one.stopping_since is not None:
            continue
        if one.id in awaited:
            waiting = True
        elif one.id in unsure and one.early is None and one.made_for == want.made_for:
            pass
        elif one.made_for != want.made_for or not one.is_answered:
            # Not answered: a crash came between, or the answer was lost. Google may have it or not.
            unfit.append(one)
        else:
            fit.append(one)
    return unfit, sorted(fit, key=lambda one: (one.ends, one.created, one.id)), waiting


def _due(fit: list[Channel], now: datetime, *, suspect: bool) -> datetime | None:
    """Since when a new channel is needed; None: it is not. Where there is none at all, that presses most."""
    if not fit:
        return datetime.min.replace(tzinfo=now.tzinfo)
    newest = fit[-1]
    if suspect and now - newest.created >= REPLACED_EARLIEST:
        return now
    return newest.renew_at if newest.renew_at <= now else None


def _replaced(fit: list[Channel]) -> list[Channel]:
    """The older ones, once the newest is proved; else they go on until their end."""
    return fit[:-1] if fit and fit[-1].is_proved else []
