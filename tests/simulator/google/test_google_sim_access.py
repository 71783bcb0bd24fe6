"""Tokens, scopes, roles and quotas: who may ask, how often, and what they are shown."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp
import google.auth.crypt
import google.auth.jwt
import pytest

from connector.simulator.google.accounts import AUTH

from .conftest import PAM, Clock, Sim, at

JIM = "jim@example.com"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
READ = AUTH + "calendar.events.readonly"
AUDIENCE = "https://oauth2.googleapis.com/token"


@pytest.fixture
def clock() -> Clock:
    """Real time to begin with: google-auth takes it from the machine."""
    return Clock(datetime.now(UTC))


async def post_token(sim: Sim, **form: str) -> tuple[int, Any]:
    async with sim.http.post(f"{sim.url}/token", data=form) as answer:
        return answer.status, await answer.json()


def assertion(key: dict[str, str], **changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": key["client_email"],
        "sub": PAM,
        "scope": READ,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 3600,
        **changes,
    }
    signer = google.auth.crypt.RSASigner.from_service_account_info(key)  # type: ignore[no-untyped-call]
    sent = {name: value for name, value in claims.items() if value}
    return str(google.auth.jwt.encode(signer, sent), "ascii")  # type: ignore[no-untyped-call]


async def by_assertion(sim: Sim, key: dict[str, str], **changes: Any) -> tuple[int, Any]:
    return await post_token(sim, grant_type=GRANT, assertion=assertion(key, **changes))


async def status_with(sim: Sim, token: str, path: str = "calendars/primary/events") -> int:
    url = f"{sim.url}/calendar/v3/{path}"
    async with sim.http.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
        return answer.status


async def test_a_service_account_acts_for_a_user(sim: Sim) -> None:
    status, body = await by_assertion(sim, sim.world.add_service_account())
    assert (status, body["token_type"], body["expires_in"]) == (200, "Bearer", 3599)
    assert await status_with(sim, body["access_token"]) == 200


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sub": "nobody@example.com"}, (400, "invalid_grant", "Invalid email or User ID")),
        ({"scope": AUTH + "drive"}, (401, "unauthorized_client", "Client is unauthorized")),
        ({"scope": ""}, (400, "invalid_scope", "Empty or missing scope")),
        ({"aud": "https://example.com/"}, (400, "invalid_grant", "Invalid JWT: Failed audience")),
        ({"iss": "x@example.com"}, (400, "invalid_grant", "Invalid grant: account not found")),
        ({"iat": 1000, "exp": 4600}, (400, "invalid_grant", "Invalid JWT: Token must be a short")),
        ({"exp": 4_000_000_000}, (400, "invalid_grant", "Invalid JWT: Token must be a short")),
    ],
)
async def test_a_wrong_assertion_is_refused(
    sim: Sim, changes: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    status, body = await by_assertion(sim, sim.world.add_service_account(), **changes)
    assert (status, body["error"]) == expected[:2]
    assert body["error_description"].startswith(expected[2])


async def test_a_forged_signature_is_refused(sim: Sim) -> None:
    head, claims, _ = assertion(sim.world.add_service_account()).split(".")
    forged = f"{head}.{claims}.{'A' * 342}"
    status, body = await post_token(sim, grant_type=GRANT, assertion=forged)
    assert (status, body["error_description"]) == (400, "Invalid JWT Signature.")
    status, body = await post_token(sim, grant_type=GRANT, assertion="x.y")
    assert (status, body["error"]) == (400, "invalid_grant")


async def test_withdrawn_delegation_voids_tokens_at_once(sim: Sim) -> None:
    key = sim.world.add_service_account()
    _, body = await by_assertion(sim, key)
    sim.world.withdraw_delegation(key["client_email"])
    assert await status_with(sim, body["access_token"]) == 401
    status, body = await by_assertion(sim, key)
    assert (status, body["error"]) == (401, "unauthorized_client")


async def test_without_a_subject_it_sees_only_what_is_shared_with_it(sim: Sim) -> None:
    key = sim.world.add_service_account()
    _, body = await by_assertion(sim, key, sub=None, scope=AUTH + "calendar")
    path = f"calendars/{PAM}/events"
    assert await status_with(sim, body["access_token"], path) == 404
    sim.world.set_role(sim.calendar, key["client_email"], "writer")
    assert await status_with(sim, body["access_token"], path) == 200
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    async with sim.http.post(
        f"{sim.url}/calendar/v3/{path}",
        headers=headers,
        json={
            "start": {"dateTime": "2026-11-02T09:00:00Z"},
            "end": {"dateTime": "2026-11-02T10:00:00Z"},
            "attendees": [{"email": JIM}],
        },
    ) as answer:
        assert answer.status == 403
        assert (await answer.json())["error"]["errors"][0][
            "reason"
        ] == "forbiddenForServiceAccounts"


async def test_a_refresh_token_works_until_it_is_revoked(sim: Sim) -> None:
    file = sim.world.add_authorized_user(PAM, scopes=[READ])
    form = {name: file[name] for name in ("client_id", "client_secret", "refresh_token")}
    status, body = await post_token(sim, grant_type="refresh_token", **form)
    assert (status, body["scope"]) == (200, READ)
    assert await status_with(sim, body["access_token"]) == 200
    wrong = {**form, "client_secret": "other"}
    assert (await post_token(sim, grant_type="refresh_token", **wrong))[0] == 401
    wider = await post_token(sim, grant_type="refresh_token", scope=AUTH + "calendar", **form)
    assert (wider[0], wider[1]["error"]) == (400, "invalid_scope")
    sim.world.revoke(PAM)
    assert await status_with(sim, body["access_token"]) == 401
    status, body = await post_token(sim, grant_type="refresh_token", **form)
    assert (status, body) == (
        400,
        {"error": "invalid_grant", "error_description": "Token has been expired or revoked."},
    )


async def test_google_auth_itself_refreshes_here(sim: Sim) -> None:
    from google.auth.transport import Request as GoogleRequest
    from google.auth.transport import Response as GoogleResponse
    from google.oauth2 import service_account

    loop = asyncio.get_running_loop()

    class Heard(GoogleResponse):
        def __init__(self, status: int, data: bytes) -> None:
            self._status, self._data = status, data

        status = property(lambda self: self._status)
        headers = property(lambda self: {})
        data = property(lambda self: self._data)

    class Over(GoogleRequest):
        def __call__(self, url: str, method: str, body: Any, headers: Any, **_: Any) -> Heard:  # type: ignore[override]
            async def ask() -> Heard:
                async with sim.http.request(method, url, data=body, headers=headers) as answer:
                    return Heard(answer.status, await answer.read())

            return asyncio.run_coroutine_threadsafe(ask(), loop).result(10)

    credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
        sim.world.add_service_account(), scopes=[READ], subject=PAM
    )
    await asyncio.to_thread(credentials.refresh, Over())
    assert await status_with(sim, credentials.token) == 200


async def test_a_token_lasts_an_hour_and_a_suspended_user_none(sim: Sim) -> None:
    token = sim.world.accounts.access_token(PAM)
    assert await status_with(sim, token) == 200
    sim.world.suspend(PAM)
    assert await status_with(sim, token) == 401
    sim.world.suspend(PAM, suspended=False)
    token = sim.world.accounts.access_token(PAM)
    sim.clock.advance(seconds=3600)
    assert await status_with(sim, token) == 401
    assert await status_with(sim, "nonsense") == 401


async def test_a_scope_that_is_not_enough_names_the_method(sim: Sim) -> None:
    token = sim.world.accounts.access_token(PAM, [READ])
    url = f"{sim.url}/calendar/v3/users/me/calendarList"
    async with sim.http.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
        error = (await answer.json())["error"]
    assert (error["code"], error["status"]) == (403, "PERMISSION_DENIED")
    assert error["errors"][0]["reason"] == "insufficientPermissions"
    assert error["details"][0]["metadata"]["method"] == "calendar.v3.CalendarList.List"


async def test_the_quota_counts_users_apart_and_slides(sim: Sim) -> None:
    sim.world.quota.user_per_minute = 2
    sim.world.quota.style = "429"
    for _ in range(2):
        assert (await sim.events(quotaUser="a")).status == 200
    refused = await sim.events(quotaUser="a")
    assert refused.reason == (429, "rateLimitExceeded")
    assert refused.body["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert (await sim.events(quotaUser="b")).status == 200
    sim.world.quota.style = "403"
    sim.world.quota.retry_after_seconds = 7
    refused = await sim.events(quotaUser="a")
    assert refused.reason == (403, "userRateLimitExceeded")
    assert refused.headers["Retry-After"] == "7"
    sim.clock.advance(seconds=61)
    assert (await sim.events(quotaUser="a")).status == 200


async def test_the_project_has_a_limit_of_its_own(sim: Sim) -> None:
    sim.world.quota.project_per_minute = 2
    for user in "ab":
        assert (await sim.events(quotaUser=user)).status == 200
    assert (await sim.events(quotaUser="c")).reason == (429, "rateLimitExceeded")


async def test_users_of_a_service_account_share_its_quota(sim: Sim) -> None:
    sim.world.add_calendar(JIM)
    sim.world.quota.user_per_minute = 1
    key = sim.world.add_service_account()
    tokens = [(await by_assertion(sim, key, sub=who))[1]["access_token"] for who in (PAM, JIM)]
    assert await status_with(sim, tokens[0]) == 200
    assert await status_with(sim, tokens[1]) in (403, 429)


FREE_BUSY_KEYS = {
    "kind",
    "etag",
    "id",
    "status",
    "htmlLink",
    "updated",
    "start",
    "end",
    "visibility",
    "iCalUID",
}


async def test_a_free_busy_reader_sees_times_only(sim: Sim) -> None:
    sim.calendar.create("secret", at("2026-11-02T09:00"), attendees=[JIM], location="here")
    sim.world.set_role(sim.calendar, JIM, "freeBusyReader")
    answer = await sim.events(PAM, user=JIM)
    assert answer.body["accessRole"] == "freeBusyReader"
    (item,) = answer.body["items"]
    assert set(item) == FREE_BUSY_KEYS
    assert item["visibility"] == "private"
    assert "secret" not in json.dumps(answer.body)


async def test_a_reader_sees_all_but_private_events(sim: Sim) -> None:
    sim.calendar.create("open", at("2026-11-02T09:00"))
    sim.calendar.create("secret", at("2026-11-02T09:00"), visibility="confidential")
    for role in ("reader", "writerWithoutPrivateAccess"):
        sim.world.set_role(sim.calendar, JIM, role)
        items = (await sim.events(PAM, user=JIM)).body["items"]
        assert items[0]["summary"] == "open"
        assert set(items[1]) == FREE_BUSY_KEYS
    sim.world.set_role(sim.calendar, JIM, "writer")
    items = (await sim.events(PAM, user=JIM)).body["items"]
    assert items[1]["summary"] == "secret"


async def test_unsharing_hides_the_calendar_and_tells_the_calendar_list(sim: Sim) -> None:
    sim.world.set_role(sim.calendar, JIM, "reader")
    listed = (await sim.get("users/me/calendarList", user=JIM)).body
    assert [entry["accessRole"] for entry in listed["items"]] == ["reader"]
    sim.world.set_role(sim.calendar, JIM, "none")
    assert (await sim.events(PAM, user=JIM)).reason == (404, "notFound")
    assert (await sim.get(f"calendars/{PAM}", user=JIM)).reason == (404, "notFound")
    assert (await sim.get(f"users/me/calendarList/{PAM}", user=JIM)).reason == (404, "notFound")
    token = listed["nextSyncToken"]
    delta = (await sim.get("users/me/calendarList", user=JIM, syncToken=token)).body
    (entry,) = delta["items"]
    assert entry == {
        "kind": "calendar#calendarListEntry",
        "etag": entry["etag"],
        "id": PAM,
        "defaultReminders": [],
        "deleted": True,
    }
    sim.world.forbid_instead_of_hiding = True
    assert (await sim.events(PAM, user=JIM)).reason == (403, "forbidden")


async def test_a_deleted_calendar_is_not_found(sim: Sim) -> None:
    sim.world.delete_calendar(sim.calendar)
    assert (await sim.events()).reason == (404, "notFound")


async def test_compressed_only_for_who_asks_in_both_headers(sim: Sim) -> None:
    sim.calendar.create("m", at("2026-11-02T09:00"))
    token = sim.world.accounts.access_token(PAM)
    url = f"{sim.url}/calendar/v3/calendars/primary/events"
    async with aiohttp.ClientSession(auto_decompress=False) as raw:
        found = {}
        for agent in ("connector (gzip)", "connector"):
            for accepted in ("gzip", "identity"):
                headers = {
                    "Authorization": f"Bearer {token}",
                    "User-Agent": agent,
                    "Accept-Encoding": accepted,
                }
                async with raw.get(url, headers=headers) as answer:
                    found[agent, accepted] = answer.headers.get("Content-Encoding")
                    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert {pair for pair, encoding in found.items() if encoding} == {("connector (gzip)", "gzip")}


async def test_the_date_is_the_worlds(sim: Sim) -> None:
    sim.clock.at = datetime(2026, 11, 2, 9, 0, 5, tzinfo=UTC)
    assert (await sim.events()).headers["Date"] == "Mon, 02 Nov 2026 09:00:05 GMT"
