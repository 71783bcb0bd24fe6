"""The daemon: everything put together, until it is stopped."""

from __future__ import annotations

import asyncio

from connector.app.parts import assemble, state_file
from connector.engines.local import LocalEngine
from connector.observe.systemd import ServiceManager
from connector.settings.model import Settings
from connector.store import lock_state, open_database
from connector.sync.summary import Summary as Summary


async def run_daemon(settings: Settings, stopping: asyncio.Event) -> int:
    """Poll and deliver until `stopping`; 0."""
    path = state_file(settings)
    with lock_state(path):
        async with assemble(settings, open_database(path)) as parts:
            engine = LocalEngine(
                parts.calendars, parts.cycle, parts.deliveries, parts.state, ServiceManager()
            )
            await engine.run(stopping)
    return 0
