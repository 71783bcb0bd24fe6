"""Judges a team's key: accepted, what it may do, how many points there are; and each user's calendar type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connector.domain.errors import ConnectorError, CredentialsRefused, RequestRefused
from connector.domain.mapping import calendar_id_of
from connector.domain.model import UserGuid
from connector.salesloft import MeetingSettings, TeamRefused
from connector.sync.checks.model import Check, failed, ok, warning

NETWORK = (
    "check this machine's network, DNS and firewall for outgoing https, and [salesloft] api_url;"
    " if Salesloft itself is down, wait: nothing is lost"
)


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that a key should be allowed. `needed`: without it something that is configured cannot work."""

    what: str
    grant: str
    without: str
    needed: bool = False


def judge_key(scope: str, error: ConnectorError | None, evidence: str) -> Check:
    """Salesloft answers, and takes the key."""
    if error is None:
        return ok(scope, "Salesloft key", evidence)
    if isinstance(error, CredentialsRefused):
        status = error.status if isinstance(error, TeamRefused) else 401
        if status == 401:
            remedy = "make a new API key in Salesloft (Settings, API Keys) and put it where api_key_* points"
        else:
            remedy = (
                "give the key's owner access to the API in Salesloft, or use an administrator's key"
            )
        return failed(scope, "Salesloft key", _first(error), remedy, refused=True)
    return failed(scope, "Salesloft reachable", _first(error), NETWORK)


def judge_permission(scope: str, permission: Permission, error: ConnectorError | None) -> Check:
    """One look-up that needs a permission."""
    if error is None:
        return ok(scope, permission.what, "allowed")
    forbidden = getattr(error, "status", None) == 403
    if not forbidden:
        remedy = NETWORK if not isinstance(error, RequestRefused) else "report this to the project"
        return failed(scope, permission.what, _first(error), remedy)
    make = failed if permission.needed else warning
    return make(scope, permission.what, f"forbidden (403): {permission.without}", permission.grant)


def judge_points(scope: str, configured: int, told: float | None, remaining: float | None) -> Check:
    """What is configured against what Salesloft's headers tell of the team."""
    if told is None:
        return ok(
            scope, "points", f"{configured} a minute configured; Salesloft does not tell its limit"
        )
    left = "" if remaining is None else f", {remaining:.0f} left now"
    evidence = f"{configured} a minute configured, Salesloft's limit is {told:.0f}{left}"
    if configured > told:
        return warning(
            scope,
            "points",
            evidence,
            f"set [salesloft] points_per_minute to at most {told:.0f}, less if other tools use this team's points",
        )
    return ok(scope, "points", evidence)


def settings_of(guid: UserGuid, found: Sequence[MeetingSettings]) -> MeetingSettings | None:
    """The record that says that it is this user's; Salesloft tells by the calendar's id, of `external` ones only."""
    wanted = calendar_id_of(guid)
    return next(
        (one for one in found if one.user_guid == guid or one.primary_calendar_id == wanted), None
    )


def judge_user(
    scope: str,
    guid: UserGuid,
    found: Sequence[MeetingSettings] | None,
    *,
    alone: bool = False,
) -> list[Check]:
    """A user's calendar in Salesloft. `found`: None where it may not be looked up; `alone`: only this user's."""
    what = "Salesloft calendar"
    if found is None:
        return [
            warning(scope, what, "cannot be looked up without manage_team", "see the team's check")
        ]
    wanted = calendar_id_of(guid)
    seen = settings_of(guid, found) or (found[0] if alone and found else None)
    if seen is None:
        return [
            failed(
                scope,
                what,
                "the key's team has no user with this user_guid",
                f"compare [salesloft] user_guid with the user's GUID in Salesloft ({guid} is configured);"
                " is the key of another team?",
            )
        ]
    checks = []
    if not seen.is_external:
        checks.append(
            failed(
                scope,
                what,
                f"its type is `{seen.calendar_type or 'none'}`, so nothing that is sent is shown",
                "let the user (or an administrator) choose the calendar type `external` in Salesloft's settings",
            )
        )
    elif seen.primary_calendar_id and seen.primary_calendar_id != wanted:
        checks.append(
            failed(
                scope,
                what,
                f"external, but its primary calendar is {seen.primary_calendar_id}",
                f"set primary_calendar_id to {wanted} in the user's meeting settings",
            )
        )
    else:
        checks.append(ok(scope, what, f"external, {wanted}"))
    if seen.primary_calendar_connection_failed:
        checks.append(
            warning(
                scope,
                "banner",
                "Salesloft shows this user that the connection failed",
                "mend what this list shows; the daemon takes the banner down with the next good listing",
            )
        )
    return checks


def _first(error: Exception) -> str:
    return str(error).partition("; it is tried again")[0].partition("\n")[0]
