"""The engine of many nodes: the same readings and deliveries as of one process, for the shards that this node holds.

A shard is one Salesloft team with its users, so that its points, its bulk job and the order of its requests stay with
one holder at a time. A node *registers*, gives a sign of life every second, and takes free shards that Procrastinate
offers (`queue.py`), as many as its share (`balance.py`). From then on the local engine serves them, until the node
stops, gives one to a node that has less, or is cut off from the database for longer than its lease: then it sends
nothing more, drops everything, and joins anew under another id. Nothing that it still tried to write would be
committed (`store/fence.py`), and whoever finds it dead puts what it had in flight back in line.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from connector.domain.errors import RetryLater
from connector.engines import balance
from connector.engines.local import LocalEngine
from connector.engines.queue import ShardQueue
from connector.observe.log import get_logger
from connector.store import State, nodes, outbox
from connector.store.connection import Connection
from connector.store.fence import Fence, boot_seconds, new_node_id
from connector.store.nodes import Shard, View, weight
from connector.store.server import Server, join_server, open_signs, session_of

_log = get_logger(__name__)

BEATS = 8
"""Signs of life in one lease."""
MARGIN = 0.1
"""The share of a lease that is left at its end, for requests that are just being sent."""
JOIN_AGAIN = 0.5
BARRIER_SECONDS = 15.0
GIVE_EVERY = 2.0
"""Seconds between two shards that a node gives to others."""
STUCK_SECONDS, STUCK_LEASES = 60.0, 6
"""A transaction may take long; one that takes longer than both never ends."""
OVERDUE_LEASES = 2
"""A shard that is free for longer, though it was offered all the time, has a job in its way."""
FORGET_AFTER = timedelta(days=1)
"""A shard goes that was free for so long and that this node does not know: a team that is gone, or an older key."""
KEEP_FOR = 600.0
"""Seconds for which a shard stays that came back from the node that it was given to."""


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


class DatabaseClock:
    """The database's time of day: nodes whose own clocks differ agree on it."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def note(self, database_ms: int, before: float, after: float) -> None:
        """The database said this between two moments of our own wall clock (seconds since the epoch)."""
        seconds = database_ms / 1000 - (before + after) / 2
        # What the way to the database may have taken is no difference of clocks.
        if abs(seconds - self._offset.total_seconds()) > (after - before) / 2 + 0.01:
            self._offset = timedelta(seconds=seconds)


@dataclass(slots=True, eq=False)
class _Tenure:
    """One shard, held by this node."""

    shard: str
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    jobs: int = 0
    """Jobs of the queue that stand for it; without one, another is asked for."""
    giving: asyncio.Task[None] | None = None


async def join(
    server: Server, fence: Fence, name: str, version: str, lease: timedelta, clock: DatabaseClock
) -> None:
    """Become a node. RetryLater if the database cannot be reached, StateUnusable if it never can be."""
    node, began, wall = new_node_id(), boot_seconds(), time.time()
    now_ms = await asyncio.to_thread(join_server, server, node, name, version, fence.node)
    clock.note(now_ms, wall, time.time())
    fence.enter(node, began + lease.total_seconds() * (1 - MARGIN))


