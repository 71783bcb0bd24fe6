"""The shards that this node holds: taking free ones, serving them, giving some to nodes that have less.

What is decided here follows from how nodes and shards stand (`View`), which every sign of life brings; nothing here
holds up the next sign.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from connector.domain.errors import RetryLater
from connector.engines import balance
from connector.engines.queue import ShardQueue
from connector.observe.log import get_logger
from connector.store import State, nodes, outbox
from connector.store.connection import Connection
from connector.store.fence import Fence, boot_seconds
from connector.store.nodes import Shard, View, weight

_log = get_logger(__name__)

GIVE_EVERY = 2.0
"""Seconds between two shards that a node gives to others."""
GIVE_AGAIN = 0.5
"""Seconds after which a shard is given back again that could not be, for want of the database."""
OVERDUE_LEASES = 2
"""A shard that is free for longer, though it was offered all the time, has a job in its way."""
FORGET_AFTER = timedelta(days=1)
"""A shard goes that was free for so long and that this node does not know: a team that is gone, or an older key."""
KEEP_FIRST, KEEP_MOST = 600.0, 7200.0
"""Seconds for which a shard stays that came back from the node that it was given to; twice as long each time."""


class Shards(Protocol):
    """What the engine asks of the program: who is configured, and to serve or let go of teams."""

    def teams(self) -> Mapping[str, int]:
        """Every team that this node could serve, with the number of its users."""

    def held(self) -> Mapping[str, int]:
        """The teams that are served, with the number of their users; also some that are configured no longer."""

    def projects(self) -> Mapping[str, int]:
        """How many calendars are read here, by Google project."""

    async def serve(self) -> None:
        """Serve the teams that `DistributedEngine.holds`, and none but these."""

    async def let_go(self, team: str, *, at_once: bool) -> Collection[int]:
        """End everything that is done for a team; `at_once`: without waiting for what was sent, writing nothing.

        Gives the calendars (rows) of which something may be left in flight, because its answer took too long.
        """

    def note(self, node: str, view: View) -> None:
        """This is how nodes and shards stand."""


@dataclass(slots=True, eq=False)
class _Tenure:
    """One shard, held by this node."""

    shard: str
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    jobs: int = 0
    """Jobs of the queue that stand for it; without one, another is asked for."""
    giving: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class _Gift:
    """When a shard was given to a node (seconds since the boot), and how long it stays here if it comes back."""

    at: float
    keep_for: float

    @classmethod
    def after(cls, before: _Gift | None, now: float) -> _Gift:
        """Of a shard that came back at once, twice as long as before; of one that stayed away, as at first."""
        came_back = before is not None and now - before.at < 2 * before.keep_for
        return cls(now, min(2 * before.keep_for, KEEP_MOST) if before and came_back else KEEP_FIRST)


class Tenures:
    """Holds shards for one node after another that this process is. `watch` is told of tasks that must not die."""

    def __init__(
        self,
        service: Shards,
        state: State,
        fence: Fence,
        lease: timedelta,
        watch: Callable[[asyncio.Task[Any]], object],
    ) -> None:
        self._service = service
        self._state = state
        self._fence = fence
        self._lease = lease
        self._watch = watch
        self.queue: ShardQueue | None = None
        """What offers shards, while this process is a node."""
        self.stopping = asyncio.Event()
        self._tenures: dict[str, _Tenure] = {}
        self._beginning: set[str] = set()
        self._view = View(0, {}, {})
        self._loads: dict[str, int] = {}
        self._behind = False
        self._serving = asyncio.Lock()
        self._gifts: dict[tuple[str, str], _Gift] = {}
        """By team and the node that got it."""
        self._given_at = 0.0
        self._looking: asyncio.Task[None] | None = None

    def has(self, team: str) -> bool:
        """Whether a team's shard is held; also while it is being given away."""
        return team in self._tenures

    def follow(self, view: View) -> None:
        """Do what follows from how things stand, beside whatever else is done."""
        self._view = view
        self._loads = balance.loads_of(view)
        self._adopt(view)
        if self.stopping.is_set():
            return
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_after(view), name="look after shards")
            self._looking.add_done_callback(self._watch)
        self._share_out(view)

    async def look_no_more(self) -> None:
        """Until `follow` is called again."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def leave(self) -> None:
        """Let go of everything, for others to take."""
        await self._stop_giving(self._tenures.values())
        for tenure in tuple(self._tenures.values()):
            # Without a database each of them would wait for it: a stop has ten seconds for all.
            await self._service.let_go(tenure.shard, at_once=not self._fence.is_valid())
            tenure.ended.set()

    async def drop_all(self) -> None:
        """End everything, writing nothing."""
        tenures, self._tenures = list(self._tenures.values()), {}
        # All side by side: what was sent for any of them is given up before one of them has to wait for the state.
        await asyncio.gather(
            self._stop_giving(tenures),
            *(self._service.let_go(tenure.shard, at_once=True) for tenure in tenures),
        )
        for tenure in tenures:
            tenure.ended.set()

    def holds(self, team: str) -> bool:
        """Whether this node is to serve a team now."""
        tenure = self._tenures.get(team)
        return tenure is not None and tenure.giving is None and self._fence.is_valid()

    def _adopt(self, view: View) -> None:
        """Serve what this node took and did not hear of: its job was given up, or the commit not answered."""
        for shard in view.shards.values():
            team = shard.team
            is_ours = shard.node == self._fence.node and team in self._fence.expected
            is_known = team in self._tenures or team in self._beginning
            if is_ours and not is_known and not self.stopping.is_set():
                self._tenures[team], self._behind = _Tenure(team), True
                _log.info("shard_taken", team=team)

    async def _look_after(self, view: View) -> None:
        """Have a job for every shard that is free, and for those held here; give back whose team is gone."""
        try:
            configured = self._service.teams()
            strangers = {
                team: count
                for team, count in configured.items()
                if team not in view.shards or _is_off(view.shards[team], count)
            }
            if strangers:
                await self._state.ask(lambda c: nodes.add_shards(c, strangers))
            for tenure in tuple(self._tenures.values()):
                team = tenure.shard
                if tenure.giving is not None or self._tenures.get(team) is not tenure:
                    continue  # given up while others were looked after
                if team not in configured and team not in self._service.held():
                    self._give(team, forget=True)
                elif not tenure.jobs and self.queue is not None:
                    await self.queue.offer(team, self._fence.node)
            await self._forget_strangers(view, configured)
            await self._offer([shard for shard in view.free if shard.team in configured])
            if self._behind:
                await self._serve()
        except RetryLater as later:
            _log.warning("state_busy", message=str(later))

    async def _forget_strangers(self, view: View, configured: Mapping[str, int]) -> None:
        patience_ms = FORGET_AFTER.total_seconds() * 1000
        old = [
            shard.team
            for shard in view.free
            if shard.team not in configured and view.now_ms - shard.due_ms > patience_ms
        ]
        if old:
            await self._state.ask(lambda c: nodes.forget_shards(c, old))

    async def _offer(self, free: list[Shard]) -> None:
        if not free or self.queue is None:
            return
        patience_ms = OVERDUE_LEASES * self._lease.total_seconds() * 1000
        overdue = [s.team for s in free if s.due_ms and self._view.now_ms - s.due_ms > patience_ms]
        await self.queue.rescue([s.team for s in free], list(self._view.nodes), overdue)
        for shard in free:
            if self.queue is not None:
                await self.queue.offer(shard.team)

    def _share_out(self, view: View) -> None:
        """Give a shard to a node that has much less than this one."""
        now = boot_seconds()
        if now - self._given_at < GIVE_EVERY or any(t.giving for t in self._tenures.values()):
            return
        # What came back from a node that is still there: that one cannot serve it, or not as well.
        keep = [pair for pair, gift in self._gifts.items() if now - gift.at < gift.keep_for]
        # What is free and unknown here will not be taken by this node: it may be a team that nobody has any more.
        found = balance.to_give(view, self._fence.node, keep, self._service.teams())
        if found is not None and found[0] in self._tenures:
            self._given_at = now
            self._gifts = {
                pair: gift for pair, gift in self._gifts.items() if pair[1] in view.nodes
            }
            self._gifts[found] = _Gift.after(self._gifts.get(found), now)
            self._give(found[0])

    def _give(self, team: str, *, forget: bool = False) -> None:
        tenure = self._tenures[team]
        tenure.giving = asyncio.create_task(self._given(tenure, forget=forget), name="give shard")
        tenure.giving.add_done_callback(self._watch)

    async def _given(self, tenure: _Tenure, *, forget: bool) -> None:
        """Let go of a shard, then of its row: what was sent is settled by then."""
        team = tenure.shard
        left = await self._service.let_go(team, at_once=False)
        while True:
            try:
                await self._state.run(lambda c: self._release(c, team, left, forget=forget))
                break
            except RetryLater as later:
                if not self._fence.is_valid():
                    return  # all of it is dropped
                _log.warning("state_busy", message=str(later))
                await asyncio.sleep(GIVE_AGAIN)
        self._tenures.pop(team, None)
        tenure.ended.set()
        _log.info("shard_released", team=team)

    def _release(
        self, connection: Connection, team: str, left: Collection[int], *, forget: bool
    ) -> None:
        """By the thread that writes, so that what it expects changes with what it commits."""
        # As long as this node lives, nobody else could tell that what is left in flight is not.
        outbox.release_left(connection, left, self._fence.node)
        nodes.release(connection, team, self._fence.node)
        self._fence.expected.pop(team, None)
        if forget:
            nodes.forget_shards(connection, [team])

    # -- the queue's jobs

    async def do(self, team: str, unable: list[str]) -> None:
        """A job: serve this shard for as long as this node holds it, or hand it to who should."""
        try:
            tenure = self._tenures.get(team) or await self._begun(team, unable)
        except RetryLater as later:
            _log.warning("state_busy", message=str(later))
            return
        if tenure is None:
            return
        tenure.jobs += 1
        try:
            await tenure.ended.wait()
        finally:
            tenure.jobs -= 1

    async def _begun(self, team: str, unable: list[str]) -> _Tenure | None:
        me, queue = self._fence.node, self.queue
        if queue is None or self.stopping.is_set() or not self._fence.is_valid():
            return None
        if team not in self._service.teams():
            others = [n for n in self._view.nodes if n != me and n not in unable]
            if others:
                await queue.offer(team, others[0], [*unable, me])
            return None
        shard = self._view.shards.get(team)
        calendars = weight(shard) if shard is not None else 1
        able = {node: load for node, load in self._loads.items() if node not in unable}
        elsewhere = balance.better_place(able, me, calendars)
        self._loads[elsewhere or me] = self._loads.get(elsewhere or me, 0) + calendars
        if elsewhere is not None:
            await queue.offer(team, elsewhere, unable)
            return None
        self._beginning.add(team)
        try:
            # `run`: what was remembered of a team that others held meanwhile is forgotten.
            if await self._state.run(lambda c: self._acquire(c, team)) is None:
                return None
            if self._fence.node != me or not self._fence.is_valid() or self.stopping.is_set():
                return None  # given back as all else that this node has
            tenure = self._tenures[team] = _Tenure(team)
        finally:
            self._beginning.discard(team)
        _log.info("shard_taken", team=team)
        await self._serve()
        return tenure

    def _acquire(self, connection: Connection, team: str) -> int | None:
        """By the thread that writes: see `_release`."""
        version = nodes.acquire(connection, team, self._fence.node)
        if version is not None:
            self._fence.expected[team] = version
        return version

    async def _serve(self) -> None:
        """Have the local engine serve what is held; many that come together are taken on in one step."""
        self._behind = True
        async with self._serving:
            if not self._behind:
                return
            self._behind = False
            try:
                await self._service.serve()
            except RetryLater as later:  # tried again with the next sign of life
                self._behind = True
                _log.warning("state_busy", message=str(later))
            except BaseException:  # the queue hides what its jobs die of: the sign of life does not
                self._behind = True
                raise

    async def _stop_giving(self, tenures: Iterable[_Tenure]) -> None:
        giving = [one.giving for one in tenures if one.giving is not None]
        for task in giving:
            task.cancel()
        await asyncio.gather(*giving, return_exceptions=True)


def _is_off(shard: Shard, calendars: int) -> bool:
    return shard.node is None and shard.calendars != calendars
