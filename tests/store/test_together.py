"""Small writes handed over as one: all durable when they return, and a failure told to all whom it concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

from connector.domain.errors import RetryLater
from connector.store.connection import Connection
from connector.store.together import MOST, Together

T = TypeVar("T")


class Slow:
    """A database whose jobs wait for the test, and fail on demand."""

    def __init__(self) -> None:
        self.jobs = 0
        self.go = asyncio.Event()
        self.failure: Exception | None = None

    async def run(self, function: Callable[[Connection], T]) -> T:
        self.jobs += 1
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        return function(None)  # type: ignore[arg-type]


async def test_what_comes_while_the_writer_writes_is_written_in_one_job() -> None:
    slow, written = Slow(), list[Sequence[int]]()
    together = Together[int](slow, lambda _, some: written.append(list(some)))  # type: ignore[arg-type]
    first = asyncio.create_task(together.add(0))
    while not slow.jobs:  # noqa: ASYNC110  # turns, no time
        await asyncio.sleep(0)
    others = [asyncio.create_task(together.add(number)) for number in range(1, MOST + 5)]
    await asyncio.sleep(0)
    assert not first.done()
    slow.go.set()
    await asyncio.gather(first, *others)
    assert written == [[0], list(range(1, MOST + 1)), list(range(MOST + 1, MOST + 5))]
    await together.add(99)
    assert written[-1] == [99]


async def test_a_failure_is_told_to_everybody_in_the_job_and_to_nobody_else() -> None:
    slow, written = Slow(), list[Sequence[str]]()
    together = Together[str](slow, lambda _, some: written.append(list(some)))  # type: ignore[arg-type]
    slow.failure = RetryLater("the disk is full")
    slow.go.set()
    outcomes = await asyncio.gather(*[together.add(name) for name in "ab"], return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [RetryLater, RetryLater]
    slow.failure = None
    await together.add("a")
    assert written == [["a"]]


async def test_who_gives_up_waiting_takes_nothing_back() -> None:
    slow, written = Slow(), list[Sequence[str]]()
    together = Together[str](slow, lambda _, some: written.append(list(some)))  # type: ignore[arg-type]
    leaving, staying = (asyncio.create_task(together.add(name)) for name in "ab")
    while not slow.jobs:  # noqa: ASYNC110  # turns, no time
        await asyncio.sleep(0)
    leaving.cancel()
    slow.go.set()
    await staying
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert written == [["a", "b"]]