class DistributedEngine:
    """Runs the local engine for the shards that this node holds. The process is a node already."""

    def __init__(
        self,
        local: LocalEngine,
        service: Shards,
        state: State,
        server: Server,
        fence: Fence,
        clock: DatabaseClock,
        *,
        name: str,
        version: str,
        lease: timedelta,
    ) -> None:
        self._local = local
        self._service = service
        self._state = state
        self._server = server
        self._fence = fence
        self._clock = clock
        self._name = name
        self._version = version
        self._lease = lease
        self._tenures: dict[str, _Tenure] = {}
        self._beginning: set[str] = set()
        self._view = View(0, {}, {})
        self._loads: dict[str, int] = {}
        self._behind = False
        self._serving = asyncio.Lock()
        self._queue: ShardQueue | None = None
        self._given_to: dict[str, tuple[str, float]] = {}
        self._given_at = 0.0
        self._steady_since = 0.0
        self._signs_seen: dict[str, tuple[int, float]] = {}
        self._signs = open_signs(server)
        self._probe: asyncio.Task[None] | None = None
        self._probed_at = 0.0
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._reaping: asyncio.Task[None] | None = None

    def holds(self, team: str) -> bool:
        """Whether this node is to serve a team now."""
        tenure = self._tenures.get(team)
        return tenure is not None and tenure.giving is None and self._fence.is_valid()

    # -- the life of a node

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve what this node's share is, until `stopping`."""
        self._stopping = stopping
        local = asyncio.create_task(self._local.run(stopping), name="local engine")
        local.add_done_callback(lambda _: self._wake.set())
        try:
            while not local.done():
                if await self._joined(local):
                    await self._be(local)
        finally:
            stopping.set()
            await asyncio.gather(local, *self._closing, return_exceptions=True)
            if self._probe is not None:
                self._probe.cancel()
            await asyncio.to_thread(self._signs.close)
        local.result()

    async def _joined(self, local: asyncio.Task[None]) -> bool:
        """True once this process is a node; False if it is stopped before."""
        while not local.done():
            if self._fence.is_valid():
                return True
            if self._stopping.is_set():
                await asyncio.wait({local})
                return False
            try:
                await join(
                    self._server, self._fence, self._name, self._version, self._lease, self._clock
                )
                _log.info("node_joined", node=self._fence.node)
            except RetryLater as later:
                _log.warning("state_busy", message=str(later))
                await self._sleep(JOIN_AGAIN)
        return False

    async def _be(self, local: asyncio.Task[None]) -> None:
        """Be a node until the local engine ended, or others may have given this node up."""
        self._steady_since = boot_seconds()
        self._signs_seen.clear()
        queue = ShardQueue(
            self._server.url, self._fence.node, self._do, self._lease.total_seconds()
        )
        self._queue = queue
        queue.start()
        try:
            while not local.done():
                if not await self._beat():
                    await self._lost()
                    return
                await self._sleep(self._lease.total_seconds() / BEATS)
            await self._leave()
        finally:
            self._queue = None
            for task in (self._looking, self._reaping):
                if task is not None:
                    task.cancel()
            # Cut off from the database it takes its time to find out, and nothing depends on it any more.
            closing = asyncio.create_task(queue.stop(), name="stop queue")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _lost(self) -> None:
        self._fence.lapse()
        _log.error(
            "node_lost",
            node=self._fence.node,
            message="no sign of life of this node reached the database for the length of its lease: it sends"
            " nothing more, and joins anew as soon as it can",
        )
        for task in (self._looking, self._reaping):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._drop_all()

    async def _beat(self) -> bool:
        """One sign of life, and what follows from how things stand. False if this node may have been given up."""
        began, wall = boot_seconds(), time.time()
        left = self._fence.valid_until - began
        if left <= 0 or self._fence.is_lost or not self._writes(began):
            return False
        node, held, projects = self._fence.node, self._service.held(), self._service.projects()
        beat = asyncio.create_task(
            self._signs.run(lambda c: nodes.beat(c, node, held, projects)), name="sign of life"
        )
        done, _ = await asyncio.wait({beat}, timeout=left)
        if not done:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)
            return False
        try:
            view = beat.result()
        except RetryLater as later:
            _log.warning("state_busy", message=str(later))
            self._steady_since = boot_seconds()
            return self._fence.is_valid()
        if view is None or not self._fence.is_valid():
            return False
        self._clock.note(view.now_ms, wall, time.time())
        self._fence.valid_until = began + self._lease.total_seconds() * (1 - MARGIN)
        self._tick(view)
        return True

    def _writes(self, now: float) -> bool:
        """Whether what is to be written is written, sooner or later: signs of life alone make no node."""
        if self._probe is None or self._probe.done():
            self._probe, self._probed_at = asyncio.create_task(self._try_out()), now
        return now - self._probed_at < max(
            STUCK_SECONDS, STUCK_LEASES * self._lease.total_seconds()
        )

    async def _try_out(self) -> None:
        with contextlib.suppress(RetryLater):
            await self._state.ask(lambda _: None)

    async def _leave(self) -> None:
        """Everything has ended: others may take what was held, at once."""
        node = self._fence.node
        await self._stop_giving(self._tenures.values())
        for tenure in tuple(self._tenures.values()):
            # Without a database each of them would wait for it: a stop has ten seconds for all.
            await self._service.let_go(tenure.shard, at_once=not self._fence.is_valid())
            tenure.ended.set()
        try:
            await self._state.run(lambda c: nodes.leave(c, node))
        except RetryLater as later:
            _log.warning("state_busy", message=str(later))
        self._fence.lapse()

    async def _drop_all(self) -> None:
        """End everything, writing nothing, and wait until nothing of it is left that could still be written."""
        tenures, self._tenures = list(self._tenures.values()), {}
        # All side by side: what was sent for any of them is given up before one of them has to wait for the state.
        await asyncio.gather(
            self._stop_giving(tenures),
            *(self._service.let_go(tenure.shard, at_once=True) for tenure in tenures),
        )
        for tenure in tenures:
            tenure.ended.set()
        self._state.forget_recent()
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(BARRIER_SECONDS):
                    await self._state.ask(
                        lambda _: None
                    )  # what stood before it was done or refused
            except TimeoutError:
                continue  # it must not be done under the next id: no other way but to wait for the server
            except RetryLater:
                return
            else:
                return

    async def _stop_giving(self, tenures: Iterable[_Tenure]) -> None:
        giving = [one.giving for one in tenures if one.giving is not None]
        for task in giving:
            task.cancel()
        await asyncio.gather(*giving, return_exceptions=True)

    async def _sleep(self, seconds: float) -> None:
        self._wake.clear()
        waiting = asyncio.create_task(self._wake.wait(), name="node-wait")
        await asyncio.wait({waiting}, timeout=seconds)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    # -- what is to be done, as things stand

    def _tick(self, view: View) -> None:
        """What follows from how things stand. Nothing of it holds up the next sign of life."""
        self._view, me = view, self._fence.node
        self._loads = balance.loads_of(view)
        self._service.note(me, view)
        self._adopt(view)
        if self._reaping is None or self._reaping.done():
            self._reaping = asyncio.create_task(self._reap(view), name="reap nodes")
            self._reaping.add_done_callback(self._local.watch)
        if not self._stopping.is_set():
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(
                    self._look_after(view), name="look after shards"
                )
                self._looking.add_done_callback(self._local.watch)
            self._share_out(view)

    def _adopt(self, view: View) -> None:
        """Serve what this node took and did not hear of: its job was given up, or the commit not answered."""
        for shard in view.shards.values():
            team = shard.team
            is_ours = shard.node == self._fence.node and team in self._fence.expected
            is_known = team in self._tenures or team in self._beginning
            if is_ours and not is_known and not self._stopping.is_set():
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
                elif not tenure.jobs and self._queue is not None:
                    await self._queue.offer(team, self._fence.node)
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
        if not free or self._queue is None:
            return
        patience_ms = OVERDUE_LEASES * self._lease.total_seconds() * 1000
        overdue = [s.team for s in free if s.due_ms and self._view.now_ms - s.due_ms > patience_ms]
        await self._queue.rescue([s.team for s in free], list(self._view.nodes), overdue)
        for shard in free:
            if self._queue is not None:
                await self._queue.offer(shard.team)

    async def _reap(self, view: View) -> None:
        """Remove dead nodes; but not just after an outage, in which nobody could give a sign of life."""
        now, lease = boot_seconds(), self._lease.total_seconds()
        # By our own clock, from when we first saw its last sign: the database's may be set, or be another one's.
        before, self._signs_seen = self._signs_seen, {}
        for node in view.nodes.values():
            seen_ms, since = before.get(node.id, (node.seen_ms, now))
            self._signs_seen[node.id] = (node.seen_ms, since if seen_ms == node.seen_ms else now)
        dead = {
            node: seen_ms
            for node, (seen_ms, since) in self._signs_seen.items()
            if now - since > lease and node != self._fence.node
        }
        steady = now - self._steady_since > lease / 2
        if not dead or not steady:
            return
        alive = {one.name for one in view.nodes.values() if one.id not in dead}
        silent = {session_of(view.nodes[node].name) for node in dead} - set(map(session_of, alive))
        try:
            # Not by the connection that writes: what they hold may be what that one waits for.
            await self._signs.run(lambda c: nodes.cut_off(c, silent))
            gone = await self._state.ask(lambda c: nodes.reap(c, dead))
        except RetryLater as later:
            _log.warning("state_busy", message=str(later))
            return
        for given_up in gone:
            _log.warning("node_given_up", node=given_up, name=view.nodes[given_up].name)

    def _share_out(self, view: View) -> None:
        """Give a shard to a node that has much less than this one."""
        now = boot_seconds()
        if now - self._given_at < GIVE_EVERY or any(t.giving for t in self._tenures.values()):
            return
        # What came back from a node that is still there: that one cannot serve it, or not as well.
        keep = {
            team
            for team, (node, since) in self._given_to.items()
            if node in view.nodes and now - since < KEEP_FOR
        }
        # What is free and unknown here will not be taken by this node: it may be a team that nobody has any more.
        found = balance.to_give(view, self._fence.node, keep, self._service.teams())
        if found is not None and found[0] in self._tenures:
            team, node = found
            self._given_at, self._given_to[team] = now, (node, now)
            self._give(team)

    def _give(self, team: str, *, forget: bool = False) -> None:
        tenure = self._tenures[team]
        tenure.giving = asyncio.create_task(self._given(tenure, forget=forget), name="give shard")
        tenure.giving.add_done_callback(self._local.watch)

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
                await self._sleep(JOIN_AGAIN)
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

    async def _do(self, team: str, unable: list[str]) -> None:
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
        me, queue = self._fence.node, self._queue
        if queue is None or self._stopping.is_set() or not self._fence.is_valid():
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
            if self._fence.node != me or not self._fence.is_valid() or self._stopping.is_set():
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


def _is_off(shard: Shard, calendars: int) -> bool:
    return shard.node is None and shard.calendars != calendars
