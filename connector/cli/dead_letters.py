"""`gcal-salesloft dead-letters`: what Salesloft refused, why, and how to replay it. Works beside the daemon."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from connector.app import state_file
from connector.cli.exits import OK, USAGE
from connector.settings.files import load_settings
from connector.store import State, open_database, open_reader
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
            f"  {letter.reason}  (request {letter.request_id or 'unknown'})"
        )
    return OK


async def show_one(config: Path, *, event_id: str, user: str | None) -> int:
    chosen = [letter for letter in await _read(config, user) if letter.key.event_id == event_id]
    if not chosen:
        return _unknown(event_id, config)
    answer = [{**_facts(letter), "sent": json.loads(letter.payload)} for letter in chosen]
    print(json.dumps(answer, indent=2, ensure_ascii=False))  # noqa: T201  # the command's answer
    return OK


async def decide(
    config: Path, *, events: list[str], everything: bool, user: str | None, retry: bool
) -> int:
    state = State(open_database(state_file(load_settings(config))))
    try:
        letters = [le for le in await state.dead_letters() if user in (None, le.user)]
        known = {letter.key.event_id for letter in letters}
        for event_id in events:
            if event_id not in known:
                return _unknown(event_id, config)
        if not events and not everything:
            return _unknown("", config)
        chosen = [le for le in letters if everything or le.key.event_id in events]
        if retry:
            await state.retry_dead_letters(chosen, datetime.now(UTC))
        else:
            await state.discard_dead_letters(chosen)
    finally:
        state.close()
    done = "in line again: the daemon, or the next run, sends them" if retry else "discarded"
    print(f"{len(chosen)} dead letters {done}")  # noqa: T201  # the command's answer
    return OK


async def _read(config: Path, user: str | None) -> list[DeadLetter]:
    state = State(open_reader(state_file(load_settings(config))))
    try:
        return [letter for letter in await state.dead_letters() if user in (None, letter.user)]
    finally:
        state.close()


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


def _unknown(event_id: str, config: Path) -> int:
    wrong = f"no dead letter of event {event_id}" if event_id else "name event ids, or --all"
    print(  # noqa: T201  # the user's answer
        f"gcal-salesloft: {wrong}; see `gcal-salesloft dead-letters list --config {config}`",
        file=sys.stderr,
    )
    return USAGE
