"""`gcal-salesloft held`: what was held back for a human, and the decision. Works beside the daemon."""

from __future__ import annotations

import json
from pathlib import Path

from connector.app import state_place
from connector.cli.exits import OK, WrongCommandLine
from connector.settings.files import load_settings
from connector.store import State, no_state, open_database, open_reader


async def show(config: Path, *, as_json: bool) -> int:
    state = State(open_reader(state_place(load_settings(config))))
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


async def decide(
    config: Path, ids: list[int] | None, everything: bool, *, release: bool, as_json: bool
) -> int:
    path = state_place(load_settings(config))
    if not ids and not everything:
        raise _wrong("name an id, or --all", config)
    if not path.exists():
        raise no_state(path)
    state = State(open_database(path))
    try:
        known = {held.id: held for held in await state.held()}
        chosen = list(known) if everything else list(ids or ())
        unknown = [number for number in chosen if number not in known]
        if unknown:
            raise _wrong(f"no held difference {unknown[0]}", config)
        rows = await (state.release_held(chosen) if release else state.discard_held(chosen))
    finally:
        state.close()
    if as_json:
        answer = {"did": "release" if release else "discard", "ids": chosen, "upserts": rows}
        print(json.dumps(answer, indent=2))  # noqa: T201  # the command's answer
        return OK
    done = "released: the daemon, or the next run, sends them" if release else "discarded"
    print(f"{rows} upserts {done}")  # noqa: T201  # the command's answer
    return OK


def _wrong(what: str, config: Path) -> WrongCommandLine:
    return WrongCommandLine(f"{what}; see `gcal-salesloft held list --config {config}`")
