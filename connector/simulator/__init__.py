"""Stateful Google Calendar and Salesloft on loopback, with faults: demo, tests, benchmarks.

Imports nothing else of the project, so that a simulator can never share a mistake with what it judges.
Read `google/__init__.py` and `salesloft/__init__.py` first; `faults.py` serves both.
"""
