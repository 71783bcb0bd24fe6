"""What a person may paste to name an event."""

from __future__ import annotations

import base64

import pytest

from connector.domain.links import asked_for


@pytest.mark.parametrize(
    ("calendar", "full"),
    [
        ("pam@m", "pam@" + "gmail.com"),
        ("c_1@g", "c_1@group.calendar.google.com"),
        ("p@example.org", "p@example.org"),
    ],
)
def test_a_link_holds_id_and_calendar(calendar: str, full: str) -> None:
    eid = base64.b64encode(f"abc123_20261120T090000Z {calendar}".encode()).decode()
    asked = asked_for(f" https://www.google.com/calendar/event?eid={eid}&ctz=UTC ")
    assert (asked.event_id, asked.calendar) == ("abc123_20261120T090000Z", full)


@pytest.mark.parametrize("broken", ["https://x/?eid=%%%", "https://x/?eid=_____w", ""])
def test_a_broken_link_names_nothing(broken: str) -> None:
    assert asked_for(broken).event_id is None


def test_uids_ids_and_words() -> None:
    assert asked_for("abc123@google.com").event_id == "abc123"
    assert asked_for("040000@outlook.example").ical_uid == "040000@outlook.example"
    assert asked_for("Big Pitch").words == ("big", "pitch")
    assert asked_for("Pitch").event_id == "Pitch"
