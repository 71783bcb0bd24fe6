"""What refusals mean: the reason before the status, whatever the body is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.domain.errors import (
    ConnectorError,
    ParkReason,
    RequestRefused,
    ResyncRequired,
    RetryLater,
    UserParked,
)
from connector.google.errors import (
    PARKED,
    QUOTA_PAUSE_SECONDS,
    Action,
    Call,
    Meaning,
    Refusal,
    lasting_error,
    read_refusal,
    retry_after_seconds,
)
from tests.google.conftest import refusal_body

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
RECORDED = Path(__file__).resolve().parents[3] / "shared" / "recorded-google"


def read(status: int, body: Any, headers: dict[str, str] | None = None) -> Refusal:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_refusal(status, headers or {}, raw, now=NOW)


@pytest.mark.parametrize(
    ("status", "reason", "meaning"),
    [
        (400, "timeRangeEmpty", Action.REFUSED),
        (400, "syncTokenWithRequestRestrictions", Action.REFUSED),
        (400, "invalid", Action.INVALID),
        (401, "authError", Action.REFRESH),
        (403, "userRateLimitExceeded", Action.SLOW_DOWN),
        (403, "rateLimitExceeded", Action.SLOW_DOWN),
        (429, "rateLimitExceeded", Action.SLOW_DOWN),
        (403, "quotaExceeded", Action.QUOTA_SPENT),
        (403, "dailyLimitExceeded", Action.QUOTA_SPENT),
        (403, "variableTermLimitExceeded", Action.QUOTA_SPENT),
        (403, "accessNotConfigured", ParkReason.API_DISABLED),
        (403, "insufficientPermissions", ParkReason.SCOPE_MISSING),
        (403, "forbidden", ParkReason.FORBIDDEN),
        (403, "ForbiddenError", ParkReason.FORBIDDEN),
        (403, "notACalendarUser", ParkReason.NOT_A_CALENDAR_USER),
        (404, "notFound", Action.NOT_FOUND),
        (409, "duplicate", Action.REFUSED),
        (410, "fullSyncRequired", Action.RESYNC),
        (410, "updatedMinTooLongAgo", Action.RESYNC),
        (410, "deleted", Action.NOT_FOUND),
        (412, "conditionNotMet", Action.REFUSED),
        (500, "backendError", Action.RETRY),
        (503, "neverSeenBefore", Action.RETRY),
        (403, "neverSeenBefore", Action.REFUSED),
        (418, "neverSeenBefore", Action.REFUSED),
    ],
)
def test_catalogue(status: int, reason: str, meaning: Meaning) -> None:
    found = read(status, refusal_body(status, reason))
    assert (found.meaning, found.reason) == (meaning, reason)


@pytest.mark.parametrize(
    ("detail", "meaning"),
    [
        ("SERVICE_DISABLED", ParkReason.API_DISABLED),
        ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", ParkReason.SCOPE_MISSING),
        ("RATE_LIMIT_EXCEEDED", Action.SLOW_DOWN),
        ("SOMETHING_NEW", ParkReason.FORBIDDEN),
    ],
)
def test_details_are_more_precise_than_errors(detail: str, meaning: Meaning) -> None:
    body = refusal_body(
        403, "forbidden", status="PERMISSION_DENIED", details=[{"reason": detail}, 5]
    )
    assert read(403, body).meaning is meaning


def test_status_word_alone_is_enough() -> None:
    assert read(403, {"error": {"status": "RESOURCE_EXHAUSTED"}}).meaning is Action.SLOW_DOWN
    assert read(403, {"error": {"status": "PERMISSION_DENIED"}}).meaning is ParkReason.FORBIDDEN


@pytest.mark.parametrize(
    ("file", "status", "meaning"),
    [
        ("403_calendar_rate_limit", 403, Action.QUOTA_SPENT),
        ("403_daily_limit", 403, Action.QUOTA_SPENT),
        ("403_forbidden", 403, ParkReason.FORBIDDEN),
        ("403_user_rate_limit", 403, Action.SLOW_DOWN),
        ("404", 404, Action.NOT_FOUND),
        ("409", 409, Action.REFUSED),
        ("410", 410, Action.NOT_FOUND),
    ],
)
def test_recorded_refusals(file: str, status: int, meaning: Meaning) -> None:
    path = RECORDED / f"northworld-{file}.json"
    if not path.exists():
        pytest.skip("recordings are not part of the checkout")
    assert read(status, path.read_bytes()).meaning is meaning


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>403</html>", b'{"error":{"errors":[{"reas', b"[]", b'{"error":"x"}', b"\xff"],
)
def test_unreadable_bodies_are_judged_by_status(body: bytes) -> None:
    meanings = [read(status, body).meaning for status in (302, 401, 403, 404, 410, 429, 502)]
    assert meanings == [
        Action.RETRY,
        Action.REFRESH,
        Action.REFUSED,
        Action.NOT_FOUND,
        Action.GONE,
        Action.SLOW_DOWN,
        Action.RETRY,
    ]


@given(
    status=st.integers(100, 599),
    body=st.binary()
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["reason", "error", "errors"]), x),
    ).map(lambda value: json.dumps({"error": value}).encode()),
    call=st.sampled_from(Call),
)
def test_every_refusal_has_an_error(status: int, body: bytes, call: Call) -> None:
    error = lasting_error(read(status, body), call, "pam")
    assert isinstance(error, ConnectorError)
    assert str(error).startswith("pam: ")
    assert "\n" not in str(error)


def test_texts_that_are_no_reason_stay_out() -> None:
    secret = "Lunch with Pam about the merger"
    found = read(400, refusal_body(400, secret, status=secret))
    assert found.reason == ""
    assert secret not in str(lasting_error(found, Call.LIST, "pam"))


def test_quota_spent_waits_long() -> None:
    error = lasting_error(read(403, refusal_body(403, "quotaExceeded")), Call.LIST, "pam")
    assert isinstance(error, RetryLater)
    assert error.after_seconds == QUOTA_PAUSE_SECONDS


def test_resync_only_where_there_is_a_token_to_drop() -> None:
    found = read(410, refusal_body(410, "fullSyncRequired"))
    kinds = {call: type(lasting_error(found, call, "pam")) for call in Call}
    assert kinds == {
        Call.LIST: ResyncRequired,
        Call.CHANGES: ResyncRequired,
        Call.WINDOW: RetryLater,
        Call.OCCURRENCES: RetryLater,
        Call.EVENT: RetryLater,
        Call.INSERT: RetryLater,
        Call.PATCH: RetryLater,
        Call.DELETE: RetryLater,
        Call.WATCH: RetryLater,
        Call.STOP_CHANNEL: RetryLater,
    }


def test_refused_carries_status_and_reason() -> None:
    found = read(400, refusal_body(400, "timeRangeEmpty"))
    error = lasting_error(found, Call.WINDOW, "pam")
    assert isinstance(error, RequestRefused)
    assert (error.status, error.reason) == (400, "timeRangeEmpty")


def test_every_parking_says_what_to_do() -> None:
    for reason, remedy in PARKED.items():
        refusal = Refusal(403, "x", reason, readable=True)
        error = lasting_error(refusal, Call.LIST, "pam")
        assert isinstance(error, UserParked)
        assert remedy in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "99999999999999999999"}, 86_400.0),
        ({"Retry-After": "Sun, 01 Mar 2026 10:01:00 GMT"}, 60.0),
        ({"Retry-After": "Sun, 01 Mar 2026 09:00:00 GMT"}, 0.0),
        (
            {
                "Retry-After": "Sun, 01 Mar 2020 10:01:00 GMT",
                "Date": "Sun, 01 Mar 2020 10:00:30 GMT",
            },
            30.0,
        ),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "²"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, now=NOW) == seconds


@pytest.mark.parametrize(
    ("unit", "whole"), [("1/min/{project}", True), ("1/min/{project}/{user}", False), (5, False)]
)
def test_whose_limit_it_was(unit: object, whole: bool) -> None:
    details = [{"reason": "RATE_LIMIT_EXCEEDED", "metadata": {"quota_unit": unit}}]
    assert read(429, refusal_body(429, "rateLimitExceeded", details=details)).whole_project is whole
