"""Judges a user's access to Google: the token, the calendar, what may be written, and whose calendar it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.domain.errors import ConnectorError, ParkReason, UserParked
from connector.google import READ_SCOPE, WRITE_SCOPE, CalendarSeen
from connector.sync.checks.model import Check, failed, ok, warning

WRITERS = frozenset({"writer", "owner", "writerWithoutPrivateAccess"})
WRITE_SCOPES = frozenset({WRITE_SCOPE, "https://www.googleapis.com/auth/calendar"})
DELEGATION = "admin.google.com → Security → Access and data control → API controls → Domain-wide delegation → Manage"
NETWORK = (
    "check this machine's network, DNS and firewall for outgoing https to Google, and [google] api_url and"
    " token_uri; if Google itself is down, wait: nothing is lost"
)


@dataclass(frozen=True, slots=True)
class Account:
    """What the settings say of a user's access. `info` is the credentials file."""

    delegated: bool
    info: Mapping[str, Any]
    source: str
    subject: str | None
    calendar_id: str
    bookings: bool

    @property
    def client_id(self) -> str:
        """The numeric id that the Workspace console wants; said where it is, if the file lacks it."""
        found = self.info.get("client_id")
        return (
            str(found)
            if found
            else "(client_id: see the service account's page in the Cloud console)"
        )

    @property
    def scopes(self) -> str:
        return f"{READ_SCOPE},{WRITE_SCOPE}" if self.bookings else READ_SCOPE


def judge_google(
    scope: str, account: Account, seen: CalendarSeen | None, error: ConnectorError | None
) -> list[Check]:
    """The token for reading, and what it opens."""
    if seen is not None:
        token = ok(scope, "Google token", f"for reading, {_whose(account)}")
        return [token, _role(scope, account, seen), *_identity(scope, account, seen)]
    assert error is not None
    if not isinstance(error, UserParked):
        return [failed(scope, "Google reachable", _first(error), NETWORK)]
    reason = error.reason
    evidence = f"{reason.value}: {_first(error).partition('; ')[0]}"
    if reason in (ParkReason.CALENDAR_GONE, ParkReason.FORBIDDEN, ParkReason.NOT_A_CALENDAR_USER):
        first = [ok(scope, "Google token", f"for reading, {_whose(account)}")]
        what = "Google calendar"
    else:
        first, what = [], "Google token"
    return [*first, failed(scope, what, evidence, remedy_of(reason, account), refused=True)]


def remedy_of(reason: ParkReason, account: Account) -> str:
    """What a person must click, type or ask for, with the ids to paste."""
    match reason:
        case ParkReason.DELEGATION_MISSING:
            return _delegate(account)
        case ParkReason.CONSENT_EXPIRED:
            return (
                "publish the OAuth consent screen (out of Testing, where a consent lasts seven days), then let the"
                " user consent again and replace the credentials file"
            )
        case ParkReason.SCOPE_MISSING:
            if account.delegated:
                return _delegate(account)
            return f"let the user consent again with the scope {account.scopes}, and replace {account.source}"
        case ParkReason.TOKEN_REVOKED:
            return (
                f"let the user sign in and consent again, and replace {account.source}. If this happens every 7 days,"
                " the consent screen is in testing: publish it, or make it internal"
            )
        case ParkReason.KEY_INVALID:
            if account.delegated:
                return (
                    f"make a new key for {account.info.get('client_email', 'the service account')} in the Cloud"
                    f" console (IAM → Service accounts → Keys; is it disabled?), and replace {account.source}"
                )
            return f"the OAuth client is unknown or its secret wrong: download it anew, and replace {account.source}"
        case ParkReason.CLOCK_SKEWED:
            return "set this machine's clock: `timedatectl set-ntp true`"
        case ParkReason.SUBJECT_UNKNOWN:
            return (
                f"correct [google] subject ({account.subject}): Google knows no such active user; is the account"
                " suspended, or an alias? The primary address is needed"
            )
        case ParkReason.API_DISABLED:
            project = account.info.get("project_id", "the credentials' project")
            return f"enable the Google Calendar API in {project}: `gcloud services enable calendar-json.googleapis.com`"
        case ParkReason.CALENDAR_GONE | ParkReason.FORBIDDEN:
            return (
                f"share calendar {account.calendar_id} with {account.subject or 'this account'} (See all event"
                " details), or correct [google] calendar_id; was it deleted?"
            )
        case ParkReason.NOT_A_CALENDAR_USER:
            return "turn on Google Calendar for this user in the Workspace admin console (Apps → Calendar)"
        case ParkReason.UNAUTHENTICATED:
            return f"replace {account.source}: Google takes no token of it, and does not say why"


