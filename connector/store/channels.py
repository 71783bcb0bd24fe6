"""Push channels and the notifications of them. Of a channel's secret only a digest is kept.

A notification may arrive at any process on this state. `accept` judges it and keeps that it came, in one transaction;
whoever serves the calendar looks for news with `notified_since`, each second.

What keeps a calendar from being watched is kept in `cursors` (scope `push:<calendar>`), for `status` and `doctor`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from connector.domain.mapping import from_millis, to_millis
from connector.domain.model import UserGuid
from connector.domain.push import Channel, Notification, Verdict, after, judge
from connector.store.connection import Connection

_COLUMNS = (
    "id, calendar_id, made_for, created_ms, resource_id, expires_ms, message_number, notified_ms, quiet_ms,"
    " stopping_ms, early_resource"
)
_CHANNELS = f"SELECT {_COLUMNS} FROM channels ORDER BY created_ms, id"  # noqa: S608  # own names
_OF_CALENDAR = f"SELECT {_COLUMNS} FROM channels WHERE calendar_id = ? ORDER BY created_ms, id"  # noqa: S608  # own names
_NAMED = (
    f"SELECT {_COLUMNS}, token_digest FROM channels WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608  # own names
)

# Another process may take one in at the same moment: nothing ever goes back.
_TAKE_IN = """
    UPDATE channels SET
        message_number = CASE WHEN message_number < :number THEN :number ELSE message_number END,
        notified_ms = CASE WHEN CAST(:at AS BIGINT) IS NULL OR notified_ms >= CAST(:at AS BIGINT) THEN notified_ms
                           ELSE CAST(:at AS BIGINT) END,
        quiet_ms = CASE WHEN :heard THEN NULL ELSE quiet_ms END
    WHERE id = :id
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one notification; `calendar` is its channel's, None if there is no such channel."""

    said: Notification
    verdict: Verdict
    calendar: int | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a calendar is not watched: a word, a sentence for people, since when, and until when nothing is tried.

    `made_for` is what was tried: another address or account is tried at once.
    """

    reason: str
    message: str
    since: datetime
    until: datetime
    made_for: str

    def since_then(self, since: datetime) -> Trouble:
        """The same trouble, which began earlier."""
        return replace(self, since=since)

    def of(self, made_for: str) -> Trouble:
        """The same trouble of another calendar."""
        return replace(self, made_for=made_for)


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that is known of channels, and the calendars that are not to be watched any more whoever has them.

    `calendars` are all rows: the user's GUID, and whether it is served (neither left nor disconnected).
    """

    channels: tuple[Channel, ...]
    calendars: dict[int, tuple[UserGuid, bool]]


def overview(connection: Connection) -> Overview:
    """The channels, and of each of their calendars whether its user is served."""
    found = tuple(_to_channel(row) for row in connection.execute(_CHANNELS))
    calendars = connection.execute(
        "SELECT id, user_guid, left_ms IS NULL AND disconnected_ms IS NULL FROM calendars"
    )
    return Overview(found, {row[0]: (UserGuid(row[1]), bool(row[2])) for row in calendars})


def of_calendar(connection: Connection, calendar: int) -> list[Channel]:
    """The channels of one calendar, oldest first."""
    return [_to_channel(row) for row in connection.execute(_OF_CALENDAR, (calendar,))]


def begin(connection: Connection, channel: Channel, secret: str) -> None:
    """Keep a channel before Google is asked for it: whatever happens then, it is known as ours."""
    connection.execute(
        "INSERT INTO channels (id, calendar_id, made_for, token_digest, created_ms) VALUES (?, ?, ?, ?, ?)",
        (channel.id, channel.calendar, channel.made_for, secret, to_millis(channel.created)),
    )


def begin_again(connection: Connection, channel: str, secret: str) -> bool:
    """Ask for the same channel with another secret, the first one being gone; False if it was given up meanwhile."""
    kept = connection.execute(
        "UPDATE channels SET token_digest = ? WHERE id = ? AND resource_id IS NULL"
        " AND early_resource IS NULL AND stopping_ms IS NULL",
        (secret, channel),
    )
    return kept.rowcount == 1


