"""Google's refusals: status, domain and reason, in the envelope of reference 3.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class GoogleRefusal(Exception):
    """An answer that is an error; `body` is the JSON to send."""

    def __init__(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ):
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def refusal(
    status: int,
    reason: str,
    message: str,
    *,
    domain: str = "global",
    location: str | None = None,
    location_type: str = "parameter",
) -> GoogleRefusal:
    """The classic envelope: `errors[]`, `code`, `message`."""
    entry = {"domain": domain, "reason": reason, "message": message}
    if location is not None:
        entry |= {"locationType": location_type, "location": location}
    return GoogleRefusal(status, {"error": {"errors": [entry], "code": status, "message": message}})


def invalid(location: str, message: str = "Invalid Value") -> GoogleRefusal:
    """400 `invalid` for one parameter."""
    return refusal(400, "invalid", message, location=location)


def full_sync_required() -> GoogleRefusal:
    """410: the sync token is too old, or the calendar's sharing changed."""
    message = "Sync token is no longer valid, a full sync is required."
    return refusal(410, "fullSyncRequired", message, domain="calendar", location="syncToken")


def not_found() -> GoogleRefusal:
    """404: never existed, or may not be seen."""
    return refusal(404, "notFound", "Not Found")


def deleted() -> GoogleRefusal:
    """410 of a tombstone: no signal to sync again."""
    return refusal(410, "deleted", "Resource has been deleted")


def auth_error() -> GoogleRefusal:
    """401: no token, or one that is not valid any more."""
    return refusal(
        401, "authError", "Invalid Credentials", location="Authorization", location_type="header"
    )


def scope_insufficient(method: str) -> GoogleRefusal:
    """403: the token lacks every scope that the method accepts."""
    message = "Request had insufficient authentication scopes."
    entry = {
        "message": "Insufficient Permission",
        "domain": "global",
        "reason": "insufficientPermissions",
    }
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        "domain": "googleapis.com",
        "metadata": {"service": "calendar-json.googleapis.com", "method": f"calendar.v3.{method}"},
    }
    body = {
        "code": 403,
        "message": message,
        "errors": [entry],
        "status": "PERMISSION_DENIED",
        "details": [detail],
    }
    return GoogleRefusal(403, {"error": body})


def user_rate_limit() -> GoogleRefusal:
    """403 in the older words for too many requests of one user."""
    return refusal(403, "userRateLimitExceeded", "User Rate Limit Exceeded", domain="usageLimits")


def quota_exceeded(limit: str, project: str, status: int = 429) -> GoogleRefusal:
    """429 (in the wild also 403) in the newer words, for a limit per minute."""
    message = (
        f"Quota exceeded for quota metric 'Queries' and limit '{limit}' of service "
        f"'calendar-json.googleapis.com' for consumer 'project_number:{project}'."
    )
    entry = {"message": message, "domain": "usageLimits", "reason": "rateLimitExceeded"}
    body = {"code": status, "message": message, "errors": [entry], "status": "RESOURCE_EXHAUSTED"}
    return GoogleRefusal(status, {"error": body})


def calendar_limits() -> GoogleRefusal:
    """403: one calendar was written to, or its guests invited, more often than Google allows."""
    message = "Calendar usage limits exceeded."
    return refusal(403, "quotaExceeded", message, domain="usageLimits")


def token_refusal(status: int, error: str, description: str) -> GoogleRefusal:
    """An error of the token endpoint (reference 8.3)."""
    return GoogleRefusal(status, {"error": error, "error_description": description})
