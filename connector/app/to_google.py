"""The way to Google: which users share a project's quota, and a user's calendar as the steps see it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import aiohttp

from connector import google
from connector.observe.log import get_logger
from connector.observe.observer import NOBODY, Observer
from connector.settings.model import UserSettings
from connector.store.commit import Hold
from connector.sync.seller import Seller

_log = get_logger(__name__)


def project_of(user: UserSettings) -> str:
    """What shares one quota at Google."""
    return _project_name(user.google.api_url, user.google.credentials.project)


@lru_cache(maxsize=4096)  # one text for all of its users
def _project_name(api_url: str, project: str) -> str:
    return f"{api_url} {project}"


def limits_of(users: Iterable[UserSettings]) -> dict[str, int]:
    """Requests a minute of each Google project; of differing settings the smallest counts."""
    limits: dict[str, int] = {}
    for user in users:
        project, limit = project_of(user), user.google.requests_per_minute
        limits[project] = min(limits.get(project, limit), limit)
    return limits


def limiters_of(users: Iterable[UserSettings]) -> dict[str, google.RequestLimiter]:
    """One limiter a Google project."""
    return {name: google.RequestLimiter(limit) for name, limit in limits_of(users).items()}


def seller_of(
    user: UserSettings,
    session: aiohttp.ClientSession,
    tokens: google.TokenSource,
    limiter: google.RequestLimiter,
    observer: Observer = NOBODY,
) -> Seller:
    delegated = user.google.credentials.kind == "service_account"
    quota_user = google.quota_user(user.google.subject or user.name) if delegated else None
    transport = google.GoogleTransport(
        session,
        tokens,
        limiter,
        who=user.name,
        rate_key=quota_user,
        on_answer=None if observer is NOBODY else observer.google_answered,
        on_fields_refused=_tell_of_fields,
    )
    requests = google.CalendarRequests(
        user.google.api_url, user.google.calendar_id, quota_user=quota_user
    )
    return Seller(
        name=user.name,
        user_guid=user.salesloft.user_guid,
        rules=user.policy,
        past_days=user.sync.past_days,
        future_days=user.sync.future_days,
        reader=google.GoogleCalendar(requests, transport),
        hold=_hold(user.sync.hold_share, user.sync.hold_minimum),
        lost_after=user.google.lost_after,
        consent=user.google.credentials.consent,
        project=user.google.credentials.project,
        source=(
            user.google.calendar_id,
            str(user.google.subject),
            user.google.credentials.identity,
        ),
    )


@lru_cache(maxsize=16)  # the same for nearly all
def _hold(share: float, minimum: int) -> Hold:
    return Hold(share, minimum)


def _tell_of_fields(user: str) -> None:
    _log.warning(
        "fields_refused",
        user=user,
        message="this server of [google] api_url does not take the parameter `fields`: whole answers are read until"
        " the next start",
    )
