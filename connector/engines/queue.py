"""Procrastinate carries shards to nodes: one job for each shard that somebody should serve, for as long as it does.

A job's `lock` lets one of a shard run at a time, its `queueing_lock` lets one wait; a worker's heartbeats tell whose
jobs are stalled. Which shards are free, and since when, stands in our own table: a job is an offer, not a claim, and
one too many or too few does no harm. Every node takes from the common queue and from one of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ProcrastinateException
from procrastinate.jobs import Status
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncNullConnectionPool, PoolTimeout

from connector.domain.errors import RetryLater
from connector.observe.log import get_logger
from connector.store.server import node_name, session_of

_log = get_logger(__name__)

COMMON = "shards"
TASK = "serve_shard"
AT_ONCE = 100_000
"""No limit of the worker's: how many shards a node takes is decided by how they are shared out."""
CONNECT_SECONDS = 5
LOOK_EVERY = 1.0
AGAIN_AFTER = 1.0
LET_GO_SECONDS = 1.0
_UNAVAILABLE = (ProcrastinateException, psycopg.Error, PoolTimeout, OSError)


def queue_of(node: str) -> str:
    """The queue that only this node takes from."""
    return f"{COMMON}-{node}"


class ShardQueue:
    """The queue as one node uses it.

    `serve(team, unable)` does a job: it returns when the shard is no longer served here. `unable` names nodes that
    cannot serve it.
    """

    def __init__(
        self, url: str, node: str, serve: Callable[[str, list[str]], Awaitable[None]], lease: float
    ) -> None:
        self._own = queue_of(node)
        self._lease = lease
        self._working: asyncio.Task[None] | None = None
        self._is_stopped = False
        """A cancelled worker may end by what went wrong while it said goodbye, instead of by being cancelled."""
        self._app = App(connector=_connector(url))
        self._serve = serve
        self._task = self._app.task(name=TASK)(self._do)
        # What it would say of its own accord is said by us, without tracebacks.
        for name in ("procrastinate", "psycopg.pool"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    def start(self) -> None:
        """Take jobs from now on. Where the database cannot be reached, it is tried again until it can."""
        self._working = asyncio.create_task(self._work(), name="queue")

    async def stop(self) -> None:
        """Take no more; returns when jobs under way ended, or were left."""
        self._is_stopped = True
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    async def offer(self, team: str, node: str | None = None, unable: Sequence[str] = ()) -> None:
        """Have a job for this shard, for anybody or for one node; if one waits already, that does. RetryLater."""
        queue = COMMON if node is None else queue_of(node)
        with _reaching():
            deferrer = self._task.configure(lock=team, queueing_lock=team, queue=queue)
            with contextlib.suppress(AlreadyEnqueued):
                await deferrer.defer_async(team=team, unable=list(unable))

    async def rescue(
        self, free: Collection[str], nodes: Collection[str], overdue: Collection[str] = ()
    ) -> None:
        """Remove what keeps free shards from being served: jobs of dead workers, and in dead nodes' queues.

        Of `overdue` shards every job goes: a worker that lives may have failed to say that one is over, or a node that
        lives may take none, and either would stand in the way of all further offers for ever.
        """
        live = {COMMON, *map(queue_of, nodes)}
        jobs = self._app.job_manager
        with _reaching():
            stalled = await jobs.get_stalled_jobs(
                task_name=TASK, seconds_since_heartbeat=self._lease
            )
            for job in stalled:
                if job.lock in free and job.id is not None:
                    with contextlib.suppress(ProcrastinateException):  # another node was faster
                        await jobs.finish_job_by_id_async(job.id, Status.FAILED, delete_job=True)
            for job in await jobs.list_jobs_async(task=TASK, status=Status.TODO.value):
                if (job.queue not in live or job.lock in overdue) and job.id is not None:
                    await jobs.cancel_job_by_id_async(job.id, delete_job=True)
            if not overdue:
                return
            for job in await jobs.list_jobs_async(task=TASK, status=Status.DOING.value):
                if job.lock in overdue and job.id is not None:
                    with contextlib.suppress(ProcrastinateException):
                        await jobs.finish_job_by_id_async(job.id, Status.FAILED, delete_job=True)

    async def _do(self, team: str, unable: list[str]) -> None:
        task = asyncio.current_task()
        if task is not None:
            # That a job was taken away meanwhile, as one of a dead worker, fails when it is to be marked as done.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await self._serve(team, unable)

    async def _work(self) -> None:
        """Keep a worker until cancelled, whatever one dies of: a node without one is offered shards, and takes none."""
        while not self._is_stopped:
            try:
                await self._app.open_async()
                await self._work_on()
            except Exception as error:
                _log.warning("queue_unavailable", message=_words(error))
            finally:
                # Also of what was cut off while it was opened: its tasks would outlive all else, and hold up the exit.
                with contextlib.suppress(*_UNAVAILABLE):
                    await self._app.close_async()
            if not self._is_stopped:
                await asyncio.sleep(AGAIN_AFTER)

    async def _work_on(self) -> None:
        while not self._is_stopped:
            try:
                await self._app.run_worker_async(
                    queues=[COMMON, self._own],
                    concurrency=AT_ONCE,
                    delete_jobs="always",
                    install_signal_handlers=False,
                    fetch_job_polling_interval=LOOK_EVERY,
                    abort_job_polling_interval=60.0,
                    shutdown_graceful_timeout=LET_GO_SECONDS,
                    update_heartbeat_interval=self._lease / 5,
                    stalled_worker_timeout=self._lease,
                )
            except _UNAVAILABLE as error:
                _log.warning("queue_unavailable", message=_words(error))
            if not self._is_stopped:
                await asyncio.sleep(AGAIN_AFTER)


def _connector(url: str) -> PsycopgConnector:
    """Connections are made when they are needed: a pool's would be made again ever more slowly after an outage."""
    return PsycopgConnector(
        pool_factory=AsyncNullConnectionPool,
        conninfo="",
        kwargs={
            "connect_timeout": CONNECT_SECONDS,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": CONNECT_SECONDS * 1000,
            **conninfo_to_dict(url),
            "application_name": f"{session_of(node_name())} queue",
        },
        max_size=4,
        timeout=2.0 * CONNECT_SECONDS,
        num_workers=1,
    )


@contextlib.contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except AlreadyEnqueued:
        raise
    except _UNAVAILABLE as error:
        raise RetryLater(f"the queue of shards cannot be reached now ({_words(error)})") from None


def _words(error: BaseException) -> str:
    """What went wrong, on one line, without values."""
    cause = error.__cause__ or error
    return " ".join(f"{type(cause).__name__}: {cause}".split())[:300]
