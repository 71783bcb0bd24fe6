"""Whether a soak was passed, with the figure behind each judgement."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.soak.company import POINTS_PER_MINUTE
from benchmarks.soak.course import Outcome
from benchmarks.soak.gauges import slope

FLAT_KIB_A_MINUTE = 100.0
LONG_ENOUGH_MINUTES = 10.0
"""In less time, caches that fill look like a leak: memory is measured and not judged."""
MORE_DESCRIPTORS = 8
"""Connections come and go: so many more than in the first half are no leak."""
MOST_THREADS = 16 + 6 + 8
"""Google's tokens, the loop's own pool, and one each of what has a thread of its own; pools fill as they are needed."""
EXPECTED_ERRORS = {
    "booking_failed": "random edits also remove booked events: a later move finds none",
    "dead_letter": "events were refused on purpose",
    "user_misconfigured": "files were broken on purpose",
}
SHOWN_DIFFERENCES = 10


@dataclass(frozen=True, slots=True)
class Judgement:
    """One promise; `passed` None: measured and not judged."""

    promise: str
    passed: bool | None
    figures: str

    def line(self) -> str:
        word = {True: "PASS", False: "FAIL", None: "----"}[self.passed]
        return f"{word}  {self.promise}: {self.figures}"


def judge(outcome: Outcome) -> list[Judgement]:
    """Every promise that the soak tests."""
    return [
        *_resources(outcome),
        Judgement(
            "Salesloft shows what Google shows",
            outcome.drained_seconds is not None and not outcome.differences,
            f"{len(outcome.differences)} differences;"
            f" equal {_seconds(outcome.drained_seconds)} after the last edit",
        ),
        Judgement(
            "nothing planted is found",
            not outcome.searched.found,
            f"{sum(outcome.searched.found.values())} in {outcome.searched.size / 2**20:.0f} MiB,"
            f" of {', '.join(f'{n} {what}' for what, n in outcome.planted.items())}"
            + "".join(f"\n        {n} {what}" for what, n in outcome.searched.found.items()),
        ),
        Judgement(
            "points in any 60 s",
            outcome.most_points <= POINTS_PER_MINUTE,
            f"at most {outcome.most_points} of {POINTS_PER_MINUTE}; {outcome.limited} answers 429",
        ),
        *_order(outcome),
    ]


def _resources(outcome: Outcome) -> list[Judgement]:
    samples, minutes = outcome.samples, outcome.plan.minutes
    during = [one for one in samples if one.minute <= outcome.edited_seconds / 60]
    first, second = during[: len(during) // 2], during[len(during) // 2 :]
    if len(first) < 2:
        return []
    grown = slope(second)
    most = max(one.descriptors for one in first), max(one.descriptors for one in second)
    lowest = min(one.descriptors for one in second)
    is_long = minutes >= LONG_ENOUGH_MINUTES
    return [
        Judgement(
            "memory is flat",
            grown <= FLAT_KIB_A_MINUTE if is_long else None,
            f"{grown:+.0f} KiB a minute of its own over the second half"
            f" ({second[0].anonymous} to {second[-1].anonymous} KiB; RSS {second[0].rss} to"
            f" {second[-1].rss}, peak {max(one.rss for one in during)})",
        ),
        Judgement(
            "file descriptors are flat",
            most[1] <= most[0] + MORE_DESCRIPTORS,
            f"{lowest} to {most[1]} in the second half, up to {most[0]} in the first",
        ),
        Judgement(
            "threads stay within their pools",
            max(one.threads for one in second) <= MOST_THREADS,
            f"{min(one.threads for one in during)} to {max(one.threads for one in during)}",
        ),
        Judgement(
            "processor",
            None,
            f"{sum(one.cpu for one in during[1:]) / max(len(during) - 1, 1):.0f} % of one core on average",
        ),
        Judgement(
            "state",
            None,
            f"{during[0].database} to {during[-1].database} KiB, write-ahead log at most"
            f" {max(one.log_ahead for one in during)} KiB",
        ),
    ]


def _order(outcome: Outcome) -> list[Judgement]:
    errors = {event: n for (level, event), n in outcome.events.items() if level == "error"}
    unexpected = {event: n for event, n in errors.items() if event not in EXPECTED_ERRORS}
    failed = [f"{words} ({status})" for words, status in outcome.statuses if status]
    broken = {what: n for what, n in outcome.broken_rules.items() if n}
    return [
        Judgement(
            "no unexpected error in the log", not unexpected, f"{unexpected or 'none'} of {errors}"
        ),
        Judgement(
            "nothing but the log on stderr",
            not outcome.odd_lines,
            f"{len(outcome.odd_lines)} lines"
            + "".join(f"\n        {line}" for line in outcome.odd_lines[:SHOWN_DIFFERENCES]),
        ),
        Judgement(
            "commands at the end",
            not failed,
            f"{len(outcome.statuses)} run, failed: {', '.join(failed) or 'none'};"
            f" verify: {outcome.verified}",
        ),
        Judgement("order of requests", not broken, str(broken or "kept")),
        Judgement(
            "ends in good order",
            outcome.exit_status == 0,
            f"exit status {outcome.exit_status} after {outcome.stop_seconds:.1f} s",
        ),
    ]


def report(outcome: Outcome) -> tuple[str, bool]:
    """The verdict for people, and whether the soak was passed."""
    judgements = judge(outcome)
    passed = all(one.passed is not False for one in judgements)
    plan = outcome.plan
    lines = [
        "",
        f"soak of {outcome.edited_seconds / 60:.1f} minutes, {plan.users} users, seed {plan.seed}:"
        f" {outcome.edits} edits, disturbances {dict(outcome.disturbances)},"
        f" {outcome.refused_before} dead letters, requests {outcome.requests}",
        f"log: {dict(sorted((f'{level} {event}', n) for (level, event), n in outcome.events.items()))}",
        *(one.line() for one in judgements),
        *(f"        {line}" for line in outcome.differences[:SHOWN_DIFFERENCES]),
        "PASS" if passed else "FAIL",
    ]
    return "\n".join(lines), passed


def _seconds(seconds: float | None) -> str:
    return "not" if seconds is None else f"{seconds:.0f} s"
