"""The one tree of errors. A leaf is named for what happens next.

::

    ConnectorError
    ├── ConfigurationInvalid    stop: exit 78; carries every mistake found
    ├── CredentialsRefused      stop (one-shots: exit 77) or park the team (daemon): Salesloft's 401/403
    ├── StateUnusable           stop: exit 1; the database is newer, damaged, read-only or already in use
    ├── ListenerUnusable        stop: exit 1; the port of [observability] listen is taken
    ├── RetryLater              passing: try again after a pause (rate limits, 5xx, time-outs, broken answers)
    ├── ResyncRequired          drop the sync token, list in full
    ├── UserParked              this user's calendar cannot be read; neighbours go on, probed again
    ├── WriteScopeMissing       bookings are off for this user and probed again; reading goes on
    ├── NotFound                this one event is unknown to Google or not visible
    ├── RequestRefused          the service refused this one request for good (422, 400): park the item
    └── Stopping                the process is being stopped: give up waiting, nothing is lost

Messages name what, which id and what to do next; they never hold calendar text, addresses or secrets.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class ConnectorError(Exception):
    """Anything that the connector raises on purpose; `str()` is one readable line."""


@dataclass(frozen=True, slots=True)
class ConfigurationMistake:
    """One mistake in one file. `key` is dotted (`sync.poll_interval`) or empty for the file itself."""

    file: Path
    key: str
    found: str
    expected: str

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else str(self.file)
        return f"{where}: found {self.found}; expected {self.expected}"


class ConfigurationInvalid(ConnectorError):
    """Settings that cannot be used; all mistakes of all files at once."""

    def __init__(self, mistakes: tuple[ConfigurationMistake, ...]) -> None:
        self.mistakes = mistakes
        count = len(mistakes)
        super().__init__(
            f"configuration invalid: {count} mistake{'s' if count != 1 else ''}"
            + "".join(f"\n  {mistake}" for mistake in mistakes)
        )


class CredentialsRefused(ConnectorError):
    """Salesloft refuses the team's key (401), or what it may do (403)."""


class StateUnusable(ConnectorError):
    """The state cannot be opened or written; nothing was overwritten."""


class ListenerUnusable(ConnectorError):
    """The listener of metrics and status page cannot be opened; nothing was begun."""


class RetryLater(ConnectorError):
    """A passing failure. `after_seconds` is what the service asked for, if it did.

    `status` is HTTP's, 0 where nothing was answered; `request_id` the service's, if it gave one.
    """

    def __init__(
        self,
        message: str,
        *,
        after_seconds: float | None = None,
        status: int = 0,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds
        self.status = status
        self.request_id = request_id


class ResyncRequired(ConnectorError):
    """Google no longer accepts the sync token: (410, fullSyncRequired), (400, invalid) and their kin."""


class ParkReason(StrEnum):
    """Why a user's calendar cannot be read, told apart by Google's evidence."""

    TOKEN_REVOKED = "token_revoked"  # noqa: S105  # invalid_grant: expired or revoked
    CONSENT_EXPIRED = "consent_expired"  # as above, 7 days old: consent screen in Testing mode
    KEY_INVALID = "key_invalid"  # invalid JWT signature, invalid_client
    CLOCK_SKEWED = "clock_skewed"  # invalid JWT: not in a reasonable timeframe
    SUBJECT_UNKNOWN = "subject_unknown"  # invalid email or user ID: unknown, or suspended
    DELEGATION_MISSING = "delegation_missing"  # unauthorized_client
    SCOPE_MISSING = "scope_missing"  # insufficientPermissions
    API_DISABLED = "api_disabled"  # accessNotConfigured, SERVICE_DISABLED
    FORBIDDEN = "forbidden"  # 403 forbidden: no access to this calendar
    CALENDAR_GONE = "calendar_gone"  # 404 notFound: deleted or unshared
    NOT_A_CALENDAR_USER = "not_a_calendar_user"
    UNAUTHENTICATED = "unauthenticated"  # 401 that a fresh token does not cure


class UserParked(ConnectorError):
    """One user's calendar cannot be read. `lasting` causes count towards loss of access."""

    def __init__(self, message: str, *, reason: ParkReason) -> None:
        super().__init__(message)
        self.reason = reason


class WriteScopeMissing(ConnectorError):
    """Google refuses what writing a booking needs; says nothing of reading, and is never a loss of access."""


class NotFound(ConnectorError):
    """One event is unknown to Google, deleted for good, or not visible to this user."""


class RequestRefused(ConnectorError):
    """A refusal that repeating cannot cure. `status` is HTTP's, `reason` the service's own word."""

    def __init__(self, message: str, *, status: int, reason: str, request_id: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.request_id = request_id


class Stopping(ConnectorError):
    """The process is being stopped; whatever was waiting is kept for the next start."""
