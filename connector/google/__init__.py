"""Reads Google calendars: the only place that knows Google's API. Imports nothing of the project but `domain`.

Read `calendar.py` first: `GoogleCalendar` is one user's calendar, with one method per question. Below it, in the order
of a request's way: `requests` (builds it, never sends), `fields` (how much of the answer it asks for), `auth` and
`refresh` (its token), `limiter` (its turn), `transport` (its sending and retries, within `retry`'s bounds), `errors`
and `token_errors` (what a refusal means, as tables), `wire` (the answer's JSON) and `convert` (JSON to the domain's
values; one bad item never spoils a page).

`bookings.py` has the only writes: meetings booked in Salesloft. `channels.py` makes and stops push channels, and reads
the headers of a notification.
"""

from __future__ import annotations

from connector.google.auth import READ_SCOPE, WRITE_SCOPE, TokenSource
from connector.google.bookings import GoogleBookings
from connector.google.calendar import GoogleCalendar
from connector.google.channels import GoogleChannels, Watched, read_notification
from connector.google.limiter import Priority, RequestLimiter
from connector.google.probe import CalendarSeen, probe_calendar
from connector.google.refresh import RefreshPool
from connector.google.requests import ApiRequest, CalendarRequests, quota_user
from connector.google.retry import RetryPolicy
from connector.google.transport import GoogleTransport, make_session

__all__ = [
    "READ_SCOPE",
    "WRITE_SCOPE",
    "ApiRequest",
    "CalendarRequests",
    "CalendarSeen",
    "GoogleBookings",
    "GoogleCalendar",
    "GoogleChannels",
    "GoogleTransport",
    "Priority",
    "RefreshPool",
    "RequestLimiter",
    "RetryPolicy",
    "TokenSource",
    "Watched",
    "make_session",
    "probe_calendar",
    "quota_user",
    "read_notification",
]
