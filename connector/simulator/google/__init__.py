"""A stateful, strict and nasty Google Calendar v3 on loopback.

Imports nothing of the project but `simulator.faults`. Read `rows` (what is stored), `state` (how it
is stamped), `creating`, `editing` and `splitting` (what a person does), `truth` (what they see: the
judge in tests), then `listing` (sync tokens and pages), `reading`, `writing` and `app`.
"""

from .app import make_google_app
from .calendar import Calendar
from .truth import Guest, Occurrence
from .world import GoogleWorld, LogEntry

__all__ = ["Calendar", "GoogleWorld", "Guest", "LogEntry", "Occurrence", "make_google_app"]
