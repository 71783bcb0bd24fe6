"""The daemon's nightly comparison: each calendar at a moment of its own, and last in line for points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from connector.domain.errors import CredentialsRefused, RequestRefused, RetryLater, UserParked
from connector.observe.log import get_logger
from connector.store import CalendarState, State
from connector.store.verifications import last
from connector.sync.reconcile import ListsEvents, verification_is_due, verify_calendar
from connector.sync.seller import Seller
from connector.sync.verification import WRONG, Kind, Verification

_log = get_logger(__name__)

AGAIN_AFTER = timedelta(hours=1)
"""After a comparison that failed: it may have cost points, and nobody waits for it."""
NAMED_AT_MOST = 20
"""Differences that a log names one by one."""


@dataclass(frozen=True, slots=True)
class NightlyUser:
    """A served user whose `[sync] verify` is `nightly`; `repair` is `[sync] verify_repair`."""

    seller: Seller
    repair: bool


class NightlyVerifier:
    """Verifies what is due. `source` gives Salesloft's list for a user, within the team's budget (Urgency.BACKFILL)."""

    def __init__(
        self,
        state: State,
        source: Callable[[Seller], ListsEvents],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state = state
        self._source = source
        self._clock = clock
        self._again: dict[int, datetime] = {}

    async def run_due(self, users: Sequence[NightlyUser]) -> list[int]:
        """Compare every calendar that is due, one after the other; gives those for which something was put in line.

        Cancelling it is harmless: a comparison that is cut off has stored nothing. What fails is tried an hour later.
        """
        rows = await self._state.calendars_of_users([user.seller.user_guid for user in users])
        mended = []
        for user in users:
            row = rows.get(user.seller.user_guid)
            if row is not None and await self._is_due(row):
                found = await self._verify(user, row)
                if found is not None and found.repaired and found.repaired.enqueued:
                    mended.append(row.id)
        return mended

    async def _is_due(self, row: CalendarState) -> bool:
        if not row.is_served or row.parked_since is not None:
            return False
        now = self._clock()
        again = self._again.get(row.id, now)
        if now < again <= now + AGAIN_AFTER:
            return False
        verified = await self._state.look(lambda c: last(c, row.id))
        return verification_is_due(row, now, verified.at if verified else None)

    async def _verify(self, user: NightlyUser, row: CalendarState) -> Verification | None:
        name = user.seller.name
        try:
            found = await verify_calendar(
                user.seller,
                row,
                self._source(user.seller),
                self._state,
                self._clock(),
                repair=user.repair,
                keep_result=True,
            )
        except (RetryLater, UserParked, RequestRefused, CredentialsRefused) as error:
            self._again[row.id] = self._clock() + AGAIN_AFTER
            _log.warning("verification_failed", user=name, message=str(error))
            return None
        self._again.pop(row.id, None)
        _tell(name, found)
        return found


def _tell(name: str, found: Verification) -> None:
    counts = found.summary()
    facts = {
        "user": name,
        "equal": counts.equal,
        "missing": counts.missing,
        "extra": counts.extra,
        "different": counts.different,
        "leaks": counts.leaks,
        "out_of_step": counts.out_of_step,
        "waiting": counts.waiting,
        "repaired": counts.repaired,
    }
    wrong = found.of(*WRONG)
    if not wrong:
        _log.info("verified", **facts)
        return
    _log.error("verification_differs", **facts)
    if found.repaired is not None and found.repaired.held_id is not None:
        _log.error(
            "difference_held",
            user=name,
            held=found.repaired.held_id,
            to_cancel=found.repaired.held,
            message="Salesloft holds implausibly many meetings that are gone from Google; nothing of it is sent."
            " See `gcal-salesloft held list`, then release or discard it.",
        )
    for one in wrong[:NAMED_AT_MOST]:
        if one.kind is not Kind.OUT_OF_STEP:
            _log.error(
                "difference",
                user=name,
                event_id=one.key.event_id,
                kind=one.kind.value,
                fields=list(one.fields),
                leak=one.leak,
            )
