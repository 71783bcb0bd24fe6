from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.machine.driver import hurry


@pytest.fixture(autouse=True)
def _in_a_hurry() -> Iterator[None]:
    """Short waits; and no logs of the connections that the simulators break."""
    restore = hurry()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    noisy = [logging.getLogger(name) for name in ("aiohttp.server", "asyncio")]
    for logger in noisy:
        logger.disabled = True
    yield
    for logger in noisy:
        logger.disabled = False
    restore()
