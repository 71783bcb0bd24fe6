"""Shards are shared out evenly, and moving them comes to an end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connector.engines.balance import SLACK, better_place, loads_of, share_of, to_give
from connector.store.nodes import Node, Shard, View

NODES = ("a", "b", "c")


def view_of(holders: dict[str, tuple[str | None, int]], nodes: tuple[str, ...] = NODES) -> View:
    """Team → (its holder, its calendars)."""
    return View(
        1000,
        {name: Node(name, name, "1", 0, 1000) for name in nodes},
        {team: Shard(team, 1, node, 0, size) for team, (node, size) in holders.items()},
    )


def test_a_free_shard_goes_to_the_node_with_least() -> None:
    loads = {"a": 10, "b": 0, "c": 5}
    assert better_place(loads, "a", 5) == "b"
    assert better_place(loads, "b", 5) is None
    assert better_place(loads, "c", 100) is None  # it would be the largest anywhere


def test_nothing_is_given_while_something_is_free() -> None:
    view = view_of({"t1": ("a", 5), "t2": ("a", 5), "t3": (None, 5)})
    assert to_give(view, "a") is None


def test_a_free_shard_that_nobody_here_knows_does_not_stop_the_sharing_out() -> None:
    """A team that was removed, or got another key, while no node ran: its row is left, and nobody will take it."""
    view = view_of({"t1": ("a", 5), "t2": ("a", 5), "old": (None, 5)})
    assert to_give(view, "a", configured=("t1", "t2", "old")) is None
    assert to_give(view, "a", configured=("t1", "t2")) is not None


def test_a_shard_goes_to_the_node_that_came() -> None:
    view = view_of({"t1": ("a", 5), "t2": ("a", 5)})
    given_up = to_give(view, "a")
    assert given_up is not None
    assert given_up[1] == "b"
    assert given_up is not None
    keep = [(team, given_up[1]) for team in ("t1", "t2")]
    assert to_give(view, "a", keep=keep) is None
    assert to_give(view, "a", keep=[(team, "another") for team, _ in keep]) == given_up


def test_one_large_team_does_not_wander() -> None:
    assert to_give(view_of({"t1": ("a", 1000)}), "a") is None


HOLDINGS = st.dictionaries(
    st.text("xyz123", min_size=1, max_size=4),
    st.tuples(st.sampled_from(NODES), st.integers(0, 500)),
    max_size=25,
)


@given(HOLDINGS)
def test_giving_ends_and_leaves_no_shard_that_would_even_things_out(
    holders: dict[str, tuple[str, int]],
) -> None:
    held: dict[str, tuple[str | None, int]] = dict(holders)
    for _ in range(200):
        view = view_of(held)
        giving = [(node, found) for node in NODES if (found := to_give(view, node))]
        if not giving:
            break
        node, (team, to) = giving[0]
        before = loads_of(view)
        held[team] = (to, held[team][1])
        after = loads_of(view_of(held))
        assert max(after[node], after[to]) < before[node]
    else:
        raise AssertionError("it does not end")
    loads = loads_of(view_of(held))
    allowed = SLACK * sum(loads.values()) / len(loads)
    for team, (holder, size) in held.items():
        assert holder is not None
        difference = loads[holder] - min(loads.values())
        assert difference <= allowed or max(1, size) >= difference, team


def test_a_projects_requests_are_shared_by_calendars() -> None:
    nodes = {
        "a": Node("a", "a", "1", 0, 0, {"p": 30}),
        "b": Node("b", "b", "1", 0, 0, {"p": 10, "q": 5}),
    }
    view = View(0, nodes, {})
    assert share_of(view, "a", "p", 30) == 0.75
    assert share_of(view, "b", "p", 10) == 0.25
    assert share_of(view, "b", "q", 5) == 1.0
    assert share_of(view, "a", "new", 0) == 1.0
