"""What Salesloft's meeting settings say of users, and what follows for their calendars; judged in the transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from connector.domain.mapping import UNCERTAIN, from_millis, to_millis
from connector.domain.model import UserGuid, UserName
from connector.domain.roster import EXTERNAL, Change, change_of
from connector.store.calendars import of_user
from connector.store.connection import Connection

_CURSOR, _MEMBERS = "settings updated_at", "settings members"
_OF_CALENDAR = (
    "bulk_items",
    "outbox",
    "held",
    "dead_letters",
    "set_aside",
    "journal",
    "bookings",
    "verifications",
    "occurrences",
)
"""Every table that holds something of a calendar, those that refer to others first."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a look-up says of one user. `calendar_type` is empty where it does not say; `banner_up` None likewise."""

    guid: UserGuid
    name: UserName
    settings_id: str
    calendar_type: str
    banner_up: bool | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """What waited for a user who left: `rows` dropped, `cancels` of them cancellations, `in_job` not to be recalled."""

    rows: int = 0
    cancels: int = 0
    in_job: int = 0


@dataclass(frozen=True, slots=True)
class Transition:
    """What became of one user's connection."""

    calendar: int
    guid: UserGuid
    name: UserName
    change: Change
    calendar_type: str
    dropped: Dropped = Dropped()


def note(connection: Connection, told: Iterable[Told], now: datetime) -> list[Transition]:
    """Keep what a look-up says, and what follows from it: a user who left waits for nothing any more."""
    transitions = []
    for one in told:
        calendar = of_user(connection, one.guid, one.name)
        disconnected = calendar.disconnected_since is not None
        change = change_of(calendar.calendar_type, one.calendar_type, disconnected=disconnected)
        connection.execute(
            """UPDATE calendars SET settings_id = coalesce(nullif(?, ''), settings_id),
                   calendar_type = coalesce(nullif(?, ''), calendar_type), settings_ms = ? WHERE id = ?""",
            (one.settings_id, one.calendar_type, to_millis(now), calendar.id),
        )
        dropped = Dropped()
        if change is Change.LEFT:
            dropped = _leave(connection, calendar.id, now)
        elif change is Change.RETURNED:
            _return(connection, calendar.id)
        elif disconnected:
            _drop(connection, calendar.id)  # what was in flight then, and failed since
        if one.banner_up and one.calendar_type == EXTERNAL:
            # Put up by an earlier installation, or before the state was lost: ours to take down.
            connection.execute(
                "UPDATE calendars SET banner_ms = coalesce(banner_ms, ?) WHERE id = ?",
                (to_millis(now), calendar.id),
            )
        if change is not None:
            transitions.append(
                Transition(calendar.id, one.guid, one.name, change, one.calendar_type, dropped)
            )
    return transitions


def reconnect(connection: Connection, guids: Iterable[UserGuid]) -> list[tuple[int, UserName]]:
    """Serve these users again whatever Salesloft said once: the files alone decide now."""
    found = connection.execute(
        "SELECT id, name FROM calendars WHERE disconnected_ms IS NOT NULL"
        " AND user_guid IN (SELECT value FROM json_each(?))",
        (json.dumps(list(guids)),),
    ).fetchall()
    for row in found:
        _return(connection, row[0])
        connection.execute("UPDATE calendars SET calendar_type = NULL WHERE id = ?", (row[0],))
    return [(row[0], UserName(row[1])) for row in found]


def purge_disconnected(connection: Connection, before: datetime) -> list[UserName]:
    """Forget everything of calendars whose users left before a moment, but that they did; gives their names."""
    found = connection.execute(
        """SELECT id, name FROM calendars c WHERE disconnected_ms < ? AND (
               sync_token IS NOT NULL OR EXISTS (SELECT 1 FROM occurrences o WHERE o.calendar_id = c.id)
               OR EXISTS (SELECT 1 FROM journal j WHERE j.calendar_id = c.id)
               OR EXISTS (SELECT 1 FROM dead_letters d WHERE d.calendar_id = c.id)
               OR EXISTS (SELECT 1 FROM outbox b WHERE b.calendar_id = c.id))""",
        (to_millis(before),),
    ).fetchall()
    for row in found:
        for table in _OF_CALENDAR:
            connection.execute(f"DELETE FROM {table} WHERE calendar_id = ?", (row[0],))  # noqa: S608  # own names
        connection.execute(
            """UPDATE calendars SET sync_token = NULL, token_fingerprint = NULL, time_zone = NULL, access_role = NULL,
                   listed_from = NULL, listed_until = NULL, last_success = NULL, last_full = NULL, compared = FALSE,
                   parked_reason = NULL, parked_message = NULL, parked_since = NULL, refusals = 0,
                   refused_since = NULL, lost_ms = NULL, credentials = NULL, credentials_since = NULL
               WHERE id = ?""",
            (row[0],),
        )
    return [UserName(row[1]) for row in found]


