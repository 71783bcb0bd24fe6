"""Status and body → what happens next; and nothing of the calendar in any message."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest
from aioresponses import aioresponses
from hypothesis import given
from hypothesis import strategies as st

from connector.domain.errors import ConnectorError, CredentialsRefused, RequestRefused, RetryLater
from connector.salesloft import (
    SalesloftClient,
    TeamBudget,
    TeamRefused,
    Urgency,
    make_session,
    refused_fields,
)
from connector.salesloft.errors import Answer, refusal
from connector.salesloft.headers import RateHeaders
from connector.salesloft.redaction import refusal_of
from tests.salesloft.conftest import KEY, Loopback

SENT = {
    "id": "7kukuqrfedlm2f9t0gr15dmnk8",
    "i_cal_uid": "uid-123@example.com",
    "calendar_id": "external_00210d1a",
    "start_time": "2026-11-20T10:00:00+00:00",
    "title": "Project Nightingale with Initech",
    "description": "Dial 555-0199, ask for the merger papers",
    "location": "Blue Room",
    "organizer": "pam@example.com",
    "attendees": [{"name": "Michael Bolton", "email": "michael@example.org", "status": "accepted"}],
    "status": "confirmed",
    "transparency": "opaque",
}
BODY = json.dumps(SENT).encode()
SECRETS = (
    *("nightingale", "initech", "project", "555", "0199", "merger", "papers", "blue", "room"),
    *("pam", "michael", "bolton", "example.", "7kuk", "uid-123", "00210d1a"),
)
SHAPES: list[tuple[Any, set[str], str]] = [
    (
        {"errors": {"title": ["Project Nightingale with Initech is too long"]}},
        {"title"},
        "title … is too long",
    ),
    (
        {"errors": {"updated_at": ["is invalid"], "transparency": "is not permitted"}},
        {"updated_at", "transparency"},
        "updated_at is invalid; transparency is not permitted",
    ),
    (
        {
            "errors": [
                "Title 'Project Nighting…' is too long",
                "found unpermitted parameter: :transparency",
            ]
        },
        {"title", "transparency"},
        "Title … is too long; found unpermitted parameter: :transparency",
    ),
    (
        {"errors": [{"field": "attendees", "message": "michael@example.org is not valid"}]},
        {"attendees"},
        "attendees … is not valid",
    ),
    (
        {"errors": [{"source": {"pointer": "/data/attributes/end_time"}, "detail": "is missing"}]},
        {"end_time"},
        "end_time is missing",
    ),
    (
        {"detail": [{"loc": ["body", "upsert_key"], "msg": "unexpected value"}]},
        {"upsert_key"},
        "upsert_key unexpected value",
    ),
    (
        {"errors": {"attendees": {"0": {"email": ["michael@example.org is invalid"]}}}},
        {"attendees"},
        "attendees.0.email … is invalid",
    ),
    ({"errors": {"base": ["Updated at is invalid"]}}, {"updated_at"}, "Updated at is invalid"),
    (
        {"error": 'Unknown attribute "transparency" for Blue Room'},
        {"transparency"},
        "Unknown attribute",
    ),
    ({"errors": "NIGHTINGALE is not allowed: dial 555-0199"}, set(), "… is not allowed"),
    ({"error": {"message": "Event for Bolton, Michael exists"}}, set(), "exists"),
    ({"message": "Unprocessable"}, set(), "Unprocessable"),
    ({"errors": {"Project Nightingale with Initech": ["is bad"]}}, set(), "is bad"),
    (
        {"errors": {"start_time": ["2026-11-20T10:00:00+00:00 is before 2026"]}},
        {"start_time"},
        "is before",
    ),
    ({}, set(), "no reason given"),
    ([], set(), "no reason given"),
]


def answer(status: int, body: Any, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        "POST", "/v2/calendar/events/upsert", status, {"X-Request-Id": "req-9", **named}, raw
    )


@pytest.mark.parametrize(("body", "fields", "expected"), SHAPES)
def test_a_422_of_any_shape_names_fields_and_never_values(
    body: Any, fields: set[str], expected: str
) -> None:
    error = refusal(answer(422, body), BODY)
    assert isinstance(error, RequestRefused)
    assert refused_fields(error) == fields
    assert (error.status, error.request_id) == (422, "req-9")
    assert expected in str(error)
    assert "req-9" in str(error)
    assert len(error.reason) <= 300
    for secret in SECRETS:
        assert secret not in str(error).lower()


secret_words = st.lists(
    st.text(alphabet="bcdfghjklmnpqrstvwxz", min_size=7, max_size=12), min_size=1, max_size=4
)


@given(
    words=secret_words,
    field=st.sampled_from(["title", "description", "location", "organizer"]),
    shape=st.sampled_from(["{} is too long", "'{}' is invalid", "can't take {}, sorry", "<{}>"]),
    cut=st.integers(0, 3),
    upper=st.booleans(),
    as_list=st.booleans(),
)
def test_whatever_was_sent_is_redacted(
    words: list[str], field: str, shape: str, cut: int, upper: bool, as_list: bool
) -> None:
    value = " ".join(words)
    shown = value[: len(value) - cut]
    text = shape.format(shown.upper() if upper else shown)
    errors: Any = [text] if as_list else {field: [text]}
    told = refusal_of({"errors": errors}, msgspec.json.encode({field: value, "id": "e1"}))
    for word in words:
        assert word[:4] not in told.reason.lower()


def test_a_long_list_of_errors_is_cut() -> None:
    error = refusal(answer(422, {"errors": [f"field {n} is invalid" for n in range(500)]}), BODY)
    assert isinstance(error, RequestRefused)
    assert 100 < len(error.reason) <= 300


@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 413, 422])
def test_lasting_refusals_park_the_item(status: int) -> None:
    error = refusal(answer(status, {"error": "nothing"}), BODY)
    assert isinstance(error, RequestRefused)
    assert error.status == status
    assert not refused_fields(error)


@pytest.mark.parametrize("status", [302, 408, 425, 429, 500, 502, 503, 504, 520])
def test_passing_refusals_are_tried_again(status: int) -> None:
    error = refusal(answer(status, {"error": "title is invalid"}, Retry_After="7"), BODY)
    assert isinstance(error, RetryLater)
    assert error.after_seconds == 7
    assert "req-9" in str(error)
    assert not refused_fields(error)


@pytest.mark.parametrize("status", [400, 403, 404, 422])
@pytest.mark.parametrize(
    "body", [b"<html><h1>Blocked</h1></html>", b"  <!DOCTYPE html>", b'{"errors": {"title": ["is t']
)
def test_a_page_or_a_cut_text_is_not_salesloft_speaking(status: int, body: bytes) -> None:
    assert isinstance(refusal(answer(status, body), BODY), RetryLater)


def test_a_401_and_a_403_are_told_apart() -> None:
    refused = refusal(answer(401, b"<html>"), BODY)
    forbidden = refusal(answer(403, {"error": "token lacks the scope calendar_events:write"}), BODY)
    assert isinstance(refused, TeamRefused)
    assert isinstance(refused, CredentialsRefused)
    assert isinstance(forbidden, TeamRefused)
    assert (refused.status, forbidden.status) == (401, 403)
    assert "key refused" in str(refused)
    assert "calendar_events:write" in str(forbidden)
    assert "req-9" in str(refused)
    assert "req-9" in str(forbidden)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12", 12.0),
        ("0", 0.0),
        ("Fri, 20 Nov 2026 10:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_servers_own_clock(
    value: str, expected: float | None
) -> None:
    error = refusal(answer(503, {}, retry_AFTER=value, Date="Fri, 20 Nov 2026 10:00:00 GMT"), BODY)
    assert isinstance(error, RetryLater)
    assert error.after_seconds == expected


def test_a_retry_date_without_the_servers_clock_uses_ours() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    error = refusal(answer(503, {}, Retry_After=at), BODY)
    assert isinstance(error, RetryLater)
    assert error.after_seconds is not None
    assert 3000 < error.after_seconds <= 3600


@pytest.mark.parametrize(
    "headers",
    [
        {
            "x-ratelimit-endpoint-cost": "2",
            "x-ratelimit-remaining-minute": "511",
            "x-ratelimit-limit-minute": "600",
        },
        {
            "X-RateLimit-Endpoint-Cost": "2.0",
            "X-RATELIMIT-REMAINING": "511",
            "X-Ratelimit-Limit": "600, 600;w=60",
        },
    ],
)
def test_both_spellings_of_the_rate_headers_are_read(headers: dict[str, str]) -> None:
    assert RateHeaders.read(headers) == RateHeaders(cost=2, remaining=511, limit=600)


@pytest.mark.parametrize("value", ["", "many", "nan", "-1", "1e999", "inf", "9" * 400])
def test_nonsense_in_rate_headers_is_nothing(value: str) -> None:
    names = ("x-ratelimit-endpoint-cost", "x-ratelimit-remaining", "x-ratelimit-limit")
    assert RateHeaders.read(dict.fromkeys(names, value)) == RateHeaders()


async def upsert_error(client: SalesloftClient) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        await client.upsert(BODY, urgency=Urgency.CHANGE)
    error = caught.value
    told = "".join(traceback.format_exception(error)).lower()
    for secret in (*SECRETS, KEY, "bearer"):
        assert secret not in str(error).lower()
        assert secret not in repr(error).lower()
    assert error.__cause__ is None
    assert error.__context__ is None, told
    return error


async def test_a_reset_is_tried_again(client: SalesloftClient, salesloft: Loopback) -> None:
    salesloft.then_reset()
    assert isinstance(await upsert_error(client), RetryLater)


async def test_a_body_that_ends_early_is_tried_again(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    salesloft.then_cut(b'{"data": {"id"', promised=400)
    error = await upsert_error(client)
    assert isinstance(error, RetryLater)
    assert "req-cut" in str(error)


async def test_a_broken_kept_connection_is_one_request_for_one_point(
    client: SalesloftClient, salesloft: Loopback, budget: TeamBudget
) -> None:
    """aiohttp would repeat a PUT on its own."""
    salesloft.then({"data": {"id": 5}})
    salesloft.then_reset()
    await client.update_settings("5", primary_calendar_connection_failed=True)
    with pytest.raises(RetryLater):
        await client.update_settings("5", primary_calendar_connection_failed=True)
    assert len(salesloft.asked) == budget.snapshot().spent == 2


async def test_a_request_that_never_left_costs_nothing(
    unused_tcp_port: int, budget: TeamBudget
) -> None:
    async with make_session() as session:
        url = f"http://127.0.0.1:{unused_tcp_port}"
        client = SalesloftClient(session, url, lambda: KEY, budget)
        assert isinstance(await upsert_error(client), RetryLater)
    snapshot = budget.snapshot()
    assert (snapshot.spent, snapshot.in_flight) == (0, 0)


async def test_a_time_out_is_tried_again_and_counted(budget: TeamBudget) -> None:
    with aioresponses() as http:
        http.post("https://api.example.com/v2/calendar/events/upsert", exception=TimeoutError())
        async with make_session() as session:
            client = SalesloftClient(session, "https://api.example.com/", lambda: KEY, budget)
            assert isinstance(await upsert_error(client), RetryLater)
    assert budget.snapshot().spent == 1


async def test_a_429_pauses_the_budget(
    client: SalesloftClient, salesloft: Loopback, budget: TeamBudget
) -> None:
    salesloft.then({"error": "slow down"}, status=429, headers={"Retry-After": "30"})
    error = await upsert_error(client)
    assert isinstance(error, RetryLater)
    assert error.after_seconds == 30
    assert budget.snapshot().paused_until is not None
    assert client.try_lease_upsert(Urgency.BANNER_AND_BOOKINGS) is None


async def test_a_422_over_the_wire_is_parked_and_redacted(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    salesloft.then({"errors": {"title": [f"{SENT['title']} is invalid"]}}, status=422)
    error = await upsert_error(client)
    assert refused_fields(error) == {"title"}


async def test_an_html_error_over_the_wire_is_tried_again(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    salesloft.then_raw(b"<html>Project Nightingale</html>", status=404, content_type="text/html")
    assert isinstance(await upsert_error(client), RetryLater)


async def test_another_teams_budget_is_untouched_by_a_429(
    client: SalesloftClient, salesloft: Loopback
) -> None:
    salesloft.then({}, status=429)
    await upsert_error(client)
    salesloft.then({"data": {"id": "e"}})
    async with make_session() as session:
        other = SalesloftClient(session, salesloft.url, lambda: "other", TeamBudget(600))
        assert (await other.upsert(BODY, urgency=Urgency.CHANGE)).data.id == "e"


def test_words_that_salesloft_stored_before_are_no_part_of_a_reason() -> None:
    """It may quote the title of before: no word of the present request tells that these are the calendar's."""
    body = {"errors": {"base": ["Merger with Vance Refrigeration could not be processed"]}}
    reason = refusal_of(body, {"id": "abc", "title": "Lunch"}).reason
    assert "could not be processed" in reason
    for word in ("Merger", "Vance", "Refrigeration"):
        assert word not in reason
