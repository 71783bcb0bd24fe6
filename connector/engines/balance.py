"""How shards are shared out among nodes: by the calendars in them, each node as many as the others. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from connector.store.nodes import View, weight

SLACK = 0.1
"""The share of an even load by which two nodes may differ before a shard is moved."""


def loads_of(view: View) -> dict[str, int]:
    """Calendars that each node holds."""
    return {node: view.load(node) for node in view.nodes}


def better_place(loads: Mapping[str, int], me: str, calendars: int) -> str | None:
    """The node that should rather take a free shard of so many calendars; None: this one is as good as any."""
    best = min(loads, key=lambda node: (loads[node], node), default=me)
    return best if best != me and loads.get(me, 0) - loads[best] >= max(1, calendars) else None


def to_give(
    view: View,
    me: str,
    keep: Collection[tuple[str, str]] = (),
    configured: Collection[str] | None = None,
) -> tuple[str, str] | None:
    """The shard that this node should give up, and the node with so much less that should get it.

    `keep` are pairs of a team and a node that is not to get it.

    Only where the difference becomes smaller by it: so giving comes to an end. Not while there is a free one, of those
    `configured` here (None: of all), which may be just the one that the other node will take.
    """
    is_waited_for = any(configured is None or shard.team in configured for shard in view.free)
    if is_waited_for or me not in view.nodes or len(view.nodes) < 2:
        return None
    loads = loads_of(view)
    least = min(loads, key=lambda node: (loads[node], node))
    difference = loads[me] - loads[least]
    if difference <= SLACK * sum(loads.values()) / len(loads):
        return None
    fitting = [
        shard
        for shard in view.shards.values()
        if shard.node == me and (shard.team, least) not in keep and weight(shard) < difference
    ]
    best = min(fitting, key=lambda s: (abs(weight(s) - difference / 2), s.team), default=None)
    return (best.team, least) if best is not None else None


def share_of(view: View, me: str, project: str, calendars: int) -> float:
    """This node's part of what Google allows one project: as its calendars are of all that are read with it."""
    others = sum(node.projects.get(project, 0) for node in view.nodes.values() if node.id != me)
    return calendars / (calendars + others) if calendars else 1.0