def answered(
    connection: Connection,
    channel: str,
    resource: str,
    expires: datetime | None,
) -> bool:
    """Keep Google's answer; False if the channel was given up meanwhile and nobody knows it any more.

    A message that came ahead of the answer proves the channel now, if it was of this very resource.
    """
    kept = connection.execute(
        """UPDATE channels SET resource_id = :resource, expires_ms = :expires,
               message_number = CASE WHEN message_number = 0 AND early_resource = :resource THEN 1
                                     ELSE message_number END
           WHERE id = :channel""",
        {"resource": resource, "expires": _millis(expires), "channel": channel},
    )
    return kept.rowcount == 1


def retire(connection: Connection, channels: Iterable[str], now: datetime) -> None:
    """These are no longer wanted: their messages change nothing, and they are stopped at Google."""
    connection.execute(
        "UPDATE channels SET stopping_ms = ? WHERE stopping_ms IS NULL AND id IN (SELECT value FROM json_each(?))",
        (to_millis(now), json.dumps(list(channels))),
    )


def forget(connection: Connection, channels: Iterable[str]) -> None:
    """Google knows these no longer."""
    connection.execute(
        "DELETE FROM channels WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(channels)),),
    )


def accept(connection: Connection, said: Sequence[Notification], now: datetime) -> list[Heard]:
    """Judge notifications in their order and keep what they prove. Without one of worth nothing is written."""
    ids = json.dumps(sorted({one.channel for one in said}))
    known: dict[str, tuple[Channel, str]] = {
        row[0]: (_to_channel(row[:-1]), row[-1]) for row in connection.execute(_NAMED, (ids,))
    }
    heard: list[Heard] = []
    changed: dict[str, tuple[Channel, bool]] = {}
    for one in said:
        channel, secret = known.get(one.channel, (None, None))
        verdict = judge(one, channel, secret, now)
        heard.append(Heard(one, verdict, channel.calendar if channel is not None else None))
        if channel is None or secret is None:
            continue
        if verdict is Verdict.EARLY:
            _note_early(connection, one)
        taken = after(channel, one, verdict, now)
        if taken is not channel:
            known[one.channel] = (taken, secret)
            earlier = changed.get(one.channel)
            heard_of = verdict is Verdict.ACCEPTED or (earlier is not None and earlier[1])
            changed[one.channel] = (taken, heard_of)
    for channel, heard_of in changed.values():
        connection.execute(
            _TAKE_IN,
            {
                "id": channel.id,
                "number": channel.number,
                "at": _millis(channel.notified),
                "heard": heard_of,
            },
        )
    return heard


def _note_early(connection: Connection, said: Notification) -> None:
    """What a message says of its resource counts once Google's answer says the same, or to stop the channel by."""
    connection.execute(
        "UPDATE channels SET early_resource = ? WHERE id = ? AND resource_id IS NULL",
        (said.resource, said.channel),
    )


def notified_since(connection: Connection, since_ms: int) -> list[tuple[int, int]]:
    """Calendars that were told of after a moment (ms), each with the last one's: `(calendar, notified_ms)`."""
    return [
        (row[0], row[1])
        for row in connection.execute(
            "SELECT calendar_id, max(notified_ms) FROM channels WHERE notified_ms > ? GROUP BY calendar_id",
            (since_ms,),
        )
    ]


def turned_quiet(connection: Connection, calendars: Iterable[int], now: datetime) -> None:
    """Readings of these calendars found changes that no channel had told of."""
    connection.execute(
        """UPDATE channels SET quiet_ms = coalesce(quiet_ms, ?) WHERE stopping_ms IS NULL
               AND calendar_id IN (SELECT CAST(value AS INTEGER) FROM json_each(?))""",
        (to_millis(now), json.dumps(list(calendars))),
    )


def keep_trouble(connection: Connection, calendar: int, trouble: Trouble | None) -> None:
    """Keep why a calendar is not watched; None: it is."""
    scope = f"push:{calendar}"
    connection.execute("DELETE FROM cursors WHERE scope = ?", (scope,))
    if trouble is not None:
        told = asdict(trouble) | {
            "since": to_millis(trouble.since),
            "until": to_millis(trouble.until),
        }
        connection.execute(
            "INSERT INTO cursors (scope, name, value) VALUES (?, 'trouble', ?)",
            (scope, json.dumps(told)),
        )


