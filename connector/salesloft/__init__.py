"""Writes events to Salesloft, and reads what it holds, within the team's points.

Imports `connector.domain` only. Read `budget.py` first (the points of a team, which everything obeys), then `client.py`
(the calls), `calls.py` (pages and repeated reads), `transport.py` (one attempt), `errors.py` with `redaction.py`
(refusals → what happens next, without the calendar's text) and `wire.py` with `model.py` (Salesloft's JSON → values).
"""

from connector.salesloft.budget import BudgetSnapshot, Lease, TeamBudget, Urgency
from connector.salesloft.client import MOST_RECORDS, SalesloftClient
from connector.salesloft.errors import PayloadRefused, TeamRefused, refused_fields
from connector.salesloft.model import (
    BulkJob,
    BulkResult,
    Me,
    Meeting,
    MeetingSettings,
    StoredAttendee,
    StoredEvent,
    UpsertAnswer,
    calendar_id_of,
)
from connector.salesloft.transport import make_session

__all__ = [
    "MOST_RECORDS",
    "BudgetSnapshot",
    "BulkJob",
    "BulkResult",
    "Lease",
    "Me",
    "Meeting",
    "MeetingSettings",
    "PayloadRefused",
    "SalesloftClient",
    "StoredAttendee",
    "StoredEvent",
    "TeamBudget",
    "TeamRefused",
    "UpsertAnswer",
    "Urgency",
    "calendar_id_of",
    "make_session",
    "refused_fields",
]
