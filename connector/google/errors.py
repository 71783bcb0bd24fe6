"""What each refusal of the Calendar API means, as one table on (status, reason).

The reason decides before the status: 410 has three meanings and 403 at least eight. Bodies are read defensively: they
may be HTML, cut off or empty, and newer front ends put the reason into `error.details` or `error.status` only. Messages
of the answers are never used, neither for decisions nor in errors: they may hold anything.
"""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from functools import lru_cache
from typing import Any

from connector.domain.errors import (
    ConnectorError,
    NotFound,
    ParkReason,
    RequestRefused,
    ResyncRequired,
    RetryLater,
    UserParked,
)

QUOTA_PAUSE_SECONDS = 3600.0
"""How long to leave Google alone after a refusal by a daily or product limit; the guides say hours."""
LONGEST_RETRY_AFTER_SECONDS = 86_400.0


class Call(Enum):
    """What a request asks for, in words for messages."""

    LIST = "full listing"
    CHANGES = "listing of changes"
    WINDOW = "listing of a window"
    OCCURRENCES = "occurrences of a series"
    EVENT = "look-up of an event"
    INSERT = "booking of a meeting"
    PATCH = "move of a meeting"
    DELETE = "cancellation of a meeting"
    WATCH = "push channel"
    STOP_CHANNEL = "end of a push channel"


OF_ONE_EVENT = frozenset({Call.OCCURRENCES, Call.EVENT, Call.PATCH, Call.DELETE})
"""Where 404 and 410 speak of the event, not of the calendar."""


class Action(Enum):
    """What follows from a refusal, beside parking the user."""

    RETRY = auto()
    SLOW_DOWN = auto()  # as RETRY, and the limiter is told
    QUOTA_SPENT = auto()  # hours, not seconds
    REFRESH = auto()  # a new access token, once
    RESYNC = auto()
    GONE = auto()  # 410 of unknown kind: judged by what was asked for
    NOT_FOUND = auto()
    INVALID = auto()  # a parameter's value; with a sync token it is the token
    REFUSED = auto()


Meaning = Action | ParkReason

