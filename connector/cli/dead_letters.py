"""`gcal-salesloft dead-letters`: what Salesloft refused, why, and how to replay it. Works beside the daemon."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from connector.app import state_place
from connector.cli.exits import OK, WrongCommandLine
from connector.cli.printable import printable
from connector.settings.files import load_settings
from connector.settings.model import Settings
from connector.store import State, no_state, open_database, open_reader
from connector.store.dead_letters import DeadLetter


async def show_all(config: Path, *, user: str | None, as_json: bool) -> int:
    letters = await _read(config, user)
    if as_json:
        rows = [_facts(letter) for letter in letters]
        print(json.dumps({"dead_letters": rows}, indent=2))  # noqa: T201  # the command's answer
        return OK
    if not letters:
        print("no dead letters")  # noqa: T201  # the command's answer
    for letter in letters:
        print(  # noqa: T201  # the command's answer
            f"{letter.user}  {letter.at:%Y-%m-%d %H:%M} UTC  {letter.key.event_id}  {letter.status}"
            f"  {printable(letter.reason)}  (request {letter.request_id or 'unknown'})"
        )
    return OK


async def show_one(config: Path, *, event_id: str, user: str | None) -> int:
    chosen = [letter for letter in await _read(config, user) if letter.key.event_id == event_id]
    if not chosen:
        raise _wrong(f"no dead letter of event {event_id}", config)
    answer = [{**_facts(letter), "sent": json.loads(letter.payload)} for letter in chosen]
    print(json.dumps(answer, indent=2, ensure_ascii=False))  # noqa: T201  # the command's answer
    return OK


async def decide(
    config: Path,
    *,
    events: list[str],
    everything: bool,
    user: str | None,
    retry: bool,
    as_json: bool,
) -> int:
    settings = load_settings(config)
    path = state_place(settings)
    if not events and not everything:
        raise _wrong("name event ids, or --all", config)
    if not path.exists():
        raise no_state(path)
    state = State(open_database(path))
    try:
        letters = await _letters(settings, state, user)
        known = {letter.key.event_id for letter in letters}
        for event_id in events:
            if event_id not in known:
                raise _wrong(f"no dead letter of event {event_id}", config)
        chosen = [le for le in letters if everything or le.key.event_id in events]
        if retry:
            await state.retry_dead_letters(chosen, datetime.now(UTC))
        else:
            await state.discard_dead_letters(chosen)
    finally:
        state.close()
    if as_json:
        ids = [le.key.event_id for le in chosen]
        answer = {"did": "retry" if retry else "discard", "event_ids": ids}
        print(json.dumps(answer, indent=2))  # noqa: T201  # the command's answer
        return OK
    done = "in line again: the daemon, or the next run, sends them" if retry else "discarded"
    print(f"{len(chosen)} dead letters {done}")  # noqa: T201  # the command's answer
    return OK


async def _read(config: Path, user: str | None) -> list[DeadLetter]:
    settings = load_settings(config)
    state = State(open_reader(state_place(settings)))
    try:
        return await _letters(settings, state, user)
    finally:
        state.close()


async def _letters(settings: Settings, state: State, user: str | None) -> list[DeadLetter]:
    """One user's, or all. A mistyped name must not look like a user without any."""
    if user is not None:
        names = {str(one.name) for one in settings.users} | {one.name for one in settings.broken}
        names |= {row.name for row in await state.calendars()}
        if user not in names:
            raise WrongCommandLine(f"no user {user!r}; there are: {', '.join(sorted(names))}")
    return [letter for letter in await state.dead_letters() if user in (None, letter.user)]


def _facts(letter: DeadLetter) -> dict[str, object]:
    return {
        "user": letter.user,
        "event_id": letter.key.event_id,
        "ical_uid": letter.key.ical_uid,
        "at": letter.at.isoformat(timespec="seconds"),
        "status": letter.status,
        "reason": letter.reason,
        "request_id": letter.request_id,
    }


def _wrong(what: str, config: Path) -> WrongCommandLine:
    return WrongCommandLine(f"{what}; see `gcal-salesloft dead-letters list --config {config}`")
