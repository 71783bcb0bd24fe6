"""The program on a machine whose clock is off: `python -m tests.skewed SECONDS run --config …`."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta

import time_machine

from connector.cli import main

if __name__ == "__main__":
    seconds = float(sys.argv.pop(1))
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=seconds), tick=True):
        assert abs(time.time() - time.clock_gettime(time.CLOCK_REALTIME)) < abs(seconds) + 1
        main()
