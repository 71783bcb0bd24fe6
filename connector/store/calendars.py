"""One row a user: the token and its ledger, how the connection stands, and what an admin decided."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connector.domain.connection import Evidence, after_refusal
from connector.domain.errors import ParkReason
from connector.domain.mapping import from_millis, to_millis
from connector.domain.model import SyncToken, UserGuid, UserName
from connector.domain.window import Window
from connector.store.connection import Connection

_COLUMNS = (
    "id, user_guid, name, sync_token, token_fingerprint, time_zone, access_role, listed_from, listed_until,"
    " last_success, last_full, compared, parked_reason, parked_message, parked_since, refusals, refused_since,"
    " lost_ms, banner_ms, credentials, credentials_since, settings_id, calendar_type, settings_ms, disconnected_ms,"
    " paused_ms, left_ms, resync_asked, resync_done, resync_done_ms,"
    " (SELECT value FROM cursors WHERE scope = 'erasure' AND name = 'set')"
)
_CALENDARS = f"SELECT {_COLUMNS} FROM calendars ORDER BY name"  # noqa: S608  # own names
_CALENDAR = f"SELECT {_COLUMNS} FROM calendars WHERE user_guid = ?"  # noqa: S608  # own names


class CalendarState(msgspec.Struct, frozen=True, gc=False):
    """One user's calendar as it was last committed. `listed` are the days that were last listed.

    `refusals` counts those since `refused_since` that may mean that access is lost for good; `lost_since` that it is.
    `banner_since`: the user's red banner is up, put there by us. `credentials` is a one-way name of those that last
    served. `disconnected_since`: no longer `external` in Salesloft. `resync_asked` and `resync_done` are ids of passes.
    `erased` names the set of people who were erased, the same for every calendar; empty while there is nobody.
    """

    id: int
    user_guid: UserGuid
    name: UserName
    token: SyncToken | None = None
    token_fingerprint: str | None = None
    time_zone: str | None = None
    access_role: str | None = None
    listed: Window | None = None
    last_success: datetime | None = None
    last_full: datetime | None = None
    compared: bool = False
    parked_reason: ParkReason | None = None
    parked_message: str | None = None
    parked_since: datetime | None = None
    refusals: int = 0
    refused_since: datetime | None = None
    lost_since: datetime | None = None
    banner_since: datetime | None = None
    credentials: str | None = None
    credentials_since: datetime | None = None
    settings_id: str | None = None
    calendar_type: str | None = None
    settings_at: datetime | None = None
    disconnected_since: datetime | None = None
    paused_since: datetime | None = None
    left_at: datetime | None = None
    resync_asked: str | None = None
    resync_done: str | None = None
    resync_done_at: datetime | None = None
    erased: str = ""

    @property
    def is_served(self) -> bool:
        """False while nothing is to be read for this user: paused, left, or no longer connected in Salesloft."""
        return (
            self.paused_since is None and self.left_at is None and self.disconnected_since is None
        )

    @property
    def resync_is_due(self) -> bool:
        """A human asked for a full pass that is not done yet."""
        return self.resync_asked is not None and self.resync_asked != self.resync_done


def of_user(connection: Connection, guid: UserGuid, name: UserName) -> CalendarState:
    """The calendar of a user, made if it is new."""
    row = connection.execute(_CALENDAR, (guid,)).fetchone()
    if row is None:
        connection.execute("INSERT INTO calendars (user_guid, name) VALUES (?, ?)", (guid, name))
        row = connection.execute(_CALENDAR, (guid,)).fetchone()
    elif row[2] != name:
        connection.execute("UPDATE calendars SET name = ? WHERE id = ?", (name, row[0]))
        row = connection.execute(_CALENDAR, (guid,)).fetchone()
    return _to_calendar(row)


def some(
    connection: Connection, guids: Collection[UserGuid], settings_ids: Collection[str] = ()
) -> list[CalendarState]:
    """Those of these users, and those that Salesloft's settings of these ids belong to, by name."""
    ids = {
        row[0]: row
        for column, values in (("user_guid", guids), ("settings_id", settings_ids))
        if values  # one at a time: with both in one condition, no index serves
        for row in connection.execute(
            f"SELECT {_COLUMNS} FROM calendars"  # noqa: S608  # own names
            f" WHERE {column} IN (SELECT value FROM json_each(?))",
            (json.dumps(list(values)),),
        )
    }
    return sorted(map(_to_calendar, ids.values()), key=lambda one: one.name)


