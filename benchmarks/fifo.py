"""The program with a queue instead of urgency, to compare with: `python -m benchmarks.fifo run --config …`."""

from __future__ import annotations

from connector.cli import main
from connector.store import outbox

_BY_URGENCY = "ORDER BY blocked, lane, past, turn, nearness"
_BY_ARRIVAL = "ORDER BY blocked, queued_ms, calendar_id, event_id"


def without_urgency(statement: str) -> str:
    """The same claim in the order in which the changes were found."""
    if _BY_URGENCY not in statement:
        raise SystemExit(
            "benchmarks.fifo: the order of connector.store.outbox has changed; adapt it here"
        )
    chosen, _, sent = statement.replace(_BY_URGENCY, _BY_ARRIVAL).rpartition(_BY_ARRIVAL)
    return chosen + _BY_ARRIVAL.replace("queued_ms", "b.queued_ms") + sent


if __name__ == "__main__":
    outbox._MOST_URGENT = without_urgency(outbox._MOST_URGENT)
    main()
