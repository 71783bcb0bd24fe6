"""Measurements, never assertions. Each prints a table; ratios are against a baseline of the same run."""
