"""What became of each occurrence: from what a listing says was touched to findings that can be planned.

Google's incremental feed tells what was *touched*: masters, exceptions and tombstones, not occurrences. A touched
series is asked for again over the window, and what the state holds of it is compared with the answer. The rules, from
`reference/google-calendar.md` 2.9-2.13 and DESIGN "The way of a change", 2:

- Ids come from Google; nothing is built from strings, and no recurrence rule is expanded here.
- What Google shows now wins over any tombstone: after a split, the occurrences of the new half keep the old ids.
- The tombstone of a series stands for all its occurrences; a bare tombstone means what the state knows of its id.
- Absence from the answer means cancelled only inside the listed window, and only if the occurrence did not move out of
  it. The exceptions of a touched series are all in the feed with it, so the feed tells; where it cannot, the occurrence
  is `Unexplained` and Google is asked for it by id.
- Past the window's old edge nothing is ever concluded from absence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from connector.domain.model import Event, EventId, Item, Tombstone
from connector.domain.plan import Finding, Gone, Known, Seen
from connector.domain.window import Window, span


class Memory:
    """What the state knows of the ids that matter now, by event id and by series."""

    def __init__(self, rows: Iterable[Known]) -> None:
        self.by_event: dict[EventId, list[Known]] = defaultdict(list)
        self.by_series: dict[EventId, list[Known]] = defaultdict(list)
        for row in rows:
            self.by_event[row.key.event_id].append(row)
            if row.series_id is not None:
                self.by_series[row.series_id].append(row)

    def rows(self) -> Iterable[Known]:
        for rows in self.by_event.values():
            yield from rows


@dataclass(slots=True)
class Touched:
    """What one incremental listing says.

    `series`: must be asked for again. `masters`: those whose living master is in the listing. `told`: exceptions and
    tombstones of occurrences, by id. `ended`: tombstones of whole series. `findings`: settled without asking.
    """

    series: set[EventId] = field(default_factory=set)
    masters: set[EventId] = field(default_factory=set)
    told: dict[EventId, Item] = field(default_factory=dict)
    ended: dict[EventId, Tombstone] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def touched_by(items: Iterable[Item], memory: Memory) -> Touched:
    """Sort the items of an incremental listing by what they mean."""
    touched = Touched()
    for item in items:
        if isinstance(item, Tombstone):
            _sort_tombstone(item, memory, touched)
        else:
            _sort_event(item, memory, touched)
    touched.series -= touched.ended.keys()
    return touched


def _sort_event(event: Event, memory: Memory, touched: Touched) -> None:
    if event.is_series:
        touched.series.add(event.id)
        touched.masters.add(event.id)
        # A single event that was made a series: its own id is no occurrence any more.
        touched.findings += [
            Gone(row.key) for row in memory.by_event.get(event.id, ()) if row.series_id is None
        ]
    elif event.series_id is not None:
        _touch_occurrence(event, event.series_id, memory, touched)
    else:
        touched.findings.append(Seen(event))
        # A series that was made a single event: its occurrences are no more.
        touched.findings += [Gone(row.key) for row in memory.by_series.get(event.id, ())]


def _sort_tombstone(tombstone: Tombstone, memory: Memory, touched: Touched) -> None:
    if tombstone.series_id is not None:
        _touch_occurrence(tombstone, tombstone.series_id, memory, touched)
        return
    if memory.by_series.get(tombstone.id):
        touched.ended[tombstone.id] = tombstone
    for row in memory.by_event.get(tombstone.id, ()):
        if row.series_id is None:
            touched.findings.append(Gone(row.key, tombstone))
        else:
            touched.series.add(row.series_id)
            touched.told[tombstone.id] = tombstone


def _touch_occurrence(item: Item, series_id: EventId, memory: Memory, touched: Touched) -> None:
    """An exception touches its series, and the one that the state knows it under: a split changes the series."""
    touched.told[item.id] = item
    touched.series.add(series_id)
    touched.series.update(
        row.series_id for row in memory.by_event.get(item.id, ()) if row.series_id
    )


@dataclass(frozen=True, slots=True)
class Answers:
    """What Google answered about the touched series.

    `shown`: every occurrence of them inside `listed`, by id. `unlisted`: series that Google would not list (an
    exception without a master: invited to one occurrence only). `changed_meanwhile`: the calendar changed after the
    feed was read.
    """

    shown: Mapping[EventId, Event]
    unlisted: frozenset[EventId]
    listed: Window
    changed_meanwhile: bool
    unreadable: frozenset[str] = frozenset()
    """Ids of items that were set aside as malformed: present, whatever they say."""


@dataclass(frozen=True, slots=True)
class Outcome:
    findings: tuple[Finding, ...]
    unexplained: tuple[Known, ...]
    """Alive in the state, absent from the answer, and nothing says why: to be asked for by id."""


def resolve(
    touched: Touched, answers: Answers, memory: Memory, window: Window, zone: ZoneInfo
) -> Outcome:
    """Join the feed, the answers and the state into findings."""
    seen: dict[EventId, Event] = dict(answers.shown)
    for event_id, item in touched.told.items():
        if (
            isinstance(item, Event)
            and event_id not in seen
            and (item.series_id in answers.unlisted or not _shows(item, answers.listed, zone))
        ):
            seen[event_id] = item
    singles = {f.event.id for f in touched.findings if isinstance(f, Seen)}
    findings: list[Finding] = [
        finding
        for finding in touched.findings
        if isinstance(finding, Seen) or finding.key.event_id not in seen.keys() | singles
    ]
    findings += [Seen(event) for event in seen.values()]
    for series_id, tombstone in touched.ended.items():
        findings += [
            Gone(row.key, Tombstone(row.key.event_id, updated=tombstone.updated))
            for row in memory.by_series[series_id]
            if row.key.event_id not in seen
        ]
    unexplained: list[Known] = []
    for series_id in touched.series:
        for row in memory.by_series.get(series_id, ()):
            if row.key.event_id in seen or row.key.event_id in answers.unreadable:
                continue
            _conclude(row, touched, answers, window, findings, unexplained)
    return Outcome(tuple(findings), tuple(unexplained))


def _conclude(
    row: Known,
    touched: Touched,
    answers: Answers,
    window: Window,
    findings: list[Finding],
    unexplained: list[Known],
) -> None:
    """What the absence of one known occurrence of a touched series means."""
    item = touched.told.get(row.key.event_id)
    if isinstance(item, Tombstone):
        findings.append(Gone(row.key, item))
    elif not row.alive or _is_history(row, window):
        return
    elif (
        item is None and row.series_id in answers.unlisted and row.series_id not in touched.masters
    ):
        return  # invited to single occurrences only: each stands for itself, and this one was not touched
    elif (
        item is None
        and row.series_id in touched.masters
        and row.series_id not in answers.unlisted
        and not answers.changed_meanwhile
        and answers.listed.overlaps(row.start, row.end)
    ):
        findings.append(Gone(row.key))
    else:
        unexplained.append(row)


def resolve_full(
    everything: Iterable[Item],
    shown: Mapping[EventId, Event],
    memory: Memory,
    window: Window,
    zone: ZoneInfo,
    unreadable: frozenset[str] = frozenset(),
) -> Outcome:
    """A complete listing as a difference: `shown` is the window, `everything` what is in it or later."""
    told = {item.id: item for item in everything}
    findings: list[Finding] = [Seen(event) for event in shown.values()]
    unexplained: list[Known] = []
    for row in memory.rows():
        if row.key.event_id in shown or _is_history(row, window):
            continue
        if row.key.event_id in unreadable or row.series_id in unreadable:
            continue
        item = told.get(row.key.event_id)
        master = told.get(row.series_id) if row.series_id is not None else None
        if isinstance(item, Tombstone):
            findings.append(Gone(row.key, item))
        elif not row.alive:
            continue
        elif isinstance(master, Tombstone):
            findings.append(Gone(row.key, Tombstone(row.key.event_id, updated=master.updated)))
        elif item is not None and not item.is_series and not _shows(item, window, zone):
            findings.append(Seen(item))
        else:
            unexplained.append(row)
    return Outcome(tuple(findings), tuple(unexplained))


def _is_history(row: Known, window: Window) -> bool:
    """True if it ended before the window and nothing of it waits that might have to be withheld by now."""
    return row.end <= window.start and row.pending is None


def _shows(event: Event, window: Window, zone: ZoneInfo) -> bool:
    return window.overlaps(*span(event.start, event.end, zone))
