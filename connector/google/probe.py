"""One look at a calendar, as cheap as one can be: is it readable, and how much of it?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connector.google.limiter import Priority
from connector.google.requests import CalendarRequests
from connector.google.transport import GoogleTransport
from connector.google.wire import decode_page


@dataclass(frozen=True, slots=True)
class CalendarSeen:
    """What the envelope of a listing tells. `access_role` is Google's word for what the account may do there."""

    access_role: str
    time_zone: str


async def probe_calendar(
    requests: CalendarRequests, transport: GoogleTransport, now: datetime
) -> CalendarSeen:
    """One page of one event. Raises what a reading would: UserParked, RetryLater, RequestRefused."""
    request = requests.list_all(now, page_size=1)
    page = (await transport.fetch(request, Priority.CHANGE, decode_page)).value
    return CalendarSeen(page.access_role, page.time_zone)
