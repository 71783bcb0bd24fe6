"""Numbered, forward-only steps of the schema, run by alembic at start. `HEAD` is the newest."""

HEAD = "0003"
KNOWN = frozenset({"0001", "0002", "0003"})
OLDEST_FIT = "0003"
"""The oldest schema whose programs can work on HEAD beside newer ones, while nodes are upgraded one by one.

A step that only adds (tables, columns with a default) leaves it; one that takes away sets it to the step before, which
must have been released, and used by no program since, one release earlier.
"""
