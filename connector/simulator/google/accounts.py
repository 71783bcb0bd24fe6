"""Who may ask: service accounts with delegation, authorized users, and the access tokens they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from random import Random

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

AUTH = "https://www.googleapis.com/auth/"
TOKEN_LIFETIME = timedelta(seconds=3599)
ALL_SCOPES = frozenset(
    AUTH + name
    for name in (
        "calendar",
        "calendar.readonly",
        "calendar.events",
        "calendar.events.readonly",
        "calendar.events.owned",
        "calendar.events.owned.readonly",
        "calendar.calendarlist",
        "calendar.calendarlist.readonly",
        "calendar.calendars",
        "calendar.calendars.readonly",
    )
)


@cache
def signing_key() -> rsa.RSAPrivateKey:
    """One RSA key for the whole process: making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@dataclass(slots=True)
class ServiceAccount:
    """A service account and what the domain's administrator granted it."""

    email: str
    client_id: str
    project: str
    key_id: str
    delegated: set[str] = field(default_factory=set)
    """Scopes of its domain-wide delegation; empty: withdrawn."""
    disabled: bool = False


@dataclass(slots=True)
class AuthorizedUser:
    """A user who gave an installed application a refresh token."""

    email: str
    client_id: str
    client_secret: str
    project: str
    refresh_token: str
    scopes: set[str]
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom an access token speaks for."""

    subject: str
    account: str
    """Who counts as the user of the quota: the service account itself, or the user."""
    project: str
    scopes: frozenset[str]
    expires: datetime
    delegated: bool = False
    """A service account acting for a user; without it, it may not invite anybody."""


class Accounts:
    """All accounts of a world and their tokens."""

    def __init__(
        self, now: Callable[[], datetime], random: Random, token_uri: Callable[[], str]
    ) -> None:
        self.service_accounts: dict[str, ServiceAccount] = {}
        self.authorized_users: dict[str, AuthorizedUser] = {}
        """By refresh token."""
        self.people: set[str] = set()
        self.suspended: set[str] = set()
        self._tokens: dict[str, Principal] = {}
        self._now = now
        self._random = random
        self._token_uri = token_uri

    def add_service_account(
        self,
        name: str = "connector",
        *,
        project: str = "123456789012",
        scopes: Iterable[str] = ALL_SCOPES,
    ) -> dict[str, str]:
        """A service account with domain-wide delegation for `scopes`; returns Google's key file."""
        number = len(self.service_accounts) + 1
        unique = name if number == 1 else f"{name}-{number}"
        account = ServiceAccount(
            email=f"{unique}@project-{project}.iam.gserviceaccount.example.com",
            client_id=f"{self._random.randrange(10**20, 10**21)}",
            project=project,
            key_id=f"{self._random.getrandbits(160):040x}",
            delegated=set(scopes),
        )
        self.service_accounts[account.email] = account
        return {
            "type": "service_account",
            "project_id": f"project-{project}",
            "private_key_id": account.key_id,
            "private_key": _pem(signing_key()),
            "client_email": account.email,
            "client_id": account.client_id,
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": self._token_uri(),
            "universe_domain": "googleapis.com",
        }

    def add_authorized_user(
        self, email: str, *, project: str = "123456789012", scopes: Iterable[str] = ALL_SCOPES
    ) -> dict[str, str]:
        """A user's consent; returns Google's authorized_user file (with the simulator's token_uri)."""
        number = f"{self._random.getrandbits(64):016x}"
        user = AuthorizedUser(
            email=email,
            client_id=f"{project}-{number}.apps.googleusercontent.example.com",
            client_secret=f"simulated-{self._random.getrandbits(64):016x}",
            project=project,
            refresh_token=f"1//{self._random.getrandbits(128):032x}",
            scopes=set(scopes),
        )
        self.people.add(email)
        self.authorized_users[user.refresh_token] = user
        return {
            "type": "authorized_user",
            "client_id": user.client_id,
            "client_secret": user.client_secret,
            "refresh_token": user.refresh_token,
            "token_uri": self._token_uri(),
            "account": "",
            "universe_domain": "googleapis.com",
        }

    def revoke(self, email: str) -> None:
        """A user withdraws their consent, or a service account is disabled; tokens die at once."""
        for user in self.authorized_users.values():
            user.revoked = user.revoked or user.email == email
        if email in self.service_accounts:
            self.service_accounts[email].disabled = True
        self.expire_access_tokens(email)

    def unrevoke(self, email: str) -> None:
        """The same consent or account works again."""
        for user in self.authorized_users.values():
            user.revoked = user.revoked and user.email != email
        if email in self.service_accounts:
            self.service_accounts[email].disabled = False

    def grant_scopes(self, email: str, scopes: Iterable[str]) -> None:
        """Exactly these scopes are granted from now on; access tokens issued before die."""
        for user in self.authorized_users.values():
            if user.email == email:
                user.scopes = set(scopes)
        if email in self.service_accounts:
            self.service_accounts[email].delegated = set(scopes)
        self.expire_access_tokens(email)

    def suspend(self, email: str, *, suspended: bool = True) -> None:
        """A user's account is suspended: no tokens, and those issued are void."""
        (self.suspended.add if suspended else self.suspended.discard)(email)
        self.expire_access_tokens(email)

    def expire_access_tokens(self, email: str | None = None) -> None:
        """Access tokens of a subject or service account (None: all) answer 401 from now on."""
        self._tokens = {
            token: who
            for token, who in self._tokens.items()
            if email is not None and email not in (who.subject, who.account)
        }

    def issue(self, principal: Principal) -> str:
        """An access token for a principal."""
        token = f"ya29.sim-{self._random.getrandbits(160):040x}"
        self._tokens[token] = principal
        return token

    def access_token(
        self, email: str, scopes: Iterable[str] = ALL_SCOPES, *, project: str = "123456789012"
    ) -> str:
        """A ready access token of a user, without the token endpoint."""
        expires = self._now() + TOKEN_LIFETIME
        return self.issue(Principal(email, email, project, frozenset(scopes), expires, True))

    def principal_of(self, token: str) -> Principal | None:
        """Whom a token speaks for; None if it is unknown, expired or void."""
        principal = self._tokens.get(token)
        if principal is None or principal.expires <= self._now():
            return None
        return None if principal.subject in self.suspended else principal
