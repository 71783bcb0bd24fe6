"""Joins a user's file with the defaults of connector.toml to one user's settings, or says why that cannot be."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from connector.domain.errors import ConfigurationMistake
from connector.domain.model import EventType, UserGuid, UserName
from connector.domain.policy import (
    DEFAULT_EVENT_TYPES,
    Disclosure,
    PolicyRules,
    domain_of,
    names_a_calendar,
)
from connector.settings.layer import Layer
from connector.settings.model import (
    BookingSettings,
    GoogleCredentials,
    GoogleSettings,
    PushSettings,
    RosterSettings,
    SalesloftSettings,
    Secret,
    SyncSettings,
    UserSettings,
)
from connector.settings.sources import API_KEY_KEYS, CREDENTIALS_KEYS, Sources
from connector.settings.tables import EXPECTED, Tables, overlaid, written

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Origin:
    """One file with the secrets that it names."""

    layer: Layer
    sources: Sources


@dataclass(frozen=True, slots=True)
class UserDraft:
    """What is known of one user. `settings` is None exactly if there are mistakes; `guid` may be known even so."""

    name: UserName
    file: Path
    guid: UserGuid | None
    settings: UserSettings | None
    mistakes: tuple[ConfigurationMistake, ...]


def draft_of(own: Origin, defaults: Origin | None) -> UserDraft:
    """One user from their own file over the defaults. Mistakes of the defaults are not the user's and not repeated."""
    return _Joining(own, defaults).draft()


class _Joining:
    """The joining of one user's two files; collects the mistakes that only show when both are known."""

    def __init__(self, own: Origin, defaults: Origin | None) -> None:
        nothing = Origin(Layer(own.layer.file), Sources())
        self.own = own
        self.defaults = defaults or nothing
        self.mistakes: list[ConfigurationMistake] = []
        self.tables = _overlaid_tables(self.defaults.layer.tables, own.layer.tables)

    def draft(self) -> UserDraft:
        file = self.own.layer.file
        credentials, api_key = self._credentials(), self._api_key()
        guid = self._guid()
        domains = self._internal_domains()
        sync = self._sync()
        self._check_push(sync)
        mistakes = (*self.own.layer.mistakes, *self.own.sources.mistakes, *self.mistakes)
        name, settings = UserName(file.stem), None
        # Without a mistake of its own, a user may still lack what a mistake in the defaults took away.
        if not mistakes and credentials and api_key and guid and domains:
            settings = UserSettings(
                name=name,
                file=file,
                google=self._google(credentials),
                salesloft=self._salesloft(guid, api_key),
                policy=self._policy(domains),
                sync=sync,
                bookings=_shared(replace(BookingSettings(), **written(self.tables.bookings))),
                roster=_shared(replace(RosterSettings(), **written(self.tables.roster))),
                origins=origins_of(self.defaults.layer) | origins_of(self.own.layer),
            )
        return UserDraft(name, file, guid, settings, mistakes)

    def _google(self, credentials: GoogleCredentials) -> GoogleSettings:
        rest = written(self.tables.google, without=(*CREDENTIALS_KEYS, "subject", "push"))
        return GoogleSettings(
            credentials=credentials, subject=self._subject(credentials), push=self._push(), **rest
        )

    def _push(self) -> PushSettings:
        push = replace(PushSettings(), **_written_push(self.tables, without=("listen",)))
        return push if push.enabled else replace(push, address=None)

    def _salesloft(self, guid: UserGuid, api_key: Secret) -> SalesloftSettings:
        rest = written(self.tables.salesloft, without=(*API_KEY_KEYS, "user_guid"))
        return SalesloftSettings(user_guid=guid, api_key=api_key, **rest)

    def _policy(self, domains: frozenset[str]) -> PolicyRules:
        rest = written(self.tables.policy, without=("internal_domains", "event_types"))
        types = DEFAULT_EVENT_TYPES | (self.tables.policy.event_types or {})
        return _policy(domains, tuple(types.items()), tuple(rest.items()))

    def _credentials(self) -> GoogleCredentials | None:
        # A source in the user's file replaces the defaults' source, also one of another kind.
        origin = self.own if self.own.sources.credentials_named else self.defaults
        if not origin.sources.credentials_named:
            self._missing("google.credentials_file", " or ".join(CREDENTIALS_KEYS))
        credentials = origin.sources.credentials
        if credentials and credentials.kind == "authorized_user":
            # An inherited subject is meant for the service account that the defaults name.
            if "subject" in origin.layer.tables.google.model_fields_set:
                self._subject_mistake(origin.layer.file)
            elif "subject" in self.own.layer.tables.google.model_fields_set:
                self._subject_mistake(self.own.layer.file)
        return credentials

    def _subject_mistake(self, file: Path) -> None:
        self.mistakes.append(
            ConfigurationMistake(
                file,
                "google.subject",
                "a subject beside credentials of the type authorized_user",
                "a subject only with a service account; these credentials act for whoever signed in",
            )
        )

    def _subject(self, credentials: GoogleCredentials) -> str | None:
        return self.tables.google.subject if credentials.kind == "service_account" else None

    def _api_key(self) -> Secret | None:
        origin = self.own if self.own.sources.api_key_named else self.defaults
        if not origin.sources.api_key_named:
            self._missing("salesloft.api_key_file", " or ".join(API_KEY_KEYS))
        return origin.sources.api_key

    def _guid(self) -> UserGuid | None:
        guid = self.tables.salesloft.user_guid
        if guid is None:
            self._missing("salesloft.user_guid", EXPECTED["salesloft.user_guid"])
            return None
        return UserGuid(guid)

    def _internal_domains(self) -> frozenset[str]:
        given = self.tables.policy.internal_domains
        if given is not None:
            return given
        google = self.tables.google
        for address in (google.subject, google.calendar_id):
            domain = domain_of(address)
            if domain and not names_a_calendar(address):
                return frozenset({domain})
        if not any(self._is_mistaken(f"google.{key}") for key in ("subject", "calendar_id")):
            self._missing(
                "policy.internal_domains",
                "your company's domains, because neither google.subject nor google.calendar_id tells"
                " one (without them every colleague would be a prospect)",
            )
        return frozenset()

    def _sync(self) -> SyncSettings:
        sync = replace(SyncSettings(), **written(self.tables.sync))
        if sync.poll_interval_idle is not None and sync.poll_interval_idle < sync.poll_interval:
            own = self.own.layer
            here = own.tables.sync.model_fields_set & {"poll_interval", "poll_interval_idle"}
            self.mistakes.append(
                ConfigurationMistake(
                    own.file if here else self.defaults.layer.file,
                    "sync.poll_interval_idle",
                    "less than sync.poll_interval",
                    "at least as much: quiet calendars are polled less often",
                )
            )
        shared: SyncSettings = _shared(sync)
        return shared

    def _check_push(self, sync: SyncSettings) -> None:
        interval = _written_push(self.tables).get("poll_interval")
        if interval is not None and interval < sync.poll_interval:
            own = self.own.layer
            here = (
                "poll_interval" in own.tables.sync.model_fields_set
                or "poll_interval" in _written_push(own.tables)
            )
            self.mistakes.append(
                ConfigurationMistake(
                    own.file if here else self.defaults.layer.file,
                    "google.push.poll_interval",
                    "less than sync.poll_interval",
                    "at least as much: calendars that Google tells of are polled less often",
                )
            )

    def _missing(self, key: str, expected: str) -> None:
        if not self._is_mistaken(key):
            self.mistakes.append(
                ConfigurationMistake(self.own.layer.file, key, "nothing", expected)
            )

    def _is_mistaken(self, key: str) -> bool:
        return self.own.layer.is_mistaken(key) or self.defaults.layer.is_mistaken(key)


