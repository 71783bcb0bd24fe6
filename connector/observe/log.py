"""structlog, as text for people or JSON for machines, on stderr. `docs/logs.md` lists every event.

Connected to systemd's journal, each line begins with its priority (sd-daemon(3)) and has neither colours nor a time of
its own. Every line passes `redact` last, so that any level is safe to paste into a ticket.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO, cast

import stamina.instrumentation
import structlog

from connector.observe.redact import redact_event, redacted

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2, "exception": 3}


def configure_logging(log_format: Literal["text", "json"] = "text", *, debug: bool = False) -> None:
    """Send every log line to stderr. Libraries are quiet unless something is wrong."""
    level = logging.DEBUG if debug else logging.INFO
    journal = is_journal(sys.stderr, os.environ)
    structlog.configure(
        processors=processors(log_format, journal=journal, colors=sys.stderr.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
        cache_logger_on_first_use=False,
    )
    # Its own lines about retries say less than ours, and not in our words.
    stamina.instrumentation.set_on_retry_hooks([])
    handler = logging.StreamHandler(cast(TextIO, _Stderr()))
    handler.setFormatter(_Libraries(journal=journal))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # apscheduler reports every run that comes too late for its tick; the engine looks after that itself.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    # A request that is no HTTP is its sender's mistake, and may come from anywhere.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


class _Stderr:
    """What stderr is when a line is written: in tests it changes, and an old one is closed."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def processors(log_format: Literal["text", "json"], *, journal: bool, colors: bool) -> list[Any]:
    """What each line passes, in order."""
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    if log_format == "text":
        renderer = structlog.dev.ConsoleRenderer(
            colors=colors and not journal,
            pad_event_to=20,
            exception_formatter=structlog.dev.plain_traceback,
        )
    chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
    ]
    if not (journal and log_format == "text"):  # the journal has the time of each line
        chain.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    chain.append(structlog.processors.format_exc_info)
    chain.append(redact_event)
    return [*chain, _Prioritised(renderer)] if journal else [*chain, renderer]


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether a stream leads to systemd's journal: `JOURNAL_STREAM` names its device and inode."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(stream.fileno())
        return (int(device), int(inode)) == (status.st_dev, status.st_ino)
    except (ValueError, OSError):  # unset or odd, or a stream without a file
        return False


class _Prioritised:
    """Puts `<3>` to `<7>` before each line of what another renderer gives."""

    def __init__(self, renderer: Any) -> None:
        self._renderer = renderer

    def __call__(self, logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> str:
        priority = _PRIORITIES.get(method, 6)
        return _prefixed(str(self._renderer(logger, method, event_dict)), priority)


def _prefixed(text: str, priority: int) -> str:
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))


class _Libraries(logging.Formatter):
    """What libraries say, redacted like our own lines."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        text = redacted(super().format(record))
        priority = _PRIORITIES.get(record.levelname.lower(), 4)
        return _prefixed(text, priority) if self._journal else text


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger(name))
