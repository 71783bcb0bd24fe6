"""The daemon: everything put together, until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from connector.app.membership import Membership
from connector.app.parts import Parts, Team, assemble, state_file
from connector.app.reload import Reloading, on_hangup
from connector.engines.local import LocalEngine
from connector.engines.rounds import Step
from connector.observe.systemd import ServiceManager
from connector.settings.model import Settings
from connector.store import lock_state, open_database


async def run_daemon(
    settings: Settings, stopping: asyncio.Event, config: Path | None = None
) -> int:
    """Poll and deliver until `stopping`; 0. Changes of the files at `config` take effect meanwhile."""
    path = state_file(settings)
    with lock_state(path):
        async with assemble(settings, open_database(path)) as parts:
            await Service(parts, settings, config).run(stopping)
    return 0


class Service:
    """The running daemon: the engine, who is served, and how a reload reaches them."""

    def __init__(self, parts: Parts, settings: Settings, config: Path | None) -> None:
        self.parts = parts
        self._manager = ServiceManager()
        self.engine = LocalEngine(
            parts.calendars, parts.cycle, parts.deliveries, parts.state, self._manager
        )
        self.membership = Membership(parts, self.engine, self._rounds_of)
        self.reloading = Reloading(config, settings, self._become) if config is not None else None

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`."""
        if self.reloading is None:
            await self.engine.run(stopping)
            return
        reloading = asyncio.create_task(self.reloading.run(stopping), name="reload")
        reloading.add_done_callback(self.engine.watch)
        try:
            with on_hangup(self.reloading.ask):
                await self.engine.run(stopping)
        finally:
            reloading.cancel()
            await asyncio.gather(reloading, return_exceptions=True)

    async def _become(self, settings: Settings) -> None:
        await self.membership.become(settings.users)

    def _rounds_of(self, _: Team) -> Mapping[str, tuple[float, Step]]:
        return {}
