"""What another policy would make of the same calendar: pure, from Google's window as it was listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from connector.domain.model import Event
from connector.domain.plan import Ground, Key, Known, wanted_of
from connector.domain.policy import Disclosure, PolicyRules, Rule
from connector.domain.window import span
from connector.sync.window_reading import Shown


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One occurrence that another policy would send differently.

    `before` and `after` are equal where it is shown as much as today and yet differs, as in its location. `title` is
    Google's, and withheld today unless `before` is full.
    """

    key: Key
    start: datetime
    before: Disclosure
    after: Disclosure
    rule_before: Rule
    rule_after: Rule
    title: str


def policy_changes(
    shown: Shown, ground: Ground, rules: PolicyRules, known: Mapping[Key, Known]
) -> Iterator[PolicyChange]:
    """Every occurrence in the window whose payload the other rules would change.

    Nothing is classified from memory under other rules, as in the first reading after a change of policy.
    """
    other = replace(ground, rules=rules, same_policy=ground.same_policy and rules == ground.rules)
    for event in shown.inside():
        change = _change(event, ground, other, known.get(Key(event.id, event.ical_uid)))
        if change is not None:
            yield change


def _change(
    event: Event, ground: Ground, other: Ground, known: Known | None
) -> PolicyChange | None:
    before, content = wanted_of(ground, event, known)
    after, changed = wanted_of(other, event, known)
    if content == changed:
        return None
    start, _ = span(event.start, event.end, ground.zone)
    return PolicyChange(
        key=Key(event.id, event.ical_uid),
        start=start,
        before=before.disclosure,
        after=after.disclosure,
        rule_before=before.rule,
        rule_after=after.rule,
        title=event.summary,
    )
