from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.office import Office, open_office


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Both simulators, nobody hired yet; the real clock."""
    async with open_office(tmp_path) as opened:
        opened.bookings = True
        yield opened
