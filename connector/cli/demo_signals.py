"""Signals that end the command in order: the first one cancels it, further ones do not disturb the cleaning up."""

from __future__ import annotations

import asyncio
import signal
from types import TracebackType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """While the block runs, the first signal cancels the task that entered it."""

    def __init__(self) -> None:
        self._caught: int | None = None
        self._task: asyncio.Task[object] | None = None
        # A signal that our starter ignores stays ignored: nohup.
        self._numbers = [one for one in _NUMBERS if signal.getsignal(one) is not signal.SIG_IGN]

    def __enter__(self) -> StopSignals:
        self._task = asyncio.current_task()
        for number in self._numbers:
            asyncio.get_running_loop().add_signal_handler(number, self._catch, number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number in self._numbers:
            asyncio.get_running_loop().remove_signal_handler(number)

    @property
    def caught(self) -> bool:
        """Whether it was a signal that cancelled the task."""
        return self._caught is not None

    def status(self) -> int:
        """The exit status that a shell expects, once the task's cancellation was caught."""
        assert self._caught is not None
        if self._task is not None:
            self._task.uncancel()
        return 128 + self._caught

    def _catch(self, number: int) -> None:
        if self._caught is None and self._task is not None:
            self._caught = number
            self._task.cancel()
