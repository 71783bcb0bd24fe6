"""Says what a parked user's cause is where Google's answer alone does not: with what the state and settings know."""

from __future__ import annotations

from datetime import datetime

from connector.domain.connection import refined
from connector.domain.errors import ParkReason, UserParked
from connector.sync.seller import Seller


def explained(
    parked: UserParked,
    seller: Seller,
    served_since: datetime | None,
    parked_since: datetime | None,
    now: datetime,
) -> UserParked:
    """The same refusal, told apart further; `served_since`: when these credentials first served."""
    reason = refined(parked.reason, served_since, parked_since, now)
    if reason is ParkReason.CONSENT_EXPIRED and served_since is not None:
        return UserParked(
            f"{seller.name}: the consent has expired: Google ended it about 7 days after it was given"
            f" ({served_since:%Y-%m-%d}), as it does while the OAuth consent screen is in Testing mode; publish the"
            " consent screen (or make it internal), then let the user consent again and replace the credentials file",
            reason=reason,
        )
    if reason is ParkReason.API_DISABLED and seller.project and seller.project not in str(parked):
        return UserParked(
            f"{parked}: project {seller.project},"
            " https://console.cloud.google.com/apis/library/calendar-json.googleapis.com",
            reason=reason,
        )
    return parked
