"""What a node's transactions stand behind: nothing is committed by a process that is no node (any more).

A slow process may not know that it was given up: it was frozen, cut off from the database, or starved. So each of its
transactions begins with a look, under a lock that keeps others from removing it until the commit, whether it is still
registered and holds exactly the versions of shards that it thinks it holds. If not, nothing of it is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

from connector.domain.errors import RetryLater
from connector.store.nodes import NODES_LOCK, lock_of
from connector.store.postgres import PostgresConnection


def boot_seconds() -> float:
    """A clock that runs on while a process is stopped or its machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fenced(RetryLater):
    """This process is no node any more: others may hold what it held. It must drop all of it, and register anew."""


class Fence:
    """One process's standing as a node. `node` is its id, empty before it is one.

    `expected` is what it thinks it holds, by team; changed inside the very transactions that acquire and release, by
    the thread that runs them. `valid_until` is by `boot_seconds`: what is sent after it may meet another holder's.
    """

    def __init__(self, clock: Callable[[], float] = boot_seconds) -> None:
        self.node = ""
        self.expected: dict[str, int] = {}
        self.valid_until = 0.0
        self.is_lost = False
        """A transaction found out that this is no node any more."""
        self._clock = clock

    def enter(self, node: str, valid_until: float) -> None:
        """This process became a node, and holds nothing yet."""
        self.expected = {}
        self.node = node
        self.is_lost = False
        self.valid_until = valid_until

    def is_valid(self) -> bool:
        """Whether requests may be sent: nobody can have removed this node yet."""
        return not self.is_lost and self._clock() < self.valid_until

    def lapse(self) -> None:
        """Send nothing more until this process is a node anew."""
        self.valid_until = 0.0

    def check(self, is_node: int, shards: int, versions: int) -> None:
        """Compare what the database says: 1 if this is a node, its shards, the sum of their versions. Raises Fenced."""
        if (is_node, shards, versions) != (1, len(self.expected), sum(self.expected.values())):
            self.is_lost = True
            raise Fenced(
                "this node was given up by the others, because it gave no sign of life for too long: what it did not"
                " commit is dropped, and it joins anew"
            )

    def begin(self, connection: PostgresConnection, writers: str) -> None:
        """Begin a transaction behind the fence; `writers` begins one. Raises Fenced, psycopg.Error."""
        # In one exchange; the id is hexadecimal. A statement sees what was committed before it began, not before the
        # first one: so the look sees whatever a remover did that the lock had to wait for.
        cursor = connection.execute(
            f"{writers}; SELECT pg_advisory_xact_lock_shared({NODES_LOCK}, {lock_of(self.node)});"  # noqa: S608
            f" SELECT (SELECT count(*) FROM nodes WHERE id = '{self.node}'), count(*), coalesce(sum(version), 0)"
            f" FROM shards WHERE node = '{self.node}'"
        )
        while cursor.nextset():
            pass
        is_node, count, versions = cursor.fetchone() or (0, 0, 0)
        self.check(int(is_node), int(count), int(versions))


def new_node_id() -> str:
    """An id that no other process, and no other start of this one, ever has."""
    return uuid4().hex