@lru_cache(maxsize=256)
def _shared(settings: T) -> T:
    """The settings themselves, or equal ones that other users have: most users' differ in nothing but their names."""
    return settings


@lru_cache(maxsize=256)
def _policy(
    domains: frozenset[str],
    types: tuple[tuple[EventType, Disclosure], ...],
    rest: tuple[tuple[str, Any], ...],
) -> PolicyRules:
    return PolicyRules(internal_domains=domains, event_types=dict(types), **dict(rest))


def origins_of(layer: Layer) -> dict[str, Path]:
    """Every key that a file wrote, dotted, with the file; a key of `policy.event_types` is named by itself."""
    tables = layer.tables
    found = {
        sys.intern(f"{name}.{key}"): layer.file
        for name in tables.model_fields_set
        for key in getattr(tables, name).model_fields_set
    }
    types = tables.policy.event_types or {}
    found |= {f"google.push.{key}": layer.file for key in _written_push(tables)}
    return found | {f"policy.event_types.{kind.value}": layer.file for kind in types}


def _written_push(tables: Tables, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    push = tables.google.push
    return {} if push is None else written(push, without=without)


def _overlaid_tables(defaults: Tables, own: Tables) -> Tables:
    policy = overlaid(defaults.policy, own.policy)
    types = (defaults.policy.event_types or {}) | (own.policy.event_types or {})
    google = overlaid(defaults.google, own.google)
    if defaults.google.push is not None and own.google.push is not None:
        push = overlaid(defaults.google.push, own.google.push)
        google = google.model_copy(update={"push": push})
    return Tables(
        google=google,
        salesloft=overlaid(defaults.salesloft, own.salesloft),
        policy=policy.model_copy(update={"event_types": types}),
        sync=overlaid(defaults.sync, own.sync),
        bookings=overlaid(defaults.bookings, own.bookings),
        roster=overlaid(defaults.roster, own.roster),
    )
