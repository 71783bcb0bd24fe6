"""`gcal-salesloft explain`: why an event is in Salesloft, or is not. Works beside the daemon, writes nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from connector.app.answers import explain_event
from connector.cli.exits import OK, UNFINISHED, USAGE, WrongCommandLine
from connector.cli.printable import printable
from connector.settings.files import load_settings
from connector.sync.explanation import Detail, Explanation, as_json


async def run(config: Path, user: str, text: str, *, live: bool, as_json_: bool) -> int:
    if not text.strip():
        raise WrongCommandLine("name an event: its id, iCalUID, link, or words of its title")
    settings = load_settings(config)
    chosen = next((one for one in settings.users if one.name == user), None)
    if chosen is None:
        broken = next((one for one in settings.broken if one.name == user), None)
        names = ", ".join(one.name for one in settings.users)
        why = (
            f"is misconfigured: {broken.mistakes[0]}" if broken else f"is not configured ({names})"
        )
        sys.stderr.write(f"gcal-salesloft: user {user} {why}\n")
        return USAGE
    answer = await explain_event(
        settings,
        chosen,
        text,
        live=live,
        waits=lambda why: print(why, file=sys.stderr),  # noqa: T201
    )
    if as_json_:
        sys.stdout.write(json.dumps(as_json(answer), indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(lines(answer, config)) + "\n")
    return OK if answer.found else UNFINISHED


def lines(answer: Explanation, config: Path) -> Iterator[str]:
    """The answer first, then what it rests on."""
    yield answer.answer
    for match in answer.matches:
        yield f"  {match.event_id}  {match.start}  {printable(match.title or '(title withheld)')}"
    if answer.matches:
        first = answer.matches[0].event_id
        yield f"  next: gcal-salesloft explain --config {config} --user {answer.user} {first}"
    yield from (f"  note: {note}" for note in answer.notes)
    if answer.series is not None:
        yield from _detail("The series", answer.series)
    if answer.series is not None or len(answer.occurrences) > 1:
        yield "\nOccurrences"
        for one in answer.occurrences:
            yield f"  {one.start:<25}  {one.standing.value:<13}  {one.event_id}\n      {one.words}"
    if answer.detail is not None:
        yield from _detail("Google says", answer.detail)
        yield from _sent(answer.detail)
        yield from _live(answer)
    if answer.window:
        start, end = answer.window
        read = f"{answer.last_read:%Y-%m-%d %H:%M:%S} UTC" if answer.last_read else "never"
        yield f"\nWindow {start:%Y-%m-%d} to {end:%Y-%m-%d} (UTC); calendar last read: {read}"


def _detail(heading: str, detail: Detail) -> Iterator[str]:
    facts = detail.google
    if facts is None:
        yield f"\n{heading}\n  nothing: it is not there any more, or could not be asked"
        return
    yield f"\n{heading}"
    if facts.title is not None:
        yield f"  title       {printable(facts.title) or '(none)'}"
    yield f"  event id    {facts.event_id}"
    yield f"  iCalUID     {facts.ical_uid}"
    if facts.series_id:
        yield f"  series      {facts.series_id}"
    yield f"  time        {facts.start} to {facts.end}{' (all day)' if facts.all_day else ''}"
    private = ", private or confidential" if facts.private else ""
    free = ", does not block the time" if facts.transparent else ""
    yield f"  kind        {facts.event_type}, {facts.status}{private}{free}"
    cut = ", list cut off by Google" if facts.attendees_cut_off else ""
    yield f"  attendees   {facts.attendees}, {facts.external} of them from outside{cut}"
    yield "\nPolicy"
    for step in detail.steps:
        mark = "->" if step.applies else "  "
        verdict = f" => {step.verdict.replace('_', ' ')}" if step.verdict else ""
        yield f"  {mark} {step.rule:<24} {step.why}{verdict}"
        yield from (f"       {where}" for where in step.configured)


def _sent(detail: Detail) -> Iterator[str]:
    yield "\nWhat is sent"
    if detail.payload is None:
        unknown = (detail.no_payload or "").startswith("unknown")
        yield f"  {'' if unknown else 'nothing: '}{detail.no_payload}"
    else:
        yield from (
            f"  {printable(line)}"
            for line in json.dumps(detail.payload, indent=2, ensure_ascii=False).split("\n")
        )
    yield "\nRequests"
    if not detail.requests:
        yield "  none in the journal (kept for 14 days)"
    for one in detail.requests:
        named = one.changed if one.upsert_type != "create" else ()
        changed = f" changed {', '.join(named)}" if named else ""
        kind = f" {one.upsert_type}" if one.upsert_type else ""
        now = " [what Google says now]" if one.same_content else ""
        yield (
            f"  {one.at:%Y-%m-%d %H:%M:%S} UTC  {one.status or 'no answer'}  {one.outcome}{kind}{changed}"
            f"  {one.cost:g} points  request id {one.request_id or 'none'}{now}"
        )
        if one.message:
            yield f"      {printable(one.message)}"


def _live(answer: Explanation) -> Iterator[str]:
    held = answer.detail.live if answer.detail else None
    if held is None:
        return
    yield f"\nSalesloft now ({answer.points:g} points)"
    if not held.found:
        yield "  holds nothing under this key"
        return
    text = "with text" if held.text else "no text"
    yield f"  {held.status}, {held.start} to {held.end}, {text}, updated_at {held.updated_at}"
    if held.differs:
        yield f"  differs in: {', '.join(held.differs)}"
    elif held.equal:
        yield "  exactly as it should be"
