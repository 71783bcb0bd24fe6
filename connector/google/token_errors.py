"""What each failure of a token endpoint means, as one table on (error, error_description).

Google tells the causes of `invalid_grant` apart in the description only, so this is the one place where a text decides.
The description itself goes into no message: some answers quote addresses in it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from connector.domain.errors import ConnectorError, ParkReason, RetryLater, UserParked

PASSING_STATUSES = frozenset({408, 429})
PASSING_ERRORS = frozenset(
    {"internal_failure", "server_error", "temporarily_unavailable", "rate_limit_exceeded"}
)

MEANINGS: tuple[tuple[str, str, ParkReason], ...] = (
    # error, a part of the description in lower case (or ""), reason; the first that fits
    ("invalid_grant", "jwt signature", ParkReason.KEY_INVALID),
    ("invalid_grant", "reasonable timeframe", ParkReason.CLOCK_SKEWED),
    ("invalid_grant", "short-lived token", ParkReason.CLOCK_SKEWED),
    ("invalid_grant", "email or user id", ParkReason.SUBJECT_UNKNOWN),
    ("invalid_grant", "account not found", ParkReason.KEY_INVALID),
    ("invalid_grant", "", ParkReason.TOKEN_REVOKED),
    ("unauthorized_client", "", ParkReason.DELEGATION_MISSING),
    ("invalid_client", "", ParkReason.KEY_INVALID),
    ("deleted_client", "", ParkReason.KEY_INVALID),
    ("disabled_client", "", ParkReason.KEY_INVALID),
    ("invalid_scope", "", ParkReason.SCOPE_MISSING),
    ("access_denied", "", ParkReason.FORBIDDEN),
    ("admin_policy_enforced", "", ParkReason.FORBIDDEN),
    ("org_internal", "", ParkReason.FORBIDDEN),
)

REMEDIES: dict[ParkReason, str] = {
    ParkReason.TOKEN_REVOKED: "let the user consent again and replace the credentials file",
    ParkReason.CONSENT_EXPIRED: (
        "publish the OAuth consent screen, let the user consent again and replace the credentials file"
    ),
    ParkReason.KEY_INVALID: (
        "replace the credentials file: its key, account or client is wrong, withdrawn or deleted"
    ),
    ParkReason.CLOCK_SKEWED: "set this machine's clock: Google finds the request outside of its time",
    ParkReason.SUBJECT_UNKNOWN: (
        "Google knows no such user, or has suspended the account: correct [google] subject, or let the Workspace"
        " administrator restore the user"
    ),
    ParkReason.DELEGATION_MISSING: (
        "authorise the service account's client id for exactly this scope "
        "in the Workspace admin console"
    ),
    ParkReason.SCOPE_MISSING: "grant this scope to these credentials",
    ParkReason.FORBIDDEN: "ask the Workspace administrator to allow this application",
    ParkReason.UNAUTHENTICATED: "check the credentials with `gcal-salesloft doctor`",
}


@dataclass(frozen=True, slots=True)
class TokenRefusal:
    """A token endpoint's answer other than a token. `error` is OAuth's code, empty if there was none."""

    status: int
    error: str = ""
    description: str = ""
    retry_after: float | None = None


def read_token_refusal(status: int, body: bytes, retry_after: float | None) -> TokenRefusal:
    """Read an answer that is no token, whatever its body is."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return TokenRefusal(status, retry_after=retry_after)
    error, description = document.get("error"), document.get("error_description")
    return TokenRefusal(
        status=status,
        error=error if isinstance(error, str) else "",
        description=description if isinstance(description, str) else "",
        retry_after=retry_after,
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a token was asked for with: names for messages, none of them secret."""

    service_account: bool
    client_id: str = ""
    scopes: tuple[str, ...] = ()


def token_error(refusal: TokenRefusal, who: str, asked: Asked | None = None) -> ConnectorError:
    """The error for a refusal by the token endpoint. `who` names the user."""
    where = f"{who}: Google's token endpoint answered {refusal.status}"
    if _is_passing(refusal):
        return RetryLater(f"{where}; it is tried again", after_seconds=refusal.retry_after)
    description = refusal.description.lower()
    for error, part, reason in MEANINGS:
        if refusal.error == error and part in description:
            if asked is not None and asked.service_account and reason is ParkReason.TOKEN_REVOKED:
                reason = (
                    ParkReason.KEY_INVALID
                )  # a service account has no consent that could be revoked
            return token_parked(reason, f"{where} ({error})", asked)
    return token_parked(ParkReason.UNAUTHENTICATED, where)


def token_parked(reason: ParkReason, where: str, asked: Asked | None = None) -> UserParked:
    return UserParked(f"{where}; {_remedy(reason, asked)}", reason=reason)


def _remedy(reason: ParkReason, asked: Asked | None) -> str:
    if asked is None or not asked.scopes:
        return REMEDIES[reason]
    scopes = ",".join(asked.scopes)
    if reason is ParkReason.DELEGATION_MISSING and asked.service_account and asked.client_id:
        return (
            f"{REMEDIES[reason]}: Security > Access and data control > API controls > Domain-wide delegation, client id"
            f" {asked.client_id}, scope {scopes}; either the delegation or this scope was removed"
        )
    if reason is ParkReason.SCOPE_MISSING:
        return f"{REMEDIES[reason]}: {scopes}"
    return REMEDIES[reason]


def _is_passing(refusal: TokenRefusal) -> bool:
    if refusal.error in PASSING_ERRORS or refusal.description in PASSING_ERRORS:
        return True
    if refusal.status >= 500 or refusal.status in PASSING_STATUSES:
        return True
    # Without OAuth's own word it was a proxy, a captive portal or a cut answer: no verdict on the credentials.
    return not refusal.error
