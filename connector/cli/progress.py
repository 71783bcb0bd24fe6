"""Shows on stderr how far a one-shot is: a bar on a terminal, plain lines elsewhere, events among JSON logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from connector.observe.log import get_logger
from connector.sync.progress import Progress

_log = get_logger(__name__)

LINE_EVERY = 5.0
"""Seconds between two plain lines."""
Tell = Callable[[Progress], None]


@contextmanager
def shown_progress(
    log_format: Literal["text", "json"], redirected: Callable[[], None]
) -> Iterator[Tell]:
    """What to tell, as it suits stderr. `redirected` lets the logs follow when stderr passes through the bar."""
    if log_format == "json":
        yield Lines(log_event)
        return
    console = Console(stderr=True)
    if not sys.stderr.isatty() or console.is_dumb_terminal:
        yield Lines(print_line)
        return
    try:
        with make_bars(console) as bars:
            redirected()
            yield BarView(bars)
    finally:
        redirected()


def make_bars(console: Console) -> Bars:
    """Drawn only when something is told: no thread of its own."""
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[spent]}"),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        redirect_stdout=False,
    )


class BarView:
    """One bar for the calendars, another for what is delivered."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._reading = bars.add_task("reading calendars", total=None, spent="")
        self._delivering = bars.add_task("delivering", total=None, spent="", visible=False)

    def __call__(self, progress: Progress) -> None:
        self._bars.update(self._reading, completed=progress.read, total=progress.calendars)
        self._bars.update(
            self._delivering,
            completed=progress.settled,
            total=progress.to_settle,
            spent=_points(progress),
            visible=not progress.is_reading and progress.to_settle > 0,
        )
        self._bars.refresh()


class Lines:
    """A line when a phase begins or ends, and every five seconds in between."""

    def __init__(
        self, write: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._last: Progress | None = None
        self._at = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress == self._last:
            return
        now = self._clock()
        if self._last is None or _phase(progress) != _phase(self._last) or self._is_due(now):
            self._write(progress)
            self._last, self._at = progress, now

    def _is_due(self, now: float) -> bool:
        return now - self._at >= LINE_EVERY


def print_line(progress: Progress) -> None:
    print(line_of(progress), file=sys.stderr, flush=True)  # noqa: T201


def log_event(progress: Progress) -> None:
    """The same for machines."""
    _log.info("progress", **asdict(progress))


def line_of(progress: Progress) -> str:
    """One moment of a one-shot in words."""
    if progress.is_reading or not progress.to_settle:
        return f"read {progress.read:,} of {progress.calendars:,} calendars"
    return f"delivered {progress.settled:,} of {progress.to_settle:,}, {_points(progress)}"


def _phase(progress: Progress) -> str:
    if progress.is_reading:
        return "reading"
    return "delivering" if progress.waiting else "settled"


def _points(progress: Progress) -> str:
    return f"{progress.points:,} point{'' if progress.points == 1 else 's'}"
