"""Keeps the push channels of the served calendars: makes, renews and stops them, and says on whom polling may rely.

One round looks at all rows, plans (`domain/push.py`), and does what is due, a few requests at a time and behind every
reading. A channel is kept in the state before Google is asked for it. Nothing here is needed for a calendar to be
right: where channels fail, polling goes on at full speed.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

from connector.domain.errors import NotFound, RequestRefused, RetryLater, UserParked
from connector.domain.model import UserName
from connector.domain.push import (
    MISSES_BORNE,
    Channel,
    ChannelPlan,
    Wanted,
    plan_channels,
    secret_digest,
)
from connector.google.channels import ADDRESS_REFUSED, NOT_UNIQUE, UNSUPPORTED, Watched
from connector.observe.log import get_logger
from connector.store import State
from connector.store import channels as rows
from connector.store.channels import Overview, Trouble
from connector.store.connection import Connection
from connector.sync.wakes import Wakes
from connector.sync.watching import Backoff, Channels, Company, Watcher

_log = get_logger(__name__)

AT_ONCE = 4
PLANNED_INLINE = 500
BACKOFF_MOST = timedelta(minutes=10)
ADDRESS_AGAIN = timedelta(minutes=2)
"""A refused address is tried again, once for all its users: somebody has to verify the domain."""
UNSUPPORTED_AGAIN = timedelta(days=7)
SHORT_LIFE, SHORT_LIFE_AGAIN = timedelta(minutes=10), timedelta(seconds=60)
"""Channels that live less than the one are made no more often than once in the other."""
STOP_AGAIN_MOST = timedelta(hours=1)


@dataclass(slots=True)
class _Held:
    """What this process remembers between rounds."""

    troubles: dict[int, Trouble] | None = None
    tries: dict[int, Backoff] = field(default_factory=dict)
    stops: dict[str, Backoff] = field(default_factory=dict)
    addresses: dict[str, Trouble] = field(default_factory=dict)
    awaited: set[str] = field(default_factory=set)
    unsure: dict[int, Channel] = field(default_factory=dict)
    """Asked for in vain, perhaps made all the same: the next attempt has the same id, so that a long outage leaves no
    trail of channels that may exist."""
    made_at: dict[int, float] = field(default_factory=dict)
    vouched: set[int] = field(default_factory=set)
    quiet: set[int] = field(default_factory=set)
    names: dict[int, UserName] = field(default_factory=dict)
    strangers: set[int] = field(default_factory=set)
    """Had news since the last round, which knew of no watcher for them."""


class ChannelKeeper:
    """`relax(calendar, True)`: its polls may be slower from now on; False: at full speed. `hasten` reads one now."""

    def __init__(
        self,
        state: State,
        clock: Callable[[], datetime],
        wakes: Wakes,
        *,
        relax: Callable[[int, bool], None],
        hasten: Callable[[int], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        self._clock = clock
        self._wakes = wakes
        self._relax = relax
        self._hasten = hasten
        self._monotonic = monotonic
        self._held = _Held()
        self.in_use: frozenset[str] = frozenset()
        """What there are channels for in the state (`made_for`), as the last round saw it."""

    # -- what readings and notifications tell

    def told(self, calendar: int) -> None:
        """A calendar has news: it is read at once, and at the usual pace for a while."""
        if calendar in self._held.names:
            self._held.quiet.discard(calendar)
            self._relax(calendar, False)
        else:
            # Another process's, or ours since a moment ago: its first reading may have begun before the change.
            self._held.strangers.add(calendar)
            self._wakes.watch(calendar)
        self._wakes.told(calendar)

    def was_read(self, calendar: int, began: float, *, touched: bool, failed: bool) -> None:
        """A reading that began then (monotonic) is over; `touched`: Google's listing named something."""
        held = self._held
        missed = self._wakes.was_read(calendar, began, touched=touched, failed=failed)
        if missed and calendar in held.vouched:
            held.vouched.discard(calendar)
            held.quiet.add(calendar)
            self._relax(calendar, False)
            _log.warning(
                "push_quiet",
                user=held.names.get(calendar, ""),
                message="a poll found a change that no notification had told of; until one comes, polls are at full"
                " speed",
            )

    # -- rounds

    async def round(self, company: Company, batch: int) -> None:
        """Do what is due, at most so many requests. RetryLater for the state."""
        held, now = self._held, self._clock()
        self._notice(company)
        quiet, held.quiet = held.quiet, set()
        try:
            seen, troubles = await self._state.ask(partial(_look, quiet=quiet, now=now))
        except RetryLater:
            held.quiet |= quiet
            raise
        self.in_use = frozenset(one.made_for for one in seen.channels)
        if held.troubles is None:
            held.troubles = troubles
        wanted = {
            calendar: Wanted(calendar, one.made_for)
            for calendar, one in company.watchers.items()
            if seen.calendars.get(calendar, ("", False))[1]
        }
        plan = await self._plan(company, seen, wanted, now)
        if plan.retire or plan.forget:
            over = {*plan.retire, *plan.forget}
            held.unsure = {c: one for c, one in held.unsure.items() if one.id not in over}
            held.stops = {name: one for name, one in held.stops.items() if name not in over}
            await self._state.ask(partial(_settle, plan=plan, now=now))
        self._vouch(seen, wanted, plan, now)
        await self._act(company, plan, batch, now)

    async def _plan(
        self, company: Company, seen: Overview, wanted: Mapping[int, Wanted], now: datetime
    ) -> ChannelPlan:
        kept = {
            calendar
            for calendar, (guid, is_served) in seen.calendars.items()
            if is_served and calendar not in company.watchers and company.elsewhere(guid)
        }
        planning = partial(
            plan_channels,
            seen.channels,
            wanted,
            kept,
            now,
            awaited=self._held.awaited,
            unsure={one.id for one in self._held.unsure.values()},
            suspect={one for one in wanted if self._wakes.misses(one) >= MISSES_BORNE},
        )
        if len(seen.channels) <= PLANNED_INLINE:
            return planning()
        # Thousands take a good part of a second: not of the loop's.
        return await asyncio.to_thread(planning)

    def _notice(self, company: Company) -> None:
        """Watchers come and go."""
        held = self._held
        for calendar in held.names.keys() - company.watchers.keys():
            del held.names[calendar]
            held.tries.pop(calendar, None)
            held.unsure.pop(calendar, None)
            held.made_at.pop(calendar, None)
            if calendar in held.vouched:
                held.vouched.discard(calendar)
                self._relax(calendar, False)
            self._wakes.drop(calendar)
        for calendar in held.strangers - company.watchers.keys():
            self._wakes.drop(calendar)
        held.strangers.clear()
        for calendar, one in company.watchers.items():
            if calendar not in held.names:
                held.names[calendar] = one.name
                self._wakes.watch(calendar)

    def _vouch(
        self, seen: Overview, wanted: Mapping[int, Wanted], plan: ChannelPlan, now: datetime
    ) -> None:
        """Tell on whom polling may rely now. A change made before there was a channel is looked for once."""
        held = self._held
        vouched = {
            one.calendar
            for one in seen.channels
            if one.vouches(now)
            and one.id not in plan.retire
            and one.calendar in wanted
            and one.calendar not in held.quiet
            and one.made_for == wanted[one.calendar].made_for
        }
        for calendar in held.vouched - vouched:
            self._relax(calendar, False)
        for calendar in vouched - held.vouched:
            made_at = held.made_at.pop(calendar, None)
            if made_at is not None and not self._wakes.read_since(calendar, made_at):
                self._hasten(calendar)
        held.vouched = vouched
        for calendar in vouched:
            self._relax(calendar, not self._wakes.glows(calendar))

    async def _act(self, company: Company, plan: ChannelPlan, batch: int, now: datetime) -> None:
        steps: list[Callable[[], Coroutine[None, None, None]]] = []
        for channel, resource in plan.stop:
            if len(steps) < batch and self._may(self._held.stops.get(channel.id), now):
                watcher = company.stopper(channel)
                if watcher is not None:
                    steps.append(partial(self._stop, watcher, channel, resource))
        for calendar in plan.create:
            if len(steps) < batch and self._may_create(company.watchers[calendar], now):
                steps.append(partial(self._create, company.watchers[calendar]))
        turn = asyncio.Semaphore(AT_ONCE)

        async def in_turn(step: Callable[[], Coroutine[None, None, None]]) -> None:
            async with turn:
                await step()

        ended = await asyncio.gather(*map(in_turn, steps), return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                raise error

    @staticmethod
    def _may(backoff: Backoff | None, now: datetime) -> bool:
        return backoff is None or backoff.until is None or now >= backoff.until

    def _may_create(self, watcher: Watcher, now: datetime) -> bool:
        trouble = (self._held.troubles or {}).get(watcher.calendar)
        if trouble is not None and trouble.made_for == watcher.made_for and now < trouble.until:
            return False
        return self._may(self._held.tries.get(watcher.calendar), now)

    # -- single channels

    async def _create(self, watcher: Watcher) -> None:
        refused = self._held.addresses.get(watcher.address)
        now = self._clock()
        if refused is not None and now < refused.until:
            await self._trouble(watcher, refused)
            return
        token = secrets.token_urlsafe(32)
        secret = secret_digest(token)
        unsure = self._held.unsure.pop(watcher.calendar, None)
        channel = unsure or Channel(str(uuid4()), watcher.calendar, watcher.made_for, now)
        self._held.awaited.add(channel.id)
        try:
            if unsure is None:
                await self._state.ask(partial(rows.begin, channel=channel, secret=secret))
            elif not await self._state.ask(
                partial(rows.begin_again, channel=channel.id, secret=secret)
            ):
                return  # given up, or its own message came: the next round makes another
            await self._watch(watcher, channel, token, is_first=unsure is None)
        finally:
            self._held.awaited.discard(channel.id)

    async def _watch(
        self, watcher: Watcher, channel: Channel, token: str, *, is_first: bool
    ) -> None:
        try:
            async with watcher.open() as channels:
                answer = await channels.watch(channel.id, watcher.address, token)
                await self._answered(watcher, channel, answer, channels)
        except RequestRefused as refused:
            if refused.reason == NOT_UNIQUE:
                # The answer to an earlier attempt was lost: Google has it, under a resource unknown to us.
                await self._give_up(channel)
                return
            await (self._forget(channel) if is_first else self._give_up(channel))
            await self._refused(watcher, refused)
        except UserParked as parked:
            # The readings say so, too.
            await (self._forget(channel) if is_first else self._give_up(channel))
            await self._later(watcher, parked.reason.value, str(parked), None)
        except RetryLater as later:
            self._held.unsure[watcher.calendar] = channel
            await self._later(watcher, "later", str(later), later.after_seconds)

    async def _forget(self, channel: Channel) -> None:
        """Google said no to the only attempt: there is no such channel."""
        await self._state.ask(partial(rows.forget, channels=[channel.id]))

    async def _give_up(self, channel: Channel) -> None:
        """Google may have it, or has it for sure: it is stopped once its resource is known."""
        await self._state.ask(partial(rows.retire, channels=[channel.id], now=self._clock()))

    async def _answered(
        self, watcher: Watcher, channel: Channel, answer: Watched, channels: Channels
    ) -> None:
        kept = await self._state.ask(
            partial(
                rows.answered,
                channel=channel.id,
                resource=answer.resource,
                expires=answer.expires,
            )
        )
        if not kept:
            with contextlib.suppress(NotFound):
                await channels.stop(channel.id, answer.resource)
            return
        self._wakes.renewed(watcher.calendar)
        self._held.made_at[watcher.calendar] = self._monotonic()
        self._held.tries.pop(watcher.calendar, None)
        now = self._clock()
        if answer.expires is not None and answer.expires - now < SHORT_LIFE:
            # So short a life would be renewed again and again: polls do the work in between.
            self._held.tries[watcher.calendar] = Backoff(until=now + SHORT_LIFE_AGAIN)
        self._held.addresses.pop(watcher.address, None)
        if self._held.troubles is not None and watcher.calendar in self._held.troubles:
            await self._trouble(watcher, None)
            _log.info("push_back", user=watcher.name)
        until = answer.expires.isoformat(timespec="seconds") if answer.expires else None
        _log.debug("channel_made", user=watcher.name, until=until)

    async def _refused(self, watcher: Watcher, refused: RequestRefused) -> None:
        """What a person must do, or what cannot be: said once."""
        now = self._clock()
        if refused.reason in ADDRESS_REFUSED:
            message = (
                f"Google refuses the address of [google.push] ({refused.reason}): verify its domain for the project of"
                " these credentials, and give it a certificate of a public authority (docs/push.md); polling goes on"
            )
            trouble = Trouble(
                "address_refused", message, now, now + ADDRESS_AGAIN, watcher.made_for
            )
            if watcher.address not in self._held.addresses:
                _log.error("push_address_refused", user=watcher.name, message=message)
            self._held.addresses[watcher.address] = trouble
            await self._trouble(watcher, trouble)
        elif refused.reason == UNSUPPORTED:
            message = "Google does not notify of changes of this calendar (holidays, imported ones): it is only polled"
            known = (self._held.troubles or {}).get(watcher.calendar)
            if known is None or known.reason != "not_supported":
                _log.info("push_not_supported", user=watcher.name, message=message)
            until = now + UNSUPPORTED_AGAIN
            await self._trouble(
                watcher, Trouble("not_supported", message, now, until, watcher.made_for)
            )
        else:
            await self._later(watcher, refused.reason or "refused", str(refused), None)

    async def _later(
        self, watcher: Watcher, reason: str, message: str, asked: float | None
    ) -> None:
        backoff = self._held.tries.setdefault(watcher.calendar, Backoff())
        now = self._clock()
        until = backoff.failed(now, BACKOFF_MOST, asked)
        if backoff.failures == 1:
            _log.warning("channel_put_off", user=watcher.name, message=message)
        await self._trouble(watcher, Trouble(reason, message, now, until, watcher.made_for))

    async def _trouble(self, watcher: Watcher, trouble: Trouble | None) -> None:
        """Remember why a calendar is not watched, here and in the state; `since` stays the first time's."""
        troubles = self._held.troubles if self._held.troubles is not None else {}
        before = troubles.get(watcher.calendar)
        if trouble is None:
            troubles.pop(watcher.calendar, None)
        else:
            if before is not None and before.reason == trouble.reason:
                trouble = trouble.since_then(before.since)
            trouble = trouble.of(watcher.made_for)
            troubles[watcher.calendar] = trouble
        self._held.troubles = troubles
        await self._state.ask(
            partial(rows.keep_trouble, calendar=watcher.calendar, trouble=trouble)
        )

    async def _stop(self, watcher: Watcher, channel: Channel, resource: str) -> None:
        try:
            async with watcher.open() as channels:
                await channels.stop(channel.id, resource)
        except NotFound:
            pass  # it ended by itself, or was never made
        except (RetryLater, UserParked, RequestRefused) as error:
            backoff = self._held.stops.setdefault(channel.id, Backoff())
            asked = error.after_seconds if isinstance(error, RetryLater) else None
            backoff.failed(self._clock(), STOP_AGAIN_MOST, asked)
            if backoff.failures == 1:
                _log.warning("channel_not_stopped", user=watcher.name, message=str(error))
            return
        self._held.stops.pop(channel.id, None)
        await self._state.ask(partial(rows.forget, channels=[channel.id]))
        _log.debug("channel_stopped", user=watcher.name)


def _look(
    connection: Connection, quiet: Collection[int], now: datetime
) -> tuple[Overview, dict[int, Trouble]]:
    if quiet:
        rows.turned_quiet(connection, quiet, now)
    return rows.overview(connection), rows.troubles(connection)


def _settle(connection: Connection, plan: ChannelPlan, now: datetime) -> None:
    rows.retire(connection, plan.retire, now)
    rows.forget(connection, plan.forget)
