"""The settings as values. Everything here was validated; nothing here reads a file."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, final

from connector.domain.errors import ConfigurationMistake
from connector.domain.model import UserGuid, UserName
from connector.domain.policy import PolicyRules


@final
class Secret:
    """A text that never prints itself; `reveal()` is the only way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self._text.encode(), other._text.encode()
        )

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not serialised")

    def digest(self) -> str:
        """A short one-way name, for telling keys apart in the state without keeping them."""
        return hashlib.sha256(b"gcal-salesloft key " + self._text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class GoogleCredentials:
    """Google's own file, read: `info` is its JSON object, kept out of every repr."""

    kind: Literal["service_account", "authorized_user"]
    info: dict[str, Any] = field(repr=False)
    source: str
    """Where it came from (a path or a credential's name), for messages."""

    @property
    def identity(self) -> str:
        """The service account's address or the OAuth client's id: one Google project stands behind it."""
        key = "client_email" if self.kind == "service_account" else "client_id"
        return str(self.info.get(key, ""))

    @property
    def consent(self) -> str | None:
        """A one-way name of an authorised user's refresh token; None for a service account."""
        token = self.info.get("refresh_token") if self.kind == "authorized_user" else None
        return Secret(str(token)).digest() if token else None

    @property
    def project(self) -> str:
        """What shares one quota: the project where it is named, else the client."""
        return str(
            self.info.get("project_id") or self.info.get("quota_project_id") or self.identity
        )


@dataclass(frozen=True, slots=True)
class PushSettings:
    """The `[google.push]` table, but for its `listen`, which is the process's."""

    enabled: bool = True
    address: str | None = None
    """Where Google sends notifications; None (also where push is not enabled): no channels, polls only."""
    poll_interval: timedelta | None = None
    """A slower poll while a calendar's channel proves healthy; unset: always `[sync] poll_interval`."""


@dataclass(frozen=True, slots=True)
class GoogleSettings:
    credentials: GoogleCredentials
    calendar_id: str = "primary"
    subject: str | None = None
    api_url: str = "https://www.googleapis.com"
    requests_per_minute: int = 5000
    lost_after: timedelta = timedelta(seconds=60)
    push: PushSettings = PushSettings()


@dataclass(frozen=True, slots=True)
class SalesloftSettings:
    user_guid: UserGuid
    api_key: Secret
    api_url: str = "https://api.salesloft.com"
    points_per_minute: int = 600
    reserve: float = 0.05
    """The share of the team's limit that is left to its other tools."""
    bulk_threshold: int = 200
    """From so many waiting upserts that nobody waits for, a bulk job carries them."""
    bulk_patience: timedelta = timedelta(minutes=5)
    """How long what has become urgent waits for a bulk job that Salesloft has not done."""


@dataclass(frozen=True, slots=True)
class SyncSettings:
    poll_interval: timedelta = timedelta(seconds=30)
    past_days: int = 30
    future_days: int = 90
    poll_interval_idle: timedelta | None = None
    """A slower poll for calendars that have been quiet; unset: always `poll_interval`."""
    hold_share: float = 0.3
    """A full resync that would cancel more than this share of a calendar without Google's word is held."""
    hold_minimum: int = 20
    """And at least so many events."""
    verify: Literal["nightly", "never"] = "nightly"
    """Whether the daemon compares Google, the state and Salesloft each night."""
    verify_repair: bool = True
    """Whether what that finds is put in line at once."""


@dataclass(frozen=True, slots=True)
class BookingSettings:
    """The `[bookings]` table: meetings that prospects book in Salesloft, written to Google."""

    enabled: bool = True
    interval: timedelta = timedelta(seconds=10)
    send_updates: Literal["all", "externalOnly", "none"] = "all"
    conference: Literal["none", "hangoutsMeet"] = "none"


@dataclass(frozen=True, slots=True)
class RosterSettings:
    """The `[roster]` table: where it is learnt who is connected, and how often it is looked up."""

    mode: Literal["files", "settings", "both"] = "both"
    """files: they alone decide. both: files name the users, Salesloft confirms. settings: users need no file."""
    interval: timedelta = timedelta(seconds=60)
    keep_state_for: timedelta = timedelta(hours=720)
    """How long a calendar's state is kept after its user is no longer `external`."""


@dataclass(frozen=True, slots=True)
class UserSettings:
    """Everything about one user; `name` is the stem of `file`."""

    name: UserName
    file: Path
    google: GoogleSettings
    salesloft: SalesloftSettings
    policy: PolicyRules
    sync: SyncSettings = SyncSettings()
    bookings: BookingSettings = BookingSettings()
    roster: RosterSettings = RosterSettings()
    origins: Mapping[str, Path] = field(default_factory=dict, compare=False, repr=False)
    """Which file gave a key (`policy.private`, `policy.event_types.focusTime`); a key that is absent is a default."""


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """The settings of the process: `connector.toml`, or the user's file when it stands alone."""

    # Kept out of the repr: a postgresql:// URL may hold a password.
    state_url: str = field(default="sqlite:////var/lib/gcal-salesloft/state.db", repr=False)
    engine: Literal["local", "distributed"] = "local"
    """`distributed`: several processes, on one PostgreSQL state, share the teams among them."""
    lease: timedelta = timedelta(seconds=10)
    """How long a node may give no sign of life until the others take over what it holds."""
    log_format: Literal["text", "json"] = "text"
    listen: str | None = None
    """`host:port` of /metrics, /healthz, /readyz and the status page; None: no port is opened."""
    token: Secret | None = None
    """What /metrics and the status page ask for; always set where `listen` is no loopback address."""
    user_labels: bool = False
    """Users' names as labels of metrics."""
    push_listen: str = "127.0.0.1:9465"
    """`host:port` that takes Google's notifications in; opened only where somebody has an address for them."""


@dataclass(frozen=True, slots=True)
class BrokenUser:
    """A user's file with mistakes: that user is parked, the others are served."""

    name: UserName
    file: Path
    mistakes: tuple[ConfigurationMistake, ...]


@dataclass(frozen=True, slots=True)
class UserTemplate:
    """`[roster] mode = "settings"`: what connector.toml says of every user, for those who have no file.

    `prototype` lacks only name, GUID and subject; `domains_given`: `internal_domains` are connector.toml's own.
    """

    prototype: UserSettings
    domains_given: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """What one `--config` says. `users` are valid; `broken` are not. With a `template`, users need no file."""

    process: ProcessSettings
    users: tuple[UserSettings, ...]
    broken: tuple[BrokenUser, ...] = ()
    template: UserTemplate | None = None
