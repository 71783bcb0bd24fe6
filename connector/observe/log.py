"""structlog, as text for people or JSON for machines, on stderr."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, cast

import stamina.instrumentation
import structlog


def configure_logging(log_format: Literal["text", "json"] = "text", *, debug: bool = False) -> None:
    """Send every log line to stderr. Libraries are quiet unless something is wrong."""
    level = logging.DEBUG if debug else logging.INFO
    renderer: Any = structlog.processors.JSONRenderer()
    if log_format == "text":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=20)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Its own lines about retries say less than ours, and not in our words.
    stamina.instrumentation.set_on_retry_hooks([])
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
    # apscheduler reports every run that comes too late for its tick; the engine looks after that itself.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger(name))
