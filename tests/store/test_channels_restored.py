"""Push channels of a state that is put back from a backup."""

from __future__ import annotations

from connector.domain.push import Channel, secret_digest
from connector.store import channels
from connector.store.backup import distrust
from tests.domain.builders import NOW
from tests.store.world import an_empty_file_state


def test_channels_of_a_backup_are_stopped_and_made_anew() -> None:
    """Whether Google still has them nobody knows: what was made since is not in the backup."""
    state = an_empty_file_state()
    channels.begin(state, Channel("one", 1, "a.b.c", NOW), secret_digest("secret"))
    channels.answered(state, "one", "resource", None)
    distrust(state)
    (channel,) = channels.of_calendar(state, 1)
    assert channel.stopping_since is not None
    state.close()
