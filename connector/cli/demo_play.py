"""The demo's three acts: the initial sync, the sellers' changes one by one, and the comparison of both sides."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from statistics import median

from connector.cli.demo_children import Child
from connector.cli.demo_company import SELLERS, Seller
from connector.cli.demo_control import Control, Facts
from connector.cli.demo_edits import Edit, Office, edits
from connector.cli.demo_judge import Comparison, Judge, Key, kind_of
from connector.cli.demo_show import Show

LOOK_SECONDS = 0.05
"""How often is looked whether something has arrived: the error of the seconds that are shown."""
QUIET_POLLS = 2
"""Complete polls of a calendar after which it is certain that nothing is sent of a change."""
MOST_DIFFERENCES = 20
_PEOPLE_TAKE_SECONDS = (0.3, 1.2)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of an edit; `holds`: what Salesloft has of it now, where that is one event."""

    text: str
    style: str
    holds: str = ""


@dataclass(slots=True)
class Play:
    """What runs, what is being done right now, and what came of it so far."""

    office: Office
    daemon: Child
    show: Show
    doing: str = ""
    differs: list[str] = field(default_factory=list)
    """What differed when it was looked last."""
    delays: list[float] = field(default_factory=list)
    needless: int = 0
    """Upserts for changes that were none to Salesloft."""
    unbooked: int = 0
    """Meetings booked in Salesloft that did not come back as booked."""

    @property
    def control(self) -> Control:
        return self.office.control

    @property
    def judge(self) -> Judge:
        return self.office.judge


async def initial_sync(play: Play) -> None:
    """Wait until Salesloft has all that is in the calendars."""
    play.doing = "waiting for the initial sync"
    play.show.heading("Initial sync")
    began = time.monotonic()
    with play.show.waiting("  the daemon reads three calendars and sends them to Salesloft …"):
        found = [await _same(play, seller, after=0) for seller in SELLERS]
    took = time.monotonic() - began
    requests = await play.control.requests()
    each = ", ".join(f"{one.seller.name} {one.wanted}" for one in found)
    play.show.line(
        f"  {sum(one.wanted for one in found)} occurrences of {len(found)} sellers ({each})"
        f" in {took:.1f} s: {_counted(len(requests), 'request')}, {_points(requests)} points"
    )


async def changes(play: Play, seed: int) -> None:
    """Every edit, and what became of it in Salesloft."""
    play.show.heading("Three sellers change their calendars")
    rng = Random(seed)  # noqa: S311  # how long people take
    for edit in edits():
        await asyncio.sleep(rng.uniform(*_PEOPLE_TAKE_SECONDS))
        play.doing = f"waiting for Salesloft after {edit.seller.name} {edit.done}"
        with play.show.waiting(f"{edit.seller.name} {edit.done} …"):
            outcome = await _kind_of_edit(edit)(play, edit)
        play.show.event(edit.seller.name, edit.done, outcome.text, outcome.style)
        if outcome.holds:
            play.show.line(f"{'':<15} Salesloft: {outcome.holds}", "dim")


def _kind_of_edit(edit: Edit) -> Callable[[Play, Edit], Awaitable[_Outcome]]:
    if edit.booking:
        return _booked
    return _unseen if edit.unseen else _seen


async def _seen(play: Play, edit: Edit) -> _Outcome:
    before = _by_key(await play.control.held(edit.seller))
    known = len(await play.control.requests())
    began = time.monotonic()
    await edit.do(play.office)
    outcome, took = await _arrived(play, edit, before, known, began)
    play.delays.append(took)
    return outcome


async def _booked(play: Play, edit: Edit) -> _Outcome:
    """Wait until the meeting is on the calendar and booked, then as for any other change."""
    before = _by_key(await play.control.held(edit.seller))
    known = len(await play.control.requests())
    began = time.monotonic()
    number = await edit.do(play.office)
    while (meeting := await play.control.meeting(number))["status"] == "pending":
        play.daemon.check()
        await asyncio.sleep(LOOK_SECONDS)
    took = time.monotonic() - began
    seen = await play.judge.wanted(play.control, edit.seller)
    key = (meeting["event_id"], meeting["i_cal_uid"])
    if meeting["status"] != "booked" or key not in {(one["id"], one["ical_uid"]) for one in seen}:
        play.unbooked += 1
        return _Outcome(f"{meeting['status']} in Salesloft, not on the calendar", "bold red")
    back, _ = await _arrived(play, edit, before, known, began)
    return _Outcome(f"Google after {took:.1f} s, booked; {back.text}", back.style, back.holds)


