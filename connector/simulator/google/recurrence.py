"""Recurrence: the starts of a series, in order, and its lines cut in two.

A series recurs by the wall clock of its own zone, so rules run over naive local times and each
result is put into the zone afterwards. UNTIL is compared as an instant and therefore taken out of
the rule before dateutil sees it. Lines that make no sense (Google stores some) are skipped.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import merge
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

from .times import BadTimeError, When, is_timed, localised, sort_key, zone_named, zone_of

EXPANSION_LIMIT = 730  # what Google expands of one series: reference 2.8
_FAR = 40_000  # no series in a test has more; a rule without end stops here
_LINE = re.compile(r"^(RRULE|RDATE|EXDATE|EXRULE)([;:])(.*)$", re.IGNORECASE | re.DOTALL)


def parts_of(line: str) -> dict[str, str]:
    """The parts of an RRULE line, names in capitals; empty if it is none."""
    found = _LINE.match(line)
    if not found or found[1].upper() != "RRULE":
        return {}
    pairs = (part.partition("=") for part in found[3].split(";") if "=" in part)
    return {name.upper(): value for name, _, value in pairs}


def _rule_line(parts: dict[str, str]) -> str:
    return "RRULE:" + ";".join(f"{name}={value}" for name, value in parts.items())


def _moment(text: str, zone: ZoneInfo | None, params: str) -> When | None:
    """One value of RDATE, EXDATE or UNTIL for a series of the given zone (None: all-day)."""
    text = text.strip().partition("/")[0]
    tzid = next((p[5:] for p in params.split(";") if p.upper().startswith("TZID=")), None)
    try:
        if zone is None:
            return datetime.strptime(text[:8], "%Y%m%d").replace(tzinfo=UTC).date()
        if text.endswith("Z"):
            at = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            return at.astimezone(zone)
        own = zone_named(tzid) if tzid else zone
        return localised(datetime.strptime(text, "%Y%m%dT%H%M%S"), own).astimezone(zone)  # noqa: DTZ007
    except (ValueError, BadTimeError):
        return None


def _dates(lines: Sequence[str], kind: str, zone: ZoneInfo | None) -> list[When]:
    found: list[When] = []
    for line in lines:
        matched = _LINE.match(line)
        if not matched or matched[1].upper() != kind:
            continue
        params, _, values = (
            matched[3].rpartition(":") if matched[2] == ";" else ("", "", matched[3])
        )
        moments = (_moment(value, zone, params) for value in values.split(","))
        found += [moment for moment in moments if moment is not None]
    return found


def _last_instant(until: str, zone: ZoneInfo | None) -> datetime:
    """The last instant that UNTIL admits, as `sort_key` counts."""
    if zone is not None and len(until) == 8:
        until += "T235959"
    moment = _moment(until, zone, "")
    return datetime.max.replace(tzinfo=UTC) if moment is None else sort_key(moment)


def _rule_starts(line: str, start: When) -> Iterator[When]:
    zone = zone_of(start) if is_timed(start) else None
    naive = (
        start.replace(tzinfo=None)
        if is_timed(start)
        else datetime(start.year, start.month, start.day)  # noqa: DTZ001
    )
    parts = parts_of(line)
    until = _last_instant(parts.pop("UNTIL"), zone) if "UNTIL" in parts else None
    try:
        rule = rrulestr(_rule_line(parts), dtstart=naive)
    except (ValueError, KeyError, TypeError):
        return
    assert isinstance(rule, rrule)
    for at in rule:
        moment: When = localised(at, zone) if zone else at.date()
        if until is not None and sort_key(moment) > until:
            return
        yield moment


def _starts(start: When, lines: Sequence[str]) -> Iterator[When]:
    zone = zone_of(start) if is_timed(start) else None
    excluded = {sort_key(moment) for moment in _dates(lines, "EXDATE", zone)}
    rules = [line for line in lines if parts_of(line).get("FREQ")]
    extra = sorted(_dates(lines, "RDATE", zone), key=sort_key)
    streams: list[Iterator[When]] = [_rule_starts(line, start) for line in rules]
    if not rules:
        streams.append(iter([start]))  # without a rule, DTSTART is the first of the RDATEs
    last: datetime | None = None
    for moment in merge(*streams, iter(extra), key=sort_key):
        key = sort_key(moment)
        if key != last and key not in excluded:
            yield moment
        last = key


class Starts:
    """The original starts of one series, expanded as far as anyone has asked."""

    def __init__(self, start: When, lines: Sequence[str]) -> None:
        self._source = _starts(start, lines)
        self._known: list[When] = []
        self._keys: list[datetime] = []
        self._ended = False

    def _extend(self, upto: datetime | None, count: int = _FAR) -> None:
        while not self._ended and len(self._known) < min(count, _FAR):
            if upto is not None and self._keys and self._keys[-1] >= upto:
                return
            moment = next(self._source, None)
            if moment is None:
                self._ended = True
                return
            self._known.append(moment)
            self._keys.append(sort_key(moment))

    def between(self, low: datetime, high: datetime) -> Sequence[When]:
        """Starts with `low <= sort_key < high`."""
        self._extend(high)
        return self._known[bisect_left(self._keys, low) : bisect_left(self._keys, high)]

    def first(
        self,
        count: int = EXPANSION_LIMIT,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> list[When]:
        """At most `count` starts, with `since <= sort_key < before` where these are given."""
        begin = 0
        if since is not None:
            self._extend(since)
            begin = bisect_left(self._keys, since)
        self._extend(before, begin + count)
        end = begin + count if before is None else bisect_left(self._keys, before)
        return self._known[begin : min(end, begin + count)]

    def has(self, moment: When) -> bool:
        """Whether the series has an occurrence that starts, originally, at this moment."""
        found = self.between(sort_key(moment), sort_key(moment) + timedelta(microseconds=1))
        return bool(found) and is_timed(found[0]) == is_timed(moment)

    def before(self, moment: When) -> When | None:
        """The last start before the moment, if there is one."""
        self._extend(sort_key(moment))
        at = bisect_left(self._keys, sort_key(moment))
        return self._known[at - 1] if at else None


@lru_cache(maxsize=8192)
def _cached(start: str, zone: str | None, lines: tuple[str, ...], key: datetime) -> Starts:
    moment: When = key.astimezone(zone_named(zone)) if zone else key.date()
    return Starts(moment, lines)


def starts_of(start: When, lines: tuple[str, ...]) -> Starts:
    """The starts of a series; the same object for the same start, zone and lines."""
    zone = zone_of(start).key if is_timed(start) else None
    return _cached(start.isoformat(), zone, lines, sort_key(start))


def trimmed(start: When, lines: tuple[str, ...], split: When) -> tuple[str, ...]:
    """The lines of a series that ends before the split.

    UNTIL is 23:59:59 of the local day before, in UTC (reference 2.10), or one second before the
    split where the series has an earlier occurrence on that very day.
    """
    until = _until_before(start, lines, split)
    kept: list[str] = []
    for line in lines:
        parts = parts_of(line)
        if parts:
            parts.pop("COUNT", None)
            kept.append(_rule_line({**parts, "UNTIL": until}))
        else:
            kept += _dated_lines(line, start, lambda key: key < sort_key(split))
    return tuple(kept)


def remainder(start: When, lines: tuple[str, ...], split: When) -> tuple[str, ...]:
    """The lines of the series that begins at the split; COUNT is what remains of it."""
    kept: list[str] = []
    for line in lines:
        parts = parts_of(line)
        if not parts:
            kept += _dated_lines(line, start, lambda key: key >= sort_key(split))
            continue
        if "COUNT" in parts:
            used = sum(sort_key(at) < sort_key(split) for at in _rule_starts(line, start))
            parts["COUNT"] = str(max(1, int(parts["COUNT"]) - used))
        kept.append(_rule_line(parts))
    return tuple(kept)


def _until_before(start: When, lines: tuple[str, ...], split: When) -> str:
    if not is_timed(split):
        return (split - timedelta(days=1)).strftime("%Y%m%d")
    zone = zone_of(split)
    midnight = localised(split.replace(tzinfo=None, hour=0, minute=0, second=0, fold=0), zone)
    previous = starts_of(start, lines).before(split)
    same_day = previous is not None and sort_key(previous) >= sort_key(midnight)
    limit = split if same_day else midnight
    return (limit.astimezone(UTC) - timedelta(seconds=1)).strftime("%Y%m%dT%H%M%SZ")


def _dated_lines(line: str, start: When, keep: Callable[[datetime], bool]) -> list[str]:
    found = _LINE.match(line)
    zone = zone_of(start) if is_timed(start) else None
    if not found or found[1].upper() not in ("RDATE", "EXDATE"):
        return []
    kind = found[1].upper()
    moments = [m for m in _dates([line], kind, zone) if keep(sort_key(m))]
    if not moments:
        return []
    if zone is None:
        return [f"{kind};VALUE=DATE:" + ",".join(m.strftime("%Y%m%d") for m in moments)]
    stamps = (m.strftime("%Y%m%dT%H%M%S") for m in moments)
    return [f"{kind};TZID={zone.key}:" + ",".join(stamps)]