def of_ids(connection: Connection, ids: Collection[int]) -> list[CalendarState]:
    """Those with these rows, by name."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM calendars WHERE id IN"  # noqa: S608  # own names
        " (SELECT CAST(value AS BIGINT) FROM json_each(?)) ORDER BY name",
        (json.dumps(list(ids)),),
    )
    return [_to_calendar(row) for row in found]


def names(connection: Connection) -> dict[UserGuid, UserName]:
    """The name of every user who was ever served."""
    found = connection.execute("SELECT user_guid, name FROM calendars")
    return {UserGuid(guid): UserName(name) for guid, name in found}


def every_one(connection: Connection) -> list[CalendarState]:
    """Every calendar that was ever read, by name."""
    return [_to_calendar(row) for row in connection.execute(_CALENDARS)]


@dataclass(frozen=True, slots=True)
class Parked:
    """How a parked calendar stands: since when, and whether access counts as lost since this very refusal."""

    since: datetime
    lost_now: bool = False


def park(
    connection: Connection,
    calendar: int,
    reason: ParkReason,
    message: str,
    now: datetime,
    lost_after: timedelta,
) -> Parked:
    """Remember that a calendar cannot be read, and count what may mean that access is lost for good."""
    row = connection.execute(
        "SELECT refusals, refused_since, lost_ms FROM calendars WHERE id = ?", (calendar,)
    ).fetchone()
    before = Evidence(row[0], _moment(row[1]), _moment(row[2]))
    after = after_refusal(before, reason, now, lost_after)
    connection.execute(
        """UPDATE calendars SET parked_reason = ?, parked_message = ?, parked_since = coalesce(parked_since, ?),
               refusals = ?, refused_since = ?, lost_ms = ? WHERE id = ?""",
        (
            reason.value,
            message,
            to_millis(now),
            after.refusals,
            to_millis(after.since) if after.since else None,
            to_millis(after.lost_since) if after.lost_since else None,
            calendar,
        ),
    )
    row = connection.execute(
        "SELECT parked_since FROM calendars WHERE id = ?", (calendar,)
    ).fetchone()
    lost_now = after.lost_since is not None and before.lost_since is None
    return Parked(from_millis(row[0]), lost_now)


def pause(connection: Connection, calendar: int, now: datetime) -> None:
    """Neither read nor sent for until `resume`; what waits stays."""
    connection.execute(
        "UPDATE calendars SET paused_ms = coalesce(paused_ms, ?) WHERE id = ?",
        (to_millis(now), calendar),
    )


def resume(connection: Connection, calendar: int) -> None:
    """Serve a paused calendar again. One that had left needs `leaving.forget_left` besides."""
    connection.execute("UPDATE calendars SET paused_ms = NULL WHERE id = ?", (calendar,))


def ask_resync(connection: Connection, calendar: int, pass_id: str) -> str:
    """Ask for a full pass; gives its id, or that of one that was asked for before and is not done yet."""
    connection.execute(
        """UPDATE calendars SET resync_asked = ? WHERE id = ?
               AND (resync_asked IS NULL OR resync_asked IS NOT DISTINCT FROM resync_done)""",
        (pass_id, calendar),
    )
    row = connection.execute(
        "SELECT resync_asked FROM calendars WHERE id = ?", (calendar,)
    ).fetchone()
    return str(row[0])


def _to_calendar(row: tuple[Any, ...]) -> CalendarState:
    listed = None
    if row[7] is not None and row[8] is not None:
        listed = Window(from_millis(row[7]), from_millis(row[8]))
    return CalendarState(
        id=row[0],
        user_guid=UserGuid(row[1]),
        name=UserName(row[2]),
        token=SyncToken(row[3]) if row[3] is not None else None,
        token_fingerprint=row[4],
        time_zone=row[5],
        access_role=row[6],
        listed=listed,
        last_success=_moment(row[9]),
        last_full=_moment(row[10]),
        compared=bool(row[11]),
        parked_reason=ParkReason(row[12]) if row[12] else None,
        parked_message=row[13],
        parked_since=_moment(row[14]),
        refusals=row[15],
        refused_since=_moment(row[16]),
        lost_since=_moment(row[17]),
        banner_since=_moment(row[18]),
        credentials=row[19],
        credentials_since=_moment(row[20]),
        settings_id=row[21],
        calendar_type=row[22],
        settings_at=_moment(row[23]),
        disconnected_since=_moment(row[24]),
        paused_since=_moment(row[25]),
        left_at=_moment(row[26]),
        resync_asked=row[27],
        resync_done=row[28],
        resync_done_at=_moment(row[29]),
        erased=row[30] or "",
    )


def _moment(millis: int | None) -> datetime | None:
    return from_millis(millis) if millis is not None else None