async def _arrived(
    play: Play, edit: Edit, before: dict[Key, Facts], known: int, began: float
) -> tuple[_Outcome, float]:
    """Wait until Salesloft has what the seller sees; what came of it, and after how many seconds since `began`."""
    await _same(play, edit.seller, after=known)
    took = time.monotonic() - began
    requests = _of(edit.seller, (await play.control.requests(known)))
    seen = {
        (one["id"], one["ical_uid"]): one
        for one in await play.judge.wanted(play.control, edit.seller)
    }
    now = _by_key(await play.control.held(edit.seller))
    changed = {key: event for key, event in now.items() if event != before.get(key)}
    kinds = Counter(_kind(before.get(key), event, seen.get(key)) for key, event in changed.items())
    sent = _counted(len(requests), "upsert") if requests else "in bulk"
    what = " + ".join(kind if len(kinds) == 1 else f"{n} {kind}" for kind, n in kinds.items())
    single = next(iter(changed.values())) if len(changed) == 1 else None
    outcome = _Outcome(
        f"Salesloft after {took:.1f} s ({sent}: {what})",
        "green",
        _holds(single, edit.seller) if single else "",
    )
    return outcome, took


async def _unseen(play: Play, edit: Edit) -> _Outcome:
    known = len(await play.control.requests())
    await edit.do(play.office)
    polls = await play.control.polls(edit.seller)
    while await play.control.polls(edit.seller) <= polls + QUIET_POLLS:
        play.daemon.check()
        await asyncio.sleep(LOOK_SECONDS)
    sent = _of(edit.seller, await play.control.requests(known))
    if sent:
        play.needless += len(sent)
        return _Outcome(f"{_counted(len(sent), 'upsert')}, though {edit.unseen}", "bold red")
    return _Outcome(f"nothing to send: {edit.unseen}", "cyan")


def _holds(event: Facts, seller: Seller) -> str:
    """What Salesloft holds of an event now, in a line."""
    start, end = (
        datetime.fromisoformat(event[of]).astimezone(seller.zone) for of in ("start", "end")
    )
    when = f"{start:%a %d %b %H:%M}–{end:%H:%M}"
    if event["status"] == "cancelled":
        return f"{when}, cancelled"
    if event["title"] is None or event["title"] == "":
        return f"{when}, busy; no title, no text, no people"
    free = ", free" if event["transparency"] == "transparent" else ""
    return f'{when}{free}, "{event["title"]}", {_counted(len(event["attendees"]), "attendee")}'


async def ending(play: Play) -> bool:
    """Compare both sides, occurrence by occurrence; whether they are equal, and everything before went well.

    That is: nothing was sent without need, and what was booked in Salesloft came back as booked.
    """
    play.doing = "comparing both sides"
    play.show.heading("Both sides, occurrence by occurrence")
    found = [await _compared(play, seller) for seller in SELLERS]
    for one in found:
        figures = (
            f"{one.equal}/{one.wanted} equal, {len(one.missing)} missing, {len(one.extra)} extra,"
            f" {len(one.different)} different"
        )
        name = f"{one.seller.name}:"
        play.show.parts((f"  {name:<6}", "bold"), (figures, "green" if one.same else "bold red"))
    differences = [line for one in found for line in one.differences]
    for line in differences[:MOST_DIFFERENCES]:
        play.show.line(f"  {line}", "red")
    points = _points(await play.control.requests())
    play.show.line()
    play.show.line(
        f"{_counted(len(play.delays), 'change')} arrived after {median(play.delays):.1f} s (median),"
        f" {max(play.delays):.1f} s (slowest), polling every second. {points} points spent."
    )
    return not (differences or play.needless or play.unbooked)


async def _same(play: Play, seller: Seller, *, after: int) -> Comparison:
    """Wait until Salesloft, after request number `after`, has what the seller sees now."""
    wanted = await play.judge.wanted(play.control, seller)
    looked_at = after
    while True:
        play.daemon.check()
        count = len(await play.control.requests())
        if count != looked_at:
            looked_at = count
            found = play.judge.compare(seller, wanted, await play.control.held(seller))
            play.differs = found.differences
            if found.same:
                return found
        await asyncio.sleep(LOOK_SECONDS)


async def _compared(play: Play, seller: Seller) -> Comparison:
    wanted = await play.judge.wanted(play.control, seller)
    return play.judge.compare(seller, wanted, await play.control.held(seller))


def _by_key(held: list[Facts]) -> dict[Key, Facts]:
    return {(one["id"], one["i_cal_uid"]): one for one in held}


def _of(seller: Seller, requests: list[Facts]) -> list[Facts]:
    """The requests that wrote one event of the seller."""
    return [one for one in requests if one["key"] and one["key"][0] == seller.calendar_id]


def _kind(before: Facts | None, now: Facts, seen: Facts | None) -> str:
    """What happened to an event in Salesloft, in a few words."""
    if seen is None or now["status"] == "cancelled":
        return "cancelled"
    words = [kind_of(seen)]
    if before is not None:
        if before["title"] and not now["title"]:
            words.append("text blanked")
        if before["transparency"] != now["transparency"] == "transparent":
            words.append("time is free")
    return ", ".join(words)


def _points(requests: list[Facts]) -> int:
    return sum(int(one["cost"]) for one in requests)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
