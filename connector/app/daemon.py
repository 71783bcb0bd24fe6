"""The daemon: everything put together, until it is stopped."""

from __future__ import annotations

import asyncio
from functools import partial

from connector.app.observability import observability
from connector.app.parts import Parts, assemble, state_file
from connector.app.standing import Served
from connector.engines.local import LocalEngine
from connector.observe.systemd import ServiceManager
from connector.settings.model import Settings
from connector.store import lock_state, open_database
from connector.sync.summary import Summary as Summary


async def run_daemon(settings: Settings, stopping: asyncio.Event) -> int:
    """Poll and deliver until `stopping`; 0."""
    path = state_file(settings)
    with lock_state(path):
        async with (
            observability(settings, path, stopping) as shown,
            assemble(settings, open_database(path), observer=shown.observer) as parts,
        ):
            engine = LocalEngine(
                parts.calendars, parts.cycle, parts.deliveries, parts.state, ServiceManager()
            )
            shown.attach(partial(served, settings, parts), engine.stuck)
            await engine.run(stopping)
    return 0


def served(settings: Settings, parts: Parts) -> Served:
    """Whom this daemon serves now, as the status page shows it."""
    return Served(
        calendars={one.id: (one.seller.name, one.team) for one in parts.calendars},
        budgets={team: client.budget for team, client in parts.clients.items()},
        broken={one.name: str(one.mistakes[0]) for one in settings.broken},
    )
