"""`resync`, `pause` and `resume`: one user's readings, decided by an admin. The daemon acts within seconds."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import typer

from connector.app import state_place
from connector.cli.exits import OK, WrongCommandLine
from connector.settings.files import load_settings
from connector.settings.model import Settings
from connector.store import CalendarState, State, is_locked, leaving, open_database
from connector.store import calendars as rows

Verb = Literal["resync", "pause", "resume"]


@dataclass(frozen=True, slots=True)
class Steered:
    """What was decided. `pass_id` is of `resync` only; `daemon`: one runs and acts at once."""

    user: str
    did: Verb
    daemon: bool
    pass_id: str | None
    message: str


async def run(config: Path, user: str, verb: Verb, *, as_json: bool) -> int:
    settings = load_settings(config)
    path = state_place(settings)
    daemon = is_locked(path)
    if not path.exists() and user not in {one.name for one in settings.users}:
        raise _unknown(user, [one.name for one in settings.users])
    state = State(open_database(path))
    try:
        row = await _row(settings, state, user)
        pass_id = await _steer(state, row, verb)
    finally:
        state.close()
    answer = Steered(user, verb, daemon, pass_id, _message(row, verb, pass_id, daemon=daemon))
    if as_json:
        shown = {
            "user": answer.user,
            "did": answer.did,
            "daemon": answer.daemon,
            "pass_id": answer.pass_id,
            "message": answer.message,
        }
        typer.echo(json.dumps(shown, indent=2))
    else:
        typer.echo(f"{user}: {answer.message}")
    return OK


async def _row(settings: Settings, state: State, name: str) -> CalendarState:
    """The user's row, also of one whose file is gone."""
    for user in settings.users:
        if user.name == name:
            return await state.calendar(user.salesloft.user_guid, user.name)
    known = await state.calendars()
    for row in known:
        if row.name == name:
            return row
    raise _unknown(name, [*(user.name for user in settings.users), *(row.name for row in known)])


def _unknown(name: str, names: list[str]) -> WrongCommandLine:
    return WrongCommandLine(f"no user {name!r}; there are: {', '.join(sorted(set(names)))}")


async def _steer(state: State, row: CalendarState, verb: Verb) -> str | None:
    now = datetime.now(UTC)
    if verb == "resync":
        return await state.run(lambda c: rows.ask_resync(c, row.id, secrets.token_hex(4)))
    if verb == "pause":
        await state.run(lambda c: rows.pause(c, row.id, now))
    else:
        await state.run(lambda c: rows.resume(c, row.id))
        if row.left_at is not None:
            await state.run(lambda c: leaving.forget_left(c, row.id))
    return None


def _message(row: CalendarState, verb: Verb, pass_id: str | None, *, daemon: bool) -> str:
    when = "at once" if daemon else "with the next run (no daemon runs now)"
    if verb == "pause":
        return f"paused {when}: neither read nor sent until `gcal-salesloft resume`; what waits is kept"
    if verb == "resume":
        if row.paused_since is None and row.left_at is None:
            return "was not paused; nothing changed"
        how = (
            "read in full and compared with Salesloft"
            if row.left_at is not None
            else "served again"
        )
        return f"{how} {when}{_hindrance(row)}"
    paused = row.paused_since is not None or row.left_at is not None
    if paused:
        return f"full pass {pass_id} asked for, but the user is paused: it comes after `gcal-salesloft resume`"
    return (
        f"full pass {pass_id} {when}: everything is listed anew and differences are sent;"
        f" `gcal-salesloft status` shows when it is done{_hindrance(row)}"
    )


def _hindrance(row: CalendarState) -> str:
    if row.disconnected_since is None:
        return ""
    return (
        f"; but nothing is read before the user's calendar type in Salesloft is external again"
        f" (it is {row.calendar_type!r})"
    )
