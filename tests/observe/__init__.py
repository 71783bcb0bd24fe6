"""Tests of what the program shows of itself."""
