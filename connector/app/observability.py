"""The listener beside the daemon: opens it before any work begins, fills it when the parts are there.

::

    async with observability(settings, path, stopping) as shown:
        async with assemble(settings, database, observer=shown.observer) as parts:
            engine = LocalEngine(…)
            shown.attach(parts.served, engine.stuck)
            await engine.run(stopping)

`attach` may be called again with other sources. Without `[observability] listen` all of it does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from aiohttp import web

import connector
from connector.app.standing import Served, snapshot_of
from connector.domain.errors import (
    ConfigurationInvalid,
    ConfigurationMistake,
    ListenerUnusable,
)
from connector.observe.board import Board
from connector.observe.health import Health
from connector.observe.history import History
from connector.observe.log import get_logger
from connector.observe.metrics import Metrics, Standings
from connector.observe.observer import NOBODY, Observer
from connector.observe.snapshot import Snapshot
from connector.observe.web import Explain, Site, make_app
from connector.settings.model import Settings
from connector.settings.values import split_listen
from connector.store import Database, StatePlace, open_reader
from connector.store.standing import standing

_log = get_logger(__name__)

Clock = Callable[[], datetime]


class Observability:
    """What the daemon gives its observer to, and tells where to look."""

    observer: Observer = NOBODY
    url: str | None = None

    def attach(
        self,
        served: Callable[[], Served],
        stuck: Callable[[], Collection[str]],
        explain: Explain | None = None,
    ) -> None:
        """The parts are there. `served`: whom and with what budgets; `stuck`: users whose reading hangs."""

    async def detach(self) -> None:
        """The parts are about to close: look at nothing any more."""


class Listener(Observability):
    """The same where a listener is open."""

    def __init__(self, site: Site, path: StatePlace, clock: Clock, *, names: bool) -> None:
        self.observer = site.metrics
        self._site = site
        self._clock = clock
        self._served: Callable[[], Served] | None = None
        self._reader = _Reader(path)
        self.board = Board(self._take, History())
        site.metrics.registry.register(Standings(lambda: self.board.latest, clock, names=names))
        self._sampling: asyncio.Task[None] | None = None

    def attach(
        self,
        served: Callable[[], Served],
        stuck: Callable[[], Collection[str]],
        explain: Explain | None = None,
    ) -> None:
        self._served = served
        health = self._site.health
        health.served = lambda: [name for name, _ in served().calendars.values()]
        health.stuck = stuck
        health.state_age = lambda: self.board.age
        self._site.board, self._site.explain = self.board, explain
        if self._sampling is None:
            self._sampling = asyncio.create_task(self.board.run(), name="status samples")

    async def detach(self) -> None:
        """Before the state is closed: a reader that outlives the writer would leave SQLite's log beside the file."""
        self._site.board, self._site.explain = None, None
        if self._sampling is not None:
            self._sampling.cancel()
            await asyncio.gather(self._sampling, return_exceptions=True)
        await self.board.close()
        await self._reader.close()

    async def _take(self) -> Snapshot:
        assert self._served is not None
        now = self._clock()
        found = await (await self._reader.get()).run(partial(standing, now=now))
        return snapshot_of(found, self._served(), now)


class _Reader:
    """A connection of its own, so that looking never waits for writing, nor writing for looking."""

    def __init__(self, path: StatePlace) -> None:
        self._path = path
        self._database: Database | None = None

    async def get(self) -> Database:
        if self._database is None:
            self._database = await asyncio.to_thread(open_reader, self._path)
        return self._database

    async def close(self) -> None:
        if self._database is not None:
            await asyncio.to_thread(self._database.close)


@contextlib.asynccontextmanager
async def observability(
    settings: Settings,
    path: StatePlace,
    stopping: asyncio.Event,
    clock: Clock = lambda: datetime.now(UTC),
) -> AsyncIterator[Observability]:
    """The listener that the settings ask for, open until the end. `path` is the state's file.

    Raises ListenerUnusable (exit 1) where the port is taken, ConfigurationInvalid where there is no such address.
    """
    process = settings.process
    if process.listen is None:
        yield Observability()
        return
    host, port = split_listen(process.listen)
    metrics = Metrics(connector.__version__)
    health = Health(polled=lambda: metrics.turns.keys(), is_stopping=stopping.is_set)
    token = process.token.reveal if process.token is not None else None
    site = Site(host, connector.__version__, metrics, health, token, now=clock)
    listener = Listener(site, path, clock, names=process.user_labels)
    runner = web.AppRunner(
        make_app(site), access_log=None, handle_signals=False, shutdown_timeout=1.0
    )
    await runner.setup()
    try:
        listener.url = await listen_on(runner, host, port)
        _log.info("listening", url=listener.url)
        yield listener
    finally:
        await listener.detach()
        await runner.cleanup()


async def listen_on(
    runner: web.BaseRunner,
    host: str,
    port: int,
    key: str = "observability.listen",
    *,
    shared: bool = False,
) -> str:
    """Let a server listen; its URL. `key` names the setting that says where, for errors.

    `shared`: beside other processes of this user that share it too; the system spreads what comes.
    """
    table, _, name = key.rpartition(".")
    try:
        await web.TCPSite(runner, host, port, reuse_port=shared or None).start()
    except socket.gaierror as error:
        raise _no_such(host, port, error.strerror or "unknown", key) from error
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise _no_such(host, port, "this machine does not have that address", key) from error
        why = "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror
        raise ListenerUnusable(
            f"cannot listen on {_shown(host, port)}: {why}; choose another port in [{table}] {name},"
            " or end what uses it"
        ) from error
    bound = runner.addresses[0][1]
    return f"http://{_shown(host, bound)}/"


def _no_such(host: str, port: int, why: str, key: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        (
            ConfigurationMistake(
                Path("connector.toml"),
                key,
                f"{_shown(host, port)}: {why}",
                "an address of this machine, such as 127.0.0.1:9464",
            ),
        )
    )


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
