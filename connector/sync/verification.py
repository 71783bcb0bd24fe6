"""What a comparison of Google, the state and Salesloft came to: differences by name, counts by day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from connector.domain.plan import Key
from connector.store.verifications import Repaired, Verified


class Kind(StrEnum):
    """What is wrong with one occurrence, or why it is not wrong although the three differ."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    OUT_OF_STEP = "out_of_step"
    """Google and Salesloft agree; only the state believes something else."""
    ON_THE_WAY = "on_the_way"
    NOT_READ = "not_read_yet"
    HELD = "held"
    REFUSED = "refused"
    UNREADABLE = "unreadable"


WRONG = (Kind.MISSING, Kind.EXTRA, Kind.DIFFERENT, Kind.OUT_OF_STEP)
WAITS = (Kind.ON_THE_WAY, Kind.NOT_READ, Kind.HELD, Kind.REFUSED, Kind.UNREADABLE)


@dataclass(frozen=True, slots=True)
class Slot:
    """The times and the status on one side: what may be shown of any meeting."""

    start: datetime
    end: datetime
    status: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One occurrence. `fields` are names; `leak`: text that must not be there stands in Salesloft.

    `state` is what the state believes: `accepted` (that Salesloft holds this), `other` or `unknown`. `mendable` is
    False where Google could not be asked, so that nothing may be concluded.
    """

    kind: Kind
    key: Key
    day: date
    google: Slot | None
    salesloft: Slot | None
    fields: tuple[str, ...] = ()
    leak: bool = False
    state: str = "unknown"
    mendable: bool = True

    @property
    def start(self) -> datetime | None:
        side = self.google or self.salesloft
        return side.start if side else None


@dataclass(slots=True)
class Verification:
    """One calendar's comparison. `equal` counts by day, in the calendar's zone."""

    user: str
    at: datetime
    equal: Counter[date] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    repaired: Repaired | None = None
    google_pages: int = 0
    salesloft_rows: int = 0

    def of(self, *kinds: Kind, day: date | None = None) -> list[Difference]:
        return [d for d in self.differences if d.kind in kinds and day in (None, d.day)]

    def leaks(self, day: date | None = None) -> int:
        return sum(d.leak for d in self.of(*WRONG, day=day))

    def total(self, day: date | None = None) -> int:
        """Occurrences that were compared: equal or not, on one side or both."""
        equal = self.equal.total() if day is None else self.equal[day]
        return equal + len(self.of(Kind.MISSING, Kind.EXTRA, Kind.DIFFERENT, *WAITS, day=day))

    def days(self) -> Sequence[date]:
        return sorted({*self.equal, *(difference.day for difference in self.differences)})

    @property
    def remedies(self) -> int:
        """How many differences `--repair` could mend."""
        return sum(difference.mendable for difference in self.of(*WRONG))

    @property
    def clean(self) -> bool:
        """Nothing differs and nothing waits."""
        return not self.differences

    def summary(self) -> Verified:
        """The counts, as the state keeps them."""
        repaired = self.repaired or Repaired()
        return Verified(
            at=self.at,
            equal=self.equal.total(),
            missing=len(self.of(Kind.MISSING)),
            extra=len(self.of(Kind.EXTRA)),
            different=len(self.of(Kind.DIFFERENT)),
            leaks=self.leaks(),
            out_of_step=len(self.of(Kind.OUT_OF_STEP)),
            waiting=len(self.of(*WAITS)),
            repaired=repaired.enqueued + repaired.marked,
        )
