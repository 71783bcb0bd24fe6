"""Before anything is read: the state is open, and Salesloft was asked who is connected."""

from __future__ import annotations

import asyncio
from pathlib import Path

from connector.app.clock import Clock, now
from connector.app.roster import LookedUp, look_up_first
from connector.settings.model import Settings
from connector.store import Database, Server, StatePlace


async def open_for(
    settings: Settings,
    database: Database,
    stopping: asyncio.Event,
    clock: Clock = now,
    *,
    patience: float | None = None,
) -> tuple[Database, LookedUp]:
    """The state, and who is to be served: as the files say, if stopped or out of patience (seconds).

    The state is closed again if that fails.
    """
    looking = asyncio.create_task(look_up_first(settings, database, clock), name="roster")
    stopped = asyncio.create_task(stopping.wait(), name="stop")
    try:
        await asyncio.wait(
            (looking, stopped), return_when=asyncio.FIRST_COMPLETED, timeout=patience
        )
        if looking.done():
            return database, looking.result()
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        return database, LookedUp(settings)
    except BaseException:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        database.close()
        raise
    finally:
        stopped.cancel()


def state_place(settings: Settings) -> StatePlace:
    """The SQLite file, or the PostgreSQL server's database, that the settings name."""
    url = settings.process.state_url
    if url.startswith("postgresql://"):
        return Server(url)
    return Path(url.removeprefix("sqlite:///"))
