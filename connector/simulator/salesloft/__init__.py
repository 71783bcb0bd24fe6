"""A stateful, strict Salesloft on loopback: calendar events, bulk jobs, meetings and their settings, with faults.

Imports nothing of the project but `connector.simulator.faults`, so that it can disagree with the client. Read
`world.py` first (what there is and what tests may do), then `front.py` (keys, points, log), `writes.py` (what an upsert
does) and `switches.py` (where the documents are silent).
"""

from connector.simulator.salesloft.app import make_salesloft_app
from connector.simulator.salesloft.events import StoredAttendee, StoredEvent
from connector.simulator.salesloft.journal import EventKey, LogEntry
from connector.simulator.salesloft.switches import Switches
from connector.simulator.salesloft.world import SalesloftWorld

__all__ = [
    "EventKey",
    "LogEntry",
    "SalesloftWorld",
    "StoredAttendee",
    "StoredEvent",
    "Switches",
    "make_salesloft_app",
]
