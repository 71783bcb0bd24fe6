"""Tokens: one renewal for all who wait, ahead of time, and failures told apart."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.oauth2.service_account import Credentials

from connector.domain.errors import ParkReason, RetryLater, UserParked
from connector.google import READ_SCOPE, RefreshPool, TokenSource
from tests.google.conftest import INFO, FakeGoogle, answer

WRITE_SCOPE = "https://www.googleapis.com/auth/calendar.events"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture
def source(google: FakeGoogle, pool: RefreshPool, clock: Clock) -> Callable[..., Any]:
    @asynccontextmanager
    async def opened(**kwargs: Any) -> AsyncIterator[TokenSource]:
        info = {**INFO, "token_uri": f"{google.url}/token", **kwargs.pop("info", {})}
        arguments = {"kind": "authorized_user", "who": "pam", "clock": clock, **kwargs}
        tokens = TokenSource(info, pool, **arguments)
        try:
            yield tokens
        finally:
            await tokens.close()

    return opened


def lasting(seconds: object, text: str = "t") -> Any:
    return answer({"access_token": text, "expires_in": seconds, "token_type": "Bearer"})


async def settled() -> None:
    """Wait until renewals in the background are done."""
    while task := [t for t in asyncio.all_tasks() if t.get_name().startswith("google-token")]:
        await asyncio.wait(task)


async def test_an_authorised_users_token_comes_from_the_files_own_endpoint(
    google: FakeGoogle, source: Any
) -> None:
    async with source() as tokens:
        assert await tokens.token() == "token-1"
        assert await tokens.token() == "token-1"
    assert len(google.token_forms) == 1
    form = google.token_forms[0]
    assert form["grant_type"] == "refresh_token"
    assert form["refresh_token"] == INFO["refresh_token"]
    assert "scope" not in form


@pytest.mark.parametrize(
    ("listed", "wanted", "asked"),
    [
        ([READ_SCOPE, WRITE_SCOPE], (READ_SCOPE,), READ_SCOPE),
        (f"{READ_SCOPE} {WRITE_SCOPE}", (WRITE_SCOPE,), WRITE_SCOPE),
        ([WRITE_SCOPE], (READ_SCOPE,), None),
    ],
)
async def test_an_authorised_user_is_asked_for_scopes_that_the_file_lists(
    google: FakeGoogle, source: Any, listed: object, wanted: tuple[str, ...], asked: str | None
) -> None:
    async with source(info={"scopes": listed}, scopes=wanted) as tokens:
        await tokens.token()
    assert google.token_forms[0].get("scope") == asked


async def test_a_service_account_acts_for_its_subject(
    google: FakeGoogle, source: Any, private_key: str
) -> None:
    info = {"client_email": "sa@project.iam.example.com", "private_key": private_key}
    async with source(kind="service_account", info=info, subject="pam@example.com") as tokens:
        assert await tokens.token() == "token-1"
    assertion = google.token_forms[0]["assertion"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(assertion + "=="))
    assert claims["sub"] == "pam@example.com"
    assert claims["iss"] == "sa@project.iam.example.com"
    assert claims["scope"] == READ_SCOPE


async def test_callers_at_once_share_one_renewal(google: FakeGoogle, source: Any) -> None:
    async with source() as tokens:
        assert set(await asyncio.gather(*(tokens.token() for _ in range(50)))) == {"token-1"}
    assert len(google.token_forms) == 1


async def test_a_caller_who_gives_up_does_not_take_the_token_from_the_others(
    google: FakeGoogle, source: Any
) -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await release.wait()
        found: web.StreamResponse = await lasting(3599)(request)
        return found

    google.queue_token(slow)
    async with source() as tokens:
        first, second = (asyncio.create_task(tokens.token()) for _ in range(2))
        await asyncio.wait_for(arrived.wait(), 10)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        release.set()
        assert await second == "t"
    assert len(google.token_forms) == 1


async def test_a_token_is_renewed_ahead_without_making_callers_wait(
    google: FakeGoogle, source: Any, clock: Clock
) -> None:
    async with source() as tokens:
        await tokens.token()
        clock.now = 3599 - 301
        assert await tokens.token() == "token-1"
        await settled()
        assert len(google.token_forms) == 1
        clock.now = 3599 - 299
        assert await tokens.token() == "token-1"
        await settled()
        assert await tokens.token() == "token-2"


async def test_with_little_left_callers_wait_for_the_new_token(source: Any, clock: Clock) -> None:
    async with source() as tokens:
        await tokens.token()
        clock.now = 3599 - 59
        assert await tokens.token() == "token-2"


async def test_a_failed_renewal_ahead_harms_nobody_and_is_paced(
    google: FakeGoogle, source: Any, clock: Clock
) -> None:
    google.queue_token(lasting(3599, "old"), *[answer(b"", status=503)] * 2)
    async with source() as tokens:
        await tokens.token()
        clock.now = 3599 - 299
        for _ in range(5):
            assert await tokens.token() == "old"
            await settled()
        assert len(google.token_forms) == 2
        clock.now += 20
        assert await tokens.token() == "old"
        await settled()
        assert len(google.token_forms) == 3


@pytest.mark.parametrize("seconds", [30, 1])
async def test_short_lived_tokens_are_not_renewed_at_every_call(
    google: FakeGoogle, source: Any, seconds: int
) -> None:
    google.queue_token(lasting(seconds), lasting(seconds))
    async with source() as tokens:
        for _ in range(5):
            await tokens.token()
        await settled()
    assert len(google.token_forms) == 1


async def test_a_rejected_token_is_renewed_once(google: FakeGoogle, source: Any) -> None:
    async with source() as tokens:
        old = await tokens.token()
        tokens.reject(old)
        assert await tokens.token() == "token-2"
        tokens.reject(old)
        assert await tokens.token() == "token-2"
    assert len(google.token_forms) == 2


@pytest.mark.parametrize(
    ("status", "error", "description", "reason"),
    [
        (400, "invalid_grant", "Token has been expired or revoked.", ParkReason.TOKEN_REVOKED),
        (400, "invalid_grant", "Bad Request", ParkReason.TOKEN_REVOKED),
        (400, "invalid_grant", None, ParkReason.TOKEN_REVOKED),
        (
            400,
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
            ParkReason.CLOCK_SKEWED,
        ),
        (400, "invalid_grant", "Invalid JWT Signature.", ParkReason.KEY_INVALID),
        (400, "invalid_grant", "Invalid email or User ID", ParkReason.SUBJECT_UNKNOWN),
        (400, "invalid_grant", "Not a valid email or user ID", ParkReason.SUBJECT_UNKNOWN),
        (
            401,
            "unauthorized_client",
            "Client is unauthorized to retrieve access tokens using this method.",
            ParkReason.DELEGATION_MISSING,
        ),
        (401, "invalid_client", "The OAuth client was not found.", ParkReason.KEY_INVALID),
        (400, "invalid_scope", "pam@example.com", ParkReason.SCOPE_MISSING),
        (403, "access_denied", "policy", ParkReason.FORBIDDEN),
        (400, "never_seen_before", "secret", ParkReason.UNAUTHENTICATED),
    ],
)
async def test_refusals_of_the_token_endpoint(
    google: FakeGoogle,
    source: Any,
    status: int,
    error: str,
    description: str | None,
    reason: ParkReason,
) -> None:
    body = {"error": error, "error_description": description}
    google.queue_token(answer(body, status=status))
    async with source() as tokens:
        with pytest.raises(UserParked) as caught:
            await tokens.token()
        assert caught.value.reason is reason
        assert str(caught.value).startswith("pam: ")
        if description:
            assert description not in str(caught.value)
        assert await tokens.token() == "token-2", "the next call asks again"
    assert len(google.token_forms) == 2


async def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize(
    "broken",
    [
        answer(b"<html>", status=500),
        answer({"error": "internal_failure"}, status=400),
        answer({"error": "x", "error_description": "temporarily_unavailable"}, status=400),
        answer(b"<html>captive portal</html>"),
        answer(b"<html>proxy</html>", status=403),
        answer({"access_token": "", "expires_in": 5}),
        answer({"access_token": 5}),
        answer(["access_token"]),
        lasting("soon"),
        lasting(10**20),
        reset,
    ],
)
async def test_passing_failures_of_the_token_endpoint_are_not_repeated_in_the_thread(
    google: FakeGoogle, source: Any, broken: Any
) -> None:
    google.queue_token(broken)
    async with source() as tokens:
        with pytest.raises(RetryLater):
            await tokens.token()
    assert len(google.token_forms) == 1


async def test_a_token_without_a_lifetime_serves(google: FakeGoogle, source: Any) -> None:
    google.queue_token(answer({"access_token": "t"}))
    async with source() as tokens:
        assert await tokens.token() == "t"
        assert await tokens.token() == "t"
    assert len(google.token_forms) == 1


async def test_retry_after_of_the_token_endpoint_is_handed_on(
    google: FakeGoogle, source: Any
) -> None:
    google.queue_token(answer(b"", status=429, headers={"Retry-After": "7"}))
    async with source() as tokens:
        with pytest.raises(RetryLater) as caught:
            await tokens.token()
    assert caught.value.after_seconds == 7


@pytest.mark.parametrize(
    "info", [{"private_key": "-----BEGIN nonsense"}, {"private_key": None}, {}]
)
async def test_a_key_that_cannot_sign_parks_without_showing_it(
    google: FakeGoogle, source: Any, info: dict[str, Any]
) -> None:
    info = {"client_email": "sa@project.iam.example.com", **info}
    async with source(kind="service_account", info=info) as tokens:
        with pytest.raises(UserParked) as caught:
            await tokens.token()
    assert caught.value.reason is ParkReason.KEY_INVALID
    assert "nonsense" not in str(caught.value)
    assert google.token_forms == []


async def test_closing_frees_the_threads_and_tells_who_waits(
    google: FakeGoogle, source: Any, pool: RefreshPool
) -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        arrived.set()
        await release.wait()
        return web.Response()

    google.queue_token(hang)
    async with source() as tokens:
        waiting = asyncio.create_task(tokens.token())
        await asyncio.wait_for(arrived.wait(), 10)
        await tokens.close()
        with pytest.raises(RetryLater, match="replaced or closed"):
            await waiting
        await asyncio.wait_for(pool.close(), 10)
        release.set()
        with pytest.raises(RetryLater):
            await tokens.token()
    async with source() as late:
        with pytest.raises(RetryLater):
            await late.token()


async def test_the_key_of_a_service_account_is_read_once_for_all_of_its_users(
    google: FakeGoogle, source: Any, private_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    load: Any = Credentials.from_service_account_info

    def counted(info: Any, **more: Any) -> Any:
        read.append(info["client_email"])
        return load(info, **more)

    monkeypatch.setattr(Credentials, "from_service_account_info", counted)
    robots = [f"robot{number}@project.iam.gserviceaccount.com" for number in (1, 2)]
    for robot in robots:
        info = {"type": "service_account", "client_email": robot, "private_key": private_key}
        for name in ("pam", "jim"):
            subject = f"{name}@example.com"
            async with source(kind="service_account", info=info, subject=subject) as tokens:
                await tokens.token()
    assert read == robots
    signed = [form["assertion"].split(".")[1] for form in google.token_forms]
    subjects = [json.loads(base64.urlsafe_b64decode(one + "=="))["sub"] for one in signed]
    assert subjects == ["pam@example.com", "jim@example.com"] * 2


def test_nothing_secret_is_in_a_repr(pool_free: TokenSource) -> None:
    assert INFO["refresh_token"] not in repr(pool_free) + repr(
        [getattr(pool_free, name) for name in pool_free.__slots__]
    )


@pytest.fixture
def pool_free() -> TokenSource:
    return TokenSource(INFO, None, kind="authorized_user")  # type: ignore[arg-type]
