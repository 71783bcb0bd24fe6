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
from datetime import UTC, datetime, timedelta

from connector.domain.errors import RetryLater
from connector.engines.local import LocalEngine
from connector.engines.queue import ShardQueue
from connector.engines.tenures import Shards, Tenures
from connector.observe.log import get_logger
from connector.store import State, nodes
from connector.store.fence import Fence, boot_seconds, new_node_id
from connector.store.nodes import View
from connector.store.server import Server, join_server, open_signs, session_of

_log = get_logger(__name__)

BEATS = 8
"""Signs of life in one lease."""
MARGIN = 0.1
"""The share of a lease that is left at its end, for requests that are just being sent."""
JOIN_AGAIN = 0.5
BARRIER_SECONDS = 15.0
STUCK_SECONDS, STUCK_LEASES = 60.0, 6
"""A transaction may take long; one that takes longer than both never ends."""


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
        self._tenures = Tenures(service, state, fence, lease, local.watch)
        self._steady_since = 0.0
        self._signs_seen: dict[str, tuple[int, float]] = {}
        self._signs = open_signs(server)
        self._probe: asyncio.Task[None] | None = None
        self._probed_at = 0.0
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._reaping: asyncio.Task[None] | None = None

    def holds(self, team: str) -> bool:
        """Whether this node is to serve a team now."""
        return self._tenures.holds(team)

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve what this node's share is, until `stopping`."""
        self._stopping = self._tenures.stopping = stopping
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
            self._server.url, self._fence.node, self._tenures.do, self._lease.total_seconds()
        )
        self._tenures.queue = queue
        queue.start()
        try:
            while not local.done():
                if not await self._beat():
                    await self._lost()
                    return
                await self._sleep(self._lease.total_seconds() / BEATS)
            await self._leave()
        finally:
            self._tenures.queue = None
            await self._look_no_more()
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
        await self._look_no_more()
        await self._drop_all()

    async def _look_no_more(self) -> None:
        await self._tenures.look_no_more()
        if self._reaping is not None:
            self._reaping.cancel()
            await asyncio.gather(self._reaping, return_exceptions=True)

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
            await self._state.look(lambda _: None)

    async def _leave(self) -> None:
        """Everything has ended: others may take what was held, at once."""
        node = self._fence.node
        await self._tenures.leave()
        try:
            await self._state.run(lambda c: nodes.leave(c, node))
        except RetryLater as later:
            _log.warning("state_busy", message=str(later))
        self._fence.lapse()

    async def _drop_all(self) -> None:
        """End everything, writing nothing, and wait until nothing of it is left that could still be written."""
        await self._tenures.drop_all()
        self._state.forget_recent()
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(BARRIER_SECONDS):
                    await self._state.look(
                        lambda _: None
                    )  # what stood before it was done or refused
            except TimeoutError:
                continue  # it must not be done under the next id: no other way but to wait for the server
            except RetryLater:
                return
            else:
                return

    async def _sleep(self, seconds: float) -> None:
        self._wake.clear()
        waiting = asyncio.create_task(self._wake.wait(), name="node-wait")
        await asyncio.wait({waiting}, timeout=seconds)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    def _tick(self, view: View) -> None:
        """What follows from how things stand. Nothing of it holds up the next sign of life."""
        self._service.note(self._fence.node, view)
        self._tenures.follow(view)
        if self._reaping is None or self._reaping.done():
            self._reaping = asyncio.create_task(self._reap(view), name="reap nodes")
            self._reaping.add_done_callback(self._local.watch)

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
