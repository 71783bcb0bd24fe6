"""Is access to a calendar lost for good? Evidence in, conclusion out.

One refusal proves nothing: Google's 404 and 403 may pass, and a banner that comes and goes is worse than none. Access
counts as lost after at least two refusals of a lasting kind over at least `lost_after` (CONTRACT: "Lasting loss of
access"), with no successful listing between them. What passes or is the operator's to mend never counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.domain.errors import ParkReason

LASTING = frozenset(
    {
        ParkReason.TOKEN_REVOKED,
        ParkReason.CONSENT_EXPIRED,
        ParkReason.SUBJECT_UNKNOWN,
        ParkReason.KEY_INVALID,
        ParkReason.DELEGATION_MISSING,
        ParkReason.SCOPE_MISSING,
        ParkReason.CALENDAR_GONE,
        ParkReason.FORBIDDEN,
    }
)
"""invalid_grant, unauthorized_client, a scope removed, the calendar's 404 and 403."""
REFUSALS = 2
TESTING_EARLIEST, TESTING_LATEST = timedelta(days=6), timedelta(days=8)
"""A consent screen in Testing mode ends a refresh token after 7 days (google-calendar.md 8); we first served it a
little after it was made, and notice its end with the next poll."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Refusals of a lasting kind since the last good listing, the first one's time, and since when access is lost."""

    refusals: int = 0
    since: datetime | None = None
    lost_since: datetime | None = None


def after_refusal(
    evidence: Evidence, reason: ParkReason, now: datetime, lost_after: timedelta
) -> Evidence:
    """The evidence with one more refusal."""
    if reason not in LASTING:
        return evidence
    if evidence.since is None or evidence.since > now:
        # The first one, or the clock was set back: the time that passed since is not known, so it starts anew.
        return Evidence(1, now, evidence.lost_since)
    count = evidence.refusals + 1
    lost = count >= REFUSALS and now - evidence.since >= lost_after
    return Evidence(count, evidence.since, evidence.lost_since or (now if lost else None))


def refined(
    reason: ParkReason,
    served_since: datetime | None,
    refused_since: datetime | None,
    now: datetime,
) -> ParkReason:
    """A dead refresh token, told apart by its age: one that first served about 7 days ago expired, as in Testing mode.

    `served_since`: when these credentials first served here; None for others, or if they never did. `refused_since`:
    the first refusal, so that the answer stays the same while it lasts.
    """
    if reason is not ParkReason.TOKEN_REVOKED or served_since is None:
        return reason
    age = (refused_since or now) - served_since
    expired = TESTING_EARLIEST <= age <= TESTING_LATEST
    return ParkReason.CONSENT_EXPIRED if expired else reason


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides about one user's banner. `banner_since`: it is up as far as we know, since when we know it."""

    lost_since: datetime | None
    parked_since: datetime | None
    last_success: datetime | None
    banner_since: datetime | None


def banner_wanted(standing: Standing, now: datetime) -> bool | None:
    """True: put the banner up; False: take it down; None: leave it as it is."""
    up = standing.banner_since
    if standing.lost_since is not None:
        return True if up is None else None
    if up is None or standing.parked_since is not None or standing.last_success is None:
        return None
    # Only a good listing since then speaks for it; a time ahead of now was noted before the clock went back.
    return False if up > now or standing.last_success >= up else None