MEANINGS: dict[tuple[int, str], Meaning] = {
    (400, "timeRangeEmpty"): Action.REFUSED,
    (400, "syncTokenWithRequestRestrictions"): Action.REFUSED,
    (400, "invalid"): Action.INVALID,
    (400, "updatedMinTooLongAgo"): Action.RESYNC,
    (403, "userRateLimitExceeded"): Action.SLOW_DOWN,
    (403, "rateLimitExceeded"): Action.SLOW_DOWN,
    (403, "RATE_LIMIT_EXCEEDED"): Action.SLOW_DOWN,
    (403, "RESOURCE_EXHAUSTED"): Action.SLOW_DOWN,
    (403, "quotaExceeded"): Action.QUOTA_SPENT,
    (403, "dailyLimitExceeded"): Action.QUOTA_SPENT,
    (403, "variableTermLimitExceeded"): Action.QUOTA_SPENT,
    (403, "accessNotConfigured"): ParkReason.API_DISABLED,
    (403, "SERVICE_DISABLED"): ParkReason.API_DISABLED,
    (403, "insufficientPermissions"): ParkReason.SCOPE_MISSING,
    (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"): ParkReason.SCOPE_MISSING,
    (403, "forbidden"): ParkReason.FORBIDDEN,
    (403, "ForbiddenError"): ParkReason.FORBIDDEN,  # recorded by northworld/google_calendar
    (403, "PERMISSION_DENIED"): ParkReason.FORBIDDEN,
    # Restrictions of single writes: no loss of access to the calendar.
    (403, "forbiddenForNonOrganizer"): Action.REFUSED,
    (403, "forbiddenForServiceAccounts"): Action.REFUSED,
    (403, "notACalendarUser"): ParkReason.NOT_A_CALENDAR_USER,
    (404, "notFound"): Action.NOT_FOUND,
    # Writes: the role on the calendar allows none; that id was taken, `bookings.py` reads it back.
    (403, "requiredAccessLevel"): Action.REFUSED,
    (409, "duplicate"): Action.REFUSED,
    # Push channels: `channels.py` names the reasons. A 401 among them, which no fresh token cures.
    (400, "push.webhookUrlUnauthorized"): Action.REFUSED,
    (401, "push.webhookUrlUnauthorized"): Action.REFUSED,
    (403, "push.webhookUrlUnauthorized"): Action.REFUSED,
    (400, "push.webhookUrlNotHttps"): Action.REFUSED,
    (400, "channelIdNotUnique"): Action.REFUSED,
    (400, "pushNotSupportedForRequestedResource"): Action.REFUSED,
    (410, "fullSyncRequired"): Action.RESYNC,
    (410, "updatedMinTooLongAgo"): Action.RESYNC,
    (410, "deleted"): Action.NOT_FOUND,  # the resource, not the token
    (412, "conditionNotMet"): Action.REFUSED,
    (429, "quotaExceeded"): Action.QUOTA_SPENT,
    (429, "dailyLimitExceeded"): Action.QUOTA_SPENT,
    (429, "variableTermLimitExceeded"): Action.QUOTA_SPENT,
}

BY_STATUS: dict[int, Meaning] = {
    401: Action.REFRESH,
    404: Action.NOT_FOUND,
    408: Action.RETRY,
    410: Action.GONE,
    429: Action.SLOW_DOWN,
}

PARKED: dict[ParkReason, str] = {
    ParkReason.API_DISABLED: "enable the Google Calendar API in the project of these credentials",
    ParkReason.SCOPE_MISSING: "grant the scope calendar.events.readonly to these credentials",
    ParkReason.FORBIDDEN: "share the calendar with this user again, or correct [google] calendar_id",
    ParkReason.CALENDAR_GONE: "share the calendar with this user again, or correct [google] calendar_id",
    ParkReason.NOT_A_CALENDAR_USER: "give this account a Google Calendar licence",
    ParkReason.UNAUTHENTICATED: "check the credentials with `gcal-salesloft doctor`",
}
"""What a person must do, by reason; goes into the message."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer other than success, read.

    `reason` is the one that decides, `readable` tells that the body was an error of the API at all.
    """

    status: int
    reason: str
    meaning: Meaning
    readable: bool
    location: str = ""
    """The parameter at fault, if Google named it."""
    retry_after: float | None = None
    whole_project: bool = False
    """Google said that the limit is the project's, not one user's."""

    def __str__(self) -> str:
        return f"{self.status} ({self.reason})" if self.reason else str(self.status)

    @property
    def is_of_fields(self) -> bool:
        """Whether only the selection of parts displeased: other servers than Google's may not know it."""
        unnamed = self.reason == "invalidParameter" and not self.location
        return self.status == 400 and (self.location == "fields" or unnamed)


def read_refusal(status: int, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Refusal:
    """Read an answer that is not a success, whatever its body is. `now` is used only if Google sent no `Date`."""
    error = _error_object(body)
    details = [item for item in _list(error.get("details")) if isinstance(item, dict)]
    errors = [item for item in _list(error.get("errors")) if isinstance(item, dict)]
    # The most precise first: `details` name what `errors` of the same answer only call "forbidden".
    reasons = list(
        _words([*(item.get("reason") for item in (*details, *errors)), error.get("status")])
    )
    reason, meaning = _decide(status, reasons)
    return Refusal(
        status=status,
        reason=reason,
        meaning=meaning,
        readable=bool(error),
        location=next(_words(item.get("location") for item in errors), ""),
        retry_after=retry_after_seconds(headers, now=now),
        whole_project=any(_is_project_limit(item.get("metadata")) for item in details),
    )


def _decide(status: int, reasons: list[str]) -> tuple[str, Meaning]:
    for reason in reasons:
        meaning = MEANINGS.get((status, reason))
        if meaning is not None:
            return reason, meaning
    # Redirects and unknown 1xx-3xx come from something between us and Google: passing, as every 5xx.
    unknown = Action.REFUSED if 400 <= status < 500 else Action.RETRY
    return (reasons[0] if reasons else ""), BY_STATUS.get(status, unknown)


def lasting_error(refusal: Refusal, call: Call, who: str) -> ConnectorError:
    """The error for a refusal that repeating at once cannot cure. `who` names the user, and the event if any."""
    meaning = refusal.meaning
    where = f"{who}: Google refused the {call.value} with {refusal}"
    if isinstance(meaning, ParkReason):
        return parked(meaning, where)
    match meaning:
        case Action.QUOTA_SPENT:
            return RetryLater(
                f"{where}; the quota is spent, it is tried again in an hour",
                after_seconds=max(refusal.retry_after or 0.0, QUOTA_PAUSE_SECONDS),
            )
        case Action.RESYNC:
            return _resync(refusal, call, where)
        case Action.GONE:
            return _gone(refusal, call, where)
        case Action.NOT_FOUND:
            return _not_found(refusal, call, where)
        case Action.INVALID:
            return _invalid(refusal, call, where)
        case Action.REFRESH:
            return parked(ParkReason.UNAUTHENTICATED, f"{where}, also with a fresh access token")
        case Action.RETRY | Action.SLOW_DOWN:
            return _again(refusal, where)
        case Action.REFUSED:
            return _refused(refusal, where)


def parked(reason: ParkReason, where: str) -> UserParked:
    return UserParked(f"{where}; {PARKED[reason]}", reason=reason)


def retry_after_seconds(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """`Retry-After` in seconds, from seconds or an HTTP date; a date counts from the answer's own `Date`."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        until = http_date(text)
        if until is None:
            return None
        seconds = (until - (http_date(headers.get("Date")) or now)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


@lru_cache(maxsize=64)  # answers of one second say the same
def http_date(text: str | None) -> datetime | None:
    """An HTTP date as an aware moment in UTC; None if it is missing or unreadable."""
    if not text:
        return None
    try:
        parsed = email.utils.parsedate_to_datetime(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _resync(refusal: Refusal, call: Call, where: str) -> ConnectorError:
    if call in (Call.LIST, Call.CHANGES):
        return ResyncRequired(f"{where}; the calendar is listed in full")
    # No sync token is involved, so there is none to drop, and nothing is said about the event.
    return _again(refusal, where)


def _gone(refusal: Refusal, call: Call, where: str) -> ConnectorError:
    if call in OF_ONE_EVENT:
        return _not_found(refusal, call, where)
    return _resync(refusal, call, where)


def _not_found(refusal: Refusal, call: Call, where: str) -> ConnectorError:
    if call is Call.STOP_CHANNEL and refusal.readable:
        return NotFound(f"{where}; Google does not know that channel, or it is another client's")
    if call not in OF_ONE_EVENT and call is not Call.STOP_CHANNEL:
        return parked(ParkReason.CALENDAR_GONE, where)
    if not refusal.readable:
        # Not the API's own words (a proxy's page, a cut body): too little to call a meeting gone.
        return _again(refusal, where)
    return NotFound(f"{where}; the event is gone or not visible")


def _again(refusal: Refusal, where: str) -> RetryLater:
    return RetryLater(f"{where}; it is tried again", after_seconds=refusal.retry_after)


def _invalid(refusal: Refusal, call: Call, where: str) -> ConnectorError:
    if refusal.location == "pageToken":
        return RetryLater(f"{where}: a page token has gone stale; the listing starts over")
    if call is Call.CHANGES:
        return ResyncRequired(
            f"{where}: the sync token is not valid; the calendar is listed in full"
        )
    if call is Call.OCCURRENCES:
        return NotFound(f"{where}; the event is no series (any more)")
    return _refused(refusal, where)


def _refused(refusal: Refusal, where: str) -> RequestRefused:
    return RequestRefused(
        f"{where}; repeating it cannot help, report this with the connector's version",
        status=refusal.status,
        reason=refusal.reason,
    )


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")


def _words(candidates: Iterable[Any]) -> Iterator[str]:
    """Only what looks like a reason: it goes into messages, so nothing longer or stranger may pass."""
    for word in candidates:
        if isinstance(word, str) and _WORD.fullmatch(word):
            yield word


def _is_project_limit(metadata: Any) -> bool:
    """google.rpc.ErrorInfo names the unit of a limit: `1/min/{project}/{user}` is one user's."""
    unit = metadata.get("quota_unit") if isinstance(metadata, dict) else None
    return isinstance(unit, str) and "{project}" in unit and "{user}" not in unit
