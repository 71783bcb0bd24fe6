"""How long a shard stays here that came back from the node that it was given to."""

from __future__ import annotations

from connector.engines.tenures import KEEP_FIRST, KEEP_MOST, _Gift


def test_what_comes_back_at_once_stays_twice_as_long_up_to_a_limit() -> None:
    gift = _Gift.after(None, 0.0)
    assert gift.keep_for == KEEP_FIRST
    kept = []
    for _ in range(6):
        gift = _Gift.after(gift, gift.at + gift.keep_for + 2)
        kept.append(gift.keep_for)
    assert kept[:2] == [2 * KEEP_FIRST, 4 * KEEP_FIRST]
    assert kept[-1] == KEEP_MOST


def test_what_stayed_away_is_given_as_if_for_the_first_time() -> None:
    before = _Gift(0.0, 4 * KEEP_FIRST)
    assert _Gift.after(before, 9 * KEEP_FIRST).keep_for == KEEP_FIRST
