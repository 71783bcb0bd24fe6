"""The daemon as one of several nodes: the same service, for the teams that this node holds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import connector
from connector.app.daemon import Service
from connector.app.observability import observability
from connector.app.opening import state_place
from connector.app.parts import Parts, assemble
from connector.app.to_salesloft import team_of
from connector.domain.errors import ConfigurationInvalid, ConfigurationMistake, RetryLater
from connector.engines import balance
from connector.engines.distributed import JOIN_AGAIN, DatabaseClock, DistributedEngine, join
from connector.engines.queue_schema import prepare_queue
from connector.observe.log import get_logger
from connector.settings.model import Settings
from connector.store import Server
from connector.store.fence import Fence
from connector.store.nodes import View
from connector.store.server import lock_server, node_name, open_server

_log = get_logger(__name__)

LOOK_FOR_JOBS_EVERY = 30.0
"""A bulk job that another node's team left may hold changes of users of ours."""


async def run_node(settings: Settings, stopping: asyncio.Event, config: Path | None) -> int:
    """Serve this node's share of the teams until `stopping`; 0."""
    place = state_place(settings)
    if not isinstance(place, Server):
        raise ConfigurationInvalid(
            (
                ConfigurationMistake(
                    config or Path(),
                    "state.url",
                    "a file of this machine",
                    'a postgresql:// URL, because [engine] kind = "distributed"',
                ),
            )
        )
    fence, clock = Fence(), DatabaseClock()
    name, lease = node_name(), settings.process.lease
    with lock_server(place, as_node=True):
        async with observability(settings, place, stopping) as shown:
            database = open_server(place, fence)
            try:
                prepare_queue(place)
                await _join(
                    lambda: join(place, fence, name, connector.__version__, lease, clock), stopping
                )
            except BaseException:
                database.close()
                raise
            if not fence.node:  # stopped before it became a node
                database.close()
                return 0
            nobody = replace(settings, users=())
            async with assemble(nobody, database, clock, shown.observer, fence) as parts:
                held = HeldTeams(parts)
                service = Service(parts, settings, (), config, held.holds)
                held.service = service
                engine = DistributedEngine(
                    service.engine,
                    held,
                    parts.state,
                    place,
                    fence,
                    clock,
                    name=name,
                    version=connector.__version__,
                    lease=lease,
                )
                held.engine = engine
                service.engine.rounds.every(LOOK_FOR_JOBS_EVERY, "bulk jobs", held.look_for_jobs)
                service.show(shown)
                try:
                    await service.run(stopping, engine.run)
                finally:
                    await service.push.close()
                    await shown.detach()
    return 0


async def _join(join_once: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        try:
            await join_once()
        except RetryLater as later:
            _log.warning("state_busy", message=str(later))
            await asyncio.sleep(JOIN_AGAIN)
        else:
            return


class HeldTeams:
    """What the distributed engine asks of the service: who is configured, and to serve or let go of teams."""

    service: Service
    engine: DistributedEngine

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._shares: dict[str, float] = {}
        self._counted: tuple[Settings | None, Mapping[str, int]] = (None, {})
        parts.google_share = lambda project: self._shares.get(digest_of(project), 1.0)

    def holds(self, team: str) -> bool:
        return self.engine.holds(team)

    def teams(self) -> Mapping[str, int]:
        settings = self.service.settings
        if self._counted[0] is not settings:  # asked at each sign of life, of all users there are
            found = Counter(team_of(user) for user in settings.users)
            if settings.template is not None:  # its users need no file
                found[team_of(settings.template.prototype)] += 0
            self._counted = (settings, found)
        return self._counted[1]

    def held(self) -> Mapping[str, int]:
        return {name: len(team.users) for name, team in self._parts.teams.items()}

    def projects(self) -> Mapping[str, int]:
        return {digest_of(name): count for name, count in self._parts.projects().items()}

    async def serve(self) -> None:
        await self.service.serve_held()

    async def let_go(self, team: str, *, at_once: bool) -> Collection[int]:
        return await self.service.let_go(team, at_once=at_once)

    def note(self, node: str, view: View) -> None:
        """Others serve the other teams, and read with the same Google projects as we do."""
        # What is neither configured nor another node's is a team under the key that it had before: its points count.
        configured = self.teams()
        self._parts.elsewhere = tuple(
            shard.team
            for shard in view.shards.values()
            if shard.team in configured or shard.node not in (None, node)
        )
        shares = {
            project: balance.share_of(view, node, project, count)
            for project, count in self.projects().items()
        }
        if shares != self._shares:
            self._shares = shares
            self._parts.share_google()

    async def look_for_jobs(self) -> None:
        for team in self._parts.teams.values():
            team.delivery.look_for_jobs()


def digest_of(project: str) -> str:
    """A one-way name of a Google project, for other nodes."""
    return sha256(project.encode()).hexdigest()[:16]
