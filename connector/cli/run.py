"""`gcal-salesloft run`: the daemon, and its one-shots."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from connector.app import Summary, run_daemon, run_dry, run_once
from connector.cli.exits import UNFINISHED
from connector.cli.progress import Tell, shown_progress
from connector.observe.log import configure_logging
from connector.settings.files import load_settings
from connector.settings.model import Settings

T = TypeVar("T")
REFUSALS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Mode:
    initial_sync: bool
    once: bool
    dry_run: bool
    debug: bool


def run(config: Path, mode: Mode) -> int:
    settings = load_settings(config)
    log = partial(configure_logging, settings.process.log_format, debug=mode.debug)
    log()
    _name_broken(settings)
    if mode.dry_run:
        summary = _on_loop(_stoppable_dry(settings, full=mode.initial_sync))
        _print_summary(summary, dry_run=True)
    elif mode.initial_sync or mode.once:
        with shown_progress(settings.process.log_format, log) as tell:
            summary = _on_loop(_stoppable_once(settings, tell, full=mode.initial_sync))
        _print_summary(summary, dry_run=False)
    else:
        return _on_loop(_stoppable_daemon(settings, config))
    status = summary.exit_status
    return UNFINISHED if status == 0 and settings.broken else status


def _name_broken(settings: Settings) -> None:
    for broken in settings.broken:
        for mistake in broken.mistakes:
            print(f"user {broken.name} is not served: {mistake}", file=sys.stderr)  # noqa: T201


async def _stoppable_daemon(settings: Settings, config: Path) -> int:
    return await run_daemon(settings, stop_signal(), config)


async def _stoppable_once(settings: Settings, tell: Tell, *, full: bool) -> Summary:
    return await run_once(settings, stop_signal(), full=full, progress=tell)


async def _stoppable_dry(settings: Settings, *, full: bool) -> Summary:
    return await run_dry(settings, stop_signal(), full=full, show=_show)


def stop_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT, which only the main thread can receive."""
    stopping = asyncio.Event()
    if threading.current_thread() is not threading.main_thread():
        return stopping
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def _on_loop(main: Coroutine[Any, Any, T]) -> T:
    """On uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        factory = asyncio.new_event_loop
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def _show(user: str, body: bytes, rule: str) -> None:
    """One upsert of a dry run: whose, why, what."""
    text = json.dumps(json.loads(body), ensure_ascii=False)
    print(f"{user}: would upsert ({rule}): {text}")  # noqa: T201  # the command's answer


def _print_summary(summary: Summary, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    for line in (
        *summary.not_served,
        *summary.notes,
        *([summary.unknown] if summary.unknown else ()),
    ):
        print(line, file=sys.stderr)  # noqa: T201
    for user in summary.users:
        if user.error is not None:
            print(f"{user.name}: not read: {user.error}", file=sys.stderr)  # noqa: T201
            continue
        kind = "full sync" if user.full else "changes"
        parts = [f"{user.to_send} {would}to send", f"{user.to_cancel} {would}to cancel"]
        if dry_run:
            parts = [f"{user.to_send} would be sent", f"{user.to_cancel} would be cancelled"]
        parts.append(f"{user.unchanged} unchanged")
        if user.set_aside:
            parts.append(f"{user.set_aside} set aside as unreadable")
        print(f"{user.name}: {kind}: {', '.join(parts)}")  # noqa: T201  # the command's answer
    if dry_run:
        print("dry run: nothing was sent or stored")  # noqa: T201  # the command's answer
        return
    print(  # noqa: T201  # the command's answer
        f"delivered {summary.accepted}, refused {summary.refused}, still waiting {summary.pending};"
        f" {summary.points} points spent"
    )
    _print_bookings(summary)
    _print_refusals(summary)
    if summary.held:
        print(  # noqa: T201  # the command's answer
            f"{summary.held} held for a decision: see `gcal-salesloft held list`", file=sys.stderr
        )
    if summary.key_refused is not None:
        print(f"gcal-salesloft: {summary.key_refused}", file=sys.stderr)  # noqa: T201


def _print_bookings(summary: Summary) -> None:
    """Meetings that were booked in Salesloft, where there was anything to do."""
    counts = {
        "made": summary.bookings_made,
        "moved": summary.bookings_moved,
        "cancelled": summary.bookings_cancelled,
        "failed": summary.bookings_failed,
        "left for the next run": summary.bookings_left,
    }
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    if told:
        print(f"bookings from Salesloft: {told}")  # noqa: T201  # the command's answer
    if summary.bookings_error is not None and summary.key_refused is None:
        print(f"bookings not looked up: {summary.bookings_error}", file=sys.stderr)  # noqa: T201


def _print_refusals(summary: Summary) -> None:
    """Name what this run could not deliver for good, without a word of the calendar."""
    shown = summary.refusals[:REFUSALS_SHOWN]
    for refusal in shown:
        print(f"refused: {refusal.user} {refusal.event_id}: {refusal.reason}")  # noqa: T201  # the command's answer
    more = summary.refused - len(shown)
    if more > 0:
        and_more = f"and {more} more" if shown else f"{more} refused earlier"
        print(f"{and_more}: see `gcal-salesloft dead-letters list`")  # noqa: T201  # the command's answer
