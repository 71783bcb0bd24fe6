"""Salesloft's refusals → what happens next, as one table on status and body.

===================================  =================================================================
401                                  `TeamRefused(status=401)`: the key is not accepted
403                                  `TeamRefused(status=403)`: a scope or permission is missing
400 404 409 410 413 422, other 4xx   `PayloadRefused`: repeating cannot cure it
408 425 429 5xx 3xx                  `RetryLater`, with `Retry-After` where given
HTML, a JSON text cut short          `RetryLater`: something between us and Salesloft answered (but 401, 413)
no answer, reset, time-out           `RetryLater`: applied or not, an upsert may be repeated
===================================  =================================================================

Messages hold the path, the status, redacted error words and the request id; never what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from connector.domain.errors import ConnectorError, CredentialsRefused, RequestRefused, RetryLater
from connector.salesloft.headers import header, request_id, retry_after
from connector.salesloft.redaction import Refusal, refusal_of

RETRIED = frozenset({408, 425, 429})
NEEDS = {"/v2/meetings/settings/searches": "the manage_team permission"}
"""What a path is documented to need; the others are named by Salesloft's own words, if any."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One answer as it came. `path` has no query; `cost` is in points."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    cost: float = 1.0

    def __repr__(self) -> str:
        return f"Answer({self.where}, {self.status}, {len(self.body)} bytes)"

    @property
    def request_id(self) -> str:
        return request_id(self.headers)

    @property
    def where(self) -> str:
        return f"{self.method} {self.path}"

    def ending(self) -> str:
        return f"(request id {self.request_id or 'none'})"


class TeamRefused(CredentialsRefused):
    """Salesloft refuses the team's key: `status` 401, or 403 for what the key may do (`reason`: its redacted words)."""

    def __init__(
        self, message: str, *, status: int, reason: str = "", request_id: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.request_id = request_id


class PayloadRefused(RequestRefused):
    """A lasting refusal of one request; `fields` are the payload's fields that it complains about."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        reason: str,
        request_id: str = "",
        fields: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(message, status=status, reason=reason, request_id=request_id)
        self.fields = fields


def refused_fields(error: ConnectorError) -> frozenset[str]:
    """The payload's fields that a validation refusal (422, 400) names; empty for every other error."""
    if isinstance(error, PayloadRefused) and error.status in (400, 422):
        return error.fields
    return frozenset()


def refusal(answer: Answer, sent: bytes = b"") -> ConnectorError:
    """The error for an answer that is no success. `sent` is the request's body, for keeping its text out."""
    status = answer.status
    if status in RETRIED or status >= 500 or status < 400:
        return retry_later(answer, f"answered {status}")
    readable, body = _decoded(answer)
    if not readable and status not in (401, 413):
        return retry_later(answer, f"answered {status} with a page or a cut-off text")
    told = refusal_of(body, sent) if readable else Refusal("", frozenset())
    if status in (401, 403):
        return _team_refused(answer, told)
    reason = told.reason or "no reason given"
    return PayloadRefused(
        f"Salesloft refused {answer.where} with {status}: {reason} {answer.ending()};"
        " the same request is not sent again",
        status=status,
        reason=reason,
        request_id=answer.request_id,
        fields=told.fields,
    )


def _team_refused(answer: Answer, told: Refusal) -> TeamRefused:
    if answer.status == 401:
        message = (
            f"Salesloft: key refused by {answer.where} (401) {answer.ending()};"
            " put a valid API key where the configuration names it"
        )
    else:
        need = NEEDS.get(answer.path, "the scope or permission that it needs")
        said = f": {told.reason}" if told.reason else ""
        message = (
            f"Salesloft forbids {answer.where} (403{said}) {answer.ending()};"
            f" give the API key's owner {need}, or use a key that has it"
        )
    return TeamRefused(
        message, status=answer.status, reason=told.reason, request_id=answer.request_id
    )


def retry_later(answer: Answer, what: str) -> RetryLater:
    """A passing failure of which an answer, or a part of one, is known."""
    redirect = "; check api_url" if 300 <= answer.status < 400 else ""
    return RetryLater(
        f"Salesloft {what} to {answer.where} {answer.ending()}; it is tried again{redirect}",
        after_seconds=retry_after(answer.headers),
        status=answer.status,
        request_id=answer.request_id,
    )


def no_answer(method: str, path: str, cause: BaseException) -> RetryLater:
    """Nothing came back. Only the cause's type is named: its text may hold addresses and headers."""
    return RetryLater(
        f"Salesloft did not answer {method} {path} ({type(cause).__name__}, no request id);"
        " it is tried again; check the network if this lasts"
    )


def _decoded(answer: Answer) -> tuple[bool, Any]:
    """(can it be Salesloft's own, the decoded body or its plain text)."""
    body = answer.body.strip()
    if "html" in header(answer.headers, "content-type").lower() or body.startswith(b"<"):
        return False, None
    if not body:
        return True, None
    try:
        return True, msgspec.json.decode(body)
    except msgspec.DecodeError:
        plain = not body.startswith((b"{", b"[", b'"'))
        return plain, {"error": body.decode(errors="replace")[:1000]} if plain else None
