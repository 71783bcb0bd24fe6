"""Many callers' small writes of one kind, handed over as one: a job of the writer for all that came meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from connector.store.connection import Connection
from connector.store.database import Database

T = TypeVar("T")
MOST = 64
"""Writes of one job: it must not hold up others for long."""


class Together(Generic[T]):
    """Collects what is to be written while the writer writes. A failure of one is told to all of its job."""

    def __init__(
        self, database: Database, write: Callable[[Connection, Sequence[T]], object]
    ) -> None:
        self._database = database
        self._write = write
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, item: T) -> None:
        """Returns when the item is durable. Raises what the job failed of. Given up, it may be written all the same."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        if self._task is None:
            self._task = asyncio.create_task(self._work_off(), name="state together")
        await written

    async def _work_off(self) -> None:
        try:
            while self._waiting:
                some, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._write_together(some)
        finally:
            self._task = None

    async def _write_together(self, some: Sequence[tuple[T, asyncio.Future[None]]]) -> None:
        items = [item for item, _ in some]
        try:
            await self._database.run(lambda connection: self._write(connection, items))
        except asyncio.CancelledError:
            for _, written in some:
                written.cancel()
            raise
        except BaseException as error:  # whatever it is: nobody may wait for ever
            for _, written in some:
                if not written.done():
                    written.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for _, written in some:
                if not written.done():
                    written.set_result(None)