def judge_writing(
    scope: str, account: Account, granted: frozenset[str] | None, error: ConnectorError | None
) -> Check:
    """The write scope of bookings; its lack never stops the reading."""
    what = "write scope for bookings"
    if error is not None and not isinstance(error, UserParked):
        return failed(scope, what, _first(error), NETWORK)
    off = "; or switch bookings off: [bookings] enabled = false"
    if error is not None:
        evidence = f"refused ({error.reason.value}): meetings booked in Salesloft do not get to this calendar"
        return warning(scope, what, evidence, remedy_of(error.reason, account) + off)
    if account.delegated:
        return ok(scope, what, "delegated")
    if granted is None:
        return ok(scope, what, "Google does not tell what was granted; the first booking will")
    if granted & WRITE_SCOPES:
        return ok(scope, what, "granted")
    evidence = "not granted: meetings booked in Salesloft do not get to this calendar"
    return warning(scope, what, evidence, remedy_of(ParkReason.SCOPE_MISSING, account) + off)


def _delegate(account: Account) -> str:
    return f"{DELEGATION}: client ID {account.client_id}, scopes {account.scopes} (may take a while to work)"


def _role(scope: str, account: Account, seen: CalendarSeen) -> Check:
    what = "Google calendar"
    role = f"readable as {seen.access_role or 'unknown'}, zone {seen.time_zone}"
    if seen.access_role == "freeBusyReader":
        return warning(
            scope,
            what,
            f"{role}: only busy times are seen, so every meeting goes to Salesloft without text and guests",
            "share the calendar with `See all event details`",
        )
    if account.bookings and seen.access_role not in WRITERS:
        return warning(
            scope,
            what,
            f"{role}: meetings booked in Salesloft cannot be written to it",
            "share the calendar with `Make changes to events`, or set [bookings] enabled = false",
        )
    return ok(scope, what, role)


def _identity(scope: str, account: Account, seen: CalendarSeen) -> list[Check]:
    what = "whose calendar"
    calendar, subject = account.calendar_id, account.subject
    if calendar == "primary":
        if account.delegated and subject is None:
            return [
                failed(
                    scope,
                    what,
                    "`primary` without a subject is the service account's own, empty calendar",
                    "set [google] subject to the user's address",
                )
            ]
        return [ok(scope, what, f"the own one of {subject or 'who gave the consent'}")]
    own = subject is not None and calendar.casefold() == subject.casefold()
    if own or seen.access_role == "owner":
        return [ok(scope, what, "the user's own")]
    return [
        warning(
            scope,
            what,
            f"{calendar} is not {subject or 'the account'}'s own: its meetings count as this user's",
            'if that is a mistake: [google] calendar_id = "primary"',
        )
    ]


def _whose(account: Account) -> str:
    if account.delegated:
        return f"service account acting for {account.subject or 'itself'}"
    return "by the user's consent"


def _first(error: Exception) -> str:
    """What went wrong at last, without what a daemon would do about it."""
    text = str(error).partition("\n")[0]
    last = text.partition("lastly: ")[2] or text
    return last.partition("; it is tried again")[0].partition("; nothing is lost")[0]
