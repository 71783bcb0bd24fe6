"""The nodes of the distributed engine and the shards that they hold. A shard is one Salesloft team with its users.

A node is one start of one process, under an id of its own: the id is what fences. Every transaction of a node shares an
advisory lock of that id and looks, inside it, whether the node is still one and holds what it thinks it holds
(`fence.py`). Whoever removes a node takes that lock alone first; so nothing of a removed node is ever committed, and
from that moment its shards are free and what it had in flight is in line again. All times are the database's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zlib import crc32

from connector.store import outbox
from connector.store.connection import Connection

NODES_LOCK = 0x6763_6E6F  # "gcno": the first half of the names of nodes' advisory locks
NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


@dataclass(frozen=True, slots=True)
class Node:
    """One process that serves shards. Times in ms; `projects`: how many calendars it reads, by Google project."""

    id: str
    name: str
    version: str
    started_ms: int
    seen_ms: int
    projects: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shard:
    """One team. `node` holds it; None: it is free, since `due_ms`. `calendars`: its users, as last known."""

    team: str
    version: int
    node: str | None
    due_ms: int
    calendars: int


@dataclass(frozen=True, slots=True)
class View:
    """Everything about nodes and shards at one moment `now_ms` of the database's clock."""

    now_ms: int
    nodes: Mapping[str, Node]
    shards: Mapping[str, Shard]

    def load(self, node: str) -> int:
        """How many calendars a node holds; a shard weighs at least one."""
        return sum(weight(shard) for shard in self.shards.values() if shard.node == node)

    @property
    def free(self) -> list[Shard]:
        """Shards that nobody holds and that are due."""
        return [s for s in self.shards.values() if s.node is None and s.due_ms <= self.now_ms]


def weight(shard: Shard) -> int:
    """What a shard counts for when they are shared out."""
    return max(1, shard.calendars)


def lock_of(node: str) -> int:
    """The second half of a node's advisory lock: 32 bits, signed."""
    value = crc32(node.encode())
    return value - (1 << 32) if value >= 1 << 31 else value


def register(connection: Connection, node: str, name: str, version: str, before: str = "") -> None:
    """Become a node; `before` is the id that this process had, which ends. What nobody has in flight is in line."""
    if before:
        # The server may still be at work on what it was sent before the connection broke.
        connection.execute(f"SELECT pg_advisory_xact_lock({NODES_LOCK}, {lock_of(before)})")
        _remove(connection, before)
    connection.execute(
        f"INSERT INTO nodes (id, name, version, started_ms, seen_ms) VALUES (?, ?, ?, {NOW}, {NOW})",  # noqa: S608
        (node, name, version),
    )
    outbox.release_of_the_dead(connection)


def leave(connection: Connection, node: str) -> None:
    """End a node that serves nothing any more."""
    _remove(connection, node)


def beat(
    connection: Connection, node: str, calendars: Mapping[str, int], projects: Mapping[str, int]
) -> View | None:
    """Prolong a node's life and give what stands; None if it is no node. `calendars`: users of what it holds."""
    prolonged = connection.execute(
        f"UPDATE nodes SET seen_ms = {NOW}, projects = ? WHERE id = ?",  # noqa: S608
        (json.dumps(dict(projects), sort_keys=True), node),
    ).rowcount
    if not prolonged:
        return None
    connection.executemany(
        "UPDATE shards SET calendars = ? WHERE team = ? AND node = ? AND calendars <> ?",
        [(count, team, node, count) for team, count in calendars.items()],
    )
    return view(connection)


def view(connection: Connection) -> View:
    """What stands."""
    [now] = connection.execute(f"SELECT {NOW}").fetchone()
    return View(now, nodes(connection), shards(connection))


def nodes(connection: Connection) -> dict[str, Node]:
    found = connection.execute(
        "SELECT id, name, version, started_ms, seen_ms, projects FROM nodes ORDER BY started_ms, id"
    )
    return {
        row[0]: Node(row[0], row[1], row[2], row[3], row[4], json.loads(row[5])) for row in found
    }


def shards(connection: Connection) -> dict[str, Shard]:
    found = connection.execute(
        "SELECT team, version, node, due_ms, calendars FROM shards ORDER BY team"
    )
    return {row[0]: Shard(*row) for row in found}


def add_shards(connection: Connection, calendars: Mapping[str, int]) -> None:
    """Have a shard of each of these teams, with so many users."""
    connection.executemany(
        f"INSERT INTO shards (team, calendars, due_ms) VALUES (?, ?, {NOW})"  # noqa: S608
        " ON CONFLICT (team) DO UPDATE SET calendars = excluded.calendars WHERE shards.node IS NULL",
        list(calendars.items()),
    )


def acquire(connection: Connection, team: str, node: str) -> int | None:
    """Take a free shard; gives its new version, None if it is not free (any more)."""
    row = connection.execute(
        "UPDATE shards SET node = ?, version = version + 1 WHERE team = ? AND node IS NULL RETURNING version",
        (node, team),
    ).fetchone()
    return int(row[0]) if row else None


def release(connection: Connection, team: str, node: str) -> None:
    """Give a shard back: it is free at once."""
    connection.execute(
        f"UPDATE shards SET node = NULL, due_ms = {NOW} WHERE team = ? AND node = ?",  # noqa: S608
        (team, node),
    )


def forget_shards(connection: Connection, teams: Iterable[str]) -> None:
    """Teams that nobody is configured for: they are no shards any more, unless somebody holds them."""
    connection.executemany(
        "DELETE FROM shards WHERE team = ? AND node IS NULL", [(team,) for team in teams]
    )


def reap(connection: Connection, dead: Mapping[str, int]) -> list[str]:
    """Remove nodes that gave no sign of life since these times (`seen_ms`); gives those that were removed.

    Whether that is long enough ago, whoever asks has measured by a clock that nobody sets: the database's may be set.
    None that has a transaction under way: it may be alive, or PostgreSQL ends that of a frozen one within seconds.
    """
    gone = []
    for node, seen_ms in dead.items():
        [alone] = connection.execute(
            f"SELECT pg_try_advisory_xact_lock({NODES_LOCK}, {lock_of(node)})"
        ).fetchone()
        if not alone:
            continue
        late = connection.execute(
            "SELECT 1 FROM nodes WHERE id = ? AND seen_ms = ?", (node, seen_ms)
        ).fetchone()
        if late is not None:
            _remove(connection, node)
            gone.append(node)
    return gone


def cut_off(connection: Connection, sessions: Iterable[str]) -> None:
    """End the connections of processes that give no sign of life, by their names at the server.

    One that was stopped amid several statements holds its locks for ever: the server waits for the rest of them.
    """
    names = [name for session in sessions for name in (session, f"{session} queue")]
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND usename = current_user AND application_name IN (SELECT value FROM json_each(?))",
        (json.dumps(names),),
    )


def clear(connection: Connection) -> None:
    """One process holds the whole state: nobody else is a node."""
    connection.execute("DELETE FROM nodes")
    connection.execute("UPDATE shards SET node = NULL WHERE node IS NOT NULL")


def _remove(connection: Connection, node: str) -> None:
    connection.execute("DELETE FROM nodes WHERE id = ?", (node,))
    connection.execute(
        f"UPDATE shards SET node = NULL, due_ms = {NOW} WHERE node = ?",  # noqa: S608
        (node,),
    )
    outbox.release_of_the_dead(connection)
