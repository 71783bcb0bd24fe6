"""Numbered, forward-only steps of the schema, run by alembic at start. `HEAD` is the newest."""

HEAD = "0003"
KNOWN = frozenset({"0001", "0002", "0003"})
