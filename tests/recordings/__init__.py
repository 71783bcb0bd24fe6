"""Recorded answers of Google, replayed page by page through the whole connector; skipped without the recordings."""
