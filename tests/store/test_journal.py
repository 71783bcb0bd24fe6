"""The journal keeps what became of every request, and cannot fill the disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector.domain.mapping import Fingerprint
from connector.domain.model import EventId, ICalUid
from connector.domain.plan import Key
from connector.store import journal
from connector.store.outbox import Lane, Row
from tests.store.world import OpenState

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ROW = Row(1, Key(EventId("e"), ICalUid("u")), 1, Fingerprint("f.a"), b"{}", 0, Lane.SOON, 0)


def test_a_row_that_fails_for_weeks_keeps_the_newest_and_the_last_acceptance(
    state: OpenState,
) -> None:
    journal.write(state, ROW, journal.Entry(NOW, 201))
    for minute in range(1, 200):
        at = NOW + timedelta(minutes=minute)
        entry = journal.Entry(at, 503, outcome=journal.Outcome.PUT_OFF, message="x" * 1000)
        journal.write(state, ROW, entry)
    kept = journal.entries(state, 1, "e")
    assert [entry.outcome.value for entry in kept[:2]] == ["accepted", "put off"]
    assert len(kept) <= journal.MOST + 1
    assert kept[-1].at == NOW + timedelta(minutes=199)
    assert kept[-1].fingerprint == "f.a"
    assert len(kept[-1].message) <= 300
