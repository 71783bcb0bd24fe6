"""`gcal-salesloft status`: how each user stands, from the state alone. Works beside the daemon."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connector.app import state_place
from connector.cli.exits import OK
from connector.cli.status_nodes import nodes_of, print_nodes, teams_of
from connector.settings.files import load_settings
from connector.settings.model import Settings
from connector.store import CalendarState, State, nodes, open_reader
from connector.store.bookings import counts_of, failed_bookings
from connector.store.channels import standing_of
from connector.store.connection import Connection as StateConnection
from connector.store.verifications import Verified
from connector.store.verifications import last as last_verified

TOLD_FOR = timedelta(days=7)
"""How long a failed booking is told of."""


@dataclass(frozen=True, slots=True)
class UserStatus:
    """One user's line. Times are ISO 8601 in UTC; ages are seconds.

    `connection` is `ok`, why it is parked, `left`, `not_external` or `paused`, since `connection_since`; `lost_since`:
    access is lost for good as far as evidence goes; `banner`: Salesloft shows the user that the connection failed.
    """

    user: str
    connection: str
    last_sync: str | None
    last_sync_age: int | None
    last_full_sync: str | None
    tracked: int
    pending: int
    oldest_pending_age: int | None
    held: int
    dead_letters: int
    set_aside: int
    message: str | None
    connection_since: str | None = None
    lost_since: str | None = None
    banner: bool = False
    calendar_type: str | None = None
    freshness: int | None = None
    """How old what Salesloft holds may be at most: since the oldest unsent change, or else the last sync."""
    resync: dict[str, object] | None = None
    """The last full pass that `resync` asked for: its id, and when it was done; None: none was."""
    verified: dict[str, object] | None = None
    """How the last `verify` came out, the command's or the daemon's of the night; None: never."""
    bookings: dict[str, object] | None = None
    """Meetings booked in Salesloft: how many are `booked`, `open`, `cancelled`, and `failed` in the last 7 days; the
    last failure's `meeting`, `failed_at` and `message`. None: no calendar yet."""
    push: dict[str, object] | None = None
    """Google's notifications: `state` is `healthy`, `quiet`, `unproved`, `waiting`, or why there is no channel;
    `since`, `until` (the channel's end), `last_notification` and `message`. None: `[google.push]` has no address."""


async def run(config: Path, *, as_json: bool) -> int:
    settings = load_settings(config)
    state = State(open_reader(state_place(settings)))
    try:
        users = await _statuses(settings, state)
        differences = await state.held()
        view = await state.run(nodes.view) if settings.process.engine == "distributed" else None
    finally:
        state.close()
    if as_json:
        answer: dict[str, object] = {
            "users": [asdict(user) for user in users],
            "held": [{"id": held.id, "user": held.user, "gone": held.gone} for held in differences],
        }
        if view is not None:
            answer["nodes"] = [asdict(node) for node in nodes_of(view, settings.process.lease)]
            answer["teams"] = [asdict(team) for team in teams_of(view)]
        print(json.dumps(answer, indent=2))  # noqa: T201  # the command's answer
        return OK
    if view is not None:
        print_nodes(view, settings.process.lease)
    for user in users:
        _print(user)
    for held in differences:
        print(  # noqa: T201  # the command's answer
            f"held {held.id}: {held.gone} of {held.tracked} events of {held.user} would be cancelled;"
            " see `gcal-salesloft held list`"
        )
    return OK


async def _statuses(settings: Settings, state: State) -> list[UserStatus]:
    rows = {row.user_guid: row for row in await state.calendars()}
    now = datetime.now(UTC)
    found = [
        await _status(
            user.name,
            rows.get(user.salesloft.user_guid),
            state,
            now,
            pushed=user.google.push.address is not None,
        )
        for user in settings.users
    ]
    if settings.template is not None:  # users need no file: the state knows them
        named = {user.salesloft.user_guid for user in settings.users}
        broken_names = {broken.name for broken in settings.broken}
        pushed = settings.template.prototype.google.push.address is not None
        found += [
            await _status(row.name, row, state, now, pushed=pushed)
            for guid, row in rows.items()
            if guid not in named and row.settings_id and row.name not in broken_names
        ]
    for broken in settings.broken:
        mistake = str(broken.mistakes[0])
        found.append(
            UserStatus(broken.name, "misconfigured", None, None, None, 0, 0, None, 0, 0, 0, mistake)
        )
    return found


async def _status(
    name: str, row: CalendarState | None, state: State, now: datetime, *, pushed: bool = False
) -> UserStatus:
    if row is None:
        return UserStatus(name, "never read", None, None, None, 0, 0, None, 0, 0, 0, None)
    backlog = await state.backlog([row.id])
    oldest = await state.oldest_pending(row.id)
    connection, since, message = _connection(row)
    return UserStatus(
        user=name,
        connection=connection,
        last_sync=_iso(row.last_success),
        last_sync_age=_age(row.last_success, now),
        last_full_sync=_iso(row.last_full),
        tracked=await state.tracked(row.id),
        pending=backlog.pending,
        oldest_pending_age=_age(oldest, now),
        held=backlog.held,
        dead_letters=backlog.dead_letters,
        set_aside=backlog.set_aside,
        message=message,
        connection_since=_iso(since),
        lost_since=_iso(row.lost_since),
        banner=row.banner_since is not None,
        calendar_type=row.calendar_type,
        freshness=max(filter(None, (_age(row.last_success, now), _age(oldest, now))), default=0)
        if row.last_success is not None
        else None,
        resync=_resync(row),
        verified=_verified(await state.run(lambda c: last_verified(c, row.id))),
        bookings=await state.run(lambda c: _bookings(c, row.id, now)),
        push=await state.run(lambda c: _push(c, row.id, now)) if pushed and row.is_served else None,
    )


