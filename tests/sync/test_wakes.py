"""Notifications become readings, few of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from connector.sync.wakes import (
    DISTANCE_SECONDS,
    FORGIVEN_AFTER_SECONDS,
    GLOW_SECONDS,
    LONGEST_DISTANCE_SECONDS,
    Wakes,
)


class Calendars:
    """Calendar 1 under a clock of the test's own, which also rings the timers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.hastened: list[float] = []
        self._timers: list[tuple[float, object, tuple[int, ...]]] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "call_later", self._call_later, raising=False)
        self.wakes = Wakes(lambda _: self.hastened.append(self.now), lambda: self.now)
        self.wakes.watch(1)
        self.read(touched=False)

    def _call_later(self, delay: float, ring: object, *arguments: int) -> asyncio.TimerHandle:
        timer = (self.now + delay, ring, arguments)
        self._timers.append(timer)
        return _Handle(lambda: self._timers.remove(timer))  # type: ignore[return-value]

    def read(self, *, touched: bool = True, failed: bool = False) -> bool:
        return self.wakes.was_read(1, self.now, touched=touched, failed=failed)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and min(self._timers, key=lambda one: one[0])[0] <= end:
            due = min(self._timers, key=lambda one: one[0])
            self._timers.remove(due)
            self.now = due[0]
            due[1](*due[2])  # type: ignore[operator]
        self.now = end


class _Handle:
    def __init__(self, cancel: object) -> None:
        self.cancel = cancel


@pytest.fixture
async def calendars(monkeypatch: pytest.MonkeyPatch) -> Calendars:
    return Calendars(monkeypatch)


async def test_the_first_wakes_at_once_and_a_burst_once_more(calendars: Calendars) -> None:
    for _ in range(50):
        calendars.wakes.told(1)
    assert len(calendars.hastened) == 1
    calendars.pass_time(60)
    assert len(calendars.hastened) == 2
    assert calendars.hastened[1] - calendars.hastened[0] == DISTANCE_SECONDS


async def test_woken_in_vain_the_distance_grows_and_a_change_makes_it_short_again(
    calendars: Calendars,
) -> None:
    for _ in range(600):
        calendars.wakes.told(1)
        calendars.pass_time(1)
        calendars.read(touched=False)
    gaps = [b - a for a, b in zip(calendars.hastened, calendars.hastened[1:], strict=False)]
    assert max(gaps) == LONGEST_DISTANCE_SECONDS
    assert len(calendars.hastened) < 30
    calendars.read(touched=True)
    calendars.pass_time(LONGEST_DISTANCE_SECONDS)
    count = len(calendars.hastened)
    calendars.wakes.told(1)
    assert len(calendars.hastened) == count + 1


async def test_after_a_silence_the_distance_is_short_again(calendars: Calendars) -> None:
    for _ in range(100):
        calendars.wakes.told(1)
        calendars.pass_time(1)
        calendars.read(touched=False)
    calendars.pass_time(FORGIVEN_AFTER_SECONDS + 1)
    calendars.wakes.told(1)
    calendars.wakes.told(1)
    first = calendars.hastened[-1]
    calendars.pass_time(60)
    assert calendars.hastened[-1] - first == DISTANCE_SECONDS


async def test_a_calendar_that_cannot_be_read_is_not_woken(calendars: Calendars) -> None:
    calendars.read(failed=True)
    calendars.wakes.told(1)
    calendars.pass_time(60)
    assert calendars.hastened == []
    calendars.read()
    calendars.wakes.told(1)
    assert len(calendars.hastened) == 1


async def test_a_change_without_a_notification_since_the_reading_before_is_a_miss(
    calendars: Calendars,
) -> None:
    calendars.pass_time(10)
    assert calendars.read()
    assert calendars.wakes.misses(1) == 1
    calendars.pass_time(10)
    assert not calendars.read(touched=False)
    assert calendars.read()
    assert calendars.wakes.misses(1) == 2
    calendars.wakes.told(1)
    assert calendars.wakes.misses(1) == 0
    calendars.pass_time(10)
    assert not calendars.read()  # told of it
    calendars.pass_time(10)
    assert calendars.read()  # that one covered the reading before
    calendars.wakes.renewed(1)
    assert calendars.wakes.misses(1) == 0


async def test_of_a_first_or_a_failed_reading_nothing_is_concluded(calendars: Calendars) -> None:
    calendars.wakes.watch(2)
    assert not calendars.wakes.was_read(2, calendars.now, touched=True, failed=False)
    assert not calendars.read(failed=True)
    assert calendars.wakes.misses(1) == calendars.wakes.misses(2) == 0


async def test_a_calendar_glows_for_a_while(calendars: Calendars) -> None:
    assert not calendars.wakes.glows(1)
    calendars.wakes.told(1)
    calendars.pass_time(GLOW_SECONDS - 1)
    assert calendars.wakes.glows(1)
    calendars.pass_time(2)
    assert not calendars.wakes.glows(1)


async def test_what_is_not_watched_any_more_is_not_woken(calendars: Calendars) -> None:
    calendars.wakes.told(1)
    calendars.wakes.told(1)
    calendars.wakes.drop(1)
    calendars.wakes.told(1)
    calendars.pass_time(60)
    assert len(calendars.hastened) == 1
    assert not calendars.wakes.was_read(1, calendars.now, touched=True, failed=False)
    calendars.wakes.close()


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context():
        yield
