"""What another process decided reaches the very next reading."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from connector.app.daemon import Service
from connector.app.parts import assemble
from connector.settings.files import load_settings
from connector.store import open_database, recent
from tests.office import open_office


async def test_a_reading_that_is_hastened_sees_the_row_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that still saw it as it was (paused, say) would not come again."""
    monkeypatch.setattr(recent, "LOOK_EVERY", 3600.0)
    async with open_office(tmp_path) as office:
        office.hire("pam")
        settings = load_settings(office.config)
        [pam] = settings.users
        async with assemble(settings, open_database(office.state), office.clock) as parts:
            guid = pam.salesloft.user_guid
            assert (await parts.state.recent(guid, pam.name)).paused_since is None
            with closing(sqlite3.connect(office.state)) as other, other:
                other.execute("UPDATE calendars SET paused_ms = 1")
            await Service(parts, settings, settings.users, None).membership.obey()
            assert (await parts.state.recent(guid, pam.name)).paused_since is not None
