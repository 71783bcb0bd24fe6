"""Access tokens of one user's credentials: kept while they last, renewed ahead of time, once for all who wait.

Understands Google's two files: service accounts (with a `subject` for domain-wide delegation) and authorised users.
Changed credentials are a new `TokenSource`.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from google.auth.exceptions import GoogleAuthError
from google.oauth2.credentials import Credentials as UserCredentials
from google.oauth2.service_account import Credentials as ServiceCredentials

from connector.domain.errors import ConnectorError, ParkReason, RetryLater
from connector.google.refresh import RefreshPool, TokenRefused, TokenUnreachable
from connector.google.token_errors import Asked, token_error, token_parked

READ_SCOPE = "https://www.googleapis.com/auth/calendar.events.readonly"
WRITE_SCOPE = "https://www.googleapis.com/auth/calendar.events"
"""For bookings, in tokens of their own: where it is refused, reading goes on."""
RENEW_SECONDS = 300.0
"""With less left, a token is renewed while it still serves."""
WAIT_SECONDS = 60.0
"""With less left, callers wait for the new one."""
ASSUMED_LIFETIME_SECONDS = 3000.0
"""Of a token whose answer names none."""
PAUSE_AFTER_FAILURE_SECONDS = 15.0
"""Between attempts to renew a token that still serves."""

Kind = Literal["service_account", "authorized_user"]


@dataclass(frozen=True, slots=True, repr=False)
class _Token:
    """An access token; times are of the source's monotonic clock."""

    text: str
    renew_at: float
    wait_at: float


class TokenSource:
    """The access tokens of one user.

    `info` is the object in Google's credentials file, `who` the user's name for messages. `scopes` are asked for; by
    default reading events only. An authorised user's token carries what the user consented to: a scope is asked for
    there only if the file lists it, because Google refuses scopes that were not granted by the same name.
    """

    __slots__ = (
        "_clock",
        "_closed",
        "_mint",
        "_not_before",
        "_pool",
        "_refreshing",
        "_token",
        "_who",
    )

    def __init__(
        self,
        info: Mapping[str, Any],
        pool: RefreshPool,
        *,
        kind: Kind,
        subject: str | None = None,
        scopes: tuple[str, ...] = (READ_SCOPE,),
        who: str = "user",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mint = _Mint(info, kind, subject, scopes)
        self._pool = pool
        self._who = who
        self._clock = clock
        self._token: _Token | None = None
        self._refreshing: asyncio.Task[_Token] | None = None
        self._not_before = 0.0
        self._closed = False

    async def token(self) -> str:
        """An access token that serves now. UserParked if Google refuses one, RetryLater if it cannot be asked."""
        now = self._clock()
        token = self._token
        if token is None or now >= token.wait_at:
            return (await self._wait_for(self._refresh())).text
        if now >= token.renew_at and now >= self._not_before:
            self._refresh()
        return token.text

    def ready(self) -> str | None:
        """The same, if it is at hand and need not be renewed yet."""
        token = self._token
        return token.text if token is not None and self._clock() < token.renew_at else None

    @property
    def granted_scopes(self) -> frozenset[str] | None:
        """What the last token answer of an authorised user said was granted; None where it did not say."""
        return self._mint.granted_scopes

    def reject(self, token: str) -> None:
        """Google answered 401 to this token: the next `token()` gets a new one. Of an older token nothing follows."""
        if self._token is not None and self._token.text == token:
            self._token = None

    async def close(self) -> None:
        """Give up a renewal that is under way."""
        self._closed = True
        task = self._refreshing
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError, ConnectorError):
                await task

    async def _wait_for(self, task: asyncio.Task[_Token]) -> _Token:
        try:
            # Shielded: a caller who gives up must not take the token from the others who wait for it.
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and caller is not None and not caller.cancelling():
                raise self._given_up() from None  # close() ended the renewal, nobody ended the caller
            raise

    def _given_up(self) -> RetryLater:
        return RetryLater(f"{self._who}: these credentials were replaced or closed; try again")

    def _refresh(self) -> asyncio.Task[_Token]:
        """The renewal that is under way, or a new one."""
        if self._closed:
            raise self._given_up()
        task = self._refreshing
        if task is None or task.done():
            task = asyncio.create_task(self._renew(), name=f"google-token-{self._who}")
            task.add_done_callback(self._refreshed)
            self._refreshing = task
        return task

    def _refreshed(self, task: asyncio.Task[_Token]) -> None:
        if self._refreshing is task:
            self._refreshing = None  # a task that is done is large for what it tells
        if not task.cancelled() and task.exception() is not None:
            # Whoever waited has it from the task. If nobody did, the old token still serves: a later call tries again.
            self._not_before = self._clock() + PAUSE_AFTER_FAILURE_SECONDS

    async def _renew(self) -> _Token:
        try:
            text, lifetime = await self._pool.run(self._mint)
        except TokenRefused as error:
            raise token_error(error.refusal, self._who, self._mint.asked) from None
        except TokenUnreachable as error:
            raise RetryLater(
                f"{self._who}: Google's token endpoint could not be reached ({error}); it is tried again"
            ) from None
        except _CredentialsUnusable:
            raise token_parked(
                ParkReason.KEY_INVALID, f"{self._who}: the credentials cannot be used"
            ) from None
        except (GoogleAuthError, ValueError, TypeError, KeyError, OverflowError) as error:
            # What google-auth makes of a token answer with, say, an unreadable `expires_in`.
            raise RetryLater(
                f"{self._who}: Google's token answer is unreadable ({type(error).__name__}); it is tried again"
            ) from None
        now = self._clock()
        # Short-lived tokens (tests, policies) keep most of their life: no renewal at every call.
        self._token = _Token(
            text,
            renew_at=now + lifetime - min(RENEW_SECONDS, lifetime / 2),
            wait_at=now + lifetime - min(WAIT_SECONDS, lifetime / 4),
        )
        return self._token