def troubles(connection: Connection) -> dict[int, Trouble]:
    """Why calendars are not watched, by their rows."""
    found = connection.execute(
        "SELECT scope, value FROM cursors WHERE scope LIKE 'push:%' AND name = 'trouble'"
    )
    return {int(scope.partition(":")[2]): _to_trouble(value) for scope, value in found}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a calendar's push stands. `state`: healthy, quiet, unproved, waiting, or the reason of a trouble."""

    state: str
    expires: datetime | None = None
    notified: datetime | None = None
    since: datetime | None = None
    message: str | None = None


def standing_of(connection: Connection, calendar: int, now: datetime) -> Standing:
    """Of one calendar that is to be watched."""
    trouble = _trouble_of(connection, calendar)
    found = [
        one
        for one in of_calendar(connection, calendar)
        if one.is_answered and one.stopping_since is None and one.ends > now
    ]
    if not found:
        if trouble is None:
            return Standing("waiting", message="no channel yet")
        return Standing(trouble.reason, since=trouble.since, message=trouble.message)
    notified = max((one.notified for one in found if one.notified), default=None)
    best = max(found, key=lambda one: (one.vouches(now), one.is_proved, one.ends))
    if best.vouches(now):
        return Standing("healthy", best.ends, notified)
    if best.is_proved:
        return Standing("quiet", best.ends, notified, best.quiet_since, _QUIET)
    return Standing("unproved", best.ends, notified, best.created, _UNPROVED)


_QUIET = (
    "a change came without its notification; polls are at full speed until the next notification"
)
_UNPROVED = (
    "Google has a channel, and nothing of it has arrived yet: does the reverse proxy pass POSTs of [google.push]"
    " address on to [google.push] listen? Until one arrives, polls are at full speed"
)


def counts(connection: Connection, now: datetime) -> dict[str, int]:
    """How many channels there are of each kind, as the metric shows them."""
    row = connection.execute(
        """SELECT sum(CASE WHEN s THEN 1 ELSE 0 END),
                  sum(CASE WHEN NOT s AND answered AND NOT proved THEN 1 ELSE 0 END),
                  sum(CASE WHEN NOT s AND proved AND quiet THEN 1 ELSE 0 END),
                  sum(CASE WHEN NOT s AND proved AND NOT quiet THEN 1 ELSE 0 END)
           FROM (SELECT stopping_ms IS NOT NULL AS s, resource_id IS NOT NULL AS answered, message_number > 0 AS proved,
                        quiet_ms IS NOT NULL AS quiet
                 FROM channels WHERE expires_ms IS NULL OR expires_ms > ?) AS counted""",
        (to_millis(now),),
    ).fetchone()
    names = ("stopping", "unproved", "quiet", "healthy")
    return {name: int(count or 0) for name, count in zip(names, row, strict=True)}


def _trouble_of(connection: Connection, calendar: int) -> Trouble | None:
    found = connection.execute(
        "SELECT value FROM cursors WHERE scope = ? AND name = 'trouble'", (f"push:{calendar}",)
    ).fetchone()
    return _to_trouble(found[0]) if found is not None else None


def _to_trouble(value: str) -> Trouble:
    told = json.loads(value)
    return Trouble(
        told["reason"],
        told["message"],
        from_millis(told["since"]),
        from_millis(told["until"]),
        told["made_for"],
    )


def _to_channel(row: Sequence[Any]) -> Channel:
    return Channel(
        id=row[0],
        calendar=row[1],
        made_for=row[2],
        created=from_millis(row[3]),
        resource=row[4],
        expires=_moment(row[5]),
        number=row[6],
        notified=_moment(row[7]),
        quiet_since=_moment(row[8]),
        stopping_since=_moment(row[9]),
        early=row[10],
    )


def _moment(millis: int | None) -> datetime | None:
    return from_millis(millis) if millis is not None else None


def _millis(moment: datetime | None) -> int | None:
    return to_millis(moment) if moment is not None else None
