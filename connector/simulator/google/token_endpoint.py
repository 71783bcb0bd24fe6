"""`POST /token`: signed assertions and refresh tokens for access tokens, as strict as reference 8.3."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from .accounts import TOKEN_LIFETIME, Accounts, Principal, ServiceAccount, signing_key
from .errors import token_refusal

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
_SKEW_SECONDS = 300
_MAX_LIFETIME_SECONDS = 3600
_UNTIMELY = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)
_UNAUTHORIZED = (
    "Client is unauthorized to retrieve access tokens using this method, "
    "or client not authorized for any of the scopes requested."
)


def grant(
    accounts: Accounts, form: Mapping[str, str], now: datetime, token_uri: str
) -> dict[str, Any]:
    """The answer to one token request; refusals are GoogleRefusal."""
    kind = form.get("grant_type")
    if kind == JWT_GRANT:
        principal = _by_assertion(accounts, form.get("assertion", ""), now, token_uri)
        extra = {}
    elif kind == "refresh_token":
        principal = _by_refresh_token(accounts, form, now)
        extra = {"scope": " ".join(sorted(principal.scopes))}
    else:
        raise token_refusal(400, "unsupported_grant_type", f"Invalid grant_type: {kind}")
    token = accounts.issue(principal)
    seconds = int(TOKEN_LIFETIME.total_seconds())
    return {"access_token": token, "expires_in": seconds, **extra, "token_type": "Bearer"}


def _by_refresh_token(accounts: Accounts, form: Mapping[str, str], now: datetime) -> Principal:
    user = accounts.authorized_users.get(form.get("refresh_token", ""))
    if user is None:
        raise token_refusal(400, "invalid_grant", "Bad Request")
    if (form.get("client_id"), form.get("client_secret")) != (user.client_id, user.client_secret):
        raise token_refusal(401, "invalid_client", "The OAuth client was not found.")
    if user.revoked or user.email in accounts.suspended:
        raise token_refusal(400, "invalid_grant", "Token has been expired or revoked.")
    wanted = set(form.get("scope", "").split()) or set(user.scopes)
    if not wanted <= user.scopes:
        raise token_refusal(400, "invalid_scope", "Bad Request")
    expires = now + TOKEN_LIFETIME
    return Principal(user.email, user.email, user.project, frozenset(wanted), expires, True)


def _by_assertion(accounts: Accounts, assertion: str, now: datetime, token_uri: str) -> Principal:
    header, claims, signed, signature = _parts(assertion)
    account = accounts.service_accounts.get(str(claims.get("iss")))
    if account is None or account.disabled:
        raise token_refusal(400, "invalid_grant", "Invalid grant: account not found")
    _check_signature(account, header, signed, signature)
    if claims.get("aud") not in (GOOGLE_AUDIENCE, token_uri):
        raise token_refusal(400, "invalid_grant", "Invalid JWT: Failed audience check.")
    _check_times(claims, now)
    scopes = frozenset(str(claims.get("scope") or "").split())
    if not scopes:
        raise token_refusal(400, "invalid_scope", "Empty or missing scope not allowed.")
    expires = now + TOKEN_LIFETIME
    subject = claims.get("sub")
    if subject is None or subject == account.email:
        return Principal(account.email, account.email, account.project, scopes, expires)
    if subject not in accounts.people or subject in accounts.suspended:
        raise token_refusal(400, "invalid_grant", "Invalid email or User ID")
    if not scopes <= account.delegated:
        raise token_refusal(401, "unauthorized_client", _UNAUTHORIZED)
    return Principal(str(subject), account.email, account.project, scopes, expires, True)


def _parts(assertion: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    pieces = assertion.split(".")
    try:
        if len(pieces) != 3:
            raise ValueError("three parts")
        header, claims = (json.loads(_unbase64(piece)) for piece in pieces[:2])
        signature = _unbase64(pieces[2])
    except (ValueError, binascii.Error) as error:
        raise token_refusal(400, "invalid_grant", "Invalid JWT: malformed.") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise token_refusal(400, "invalid_grant", "Invalid JWT: malformed.")
    return header, claims, f"{pieces[0]}.{pieces[1]}".encode(), signature


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _check_signature(
    account: ServiceAccount, header: Mapping[str, Any], signed: bytes, signature: bytes
) -> None:
    refused = token_refusal(400, "invalid_grant", "Invalid JWT Signature.")
    if header.get("alg") != "RS256" or header.get("kid") != account.key_id:
        raise refused
    try:
        signing_key().public_key().verify(signature, signed, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        raise refused from None


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int | float) or not isinstance(expires, int | float):
        raise token_refusal(400, "invalid_grant", _UNTIMELY)
    present = now.timestamp()
    timely = issued - _SKEW_SECONDS <= present < expires + _SKEW_SECONDS
    if not timely or not 0 < expires - issued <= _MAX_LIFETIME_SECONDS:
        raise token_refusal(400, "invalid_grant", _UNTIMELY)
