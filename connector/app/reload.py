"""A changed configuration takes effect while the daemon runs: at SIGHUP, and when a file of it changes.

Users' files that became unusable park their users; a connector.toml that did leaves everything as it is. What belongs
to the process (`[state]`, `[engine]`, `[observability]`) needs a restart, and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from watchfiles import Change, awatch

from connector.domain.errors import RetryLater
from connector.observe.log import get_logger
from connector.settings.files import Reading, read_settings, settings_of
from connector.settings.model import Settings

_log = get_logger(__name__)

SETTLED_MS = 200
"""Changes that follow one another so fast are one: editors write, sync and rename."""

LOOK_EVERY_MS = 5000
"""How often it is looked whether a file changed without anybody telling."""

JUST_WRITTEN_NS = 2_000_000_000
"""Some file systems keep times no finer."""

AGAIN_AFTER = 2.0
"""Seconds after which a reload is tried again that the state, being busy, did not allow."""

Become = Callable[[Settings], Awaitable[None]]
Told = Callable[[bool], None]


class Reloading:
    """Reads the configuration again when asked to, and hands over what can be used of it."""

    def __init__(
        self, path: Path, settings: Settings, become: Become, told: Told = lambda _: None
    ) -> None:
        """`told` hears True when a reload begins and False when it is over, however it ended."""
        self._path = path
        self._told = told
        self._settings = settings
        self._become = become
        self._asked = asyncio.Event()
        self._files: frozenset[Path] = frozenset()
        self._seen: dict[Path, tuple[int, int, int]] = {}
        self._absolute: tuple[frozenset[Path], frozenset[Path]] | None = None
        self._watched_anew = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Reload until `stopping`, each time that a file changed or `ask` was called."""
        began = time.time_ns()
        reading = await asyncio.to_thread(read_settings, self._path)
        self._files = reading.files
        self._seen = self._signature()
        written = max((changed for changed, _, _ in self._seen.values()), default=0)
        if settings_of(reading) != self._settings or written >= began - JUST_WRITTEN_NS:
            self.ask()  # changed since it was read for the start, or perhaps while it was read now
        watching = asyncio.create_task(self._watch(stopping), name="watch configuration")
        watching.add_done_callback(lambda _: self._asked.set())
        try:
            while not stopping.is_set():
                if not await _either(self._asked, stopping):
                    return
                if watching.done():
                    watching.result()  # it ends with the process only, or of something nobody foresaw
                self._asked.clear()
                self._told(True)
                try:
                    await self.reload()
                except (
                    RetryLater
                ) as later:  # the state is busy: who could not be served is served then
                    _log.error("configuration_put_off", message=str(later))
                    asyncio.get_running_loop().call_later(AGAIN_AFTER, self.ask)
                finally:
                    self._told(False)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def ask(self) -> None:
        """Reload as soon as possible, as at SIGHUP."""
        self._asked.set()

    async def reload(self) -> None:
        """Read the files once and apply what changed."""
        self._seen = self._signature()
        reading = await asyncio.to_thread(read_settings, self._path)
        if reading.files != self._files:
            self._files = reading.files
            self._watched_anew.set()
        if reading.fatal and not self._is_merely_empty(reading):
            for mistake in reading.fatal:
                _log.error("configuration_refused", message=str(mistake))
            _log.error(
                "configuration_kept", message="nothing was changed: the settings of before go on"
            )
            return
        settings = settings_of(reading)
        before, self._settings = self._settings, settings
        if settings.process != before.process:
            _log.warning(
                "restart_needed",
                message="[state], [engine], [observability] or [google.push] listen changed: restart gcal-salesloft for"
                " that to take effect",
            )
        for broken in settings.broken:
            for mistake in broken.mistakes:
                _log.error("user_misconfigured", user=broken.name, message=str(mistake))
        await self._become(settings)
        _log.info("configuration_read", users=len(settings.users), broken=len(settings.broken))

    def _is_merely_empty(self, reading: Reading) -> bool:
        """The last user's file was removed: nobody is to be served, which is no mistake while the daemon runs."""
        users = self._path / "users"
        return (
            not reading.drafts
            and self._path.is_dir()
            and all(mistake.file == users for mistake in reading.fatal)
        )

    async def _watch(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            self._watched_anew.clear()
            folders = {folder for folder in self._folders() if folder.is_dir()}
            ended = asyncio.create_task(
                _either(self._watched_anew, stopping), name="watch other folders"
            )
            try:
                await self._watch_folders(folders, ended)
            except (OSError, RuntimeError) as error:  # too many watches, a folder that went away
                _log.warning(
                    "configuration_unwatched",
                    message=f"the configuration cannot be watched ({type(error).__name__}); SIGHUP reloads it",
                )
                await ended
            finally:
                ended.cancel()

    async def _watch_folders(self, folders: set[Path], ended: asyncio.Task[bool]) -> None:
        stop = asyncio.Event()
        ended.add_done_callback(lambda _: stop.set())
        async for changes in awatch(
            *folders,
            watch_filter=self._concerns_us,
            debounce=SETTLED_MS,
            step=50,
            stop_event=stop,
            recursive=False,
            rust_timeout=LOOK_EVERY_MS,
            yield_on_timeout=True,
        ):
            # Not every file system tells of changes, and none tells of what happened before it was asked to.
            if changes or self._signature() != self._seen:
                self.ask()

    def _signature(self) -> dict[Path, tuple[int, int, int]]:
        """What tells whether a file is still the one that was read."""
        found = {}
        users = self._path / "users"
        listed = users.glob("*.toml") if users.is_dir() else ()
        for file in {*self._files, *listed}:
            with contextlib.suppress(OSError):
                status = file.stat()
                found[file.absolute()] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return found

    def _folders(self) -> Iterator[Path]:
        path = self._path.absolute()
        if path.is_dir():
            yield from (path, path / "users")
        for file in {path, *self._files}:
            yield file.absolute().parent

    def _concerns_us(self, _: Change, changed: str) -> bool:
        """Not everything in these folders is configuration: the state may lie there too."""
        path = Path(changed)
        # `..data` is how Kubernetes swaps mounted files.
        is_swap = path.name.startswith("..") or path.name == "users"
        return path.suffix == ".toml" or is_swap or path in self._known()

    def _known(self) -> frozenset[Path]:
        """The files as the system names them. Many may change at once, so this is not made for each."""
        if self._absolute is None or self._absolute[0] is not self._files:
            self._absolute = self._files, frozenset(file.absolute() for file in self._files)
        return self._absolute[1]


@contextlib.contextmanager
def on_hangup(act: Callable[[], None]) -> Iterator[None]:
    """Call this at SIGHUP, while inside."""
    loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGHUP)
    loop.add_signal_handler(signal.SIGHUP, act)
    try:
        yield
    finally:
        # The loop leaves the default behind, by which a hangup during a stop would kill: not even for a moment.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            loop.remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, before or signal.SIG_DFL)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


async def _either(one: asyncio.Event, stopping: asyncio.Event) -> bool:
    """Wait for the first of both; True if it was not the stop."""
    waits = [asyncio.create_task(event.wait(), name="reload-wait") for event in (one, stopping)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return not stopping.is_set()