def _push(connection: StateConnection, calendar: int, now: datetime) -> dict[str, object]:
    found = standing_of(connection, calendar, now)
    return {
        "state": found.state,
        "since": _iso(found.since),
        "until": _iso(found.expires),
        "last_notification": _iso(found.notified),
        "message": found.message,
    }


def _bookings(connection: StateConnection, calendar: int, now: datetime) -> dict[str, object]:
    counts = counts_of(connection, calendar)
    failed = [one for one in failed_bookings(connection, calendar) if now - one.at <= TOLD_FOR]
    last = failed[-1] if failed else None
    return {
        "booked": counts.get("booked", 0),
        "open": sum(counts.get(state, 0) for state in ("booking", "inserted", "moving")),
        "cancelled": counts.get("cancelled", 0),
        "failed": len(failed),
        "meeting": last.meeting_id if last else None,
        "failed_at": _iso(last.at) if last else None,
        "message": last.message if last else None,
    }


def _resync(row: CalendarState) -> dict[str, object] | None:
    if row.resync_asked is None:
        return None
    done = row.resync_asked == row.resync_done
    return {"id": row.resync_asked, "done_at": _iso(row.resync_done_at) if done else None}


def _verified(result: Verified | None) -> dict[str, object] | None:
    if result is None:
        return None
    return asdict(result) | {"at": _iso(result.at), "clean": result.clean}


def _connection(row: CalendarState) -> tuple[str, datetime | None, str | None]:
    """How a user's connection stands, since when, and what to do."""
    if row.left_at is not None:
        message = "offboarded; remove the user's file, or `gcal-salesloft resume` to serve this user again"
        return "left", row.left_at, message
    if row.disconnected_since is not None:
        message = (
            f"calendar type in Salesloft is '{row.calendar_type}', not 'external': nothing is sent; the user chooses"
            " the external calendar in Salesloft's calendar settings to be served again"
        )
        return "not_external", row.disconnected_since, message
    if row.paused_since is not None:
        return "paused", row.paused_since, "`gcal-salesloft resume` serves this user again"
    if row.parked_reason is not None:
        return row.parked_reason.value, row.parked_since, row.parked_message
    return "ok", None, None


def _print(user: UserStatus) -> None:
    age = "never" if user.last_sync_age is None else f"{user.last_sync_age} s ago"
    connection = f"{user.user}: {user.connection}"
    if user.connection_since is not None:
        connection += f" since {user.connection_since}"
    parts = [connection]
    if user.lost_since is not None:
        shown = "banner shown" if user.banner else "banner not shown"
        parts.append(f"access lost since {user.lost_since} ({shown} in Salesloft)")
    elif user.banner:
        parts.append("banner shown in Salesloft")
    parts += [f"last sync {age}", f"{user.tracked} tracked"]
    waiting = f"{user.pending} waiting"
    if user.oldest_pending_age is not None:
        waiting += f" (oldest {user.oldest_pending_age} s)"
    parts += [waiting, f"{user.held} held", f"{user.dead_letters} refused"]
    if user.set_aside:
        parts.append(f"{user.set_aside} unreadable")
    print(", ".join(parts))  # noqa: T201  # the command's answer
    if user.verified is not None:
        told = user.verified
        counts = [f"{told[name]} {name}" for name in ("equal", "missing", "extra", "different")]
        counts += [
            f"{told[name]} {name}" for name in ("leaks", "out_of_step", "waiting") if told[name]
        ]
        print(f"  verified {told['at']}: {', '.join(counts)}")  # noqa: T201  # the command's answer
    if user.push is not None:
        told = user.push
        since = f" since {told['since']}" if told["since"] else ""
        line = f"  push: {told['state']}{since}"
        if told["until"]:  # there is a channel
            line += f", last notification {told['last_notification'] or 'none yet'}"
        line += f": {told['message']}" if told["message"] else ""
        print(line)  # noqa: T201  # the command's answer
    if user.resync is not None:
        done = f"done at {user.resync['done_at']}" if user.resync["done_at"] else "not done yet"
        print(f"  resync {user.resync['id']}: {done}")  # noqa: T201  # the command's answer
    if user.bookings is not None and user.bookings["failed"]:
        told = user.bookings
        print(  # noqa: T201  # the command's answer
            f"  {told['failed']} failed bookings in 7 days, the last at {told['failed_at']}:"
            f" Salesloft's meeting {told['meeting']}: {told['message']}"
        )
    if user.message:
        print(f"  {user.message}")  # noqa: T201  # the command's answer


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def _age(moment: datetime | None, now: datetime) -> int | None:
    return max(0, round((now - moment).total_seconds())) if moment else None
