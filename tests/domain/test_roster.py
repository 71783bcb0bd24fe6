"""Who is connected: every case of what was known and what is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.domain.model import UserGuid
from connector.domain.roster import Change, change_of, full_is_due, later_cursor, name_for

NOW = datetime(2026, 10, 20, 14, tzinfo=UTC)
GUID = UserGuid("00210d1a-df8a-459f-af75-89b953b618b0")


@pytest.mark.parametrize(
    ("known", "disconnected", "told", "change"),
    [
        (None, False, "external", Change.JOINED),
        ("google", False, "external", Change.JOINED),
        ("external", False, "external", None),
        (None, True, "external", Change.RETURNED),
        ("google", True, "external", Change.RETURNED),
        ("external", True, "external", Change.RETURNED),
        (None, False, "google", Change.LEFT),
        ("external", False, "google", Change.LEFT),
        ("external", False, "office365", Change.LEFT),
        ("google", False, "google", Change.LEFT),
        ("google", True, "google", None),
        ("google", True, "none", None),
        (None, False, "", None),
        ("external", False, "", None),
        ("google", True, "", None),
    ],
)
def test_what_follows_from_a_calendar_type(
    known: str | None, disconnected: bool, told: str, change: Change | None
) -> None:
    assert change_of(known, told, disconnected=disconnected) is change


@pytest.mark.parametrize(
    ("hours", "due"), [(None, True), (0, False), (23.9, False), (24, True), (-0.1, True)]
)
def test_once_a_day_in_full(hours: float | None, due: bool) -> None:
    before = NOW - timedelta(hours=hours) if hours is not None else None
    assert full_is_due(before, NOW) is due


def test_the_cursor_never_goes_back_nor_far_ahead() -> None:
    older, newer, absurd = NOW - timedelta(days=2), NOW, NOW + timedelta(days=400)
    assert later_cursor(None, older, NOW) == older
    assert later_cursor(older, newer, NOW) == newer
    assert later_cursor(newer, older, NOW) == newer
    assert later_cursor(older, None, NOW) == older
    assert later_cursor(older, absurd, NOW) == older
    assert later_cursor(None, absurd, NOW) is None


@pytest.mark.parametrize(
    ("email", "taken", "name"),
    [
        ("pam.beesly@example.com", (), "pam.beesly"),
        ("Pam+Sales@example.com", (), "pam-sales"),
        ("../../etc@example.com", (), "etc"),
        ("pam@example.com", ("pam",), "pam-00210d1a"),
        ("pam@example.com", ("pam", "pam-00210d1a"), f"pam-{GUID}"),
        ("\u00fc@example.com", (), "user"),
        ("@example.com", (), "user"),
    ],
)
def test_a_user_without_a_file_gets_a_safe_unique_name(
    email: str, taken: tuple[str, ...], name: str
) -> None:
    assert name_for(email, GUID, taken) == name
