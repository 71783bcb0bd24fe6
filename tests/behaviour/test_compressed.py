"""Google compresses only for who asks for it in both headers, and the program does."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.office import open_office
from tests.people import fill


async def test_everything_that_is_read_from_google_comes_compressed(tmp_path: Path) -> None:
    async with open_office(tmp_path) as office:
        fill(office.hire("pam"), Random(1), office.clock(), singles=20, series=3)
        await office.once(full=True)
        office.sellers["pam"].create("Another")
        await office.once()
        read = [entry for entry in office.google.log if entry.route.startswith("events.")]
        assert len(read) >= 3
        assert all(entry.compressed for entry in read), read
        assert all(0 < entry.answered_bytes < 20_000 for entry in read)