class _CredentialsUnusable(Exception):
    """The credentials file does not hold what google-auth needs, or a key that cannot sign."""


class _Mint:
    """Gets one token from google-auth; called in a thread, by one caller at a time."""

    __slots__ = ("_credentials", "_info", "_kind", "_scopes", "_subject", "granted_scopes")

    def __init__(
        self, info: Mapping[str, Any], kind: Kind, subject: str | None, scopes: tuple[str, ...]
    ) -> None:
        self._info = info
        self._kind = kind
        self._subject = subject
        self._scopes = scopes
        self._credentials: Any = None
        self.granted_scopes: frozenset[str] | None = None

    @property
    def asked(self) -> Asked:
        """What was asked for, as messages need it."""
        client_id = str(self._info.get("client_id", ""))
        return Asked(self._kind == "service_account", client_id, self._scopes)

    def __call__(self, transport: Any) -> tuple[str, float]:
        """The token and the seconds that it lasts."""
        credentials = self._credentials
        if credentials is None:
            # Reading a key takes milliseconds: here, in the thread, not where the source is made.
            try:
                credentials = self._load()
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                # Not chained: such errors may quote the key.
                raise _CredentialsUnusable(type(error).__name__) from None
        # google-auth keeps what was granted only where scopes were asked for by name.
        credentials.refresh(partial(self._overheard, transport))
        if self._kind == "authorized_user":
            self._credentials = credentials  # may have been given another refresh token
        expiry: datetime | None = credentials.expiry
        if expiry is None:
            return str(credentials.token), ASSUMED_LIFETIME_SECONDS
        # google-auth's times are naive and in UTC.
        left = (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
        return str(credentials.token), max(left, 0.0)

    def _overheard(self, transport: Any, *args: Any, **kwargs: Any) -> Any:
        response = transport(*args, **kwargs)
        scope = json.loads(response.data).get("scope")
        self.granted_scopes = frozenset(scope.split()) if isinstance(scope, str) else None
        return response

    def _load(self) -> Any:
        if self._kind == "service_account":
            service = _service_account(self._info).with_scopes(list(self._scopes))
            return service.with_subject(self._subject) if self._subject else service
        user = UserCredentials.from_authorized_user_info(  # type: ignore[no-untyped-call]
            self._info, scopes=self._granted()
        )
        # It ignores the file's own token_uri.
        token_uri = self._info.get("token_uri")
        return user.with_token_uri(token_uri) if token_uri else user

    def _granted(self) -> list[str]:
        """Of the wanted scopes those that the file names; none named means: whatever was granted."""
        listed = self._info.get("scopes") or ()
        names = listed.split() if isinstance(listed, str) else listed
        return [scope for scope in self._scopes if scope in names]


_SERVICE_ACCOUNTS_AT_MOST = 64
_service_accounts: dict[tuple[tuple[str, str], ...], Any] = {}
_loading = threading.Lock()


def _service_account(info: Mapping[str, Any]) -> Any:
    """A service account's credentials, its key read once for all of its users: 30 ms and 4 KB each otherwise."""
    key = tuple(sorted((name, value) for name, value in info.items() if isinstance(value, str)))
    with _loading:
        found = _service_accounts.get(key)
        if found is None:
            found = ServiceCredentials.from_service_account_info(info)  # type: ignore[no-untyped-call]
            if len(_service_accounts) >= _SERVICE_ACCOUNTS_AT_MOST:
                _service_accounts.clear()
            _service_accounts[key] = found
        return found
