"""The nodes in `gcal-salesloft status`: who is there, what each holds, and what nobody does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.domain.mapping import from_millis
from connector.store.nodes import View


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node. `seen_age`: seconds since its last sign of life; `late`: more than a lease, the others take over."""

    node: str
    id: str
    version: str
    since: str
    seen_age: float
    late: bool
    teams: int
    calendars: int


@dataclass(frozen=True, slots=True)
class TeamStatus:
    """One team by its one-way name; `node` is who holds it, None: nobody, since so many seconds."""

    team: str
    users: int
    node: str | None
    free_for: float | None


def nodes_of(view: View, lease: timedelta) -> list[NodeStatus]:
    found = []
    for node in view.nodes.values():
        age = max(0.0, (view.now_ms - node.seen_ms) / 1000)
        held = [shard for shard in view.shards.values() if shard.node == node.id]
        found.append(
            NodeStatus(
                node=node.name,
                id=node.id,
                version=node.version,
                since=_iso(from_millis(node.started_ms)),
                seen_age=round(age, 1),
                late=age > lease.total_seconds(),
                teams=len(held),
                calendars=sum(shard.calendars for shard in held),
            )
        )
    return found


def teams_of(view: View) -> list[TeamStatus]:
    names = {node.id: node.name for node in view.nodes.values()}
    return [
        TeamStatus(
            team=shard.team,
            users=shard.calendars,
            node=names.get(shard.node) if shard.node is not None else None,
            free_for=None
            if shard.node is not None
            else max(0.0, round((view.now_ms - shard.due_ms) / 1000, 1))
            if shard.due_ms
            else None,
        )
        for shard in view.shards.values()
    ]


def print_nodes(view: View, lease: timedelta) -> None:
    found = nodes_of(view, lease)
    for one in found:
        late = ", LATE: the others take over what it holds" if one.late else ""
        print(  # noqa: T201  # the command's answer
            f"node {one.node} ({one.version}) since {one.since}: {one.teams} teams, {one.calendars} calendars,"
            f" last sign of life {one.seen_age:.0f} s ago{late}"
        )
    if not found:
        print("no node runs: nothing is read or sent")  # noqa: T201  # the command's answer
    for team in teams_of(view):
        if team.node is None:
            since = f" for {team.free_for:.0f} s" if team.free_for is not None else ""
            print(f"team {team.team} ({team.users} users): held by no node{since}")  # noqa: T201


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