def cursor(connection: Connection, team: str) -> datetime | None:
    """Up to when a team's settings were looked up, in Salesloft's own time."""
    text = _value(connection, team, _CURSOR)
    return from_millis(int(text)) if text is not None else None


def keep_cursor(connection: Connection, team: str, at: datetime) -> None:
    _keep(connection, team, _CURSOR, str(to_millis(at)))


def members(connection: Connection, team: str) -> frozenset[UserGuid]:
    """The users of a team who are served without a file."""
    return frozenset(json.loads(_value(connection, team, _MEMBERS) or "[]"))


def keep_members(connection: Connection, team: str, guids: Iterable[UserGuid]) -> None:
    _keep(connection, team, _MEMBERS, json.dumps(sorted(guids)))


def banner_up(connection: Connection, calendar: int, since: datetime | None) -> None:
    """The user's banner is up (since when we know it), or down."""
    connection.execute(
        "UPDATE calendars SET banner_ms = ? WHERE id = ?",
        (to_millis(since) if since is not None else None, calendar),
    )


def forget_settings(connection: Connection, calendar: int) -> None:
    """Salesloft no longer knows these settings."""
    connection.execute("UPDATE calendars SET settings_id = NULL WHERE id = ?", (calendar,))


def _leave(connection: Connection, calendar: int, now: datetime) -> Dropped:
    connection.execute(
        "UPDATE calendars SET disconnected_ms = ?, refusals = 0, refused_since = NULL, lost_ms = NULL WHERE id = ?",
        (to_millis(now), calendar),
    )
    return _drop(connection, calendar)


def _drop(connection: Connection, calendar: int) -> Dropped:
    """Empty the calendar's line. What is in flight settles by its answer; what a job holds cannot be taken back."""
    # Records of a job that Salesloft does not have yet are still ours.
    connection.execute(
        """UPDATE outbox SET in_flight = FALSE WHERE calendar_id = :calendar AND EXISTS (
               SELECT 1 FROM bulk_items i WHERE i.calendar_id = :calendar AND NOT i.loaded
               AND i.event_id = outbox.event_id AND i.ical_uid = outbox.ical_uid)""",
        {"calendar": calendar},
    )
    connection.execute("DELETE FROM bulk_items WHERE calendar_id = ? AND NOT loaded", (calendar,))
    rows, cancels = connection.execute(
        "SELECT count(*), coalesce(sum(CASE WHEN cancels THEN 1 ELSE 0 END), 0) FROM outbox"
        " WHERE calendar_id = ? AND NOT in_flight",
        (calendar,),
    ).fetchone()
    connection.execute("DELETE FROM outbox WHERE calendar_id = ? AND NOT in_flight", (calendar,))
    connection.execute(
        "DELETE FROM held WHERE calendar_id = ? AND NOT EXISTS (SELECT 1 FROM outbox b WHERE b.held_id = held.id)",
        (calendar,),
    )
    (in_job,) = connection.execute(
        "SELECT count(*) FROM bulk_items WHERE calendar_id = ?", (calendar,)
    ).fetchone()
    return Dropped(rows, cancels, in_job)


def _return(connection: Connection, calendar: int) -> None:
    """The next reading is a full one that compares with Salesloft's list: nobody knows what happened there since."""
    _drop(connection, calendar)
    connection.execute(
        """UPDATE calendars SET disconnected_ms = NULL, sync_token = NULL, compared = FALSE, listed_from = NULL,
               listed_until = NULL WHERE id = ?""",
        (calendar,),
    )
    connection.execute(
        "UPDATE occurrences SET accepted = ? WHERE calendar_id = ? AND (accepted IS NOT NULL OR ours)",
        (UNCERTAIN, calendar),
    )


def _value(connection: Connection, scope: str, name: str) -> str | None:
    row = connection.execute(
        "SELECT value FROM cursors WHERE scope = ? AND name = ?", (scope, name)
    ).fetchone()
    return str(row[0]) if row is not None else None


def _keep(connection: Connection, scope: str, name: str, value: str) -> None:
    connection.execute(
        "INSERT INTO cursors (scope, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT (scope, name) DO UPDATE SET value = excluded.value",
        (scope, name, value),
    )
