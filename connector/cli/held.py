"""`gcal-salesloft held`: what was held back for a human, and the decision. Works beside the daemon."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from connector.app import state_file
from connector.cli.exits import OK, USAGE
from connector.settings.files import load_settings
from connector.store import State, open_database, open_reader


async def show(config: Path, *, as_json: bool) -> int:
    state = State(open_reader(state_file(load_settings(config))))
    try:
        differences = await state.held()
    finally:
        state.close()
    if as_json:
        rows = [
            {
                "id": held.id,
                "user": held.user,
                "at": held.at.isoformat(timespec="seconds"),
                "gone": held.gone,
                "tracked": held.tracked,
                "waiting": held.waiting,
            }
            for held in differences
        ]
        print(json.dumps({"held": rows}, indent=2))  # noqa: T201  # the command's answer
        return OK
    if not differences:
        print("nothing is held")  # noqa: T201  # the command's answer
    for held in differences:
        print(  # noqa: T201  # the command's answer
            f"{held.id}  {held.user}  {held.at:%Y-%m-%d %H:%M} UTC  {held.gone} of {held.tracked} events are"
            f" gone from Google without its confirmation; {held.waiting} upserts are held.\n"
            f"   Look at the calendar. Were they really deleted: `gcal-salesloft held release {held.id}"
            f" --config {config}`; else `… held discard {held.id} …`"
        )
    return OK


async def decide(config: Path, ids: list[int] | None, everything: bool, *, release: bool) -> int:
    state = State(open_database(state_file(load_settings(config))))
    try:
        known = {held.id: held for held in await state.held()}
        chosen = list(known) if everything else list(ids or ())
        unknown = [number for number in chosen if number not in known]
        if unknown or (not chosen and not everything):
            wrong = f"no held difference {unknown[0]}" if unknown else "name an id, or --all"
            print(  # noqa: T201  # the user's answer
                f"gcal-salesloft: {wrong}; see `gcal-salesloft held list --config {config}`",
                file=sys.stderr,
            )
            return USAGE
        rows = await (state.release_held(chosen) if release else state.discard_held(chosen))
    finally:
        state.close()
    done = "released: the daemon, or the next run, sends them" if release else "discarded"
    print(f"{rows} upserts {done}")  # noqa: T201  # the command's answer
    return OK
